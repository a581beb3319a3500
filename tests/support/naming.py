# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Names for the parameters of tests."""

def short(raw):
    """A name for a test's parameter that may be very long."""
    return "%.20s" % (hex(raw) if type(raw) is int else repr(raw))
