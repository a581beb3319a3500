# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Other versions of etcd under the same URL, one after the other, while one agent runs."""

import json
from collections import Counter

import pytest

from support.documents import SELF
from support.pmcd import Pmcd
from support.replay import Replay
from support.server import FakeServer, answer

IDENTITY = ["etcd.name", "etcd.id", "etcd.state", "etcd.leader.id", "etcd.is_leader"]
V2_SELF, V2_LEADER = "/v2/stats/self", "/v2/stats/leader"
M0, M1, M2 = "71405583d3e2d5ce", "ff9d11e786a34662", "5bb404e5464eca79"


def with_v2(name, identity):
    """A leader with the v2 API, as 3.4 answers with --enable-v2."""
    document = dict(SELF, name=name, id=identity, leaderInfo=dict(SELF["leaderInfo"], leader=identity))

    def behaviour(_, request):
        path = request.split()[1].decode()
        if path == V2_SELF:
            return answer(json.dumps(document))
        if path == V2_LEADER:
            return answer(json.dumps({"leader": identity, "followers": {}}))
        return answer("404 page not found\n", "404 Not Found")
    return behaviour


GATEWAY = {"/v3/maintenance/status": 1, "/v3/cluster/member/list": 1}
STEPS = [  # what runs, what is true of it, and what it is asked in a fetch
    ("3.4 with v2", with_v2("a", "abc"), ["a", "abc", "StateLeader", "abc", 1], {V2_SELF: 1, V2_LEADER: 1}),
    ("3.6", Replay("3.6.14"), ["m1", M1, "StateLeader", M1, 1], GATEWAY),
    ("3.7, follower", Replay("3.7.1", "cluster_follower"), ["m0", M0, "StateFollower", M2, 0], GATEWAY),
    ("3.7, no quorum", Replay("3.7.1", "noquorum_exleader"), ["m0", M0, "StateFollower", "", 0], GATEWAY),
    ("3.7, leader", Replay("3.7.1"), ["m2", M2, "StateLeader", M2, 1], GATEWAY),
    ("3.4 with v2 again", with_v2("b", "def"), ["b", "def", "StateLeader", "def", 1], {V2_SELF: 1, V2_LEADER: 1}),
]


def identity(query):
    """What a fetch says, in the order of IDENTITY."""
    values = query.fetch()
    return [values[name] for name in IDENTITY]


@pytest.mark.parametrize("order", [1, -1], ids=["upgrades", "downgrades"])
def test_identity_is_true_in_every_fetch(directory, order):
    """And once it is known which API there is, nothing is asked beside it."""
    steps = STEPS[::order]
    with FakeServer(steps[0][1]) as server, Pmcd(directory, url=server.url, timeout=2) as pmcd:
        query = pmcd.query(*IDENTITY)
        for name, behaviour, expected, requests in steps:
            server.behaviour = behaviour
            server.hang_up()  # as the server that was there before did when it ended
            assert identity(query) == expected, name
            server.requests.clear()
            for _ in range(10):
                assert identity(query) == expected, name
            assert Counter(server.requests) == {path: 10 * count for path, count in requests.items()}, name
        assert "Traceback" not in pmcd.agent_log()


def test_restart_asks_a_few_times_more_and_then_no_more(directory):
    """The same server again: one look for the v2 API, with its new connection."""
    with FakeServer(Replay("3.6.14")) as server, Pmcd(directory, url=server.url, timeout=2) as pmcd:
        query = pmcd.query(*IDENTITY)
        identity(query)
        identity(query)
        for _ in range(5):
            server.hang_up()
            server.requests.clear()
            assert identity(query)[0] == "m1"
            assert Counter(server.requests) <= Counter([V2_SELF, V2_LEADER, *GATEWAY])
            server.requests.clear()
            assert identity(query)[0] == "m1"
            assert Counter(server.requests) == Counter(list(GATEWAY))


def test_server_that_keeps_no_connection_is_asked_right(directory):
    """Each answer is the first of its connection: the API is looked for in each fetch, and identity is true."""
    replay = Replay("3.6.14")

    def closing(connection, request):
        return replay(connection, request).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)

    with FakeServer(closing) as server, Pmcd(directory, url=server.url, timeout=2) as pmcd:
        query = pmcd.query(*IDENTITY)
        for _ in range(5):
            server.requests.clear()
            assert identity(query) == ["m1", M1, "StateLeader", M1, 1]
            assert max(Counter(server.requests).values()) == 1
