# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Leader statistics: followers that come and go in real clusters and in those of a fake server."""

import os
import signal
import time

from pcp import pmapi

from support.cluster import Cluster
from support.followers import LATENCIES, METRICS, watching_followers
from support.processes import wait_until
from support.values import AGAIN, Failure
from support.watched import MARGIN, SUSPECT_WAIT

TIMEOUT = 1.0  # by default


def document(member):
    """What /v2/stats/leader says, in the form of a fetch."""
    followers = member.json("/v2/stats/leader")["followers"]
    values = {"etcd.follower.latency." + name: {id: each["latency"][key] for id, each in followers.items()}
              for name, key in LATENCIES.items()}
    for count in ("success", "fail"):
        values["etcd.follower." + count] = {id: each["counts"][count] for id, each in followers.items()}
    return dict(values, **{"etcd.is_leader": 1})


# ------------------------------------------------------------ real clusters


def test_values_of_a_leader_are_those_of_its_answer(directory, cluster):
    cluster.lead("m0")
    with watching_followers(directory, cluster["m0"].url) as watched:
        def quiet():
            """A fetch during which the leader's answer stayed the same."""
            before, fetched, after = document(cluster["m0"]), watched.fetch(), document(cluster["m0"])
            return before == after and (fetched, before)
        fetched, expected = wait_until(quiet, "a moment without traffic in the cluster")
        assert fetched == expected
        assert set(fetched["etcd.follower.success"]) == cluster.others("m0")


def test_follower_has_no_followers_and_no_error(directory, cluster):
    cluster.lead("m1")
    with watching_followers(directory, cluster["m0"].url) as watched:
        assert watched.fetch() == dict({name: {} for name in METRICS}, **{"etcd.is_leader": 0})
        assert watched.instances() == {}
        assert "No value(s) available!" in watched.pmcd.pminfo("-f", "etcd.follower.success")
        assert "/v2/stats/leader" not in watched.pmcd.agent_log()


def test_instances_are_there_before_any_fetch(directory, cluster):
    cluster.lead("m0")
    with watching_followers(directory, cluster["m0"].url) as watched:
        assert set(watched.instances()) == cluster.others("m0")


def test_instance_is_found_by_its_name_before_any_fetch(directory, cluster):
    cluster.lead("m0")
    with watching_followers(directory, cluster["m0"].url) as watched:
        for name in cluster.others("m0"):
            number = watched.context.pmLookupInDom(watched.query.descs[0], name)
            assert watched.context.pmNameInDom(watched.query.descs[0], number) == name


def test_instances_come_and_go_with_leadership_and_keep_their_numbers(directory, cluster):
    cluster.lead("m0")
    with watching_followers(directory, cluster["m0"].url) as watched:
        numbers = watched.instances()
        for name in ("m1", "m2"):
            cluster.lead(name)
            assert (watched.values(), watched.instances(), watched.is_leader()) == ({}, {}, 0)
            cluster.lead("m0")
            assert watched.is_leader() == 1
            assert set(watched.values()) == set(numbers)
            assert watched.instances() == numbers


def test_numbers_last_over_restarts_of_agent_and_pmcd(directory, cluster):
    cluster.lead("m0")
    with watching_followers(directory, cluster["m0"].url) as watched:
        numbers = watched.instances()
        agent = watched.pmcd.agent_pid()
        os.kill(agent, signal.SIGKILL)
        wait_until(lambda: not isinstance(fetch_or_none(watched), (type(None), Failure)), "a new agent")
        assert watched.pmcd.agent_pid() != agent
        assert watched.instances() == numbers
    cluster.lead("m1")  # the next agent must know the numbers without a leader to tell of the members
    with watching_followers(directory, cluster["m0"].url) as watched:
        assert watched.instances() == {}
    cluster.lead("m2")
    with watching_followers(directory, cluster["m2"].url) as watched:
        instances = watched.instances()
        assert set(instances) == cluster.others("m2")
        assert instances.pop(cluster.id("m0")) not in numbers.values()
        assert instances.items() <= numbers.items()
    cluster.lead("m0")
    with watching_followers(directory, cluster["m0"].url) as watched:
        assert watched.instances() == numbers


def fetch_or_none(watched):
    """The values, None while pmcd has no agent."""
    try:
        return watched.values() or None
    except pmapi.pmErr:
        return None


