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
"""Leader statistics: followers that come and go in real clusters and in those of a fake server."""

import os
import signal
import time

import cpmapi as c_api
import pytest
from pcp import pmapi

import harness
from cluster import Cluster
from followers import FOLLOWING, LATENCIES, METRICS, Watched, follower, leading, many, others, watching

DEADLINE = 1.0 + 0.2


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
    with watching(directory, cluster["m0"].url) as watched:
        def quiet():
            """A fetch during which the leader's answer stayed the same."""
            before, fetched, after = document(cluster["m0"]), watched.fetch(), document(cluster["m0"])
            return before == after and (fetched, before)
        fetched, expected = harness.wait_until(quiet, "a moment without traffic in the cluster")
        assert fetched == expected
        assert set(fetched["etcd.follower.success"]) == others(cluster, "m0")


def test_a_follower_has_no_followers_and_no_error(directory, cluster):
    cluster.lead("m1")
    with watching(directory, cluster["m0"].url) as watched:
        assert watched.fetch() == dict({name: {} for name in METRICS}, **{"etcd.is_leader": 0})
        assert watched.instances() == {}
        assert "No value(s) available!" in watched.pmcd.pminfo("-f", "etcd.follower.success")
        assert "/v2/stats/leader" not in watched.pmcd.agent_log()


def test_instances_are_there_before_any_fetch(directory, cluster):
    cluster.lead("m0")
    with watching(directory, cluster["m0"].url) as watched:
        assert set(watched.instances()) == others(cluster, "m0")


def test_an_instance_is_found_by_its_name_before_any_fetch(directory, cluster):
    cluster.lead("m0")
    with watching(directory, cluster["m0"].url) as watched:
        for name in others(cluster, "m0"):
            number = watched.context.pmLookupInDom(watched.query.descs[0], name)
            assert watched.context.pmNameInDom(watched.query.descs[0], number) == name


def test_instances_come_and_go_with_leadership_and_keep_their_numbers(directory, cluster):
    cluster.lead("m0")
    with watching(directory, cluster["m0"].url) as watched:
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
    with watching(directory, cluster["m0"].url) as watched:
        numbers = watched.instances()
        agent = watched.pmcd.agent_pid()
        os.kill(agent, signal.SIGKILL)
        harness.wait_until(lambda: not isinstance(fetch_or_none(watched), (type(None), harness.Failure)), "a new agent")
        assert watched.pmcd.agent_pid() != agent
        assert watched.instances() == numbers
    cluster.lead("m1")  # the next agent must know the numbers without a leader to tell of the members
    with watching(directory, cluster["m0"].url) as watched:
        assert watched.instances() == {}
    cluster.lead("m2")
    with watching(directory, cluster["m2"].url) as watched:
        instances = watched.instances()
        assert set(instances) == others(cluster, "m2")
        assert instances.pop(cluster.id("m0")) not in numbers.values()
        assert instances.items() <= numbers.items()
    cluster.lead("m0")
    with watching(directory, cluster["m0"].url) as watched:
        assert watched.instances() == numbers


def fetch_or_none(watched):
    """The values, None while pmcd has no agent."""
    try:
        return watched.values() or None
    except pmapi.pmErr:
        return None


def test_the_system_s_file_of_instance_numbers_is_left_alone(directory, cluster):
    system = os.path.join(pmapi.pmContext.pmGetConfig("PCP_VAR_DIR"), "config", "pmda", "400.1")
    before = os.path.exists(system) and os.stat(system)
    cluster.lead("m0")
    with watching(directory, cluster["m0"].url) as watched:
        assert watched.instances()
    assert (directory / "config" / "pmda" / "400.1").exists()
    assert (os.path.exists(system) and os.stat(system)) == before


def test_members_join_stop_are_removed_and_added_again(directory):
    with Cluster("m0", "m1") as cluster:
        cluster.lead("m0")
        with watching(directory, cluster["m0"].url) as watched:
            numbers = watched.instances()
            first = cluster.add("m2", "--learner")
            check_newcomer(watched, first, numbers)
            cluster["m2"].start(wait=False)
            harness.wait_until(lambda: watched.values()[first], "messages to the learner")
            assert 0 < watched.values("latency.minimum")[first] < 1000
            cluster.promote("m2")
            numbers = watched.instances()
            cluster["m2"].stop()
            assert set(watched.values()) == set(numbers)
            cluster["m2"].start()
            assert watched.instances() == numbers
            cluster.remove("m2")
            harness.wait_until(lambda: first not in watched.values(), "the end of the removed member")
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


