# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Names, types and help texts as pminfo shows them.

Where metrics were added, REMAKE=1 pytest tests/fake/test_golden.py writes the golden file: see what git diff says then.
"""

import os

from support.pmcd import Pmcd
from support.repository import GOLDEN


def test_pminfo_of_everything(directory):
    with Pmcd(directory) as pmcd:
        shown = pmcd.pminfo("-dmtT", "etcd")
    golden = GOLDEN / "pminfo-dmtT.txt"
    if os.environ.get("REMAKE"):
        golden.write_text(shown)
    assert shown == golden.read_text()
