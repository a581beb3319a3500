# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual page: well-formed, and complete as measured by the agent."""

import re
import subprocess

import cpmapi as c_api
import pytest
from pcp.pmapi import pmErr

from support.repository import AGENT, REPOSITORY

PAGE = REPOSITORY / "pmdaetcd.1"


def section(title):
    """The text of a section, as it is in the file."""
    return re.search(r"^\.SH %s\n(.*?)(?=^\.SH|\Z)" % title, PAGE.read_text(), re.MULTILINE | re.DOTALL).group(1)


def words(title):
    """The words of a section, without the requests and escapes of troff."""
    return set(re.findall(r"[\w./:*-]*[\w*]", section(title).replace("\\-", "-").replace("\\&", " ")))


def headings(title):
    """The words in the headings of a section's list."""
    return set(re.findall(r"[\w.*]+", " ".join(re.findall(r"^\.TP.*\n\.\w+ (.*)", section(title), re.MULTILINE))))


@pytest.mark.parametrize("linter", [
    ["man", "--warnings", "-E", "UTF-8", "-l"],
    ["mandoc", "-T", "lint", "-W", "style"],
], ids=lambda command: command[0])
def test_linters_are_silent(linter):
    result = subprocess.run(linter + [str(PAGE)], check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True)
    complaints = result.stderr + (result.stdout if linter[0] == "mandoc" else "")
    assert (result.returncode, complaints) == (0, "")


def test_every_setting_is_there_with_its_default(agent):
    assert headings("CONFIGURATION") == set(agent.DEFAULTS)
    shown = {"no" if value is False else str(value) for value in agent.DEFAULTS.values() if value != ""}
    assert shown <= words("CONFIGURATION")


def test_every_metric_is_there(agent):
    known = words("METRICS")
    names = [metric.name for cluster in agent.CATALOGUE for metric in cluster.metrics]
    assert [name for name in names if not covers(known, name)] == []
    groups = {heading[:-1] for heading in headings("METRICS") if heading.endswith("*")}
    assert {group for group in groups if not any(name.startswith(group) for name in names)} == set()


def covers(known, name):
    """Whether a metric is among the words by its name, or by etcd.GROUP.*"""
    return name in known or name.rpartition(".")[0] != "etcd" and ".".join(name.split(".")[:2]) + ".*" in known


def test_every_metric_of_the_agent_itself_is_there(agent):
    names = {metric.name for cluster in agent.CATALOGUE for metric in cluster.metrics}
    assert headings("SELF-METRICS") == {name for name in names if name.startswith("etcd.control.")}
    assert set(agent.SOURCE_NAMES.instances) <= words("SELF-METRICS")


def test_every_error_is_there_with_the_words_that_pminfo_prints():
    used = set(re.findall(r"c_api\.(PM_ERR_\w+)", AGENT.read_text()))
    shown = dict(re.findall(r'^\.BR (\w+) ": (.*)"', section("ERRORS").replace("\\\n", ""), re.MULTILINE))
    assert set(shown) == used - {"PM_ERR_PMID", "PM_ERR_INST"}  # those of metrics that don't exist
    assert shown == {name: words_of(name) for name in shown}


def words_of(name):
    """What PCP says of an error."""
    return pmErr(getattr(c_api, name)).message()
