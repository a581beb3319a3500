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
"""What the tests of settings have in common: those of the start, of TLS and of reloading."""

import os
import re

import pytest

from harness import Query

VALUES = ("etcd.name", "etcd.store.watchers", "etcd.version.server", "etcd.up")  # of three sources

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, whose files other users may not read")

# case: the content of an etcd.conf, and what the one line about it says
BAD_CONFIGURATIONS = {
    "unknown key": (b"[etcd]\nurll = http://127.0.0.1:1\n", "urll = http://127.0.0.1:1: unknown key"),
    "unknown section": (b"[other]\n", "[other]: unknown section"),
    "bad number": (b"[etcd]\ntimeout = soon\n", "timeout = soon: is not a number"),
    "out of range": (b"[etcd]\ntimeout = 5\n", "timeout = 5: must be from 0.05 to 4 seconds"),
    "bad URL": (b"[etcd]\nurl = ftp://127.0.0.1\n", "url = ftp://127.0.0.1: must be"),
    "no scheme": (b"[etcd]\nurl = 127.0.0.1:2379\n", "url = 127.0.0.1:2379"),
    "userinfo": (b"[etcd]\nurl = http://root:hunter2@127.0.0.1:2379\n", "url = http://***@127.0.0.1:2379"),
    "no section": (b"timeout = 1\n", "line 1: timeout = 1: is not KEY = VALUE in a section [etcd]"),
    "no UTF-8": (b"[etcd]\n# \xff\n", "can't be read"),
    "no file of that name": (b"[etcd]\nurl = https://127.0.0.1\nca_file = /nowhere/ca.pem\n",
                             "ca_file = /nowhere/ca.pem: can't be read: No such file or directory"),
}


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
