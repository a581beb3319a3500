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
"""README.md says what the agent is."""

import re
import subprocess
import sys

from harness import REPOSITORY, load_agent


def test_metric_table_is_current():
    subprocess.run([sys.executable, REPOSITORY / "docs" / "metric-table", "--check"], check=True)


def test_configuration_table_has_every_key():
    table = (REPOSITORY / "README.md").read_text().split("## Configuration")[1].split("##")[0]
    named = {key for row in re.findall(r"^\| ([a-z_, ]+) \|", table, re.M) for key in row.split(", ")}
    assert named - {"key"} == set(load_agent().SETTINGS)
