# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""README.md says what the agent is."""

import re
import subprocess
import sys

from support.repository import REPOSITORY, load_agent


def test_metric_table_is_current():
    subprocess.run([sys.executable, REPOSITORY / "docs" / "metric-table", "--check"], check=True)


def test_configuration_table_has_every_key():
    table = (REPOSITORY / "README.md").read_text().split("## Configuration")[1].split("##")[0]
    named = {key for row in re.findall(r"^\| ([a-z_, ]+) \|", table, re.M) for key in row.split(", ")}
    assert named - {"key"} == set(load_agent().SETTINGS)