def test_a_follower_that_is_killed_or_hangs_stays_an_instance(directory, cluster):
    cluster.lead("m0")
    with watching(directory, cluster["m0"].url) as watched:
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


def test_a_leader_that_hangs_has_no_values_in_time_and_wakes_as_a_follower(directory, cluster):
    cluster.lead("m0")
    with watching(directory, cluster["m0"].url) as watched:
        numbers = watched.instances()
        cluster["m0"].pause()
        try:
            for patience in (DEADLINE, 0.2):
                begun = time.monotonic()
                assert watched.fetch() == dict.fromkeys(METRICS, harness.AGAIN)
                assert time.monotonic() - begun < patience
            begun = time.monotonic()
            assert watched.instances() == numbers, "the instances of before, as nothing else is known"
            assert time.monotonic() - begun < 0.2
            harness.wait_until(lambda: cluster.leads("m1") or cluster.leads("m2"), "another leader")
        finally:
            cluster["m0"].resume()
        harness.wait_until(lambda: watched.is_leader() == 0, "the old leader's wakening")
        assert watched.values() == {} and watched.instances() == {}


def test_a_leader_that_is_killed_comes_back_as_a_follower(directory, cluster):
    cluster.lead("m0")
    with watching(directory, cluster["m0"].url) as watched:
        numbers = watched.instances()
        cluster["m0"].kill()
        assert watched.fetch() == dict.fromkeys(METRICS, harness.AGAIN)
        cluster["m0"].start()
        assert watched.is_leader() == (1 if cluster.leads("m0") else 0)
        cluster.lead("m0")
        assert set(watched.values()) == set(numbers) and watched.instances() == numbers


def test_a_leader_without_quorum_stops_to_be_one(directory):
    with Cluster("m0", "m1", "m2") as cluster:
        cluster.lead("m0")
        with watching(directory, cluster["m0"].url) as watched:
            assert watched.is_leader() == 1
            cluster["m1"].kill()
            cluster["m2"].kill()
            harness.wait_until(lambda: watched.is_leader() == 0, "the end of the leadership")
            assert watched.values() == {}


# -------------------------------------------------------------- fake answers


@pytest.fixture
def server():
    with harness.FakeServer(leading({})) as fake:
        yield fake


@pytest.fixture
def watched(directory, server):
    with watching(directory, server.url) as client:
        yield client


def test_a_member_id_that_comes_back_has_its_old_number(watched, server):
    numbers = {}
    for step in range(60):
        present = {format(id, "x"): follower() for id in range(1, 9) if (step * 37 + id * id) % 5 < 2}
        server.behaviour = leading(present) if step % 7 else FOLLOWING
        assert set(watched.values()) == (set(present) if step % 7 else set())
        instances = watched.instances()
        assert set(instances) == (set(present) if step % 7 else set())
        for name, number in instances.items():
            assert numbers.setdefault(name, number) == number
    assert len(set(numbers.values())) == len(numbers) == 8


def test_who_asks_for_instances_after_a_fetch_gets_those_of_the_fetch(watched, server):
    server.behaviour = leading({"a": follower(), "b": follower()})
    result = watched.context.pmFetch(watched.query.pmids)
    server.behaviour = FOLLOWING  # between the fetch and the names of what it brought
    names = [watched.context.pmNameInDom(watched.query.descs[0], result.contents.get_inst(0, each)) for each in (0, 1)]
    watched.context.pmFreeResult(result)
    assert names == ["a", "b"] and set(watched.instances()) == {"a", "b"}
    assert server.requests.count("/v2/stats/leader") == 1
    harness.wait_until(lambda: watched.instances() == {}, "the instances of now")


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b"9 9 9\n", b"2 0 2147483647\n0 1700000000 a\n7 17", None],
                         ids=["empty", "zeros", "future", "cut short", "unwritable"])
