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
"""What the agent asks of etcd, counted at the server: one request an endpoint a fetch, on connections that last."""

from collections import Counter

import pytest

from harness import AGAIN, PATIENCE, Failure, FakeServer, Pmcd, Query, answer, metric_names, relay

PATHS = {0: "/v2/stats/self", 1: "/v2/stats/store", 2: "/v2/stats/leader", 3: "/version"}


@pytest.fixture
def counted(etcd):
    """A relay in front of the real etcd, which counts."""
    with FakeServer(relay(etcd.url)) as server:
        yield server


@pytest.fixture
def pmcd(counted, directory):
    with Pmcd(directory, url=counted.url) as private:
        yield private


def names_of(agent, *clusters):
    return [metric.name for cluster in agent.CATALOGUE if cluster.number in clusters for metric in cluster.metrics]


def fetch(pmcd, names):
    """Values of one fetch, of which at most one of another version of etcd may be missing."""
    values = Query(pmcd.context(), names).fetch()
    missing = {name for name, value in values.items() if isinstance(value, Failure)}
    assert missing <= {"etcd.version.storage"}
    return values


def test_looking_up_and_describing_asks_nobody(pmcd, counted):
    pmcd.pminfo("-dmtT", "etcd.store", "etcd.name", "etcd.up")
    assert counted.requests == []
    assert counted.connections == 0


@pytest.mark.parametrize("clusters", [(0,), (1,), (3,), (0, 1), (0, 1, 3), (0, 1, 2, 3)], ids=str)
def test_a_fetch_costs_a_request_to_each_endpoint_that_it_needs(pmcd, counted, agent, clusters):
    fetch(pmcd, names_of(agent, *clusters))
    assert Counter(counted.requests) == Counter(PATHS[cluster] for cluster in clusters)


def test_every_single_metric_costs_one_request(pmcd, counted, agent):
    for cluster in (0, 1, 3):
        for name in names_of(agent, cluster):
            counted.requests.clear()
            fetch(pmcd, [name])
            assert counted.requests == [PATHS[cluster]], name


def test_metrics_in_any_order_and_more_than_once_cost_no_more(pmcd, counted, agent):
    names = names_of(agent, 0, 1, 3)
    fetch(pmcd, names[::-1] + names)
    assert Counter(counted.requests) == Counter(PATHS[cluster] for cluster in (0, 1, 3))


def test_everything_costs_a_request_to_each_endpoint(pmcd, counted):
    """However many metrics there will be."""
    context = pmcd.context()
    Query(context, metric_names(context)).fetch()
    assert set(counted.requests) >= set(PATHS.values())
    assert set(Counter(counted.requests).values()) == {1}


def test_a_hundred_fetches_use_one_connection_to_each_endpoint(pmcd, counted, agent):
    query = Query(pmcd.context(), names_of(agent, 0, 1, 3))
    for _ in range(100):
        assert query.fetch()["etcd.up"] == 1
    assert Counter(counted.requests) == {PATHS[cluster]: 100 for cluster in (0, 1, 3)}
    assert counted.connections == 3


def test_a_fetch_of_other_metrics_asks_nobody(pmcd, counted):
    Query(pmcd.context(), ["pmcd.numagents", "etcd.control.url"]).fetch()
    assert counted.requests == []


def test_instances_of_operations_ask_nobody(pmcd, counted):
    context = pmcd.context()
    descs = context.pmLookupDescs(context.pmLookupName(["etcd.store.success"]))
    assert len(context.pmGetInDom(descs[0])[0]) == 7
    assert counted.requests == []


def test_two_clients_each_get_their_own_answers(pmcd, counted, agent):
    """Nothing is kept from the fetch of another."""
    names = names_of(agent, 1)
    for _ in range(5):
        fetch(pmcd, names)
        fetch(pmcd, names)
    assert len(counted.requests) == 10


# ------------------------------------------------------- what a request holds


def test_a_request_says_no_more_than_it_must(directory, agent, monkeypatch):
    """No cookie, no credentials of a .netrc, and it wants no answer that would have to be unpacked."""
    seen = []

    def remember(_, request):
        seen.append(request)
        return answer("{}", headers=["Set-Cookie: session=1; Path=/"])

    (directory / ".netrc").write_text("default login root password hunter2\n")
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("NETRC", str(directory / ".netrc"))
    with FakeServer(remember) as server, Pmcd(directory, url=server.url) as pmcd:
        query = Query(pmcd.context(), names_of(agent, 0, 1, 3))
        for _ in range(3):
            query.fetch()
    assert len(seen) == 9
    for request in seen:
        line, *headers = request.decode("ascii").rstrip("\r\n").split("\r\n")
        assert line.startswith("GET /") and line.endswith(" HTTP/1.1")
        named = dict(header.split(": ", 1) for header in headers)
        assert named.keys() <= {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}
        assert named["Accept-Encoding"] == "identity"
        assert named["Host"] == server.url.partition("//")[2]


def test_cookies_are_not_even_kept(agent):
    with FakeServer(answer("{}", headers=["Set-Cookie: session=1; Path=/"])) as server:
        client = agent.Client(server.url)
        assert client.send(client.prepare("/version"), PATIENCE).status == 200
        assert len(client.session.cookies) == 0
        client.pool.close()


def test_proxies_of_the_environment_are_not_for_the_agent(directory, counted, monkeypatch, agent):
    with FakeServer(answer("{}")) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with Pmcd(directory, url=counted.url) as pmcd:
            fetch(pmcd, names_of(agent, 0, 1, 3))
        assert proxy.connections == 0


def test_redirects_are_not_followed(directory, agent):
    with FakeServer(answer("{}")) as elsewhere:
        redirect = answer("", "302 Found", ["Location: %s/v2/stats/self" % elsewhere.url])
        with FakeServer(redirect) as server, Pmcd(directory, url=server.url) as pmcd:
            values = Query(pmcd.context(), names_of(agent, 0, 1, 3)).fetch()
        assert values.pop("etcd.up") == 1
        assert set(values.values()) == {AGAIN}
        assert elsewhere.connections == 0
        assert len(server.requests) == 3
