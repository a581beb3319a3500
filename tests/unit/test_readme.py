# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""README.md and docs/ say what the agent is."""

import fnmatch
import gzip
import re
import subprocess
import sys

import pytest

from support.repository import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
METRICS = (REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8")
PAGES = sorted((REPOSITORY / "tests" / "samples").glob("**/*metrics*"))


def section(title):
    """The text below a heading."""
    return re.search(r"^## %s\n(.*?)(?=^## |\Z)" % re.escape(title), README, re.MULTILINE | re.DOTALL).group(1)


def first_column(title):
    """What the first column of a section's table names in code, or as it is."""
    cells = re.findall(r"^\| ([^|]+) \|", section(title), re.MULTILINE)[1:]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell) or cell.split(", ")]


def test_metric_table_is_current():
    subprocess.run([sys.executable, REPOSITORY / "docs" / "metric-table", "--check"], check=True)


def families(page):
    """The families of a recorded page of metrics."""
    content = page.read_bytes()
    text = (gzip.decompress(content) if page.suffix == ".gz" else content).decode()
    return set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: "%s-%s" % (page.parent.name, page.name.partition(".")[0]))
def test_every_family_is_in_a_metric_or_left_out_for_a_reason(agent, page):
    found = families(page)
    assert len(found) > 100
    in_metrics = {re.sub("_(count|sum|bucket)$", "", family) for family in agent.WANTED}
    left_out = re.findall("`([^`]+)`", "".join(re.findall(r"^\|([^|]*)\|[^|]*\|$", METRICS, re.MULTILINE)))
    assert [family for family in sorted(found - in_metrics)
            if not any(fnmatch.fnmatch(family, pattern) for pattern in left_out)] == []


def test_configuration_table_has_every_key_with_its_default(agent):
    assert first_column("Configuration") == list(agent.DEFAULTS)
    for key, default in agent.DEFAULTS.items():
        row = re.search(r"^\|[^|]*`%s`[^|]*\| ([^|]*) \|" % key, section("Configuration"), re.MULTILINE)
        if default:
            assert row.group(1) == str(default), key


def test_every_metric_is_of_one_group_of_its_source(agent):
    rows = re.findall(r"^\| (`etcd\.[^|]+) \|[^|]*\| ([^|]+) \|$", section("Metrics"), re.MULTILINE)
    sources = {name: source.replace(" or v3", "").replace("each member, by v3", "cluster").strip("`").split("/")[-1]
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
    named |= set(re.findall(r"(?<![\w/-])((?:bench|config|docs|qa|tests)/[\w./-]*\w)", text))
    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []
