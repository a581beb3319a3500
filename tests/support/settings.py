# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings of the agent."""

import os

import pytest

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, whose files other users may not read")


def config_of(agent, **settings):
    """The Config of settings that need no file."""
    return agent.Config(tls=None, expires=None, password=None, origin=None, **dict(agent.DEFAULTS, **settings))


def configuration(**settings):
    """Text of an etcd.conf."""
    return "[etcd]\n" + "".join("%s = %s\n" % each for each in settings.items())
