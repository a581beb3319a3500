# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands where a file should be."""

import os


def no_file(path, case):
    """Puts something else than a regular file at the path."""
    if case == "pipe":
        os.mkfifo(path)
    elif case == "directory":
        path.mkdir()
    else:
        path.symlink_to({"device": "/dev/zero", "loop": path}[case])