def test_a_damaged_file_of_numbers_does_no_harm(directory, server, content):
    server.behaviour = leading({"a": follower(), "b": follower()})
    pmcd = harness.Pmcd(directory, url=server.url)
    numbers = directory / "config" / "pmda" / "400.1"
    if content is None:
        numbers.mkdir()
    else:
        numbers.write_bytes(content)
        numbers.chmod(0o666)
    with pmcd:
        watched = Watched(pmcd)
        assert watched.values() == {"a": 1, "b": 1}
        assert len(set(watched.instances().values())) == 2


def test_the_minimum_of_a_follower_that_was_never_reached_is_none(watched, server):
    server.behaviour = leading({"a": follower(0, minimum=9223372036854776000), "b": follower(3, minimum=0.25)})
    fetched = watched.fetch()
    assert fetched["etcd.follower.latency.minimum"] == {"b": 0.25}
    assert fetched["etcd.follower.success"] == {"a": 0, "b": 3}


@pytest.mark.parametrize("broken", [None, 1, "x", [], {}, {"latency": None, "counts": None},
                                    {"latency": [], "counts": 7}, {"latency": {}, "counts": {}}], ids=str)
def test_a_follower_without_statistics_lacks_values_and_no_other_does(watched, server, broken):
    server.behaviour = leading({"a": follower(), "b": broken})
    fetched = watched.fetch()
    assert all(fetched[name].keys() == {"a"} for name in METRICS if name != "etcd.is_leader")
    assert set(watched.instances()) == {"a", "b"}


@pytest.mark.parametrize("wrong", [True, "1", None, [1], -1, 1.5, 2 ** 64, 10 ** 400],
                         ids=lambda wrong: str(wrong)[:20])
def test_a_wrong_count_is_no_number(watched, server, wrong):
    server.behaviour = leading({"a": follower(), "b": follower(wrong)})
    assert watched.values() == {"a": 1}


def test_what_is_no_member_id_is_no_instance(watched, server):
    odd = ["", " ", "A", "x", "0x1", "a b", "-1", "é", "1" * 17, "a" * 5000, "../a", "a\n", "a\0", "\ud800", "%s"]
    server.behaviour = leading(dict({name: follower() for name in odd}, a=follower(), ffffffffffffffff=follower()))
    assert set(watched.values()) == {"a", "ffffffffffffffff"} == set(watched.instances())


@pytest.mark.parametrize("followers", [None, 1, "x", [], ["a"], True], ids=str)
def test_a_leader_without_followers_object_is_an_error(watched, server, followers):
    server.behaviour = leading({"a": follower()})
    assert watched.is_leader() == 1
    server.behaviour = leading(followers)
    assert watched.fetch() == dict.fromkeys(METRICS, harness.AGAIN)
    assert "answer is not that of a leader" in watched.pmcd.agent_log()


@pytest.mark.parametrize("status, body, expected", [
    ("403 Forbidden", '{"message":"not current leader"}', 0),
    ("403 Forbidden", "go away", harness.PERMISSION),
    ("401 Unauthorized", "{}", harness.PERMISSION),
    ("404 Not Found", "404 page not found", harness.APPVERSION),
    ("503 Service Unavailable", '{"message":"not current leader"}', harness.AGAIN),
    ("200 OK", '{"leader":"1","followers":{}}', 1)])
def test_who_leads(watched, server, status, body, expected):
    server.behaviour = harness.answer(body, status)
    assert watched.is_leader() == expected


# --------------------------------------------------------------------- scale


def fetch_raw(watched):
    """The number of values of each metric."""
    result = watched.context.pmFetch(watched.query.pmids)
    try:
        return [result.contents.get_numval(position) for position in range(len(METRICS))]
    finally:
        watched.context.pmFreeResult(result)


def test_ten_thousand_followers_do_not_break_it(watched, server):
    agent = watched.pmcd.agent_pid()
    server.behaviour = leading({format(number, "x"): {"counts": {"success": number}} for number in range(10000)})
    assert fetch_raw(watched)[5] == 10000
    server.behaviour = many(10000)  # more than the limit of an answer
    begun = time.monotonic()
    assert set(fetch_raw(watched)) == {c_api.PM_ERR_AGAIN}
    assert time.monotonic() - begun < DEADLINE
    server.behaviour = many(3)
    assert set(watched.values().values()) == {1, 2, 3}
    assert watched.pmcd.agent_pid() == agent
