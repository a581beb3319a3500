# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of pmie and their runbook: what they say is what they do."""

import re
import subprocess
import sys

import cpmapi as c_api
import pytest

from support.alerts import RULES, read_rules, seconds
from support.repository import REPOSITORY

ALL = read_rules()
NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 10: "ten", 12: "twelve", 15: "fifteen", 30: "thirty"}
# (rule, tunable, default, how the help says it); the defaults are those of etcd's own mixin where it has the alert
SAID = [
    ("leader_changes", "threshold", "4", "four changes of leader"),
    ("failed_proposals", "threshold", "5", "More than five writes a second"),
    ("slow_fsync", "threshold", "0.5", "One in a hundred fsync calls of the log takes longer than half a second"),
    ("very_slow_fsync", "threshold", "1", "One in a hundred fsync calls of the log takes longer than one second"),
    ("slow_commit", "threshold", "0.25", "takes longer than a quarter of a second"),
    ("slow_peers", "threshold", "1", "More than one percent"),
    ("grpc_failures", "threshold", "1", "More than one percent"),
    ("many_grpc_failures", "threshold", "5", "More than five percent"),
    ("quota_low", "threshold", "95", "ninety-five percent"),
    ("fast_growth", "horizon", "4 hour", "within the next four"),
    ("fragmentation", "threshold", "50", "Less than fifty percent"),
    ("fragmentation", "smallest", "100 Mbyte", "more than a hundred megabytes"),
    ("learner_lags", "threshold", "5000", "more than five thousand raft entries"),
    ("certificate", "threshold", "720 hour", "within thirty days"),
]
THRESHOLDS = {"threshold", "horizon", "smallest"}
OF_THE_AGENT = {"silent", "agent_config"}  # what etcd does never blinds them
MIXIN = {  # seconds for which etcd's mixin wants a state to last, where the rule wants the same
    "members_down": 600, "insufficient_members": 180, "no_leader": 60, "failed_proposals": 900, "slow_fsync": 600,
    "very_slow_fsync": 600, "slow_commit": 600, "slow_peers": 600, "grpc_failures": 600, "many_grpc_failures": 300,
    "quota_low": 600, "fragmentation": 600}


def metrics_of(rule):
    """[(whether its value is taken as it is, metric, what follows it)] of a predicate."""
    return [(bool(before), name, after) for before, name, after in
            re.findall(r"(instant )?\b(etcd\.[\w.]*\w)((?: \S+)?)", rule.predicate)]


def in_words(duration):
    """600 -> ten minutes."""
    number, unit = (duration // 3600, "hour") if duration % 3600 == 0 else (duration // 60, "minute")
    return NUMBERS[int(number)] + " " + unit + "s" * (number > 1)


def blind(rule, rows):
    """Seconds until the window of a rule is full of samples."""
    rates = any(rows[name].kind.semantics == c_api.PM_SEM_COUNTER and not instant
                for instant, name, _ in metrics_of(rule)) or " rate " in rule.predicate
    return seconds(rule.tunables["delta"]) * (int(rule.tunables["samples"]) + rates)


@pytest.fixture(scope="module")
def rows(agent):
    """{metric: row of the catalogue}."""
    return {metric.name: metric for cluster in agent.CATALOGUE for metric in cluster.metrics}


@pytest.fixture(params=ALL.values(), ids=list(ALL))
def rule(request):
    return request.param


def test_every_rule_asks_for_metrics_that_there_are(rule, rows):
    """On the hosts that the user has named; it outlives absent instances only inside some_host."""
    assert re.fullmatch(r"some_host \(\n.*\n\)", rule.predicate, re.S)
    assert metrics_of(rule)
    for _, name, after in metrics_of(rule):
        assert name in rows and after == " $hosts$"


def test_every_rule_is_on(rule):
    assert rule.enabled


def test_every_rule_says_how_long_it_is_blind(rule, rows):
    if "samples" not in rule.tunables:
        words = "It fires within %s. After a restart of etcd or pmie it is not blind." % in_words(
            seconds(rule.tunables["delta"]))
    elif rule.name in OF_THE_AGENT:
        words = "restart of pmie it is blind for %s, after one of etcd not at all." % in_words(blind(rule, rows))
    else:
        words = "restart of etcd or pmie it (is|can be) blind for %s[.;]" % in_words(blind(rule, rows))
    assert re.search(words, rule.help)


def test_every_rule_says_how_long_a_state_must_have_lasted(rule, rows):
    """For members_down that is less than its blindness, since it needs no rate."""
    if "samples" in rule.tunables:
        lasting = blind(rule, rows) if rule.name != "members_down" else 600
        assert re.search(r"\b%s\b.*After a restart of" % in_words(lasting), rule.help)


def test_times_are_those_of_the_mixin():
    assert {name: seconds(ALL[name].tunables["delta"]) * int(ALL[name].tunables["samples"]) for name in MIXIN} == MIXIN


@pytest.mark.parametrize("name, tunable, default, said", SAID)
def test_help_says_the_default(name, tunable, default, said):
    assert ALL[name].tunables[tunable] == default
    assert said in ALL[name].help


def test_every_threshold_is_said():
    assert {(name, tunable) for name, rule in ALL.items() for tunable in rule.tunables if tunable in THRESHOLDS} == {
        each[:2] for each in SAID}


def test_bounds_are_buckets(rule, rows):
    """threshold lies between two bounds of a histogram of etcd's disk, each twice the one before."""
    if "lower" in rule.tunables:
        lower, upper, threshold = (float(rule.tunables[each]) for each in ("lower", "upper", "threshold"))
        assert lower < threshold <= upper == 2 * lower
        assert upper in [0.001 * 2 ** each for each in range(14)]


def test_messages_tell_rules_apart():
    messages = [rule.message for rule in ALL.values()]
    assert not [(one, other) for one in messages for other in messages if one != other and one.startswith(other)]


def test_files_are_named_after_their_rules():
    """And their lines fit a terminal in pmieconf, which indents them."""
    for path in RULES.iterdir():
        text = path.read_text()
        assert re.findall(r"^rule\s+(\S+)$", text, re.M) == ["etcd." + path.name]
        assert text.startswith("#pmieconf-rules 1\n# --- DO NOT MODIFY THIS FILE --- see pmieconf(5)\n")
        for help_text in re.findall(r'help\s*=\s*"(.*?)";', text, re.S):
            assert max(map(len, help_text.splitlines())) <= 70
            assert not re.search(r'[$"\\]', help_text)


def test_runbook_is_current():
    done = subprocess.run([sys.executable, str(REPOSITORY / "docs" / "alert-runbook"), "--check"],
                          stderr=subprocess.PIPE, universal_newlines=True, check=False)
    assert done.returncode == 0, done.stderr