def test_system_s_file_of_instance_numbers_is_left_alone(directory, cluster):
    system = os.path.join(pmapi.pmContext.pmGetConfig("PCP_VAR_DIR"), "config", "pmda", "400.1")
    before = os.path.exists(system) and os.stat(system)
    cluster.lead("m0")
    with watching_followers(directory, cluster["m0"].url) as watched:
        assert watched.instances()
    assert (directory / "config" / "pmda" / "400.1").exists()
    assert (os.path.exists(system) and os.stat(system)) == before


def test_members_join_stop_are_removed_and_added_again(directory):
    with Cluster("m0", "m1") as cluster:
        cluster.lead("m0")
        with watching_followers(directory, cluster["m0"].url) as watched:
            numbers = watched.instances()
            first = cluster.add("m2", "--learner")
            check_newcomer(watched, first, numbers)
            cluster["m2"].start(wait=False)
            wait_until(lambda: watched.values()[first], "messages to the learner")
            assert 0 < watched.values("latency.minimum")[first] < 1000
            cluster.promote("m2")
            numbers = watched.instances()
            cluster["m2"].stop()
            assert set(watched.values()) == set(numbers)
            cluster["m2"].start()
            assert watched.instances() == numbers
            cluster.remove("m2")
            wait_until(lambda: first not in watched.values(), "the end of the removed member")
            second = cluster.add("m2")
            check_newcomer(watched, second, {id: number for id, number in numbers.items() if id != first})
            assert watched.instances()[second] not in numbers.values()


def check_newcomer(watched, identity, numbers):
    """A member that was never reached has an instance and values, but no minimum; nobody else is renumbered."""
    fetched = watched.fetch()
    assert set(fetched["etcd.follower.success"]) == {identity, *numbers}
    assert fetched["etcd.follower.success"][identity] == 0
    assert set(fetched["etcd.follower.latency.minimum"]) == set(numbers)
    assert fetched["etcd.follower.latency.maximum"][identity] == 0
    instances = watched.instances()
    assert {id: number for id, number in instances.items() if id != identity} == numbers
    assert instances[identity] not in numbers.values()


# ----------------------------------------------------------- members in need


def test_follower_that_is_killed_or_hangs_stays_an_instance(directory, cluster):
    cluster.lead("m0")
    with watching_followers(directory, cluster["m0"].url) as watched:
        numbers = watched.instances()
        cluster["m1"].kill()
        assert set(watched.values()) == set(numbers) and watched.is_leader() == 1
        cluster["m1"].start()
        cluster["m2"].pause()
        try:
            assert set(watched.values()) == set(numbers) and watched.is_leader() == 1
        finally:
            cluster["m2"].resume()
        cluster["m2"].wait()
        assert watched.instances() == numbers


def test_leader_that_hangs_has_no_values_in_time_and_wakes_as_a_follower(directory, cluster):
    cluster.lead("m0")
    with watching_followers(directory, cluster["m0"].url) as watched:
        numbers = watched.instances()
        cluster["m0"].pause()
        try:
            begun = time.monotonic()
            for _ in range(5):
                assert watched.fetch() == dict.fromkeys(METRICS, AGAIN)
                assert watched.instances() == numbers, "the instances of before, as nothing else is known"
            assert time.monotonic() - begun <= TIMEOUT + MARGIN + 10 * SUSPECT_WAIT
            wait_until(lambda: cluster.leads("m1") or cluster.leads("m2"), "another leader")
        finally:
            cluster["m0"].resume()
        wait_until(lambda: watched.is_leader() == 0, "what the old leader says")
        assert watched.values() == {} and watched.instances() == {}


def test_leader_that_is_killed_comes_back_as_a_follower(directory, cluster):
    cluster.lead("m0")
    with watching_followers(directory, cluster["m0"].url) as watched:
        numbers = watched.instances()
        cluster["m0"].kill()
        assert watched.fetch() == dict.fromkeys(METRICS, AGAIN)
        cluster["m0"].start()
        assert watched.is_leader() == (1 if cluster.leads("m0") else 0)
        cluster.lead("m0")
        assert set(watched.values()) == set(numbers) and watched.instances() == numbers


def test_leader_without_quorum_stops_to_be_one(directory):
    with Cluster("m0", "m1", "m2") as cluster:
        cluster.lead("m0")
        with watching_followers(directory, cluster["m0"].url) as watched:
            assert watched.is_leader() == 1
            cluster["m1"].kill()
            cluster["m2"].kill()
            wait_until(lambda: watched.is_leader() == 0, "the end of the leadership")
            assert watched.values() == {}
