# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of --check: sources, and members as etcdctl shows them."""

import pytest

from support.naming import short
from support.settings import config_of

UP = {"name": "m0", "url": "http://a:2379", "up": 1, "is_leader": 1, "is_learner": 0, "version": "3.6.14",
      "role": "leader", "db_size": 2097152, "db_in_use": 32768, "quota": -1, "raft_term": 2, "raft_index": 38,
      "raft_applied_index": 37, "alarms": "NOSPACE", "errors": "etcdserver: no leader", "time": 0.5}
DOWN = {"name": "m1", "url": "http://b:2379", "up": 0, "is_learner": 1}


def seen(agent, **members):
    """What --check knows of members, of a document of the cluster."""
    return agent.members_seen(agent.Outcome({"members": members}))


@pytest.mark.parametrize("number, text", [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9999, "10.0 kB"), (32768, "33 kB"), (2097152, "2.1 MB"),
    (2 << 30, "2.1 GB"), (8 << 40, "8.8 TB"), (2 ** 64 - 1, "18446744 TB")])
def test_size(agent, number, text):
    assert agent.size(number) == text


def test_members_are_those_of_the_rows(agent):
    """All have the same keys; what is missing, or of a wrong type, is null."""
    up, down = seen(agent, a=UP, b=dict(DOWN, raft_term="x", name="\ud800"))
    assert up == dict(UP, id="a")
    assert {key: value for key, value in down.items() if value is not None} == {
        "id": "b", "url": "http://b:2379", "up": 0, "is_learner": 1}
    assert list(up) == list(down)


def test_table_of_members(agent):
    """Nothing that a server says breaks a line."""
    lines = agent.aligned(agent.MEMBER_COLUMNS, seen(agent, a=UP, b=DOWN, c=dict(UP, name="x\n\x1b[m", alarms="")))
    assert [line.split("  ")[0] for line in lines] == ["ENDPOINT", "http://a:2379", "http://b:2379", "http://a:2379"]
    assert lines[1].split()[1:] == [
        "a", "m0", "3.6.14", "2.1", "MB", "33", "kB", "true", "false", "2", "38", "37", "NOSPACE,", "etcdserver:", "no",
        "leader"]
    assert lines[2].split()[1:] == ["b", "m1", "-", "-", "-", "-", "true", "-", "-", "-", "down"]
    assert "x\\n\\x1b[m" in lines[3]
    assert agent.aligned(agent.MEMBER_COLUMNS, []) == []


@pytest.mark.parametrize("member, words", [
    ({}, ""), ({"up": 0}, "down"), ({"up": None}, "not asked"), ({"alarms": "CORRUPT NOSPACE"}, "CORRUPT NOSPACE"),
    ({"up": 0, "errors": "member f of cluster e answers"}, "down, member f of cluster e answers")], ids=short)
def test_trouble(agent, member, words):
    assert agent.trouble(dict({"up": 1, "alarms": None, "errors": ""}, **member)) == words


def test_cluster_that_is_not_wanted_is_not_asked_for(agent):
    """With members = none."""
    config = config_of(agent, url="http://127.0.0.1:1", members="none", timeout=0.05)
    sources, members = agent.ask_sources(config, "me")
    assert "cluster" not in {each["source"] for each in sources} and members == []


def test_members_of_an_etcd_conf_stay_in_the_one_that_fits(agent):
    config = config_of(agent, members=("http://a:1", "http://b:2"))
    assert agent.fitted(config, {"url": "http://c:3", "metrics_url": ""}) == {
        "url": "http://c:3", "members": "http://a:1 http://b:2"}
