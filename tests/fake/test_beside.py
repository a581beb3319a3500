# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""One source fails beside healthy ones, however slow these are within the timeout: they lose no value."""

import json
import time

import pytest

from support.behaviours import HEAD, MEGABYTE, drip, flood, silent, then_silent
from support.documents import GOOD_ANSWERS, GOOD_VALUES, path_of
from support.followers import follower
from support.pmcd import Pmcd
from support.replay import Replay, sample
from support.server import FakeServer, answer
from support.values import AGAIN, VALUE

TIMEOUT = 1.5
PAGE = sample("3.7.1", "cluster_leader_metrics")
FAILING = {
    "hangs": silent,
    "hangs in the body": then_silent(PAGE[:5000]),
    "drips": drip(HEAD + b"Content-Length: 100000\r\n\r\n", b"e"),
    "no metrics": answer("<html>It works!</html>\n"),
    "cut short": answer("etcd_server_has_leader 1\netcd_server_proposals_pending 1"),
    "500": answer("broken", "500 Internal Server Error"),
    "too large": flood(HEAD + b"\r\n", MEGABYTE),
}
ENDS_ITSELF = sorted(set(FAILING) - {"hangs", "hangs in the body", "drips"})


def with_failing(path, behaviour, delay):
    """The good answers of a server with v2, /metrics too, after a delay; at one path it behaves otherwise."""
    def serve(connection, request):
        if path_of(request) == path:
            return behaviour if isinstance(behaviour, bytes) else behaviour(connection, request)
        time.sleep(delay)
        return PAGE if path_of(request) == "/metrics" else GOOD_ANSWERS.get(path_of(request), answer("", "404 x"))
    return serve


def values_are_whole(directory, server, rounds, more):
    """Healthy sources have their values in each fetch of everything."""
    with Pmcd(directory, url=server.url, timeout=TIMEOUT) as pmcd:
        query = pmcd.query(*GOOD_VALUES, *more)
        for number in range(rounds):
            assert query.fetch() == dict(GOOD_VALUES, **more), "fetch %d" % number
        assert "Traceback" not in pmcd.agent_log()


@pytest.mark.parametrize("case, delay", [("hangs", 0.9), ("drips", 0.02)])
def test_metrics_that_never_end_cost_no_other_source_a_value(directory, case, delay):
    with FakeServer(with_failing("/metrics", FAILING[case], delay)) as server:
        values_are_whole(directory, server, 2, {"etcd.server.has_leader": AGAIN, "etcd.mvcc.keys": AGAIN})


@pytest.mark.parametrize("case", ENDS_ITSELF)
def test_metrics_that_fail_cost_no_other_source_a_value(directory, case):
    with FakeServer(with_failing("/metrics", FAILING[case], 0.02)) as server:
        values_are_whole(directory, server, 3, {"etcd.server.has_leader": AGAIN, "etcd.mvcc.keys": AGAIN})


def test_metrics_that_hang_in_the_body_come_back(directory):
    with FakeServer(with_failing("/metrics", FAILING["hangs in the body"], 0.02)) as server:
        with Pmcd(directory, url=server.url, timeout=0.5) as pmcd:
            query = pmcd.query("etcd.up", "etcd.server.has_leader")
            for _ in range(5):
                assert query.fetch() == {"etcd.up": 1, "etcd.server.has_leader": AGAIN}
            server.behaviour = with_failing("", None, 0.02)
            until = time.monotonic() + 3
            while query.fetch()["etcd.server.has_leader"] != 1:
                assert time.monotonic() < until
                time.sleep(0.05)


@pytest.mark.parametrize("path", ["/v2/stats/self", "/v2/stats/store", "/v2/stats/leader", "/version"])
def test_other_source_that_hangs_costs_metrics_nothing(directory, path):
    rows = {"etcd.server.has_leader": 1, "etcd.mvcc.compact_revision": 45}
    with FakeServer(with_failing(path, silent, 0.02)) as server:
        with Pmcd(directory, url=server.url, timeout=0.6) as pmcd:
            query = pmcd.query(*rows, *GOOD_VALUES, "etcd.is_leader")
            expected = query.fetch()
            for _ in range(3):
                values = query.fetch()
                assert values == expected and {name: values[name] for name in rows} == rows


def test_gateway_that_fails_is_not_even_asked_beside_v2(directory):
    def serve(connection, request):
        return silent(connection, request) if b" /v3" in request else with_failing("", None, 0)(connection, request)

    with FakeServer(serve) as server:
        values_are_whole(directory, server, 3, {"etcd.server.has_leader": 1})
        assert not [path for path in server.requests if path.startswith("/v3")]


def gateway_with_failing(path, behaviour):
    """A replayed 3.7 whose gateway behaves otherwise at one path."""
    replay = Replay("3.7.1")

    def serve(connection, request):
        if path_of(request) != path:
            return replay(connection, request)
        return behaviour if isinstance(behaviour, bytes) else behaviour(connection, request)
    return serve


@pytest.mark.parametrize("behaviour", [silent, answer("", "503 x"), answer("x"), answer("[]")],
                         ids=["hangs", "503", "no JSON", "no object"])
def test_list_of_members_that_fails_costs_the_name_alone(directory, behaviour):
    with FakeServer(gateway_with_failing("/v3/cluster/member/list", behaviour)) as server:
        with Pmcd(directory, url=server.url, timeout=0.6) as pmcd:
            query = pmcd.query("etcd.name", "etcd.id", "etcd.is_leader", "etcd.up", "etcd.network.peer.active")
            for _ in range(4):
                values = query.fetch()
                assert (values["etcd.id"], values["etcd.is_leader"], values["etcd.up"]) == ("5bb404e5464eca79", 1, 1)
                assert values["etcd.name"] == VALUE
                assert len(values["etcd.network.peer.active"]) == 2
            assert "Traceback" not in pmcd.agent_log()


def test_status_that_hangs_costs_identity_alone(directory):
    with FakeServer(gateway_with_failing("/v3/maintenance/status", silent)) as server:
        with Pmcd(directory, url=server.url, timeout=0.6) as pmcd:
            query = pmcd.query("etcd.id", "etcd.is_leader", "etcd.up", "etcd.server.has_leader")
            for _ in range(4):
                assert query.fetch() == {"etcd.id": AGAIN, "etcd.is_leader": AGAIN, "etcd.up": 1,
                                         "etcd.server.has_leader": 1}


def test_members_that_are_not_listed_cost_followers_nothing(directory):
    leading = answer(json.dumps({"leader": "1", "followers": {"a": follower(5)}}))

    def serve(connection, request):
        if path_of(request) == "/v2/members":
            return silent(connection, request)
        time.sleep(0.9)
        return leading if path_of(request) == "/v2/stats/leader" else with_failing("", None, 0)(connection, request)

    with FakeServer(serve) as server, Pmcd(directory, url=server.url, timeout=TIMEOUT) as pmcd:
        query = pmcd.query("etcd.is_leader", "etcd.follower.success", "etcd.up")
        for _ in range(2):
            assert query.fetch() == {"etcd.is_leader": 1, "etcd.follower.success": {"a": 5}, "etcd.up": 1}
