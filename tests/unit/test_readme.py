# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""README.md and docs/ say what the agent is."""

import fnmatch
import re
import subprocess
import sys

import pytest

from support.repository import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def section(title):
    """The text below a heading."""
    return re.search(r"^## %s\n(.*?)(?=^## |\Z)" % re.escape(title), README, re.MULTILINE | re.DOTALL).group(1)


def first_column(title):
    """What the first column of a section's table names in code, or as it is."""
    cells = re.findall(r"^\| ([^|]+) \|", section(title), re.MULTILINE)[1:]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell) or cell.split(", ")]


def test_metric_table_is_current():
    subprocess.run([sys.executable, REPOSITORY / "docs" / "metric-table", "--check"], check=True)


def test_configuration_table_has_every_key_with_its_default(agent):
    assert first_column("Configuration") == list(agent.DEFAULTS)
    for key, default in agent.DEFAULTS.items():
        row = re.search(r"^\|[^|]*`%s`[^|]*\| ([^|]*) \|" % key, section("Configuration"), re.MULTILINE)
        if default:
            assert row.group(1) == str(default), key


def test_every_metric_is_of_one_group_of_its_source(agent):
    rows = re.findall(r"^\| (`etcd\.[^|]+) \|[^|]*\| ([^|]+) \|$", section("Metrics"), re.MULTILINE)
    sources = {name: source.strip("`").split("/")[-1]
               for names, source in rows for name in re.findall("`([^`]+)`", names)}
    metrics = {metric.name: cluster.source or "the agent" for cluster in agent.CATALOGUE for metric in cluster.metrics}
    for metric, source in metrics.items():
        assert [sources[name] for name in sources if fnmatch.fnmatch(metric, name)] == [source], metric
    assert [name for name in sources if not fnmatch.filter(metrics, name)] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "tests/README.md"])
def test_files_that_are_named_are_there(page):
    """Links, and the programs of the repository in examples."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(([^:)#]+)\)", text))
    named |= set(re.findall(r"\b((?:bench|config|docs|qa|tests)/[\w./-]*\w)", text))
    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []
