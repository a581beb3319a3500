# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""pmie's rules with their own thresholds and windows, over archives of hours and days."""

from typing import Callable, NamedTuple

import pytest

from support.alerts import Pmieconf, read_rules, replay, seconds
from support.days import BEGIN, DAY, GIB, HOUR, MIB, MINUTE, SOURCES, buckets, normal, write_days

RULES = read_rules()
ONSET = HOUR  # when a fault begins


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The rules as they are shipped, but that they print."""
    return Pmieconf(tmp_path_factory.mktemp("pmieconf")).config


# ------------------------------------------------------------------- faults


class Fault(NamedTuple):
    """A fault, and the level at which a rule fires; of(seconds since the fault began, level) gives altered values.

    also: rules that fire, too. within: windows of the rule that may pass, if not as usual.
    """
    rule: str
    silent: float  # the level that is still good
    fires: float
    of: Callable
    what: str = "etcd-host"
    also: tuple = ()


def quantile(metric, lower, upper):
    """Calls of the disk, of which the 99th percentile is this, as Prometheus' histogram_quantile has it."""
    def values(since, level):
        total = 400000 + int(20 * since)
        slow = 0.01 / (1 - (level - lower) / (upper - lower)) * 20 * since  # all of them between lower and upper
        return {metric + ".bucket": buckets(total, {lower + 0.001: round(slow)})}
    return values


def calls(since, level):
    """Calls of the last method, of which so many percent fail."""
    handled, failed = (normal(ONSET)["etcd.grpc." + name] for name in ("handled", "failed"))
    handled["Lease/LeaseGrant"] += int(100 * since)
    failed["Lease/LeaseGrant"] += int(level * since)
    return {"etcd.grpc.handled": handled, "etcd.grpc.failed": failed}


def trips(since, level):
    """Round trips to the last peer, of which so many percent are slow."""
    count, slow = (normal(ONSET)["etcd.network.peer.round_trip." + name] for name in ("count", "slow"))
    count["c3"] += int(10 * since)
    slow["c3"] += int(level * since / 10)
    return {"etcd.network.peer.round_trip.count": count, "etcd.network.peer.round_trip.slow": slow}


def growth(since, level):
    """A database that would reach so many GiB four hours from now."""
    rate = (level - 1) * GIB / (8 * HOUR)  # 4 hours after a rise of 4 hours
    return {"etcd.mvcc.db_size": int(GIB + rate * since), "etcd.mvcc.db_in_use": int(GIB + rate * since)}


def learner(since, level):
    """A learner that is behind the others; the first member in the list is no learner, and no more behind."""
    head = 9000000 + 30 * int(since)
    return {"etcd.cluster.member.raft_index": {"a1": head - 10, "b2": head - int(level), "c3": head},
            "etcd.cluster.member.is_learner": {"a1": 0, "b2": 1, "c3": 0}}


def failing_source(since, level):
    """The source of the cluster view fails so many times a minute."""
    return {"etcd.control.failures": dict(dict.fromkeys(SOURCES, 0), cluster=int(level * since / MINUTE))}


def failing_where_it_may(since, level):
    """A server without the v2 store, and an agent with members = none: so many fail."""
    failures, requests = (normal(ONSET)["etcd.control." + name] for name in ("failures", "requests"))
    failures.update(store=int(since), cluster=int(since), metrics=int(level * since))
    return {"etcd.control.failures": failures, "etcd.control.requests": dict(requests, cluster=0)}


