#
# Copyright (c) 2026 The etcd PMDA authors.
#
# This program is free software; you can redistribute it and/or modify it
# under the terms of the GNU General Public License as published by the
# Free Software Foundation; either version 2 of the License, or (at your
# option) any later version.
#
# This program is distributed in the hope that it will be useful, but
# WITHOUT ANY WARRANTY; without even the implied warranty of MERCHANTABILITY
# or FITNESS FOR A PARTICULAR PURPOSE.  See the GNU General Public License
# for more details.
#
"""What the tests of TLS and those of reloading have in common."""

import os
import re

import pytest

from harness import Query

VALUES = ("etcd.name", "etcd.store.watchers", "etcd.version.server", "etcd.up")  # of three sources

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, whose files user pcp may not read")


def configuration(**settings):
    """Text of an etcd.conf."""
    return "[etcd]\n" + "".join("%s = %s\n" % each for each in settings.items())


def messages(pmcd):
    """What the agent logged, without time and process."""
    log = pmcd.agent_log()
    assert "Traceback" not in log, log
    return re.findall(r"pmdaetcd\(\d+\) \w+: (.*)", log)


def threads(pmcd):
    """Number of threads of the agent."""
    return len(os.listdir("/proc/%d/task" % pmcd.agent_pid()))


def query(pmcd, names=VALUES):
    """A Query of VALUES in a context of its own."""
    return Query(pmcd.context(), names)
