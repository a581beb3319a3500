# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings of the agent: etcd.conf and the files that it names."""

import os

import pytest

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, whose files other users may not read")


def configuration(**settings):
    """Text of an etcd.conf."""
    return "[etcd]\n" + "".join("%s = %s\n" % each for each in settings.items())


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
