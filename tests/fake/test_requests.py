# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""A fetch sends one request to each endpoint that it needs, and a request says no more than it must."""

from collections import Counter

import pytest

from support.documents import DOCUMENTS, good
from support.pmcd import Pmcd
from support.processes import open_directory
from support.server import FakeServer, answer
from support.values import AGAIN, metric_names

PATHS = {0: "/v2/stats/self", 1: "/v2/stats/store", 2: "/v2/stats/leader", 3: "/version"}


@pytest.fixture(scope="module")
def running():
    """A server and an agent that watches it."""
    with FakeServer(good) as server, open_directory() as directory, Pmcd(directory, url=server.url) as pmcd:
        yield server, pmcd


@pytest.fixture
def pmcd(running):
    return running[1]


@pytest.fixture
def server(running):
    """The server, with no request noted so far."""
    running[0].requests.clear()
    return running[0]


def names_of(agent, *clusters):
    """The names of all metrics of some clusters."""
    return [metric.name for cluster in agent.CATALOGUE if cluster.number in clusters for metric in cluster.metrics]


def test_lookup_and_description_send_nothing(pmcd, server):
    pmcd.pminfo("-dmtT", "etcd.store", "etcd.name", "etcd.up")
    assert server.requests == []


def test_fetch_of_other_metrics_sends_nothing(pmcd, server):
    pmcd.fetch("pmcd.numagents", "etcd.control.url")
    assert server.requests == []


def test_instances_of_operations_send_nothing(pmcd, server):
    context = pmcd.context()
    descs = context.pmLookupDescs(context.pmLookupName(["etcd.store.success"]))
    assert len(context.pmGetInDom(descs[0])[0]) == 7
    assert server.requests == []


@pytest.mark.parametrize("clusters", [(0,), (1,), (3,), (0, 1), (0, 1, 3), (0, 1, 2, 3)], ids=str)
def test_each_endpoint_gets_one_request(pmcd, server, agent, clusters):
    pmcd.fetch(*names_of(agent, *clusters))
    assert Counter(server.requests) == Counter(PATHS[cluster] for cluster in clusters)


def test_each_metric_alone_sends_one_request(pmcd, server, agent):
    for cluster in (0, 1, 3):
        for name in names_of(agent, cluster):
            server.requests.clear()
            pmcd.fetch(name)
            assert server.requests == [PATHS[cluster]], name


def test_order_and_repetition_of_metrics_send_no_more(pmcd, server, agent):
    names = names_of(agent, 0, 1, 3)
    pmcd.fetch(*names[::-1], *names)
    assert Counter(server.requests) == Counter(PATHS[cluster] for cluster in (0, 1, 3))


def test_everything_sends_one_request_to_an_endpoint(pmcd, server):
    """No endpoint is asked twice, however many metrics there are."""
    pmcd.fetch(*metric_names(pmcd.context()))
    assert set(server.requests) >= set(PATHS.values())
    assert set(Counter(server.requests).values()) == {1}


def test_two_clients_get_answers_of_their_own(pmcd, server, agent):
    """Nothing is kept from the fetch of another client."""
    queries = [pmcd.query(*names_of(agent, 1)) for _ in range(2)]
    for _ in range(5):
        for query in queries:
            query.fetch()
    assert server.requests == [PATHS[1]] * 10


def test_connections_are_kept(directory, agent):
    with FakeServer(good) as server, Pmcd(directory, url=server.url) as pmcd:
        query = pmcd.query(*names_of(agent, 0, 1, 3))
        for _ in range(100):
            assert query.fetch()["etcd.up"] == 1
        assert Counter(server.requests) == {PATHS[cluster]: 100 for cluster in (0, 1, 3)}
        assert server.connections == 3


# ------------------------------------------------------- what a request holds


def test_environment_adds_nothing_to_requests(directory, agent, monkeypatch):
    """No proxy, no password of a .netrc, no cookie, and no wish for a compressed answer."""
    seen = []

    def remember(_, request):
        seen.append(request)
        return answer("{}", headers=["Set-Cookie: session=1; Path=/"])

    netrc = directory / ".netrc"
    netrc.write_text("default login root password hunter2\n")
    netrc.chmod(0o644)
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("NETRC", str(netrc))
    with FakeServer(remember) as server, FakeServer(b"") as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        with Pmcd(directory, url=server.url) as pmcd:
            query = pmcd.query(*names_of(agent, 0, 1, 3))
            for _ in range(3):
                query.fetch()
        assert proxy.connections == 0
    assert len(seen) == 9
    for request in seen:
        line, *headers = request.decode("ascii").rstrip("\r\n").split("\r\n")
        assert line.startswith("GET /") and line.endswith(" HTTP/1.1")
        named = dict(header.split(": ", 1) for header in headers)
        assert named.keys() <= {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}
        assert named["Accept-Encoding"] == "identity"
        assert named["Host"] == server.url.partition("//")[2]


def test_redirects_are_not_followed(directory, agent):
    with FakeServer(answer("{}")) as elsewhere:
        redirect = answer("", "302 Found", ["Location: %s/v2/stats/self" % elsewhere.url])
        with FakeServer(redirect) as server, Pmcd(directory, url=server.url) as pmcd:
            values = pmcd.fetch(*names_of(agent, 0, 1, 3))
        assert values.pop("etcd.up") == 1
        assert set(values.values()) == {AGAIN}
        assert elsewhere.connections == 0
        assert len(server.requests) == len(DOCUMENTS)