FAULTS = [
    Fault("silent", 1, 0, lambda _, level: {"etcd.up": level}),
    Fault("members_down", 3, 2, lambda _, level: {"etcd.cluster.up": level}),
    Fault("members_down", 1, 2, lambda since, level: {  # failures in two minutes
        "etcd.network.peer.send_failures": {"a1": 4, "c3": 4 + level * int(since // (2 * MINUTE))}}),
    Fault("insufficient_members", 1, 0, lambda _, level: {"etcd.cluster.quorum": level}),
    Fault("no_leader", 1, 0, lambda _, level: {"etcd.server.has_leader": level}),
    Fault("leader_changes", 3, 4, lambda since, level: {
        "etcd.server.leader_changes": 3 + min(int(since // MINUTE), level)}, "4 changes@etcd-host"),
    Fault("failed_proposals", 4.9, 5.1, lambda since, level: {"etcd.server.proposals.failed": 21 + int(level * since)}),
    Fault("slow_fsync", 0.495, 0.505, quantile("etcd.disk.wal_fsync", 0.256, 0.512)),
    Fault("very_slow_fsync", 0.99, 1.01, quantile("etcd.disk.wal_fsync", 0.512, 1.024), also=("slow_fsync",)),
    Fault("slow_commit", 0.245, 0.2525, quantile("etcd.disk.backend_commit", 0.128, 0.256)),
    Fault("slow_peers", 0.9, 1.1, trips, "c3@etcd-host"),
    Fault("grpc_failures", 0.9, 1.1, calls, "Lease/LeaseGrant@etcd-host"),
    Fault("many_grpc_failures", 4.9, 5.1, calls, "Lease/LeaseGrant@etcd-host", also=("grpc_failures",)),
    Fault("quota_low", 94, 96, lambda _, level: {
        "etcd.mvcc.db_size": int(2 * GIB * level / 100), "etcd.mvcc.db_in_use": 2 * GIB * 9 // 10}),
    Fault("fast_growth", 1.93, 2.03, growth),
    Fault("fragmentation", 51, 49, lambda _, level: {
        "etcd.mvcc.db_size": GIB, "etcd.mvcc.db_in_use": int(GIB * level / 100)}),
    Fault("fragmentation", 99, 101, lambda _, level: {
        "etcd.mvcc.db_size": GIB, "etcd.mvcc.db_in_use": int(level * MIB)}),
    Fault("alarm_nospace", 0, 2, lambda _, level: {"etcd.cluster.alarms.nospace": level}, "2 members@etcd-host"),
    Fault("alarm_corrupt", 0, 1, lambda _, level: {"etcd.cluster.alarms.corrupt": level}, "1 members@etcd-host"),
    Fault("two_leaders", 1, 2, lambda _, level: {
        "etcd.cluster.member.is_leader": {"a1": 0, "b2": level - 1, "c3": 1}}, "2 leaders@etcd-host"),
    Fault("learner_lags", 4999, 5001, learner, "b2@etcd-host"),
    Fault("certificate", 31, 29, lambda _, level: {"etcd.control.certificate_time": level * DAY}),
    Fault("agent_failures", 0, 1, failing_source, "cluster@etcd-host"),
    Fault("agent_failures", 0, 1, failing_where_it_may, "metrics@etcd-host"),
    Fault("agent_config", 0, 1, lambda _, level: {"etcd.control.config": ("ok", "etcd.conf: url: bad")[level]}),
]
RATES = {"failed_proposals", "slow_fsync", "very_slow_fsync", "slow_commit", "slow_peers", "grpc_failures",
         "many_grpc_failures", "agent_failures", "fast_growth"}


def window(fault):
    """(earliest, latest) seconds from the beginning of a fault until its rule fires."""
    rule = RULES[fault.rule]
    delta, samples = seconds(rule.tunables["delta"]), int(rule.tunables.get("samples", 0))
    if fault.rule == "leader_changes":
        return 4 * MINUTE, 4 * MINUTE + delta  # the time of the fourth change
    lasting = delta * samples
    if fault.rule in RATES or "etcd.network.peer.send_failures" in fault.of(0, 0):
        lasting += delta  # the first rate that is all of the fault, at best
    return lasting, lasting + delta


def fired(config, directory, fault, level):
    """[Fired] in a life in which a fault begins after an hour."""
    latest = window(fault)[1]

    def change(since, values):
        return dict(values, **fault.of(since - ONSET, level)) if since >= ONSET else values
    return replay(config, write_days(directory / "archive", ONSET + int(latest) + MINUTE, change, MINUTE))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: each.rule)
def test_fires(fault, config, directory):
    """A rule fires within its window, tells what did it, and no other rule does."""
    found = fired(config, directory, fault, fault.fires)
    earliest, latest = window(fault)
    first = next(each for each in found if each.rule == fault.rule)
    assert earliest <= first.time - BEGIN - ONSET <= latest
    assert first.what == fault.what
    assert {each.rule for each in found} == {fault.rule, *fault.also}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: each.rule)
def test_is_silent_at_a_level_that_is_good(fault, config, directory):
    assert not {each.rule for each in fired(config, directory, fault, fault.silent)} - set(fault.also)


def test_there_is_a_fault_for_each_rule():
    assert {fault.rule for fault in FAULTS} == set(RULES)


# -------------------------------------------------------------- normal life


def with_restarts(since, values):
    """etcd restarts thrice a day: its counters begin again, and for a minute nothing but the agent answers."""
    phase = since % (8 * HOUR)
    if phase < 60 and since > MINUTE:
        return {name: value for name, value in values.items() if name.startswith("etcd.control.")} if phase else {}
    if since < 8 * HOUR:
        return values
    now = normal(phase)
    counted = ("etcd.server.leader", "etcd.server.proposals", "etcd.network", "etcd.disk", "etcd.grpc")
    return dict(values, **{name: value for name, value in now.items() if name.startswith(counted)})


def without_a_member(since, values):
    """A member is removed after six hours, with its instances; what the watched one counted of it stays as it was."""
    if since < 6 * HOUR:
        return values
    gone = normal(6 * HOUR)
    found = {name: {each: number for each, number in value.items() if not name.startswith("etcd.cluster.") or
                    each != "a1"} if isinstance(value, dict) else value for name, value in values.items()}
    for name in ("send_failures", "round_trip.count", "round_trip.slow"):
        found["etcd.network.peer." + name]["a1"] = gone["etcd.network.peer." + name]["a1"]
    return dict(found, **{"etcd.cluster.size": 2, "etcd.cluster.up": 2})


def after_a_wait_for_quorum(since, values):
    """The member begins its life without a quorum, for half a minute: its proposals fail."""
    if since < 30:
        return dict(values, **{"etcd.server.has_leader": 0, "etcd.cluster.quorum": 0, "etcd.cluster.up": 1,
                               "etcd.server.proposals.failed": int(since)})
    return values


def with_short_troubles(since, values):
    """What happens in a good cluster, and is over before a window: each at an hour of its own."""
    hour, into = since // HOUR, since % HOUR
    found = dict(values)
    if hour == 1 and into < 9 * MINUTE:  # a member is upgraded
        found["etcd.cluster.up"] = 2
        found["etcd.network.peer.send_failures"] = {"a1": 4, "c3": 4 + into}
    if hour == 2 and into < 40:  # an election
        found["etcd.server.has_leader"] = found["etcd.cluster.quorum"] = 0
    if hour == 3 and into < 100:  # a restart that the agent can't reach
        found["etcd.up"] = 0
    if hour == 4 and into < 20:  # a leader that is cut off
        found["etcd.cluster.member.is_leader"] = {"a1": 1, "b2": 0, "c3": 1}
    if hour == 5 and into < 9 * MINUTE:  # a quota that is raised as soon as somebody looks
        found["etcd.server.quota"] = int(1.085 * GIB)
    if hour == 6:  # a new learner, which gets a snapshot
        found["etcd.cluster.member.is_learner"] = {"a1": 0, "b2": 0, "c3": 0, "d4": 1}
        index = dict(values["etcd.cluster.member.raft_index"])
        found["etcd.cluster.member.raft_index"] = dict(index, d4=min(index["c3"], into * 30000))
    found["etcd.server.proposals.failed"] += 600 * min(max(since - 7 * HOUR, 0), 5 * MINUTE) // MINUTE
    return found


def with_little_in_it(_, values):
    """A new cluster: a small database that is fragmented, of a server without a quota, and no calls at all."""
    calls = dict.fromkeys(values["etcd.grpc.handled"], 0)
    return dict(values, **{"etcd.mvcc.db_size": 60 * MIB, "etcd.mvcc.db_in_use": MIB, "etcd.server.quota": -1,
                           "etcd.grpc.handled": calls, "etcd.grpc.failed": calls})


def undisturbed(_, values):
    """A day and nothing else."""
    return values


LIVES = [undisturbed, with_restarts, without_a_member, after_a_wait_for_quorum, with_short_troubles, with_little_in_it]


@pytest.mark.parametrize("change", LIVES, ids=lambda each: each.__name__)
def test_is_silent_in_a_normal_day(change, config, directory):
    assert replay(config, write_days(directory / "archive", DAY, change, 30)) == []
