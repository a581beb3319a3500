# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Members of a cluster without the v2 API: leader, followers, a learner, and members without a quorum."""

import contextlib

import pytest

from support.cluster import Cluster
from support.etcd import programs
from support.labels import instance_labels
from support.page import expected
from support.pmcd import Pmcd
from support.processes import wait_until
from support.values import VALUE, Failure
from support.versions import NEWEST

IDENTITY = ("etcd.name", "etcd.id", "etcd.state", "etcd.leader.id", "etcd.is_leader", "etcd.server.has_leader",
            "etcd.server.is_learner")
PEERS = ("etcd.network.peer.round_trip.count", "etcd.network.peer.round_trip.slow", "etcd.network.peer.sent_bytes",
         "etcd.network.peer.received_bytes", "etcd.network.peer.send_failures", "etcd.network.peer.active")


@pytest.fixture(scope="module")
def today():
    """Three members without the v2 API, and a fourth that is a learner."""
    with Cluster("m0", "m1", "m2", binary=programs()[NEWEST], v2=False) as cluster:
        cluster.lead("m0")
        cluster.add("m3", "--learner")
        cluster["m3"].start(wait=False)
        wait_until(lambda: in_sync(cluster["m3"], cluster["m0"]), "the learner")
        yield cluster


def in_sync(learner, leader):
    """Whether a learner answers, and has all entries."""
    with contextlib.suppress(OSError, AssertionError):
        return learner.v3("/maintenance/status")["raftIndex"] == leader.v3("/maintenance/status")["raftIndex"]
    return False


def said(cluster, name, leader, learner=False):
    """The identity of a member that sees this leader."""
    return {"etcd.name": VALUE if learner else name, "etcd.id": cluster.id(name),
            "etcd.state": "StateLeader" if name == leader else "StateFollower",
            "etcd.leader.id": cluster.id(leader) if leader else "", "etcd.is_leader": int(name == leader),
            "etcd.server.has_leader": int(bool(leader)), "etcd.server.is_learner": int(learner)}


@pytest.mark.parametrize("name", ["m0", "m1", "m2", "m3"])
def test_identity_of_a_member(directory, today, name):
    with Pmcd(directory, url=today[name].url) as pmcd:
        assert pmcd.fetch(*IDENTITY) == said(today, name, "m0", learner=name == "m3")
        assert pmcd.messages() == [line for line in pmcd.messages() if "no v2 API" in line]


def test_identity_follows_the_leadership(directory, today):
    with Pmcd(directory, url=today["m0"].url) as pmcd:
        query = pmcd.query(*IDENTITY)
        for leader in ("m1", "m2", "m0"):
            today.lead(leader)
            wait_until(lambda leader=leader: query.fetch() == said(today, "m0", leader), "what m0 says", 5)


@pytest.mark.parametrize("name", ["m0", "m1", "m3"])
def test_peers_are_those_of_the_page_and_have_names(directory, today, name):
    member = today[name]
    peers = {today.id(each): each for each in today.members if each != name}
    with Pmcd(directory, url=member.url) as pmcd:
        query = pmcd.query(*PEERS)

        def quiet():
            """A fetch during which the page stayed the same."""
            before, fetched, after = (expected(member.request("GET", "/metrics")[1]), query.fetch(),
                                      expected(member.request("GET", "/metrics")[1]))
            return all(before[each] == after[each] for each in PEERS) and (fetched, {each: before[each]
                                                                                     for each in PEERS})

        fetched, page = wait_until(quiet, "a moment without traffic in the cluster")
        assert fetched == {each: page[each] or VALUE for each in PEERS}  # round trips have none in the first seconds
        assert set(fetched["etcd.network.peer.active"]) == set(peers)
        labels = instance_labels(pmcd.pminfo("-l", "etcd.network.peer.active"))
        # a learner is refused the list of members
        assert labels == {peer: dict({"member_id": peer}, **({} if name == "m3" else {"member_name": peers[peer]}))
                          for peer in peers}


def test_members_without_quorum(directory, today):
    """An ex-leader knows no leader, and says all the rest as before."""
    today.lead("m0")
    with contextlib.ExitStack() as stack:
        queries = {}
        for name in ("m0", "m3"):
            (directory / name).mkdir()
            pmcd = stack.enter_context(Pmcd(directory / name, url=today[name].url))
            queries[name] = pmcd.query(*IDENTITY)
            assert queries[name].fetch() == said(today, name, "m0", learner=name == "m3")
        today["m1"].kill()
        today["m2"].kill()
        try:
            wait_until(lambda: queries["m0"].fetch() == said(today, "m0", None), "the end of the leadership")
            # a learner never stands for election, so that etcd goes on naming the leader of before there
            assert queries["m3"].fetch() == said(today, "m3", "m0", learner=True)
            assert today["m3"].v3("/maintenance/status")["leader"] == str(int(today.id("m0"), 16))
        finally:
            today["m1"].start(wait=False)
            today["m2"].start()
        for name in queries:
            wait_until(lambda name=name: not isinstance(queries[name].fetch()["etcd.id"], Failure)
                       and queries[name].fetch()["etcd.leader.id"] == today.id(today.leader()), "the new leader")


def test_follower_that_lost_its_leader_says_so(directory, today):
    today.lead("m1")
    with Pmcd(directory, url=today["m0"].url) as pmcd:
        query = pmcd.query(*IDENTITY)
        assert query.fetch() == said(today, "m0", "m1")
        today["m1"].kill()
        today["m2"].kill()
        try:
            wait_until(lambda: query.fetch() == said(today, "m0", None), "no leader", 10)
        finally:
            today["m1"].start(wait=False)
            today["m2"].start()
