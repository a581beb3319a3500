# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""/metrics: one scrape for a fetch or none, its own URL, and instances that come and go and keep their numbers."""

from collections import Counter

import pytest

from support.pmcd import Pmcd
from support.processes import open_directory
from support.replay import Replay, page
from support.server import FakeServer, answer
from support.settings import configuration
from support.values import AGAIN, PERMISSION, VALUE, metric_names

CALLS = "etcd.grpc.started"
LINE = 'grpc_server_started_total{grpc_method="%s",grpc_service="etcdserverpb.KV",grpc_type="unary"} %d\n'


def names_of(agent):
    """The names of all rows of /metrics."""
    return [metric.name for cluster in agent.CATALOGUE for metric in cluster.metrics if cluster.source == "metrics"]


@pytest.fixture(scope="module")
def running():
    """A replayed server and an agent that watches it, for tests that change neither."""
    with FakeServer(Replay("3.7.1")) as server, open_directory() as directory:
        with Pmcd(directory, url=server.url, timeout=4) as pmcd:
            yield server, pmcd


@pytest.fixture
def server(running):
    running[0].requests.clear()
    return running[0]


@pytest.fixture
def pmcd(running):
    return running[1]


# --------------------------------------------------------------------- scrapes


def test_all_rows_need_one_scrape(server, pmcd, agent):
    """And the names of members, now and then."""
    query = pmcd.query(*names_of(agent))
    query.fetch()
    for _ in range(10):
        query.fetch()
    scrapes = Counter(server.requests)
    assert scrapes.pop("/metrics") == 11 and sum(scrapes.values()) <= 3


def test_each_cluster_needs_one_scrape(server, pmcd, agent):
    for cluster in agent.CATALOGUE:
        if cluster.source == "metrics":
            server.requests.clear()
            pmcd.fetch(*[metric.name for metric in cluster.metrics])
            assert server.requests.count("/metrics") == 1, cluster.number


@pytest.mark.parametrize("root", ["etcd.version", "etcd.store", "etcd.control", "etcd.name", "etcd.follower"])
def test_rows_that_need_no_scrape_make_none(server, pmcd, root):
    pmcd.fetch(*metric_names(pmcd.context(), root))
    assert "/metrics" not in server.requests


def test_help_and_lookup_scrape_nothing(server, pmcd):
    pmcd.pminfo("-dmtT", "etcd.server", "etcd.grpc", "etcd.network")
    assert server.requests == []


def test_labels_say_what_an_instance_is(pmcd):
    def labels(metric):
        return pmcd.pminfo("-fl", metric)

    calls = labels(CALLS)
    assert '"service":"KV"' in calls and '"method":"Range"' in calls
    peers = labels("etcd.network.peer.round_trip.bucket")
    assert '"member_id":"ff9d11e786a34662"' in peers and '"le":"0.1024"' in peers
    assert '"member_name":"m1"' in labels("etcd.network.peer.active")
    assert '"check":"' in labels("etcd.server.healthcheck.state")
    assert '"operation":"' in labels("etcd.server.apply.bucket")


# ------------------------------------------------------------------- metrics_url


def test_metrics_may_have_a_url_of_their_own(directory):
    """As kubeadm's listener on 127.0.0.1:2381; the client port is not asked for them."""
    with FakeServer(Replay("3.6.14")) as client, FakeServer(Replay("3.7.1")) as metrics:
        with Pmcd(directory, url=client.url, metrics_url=metrics.url, timeout=2) as pmcd:
            values = pmcd.fetch("etcd.version.server", "etcd.server.has_leader", "etcd.server.request.count")
            assert values["etcd.version.server"] == "3.6.14" and values["etcd.server.has_leader"] == 1
            assert values["etcd.server.request.count"]
            assert metrics.requests == ["/metrics"] and "/metrics" not in client.requests
            metrics.refuse()
            metrics.hang_up()
            values = pmcd.fetch("etcd.up", "etcd.server.has_leader")
            assert values == {"etcd.up": 1, "etcd.server.has_leader": AGAIN}
            line, = pmcd.messages()
            assert line.startswith("%s/metrics: Connection refused" % metrics.url)


def test_server_that_never_had_quorum_is_seen_by_its_metrics(directory):
    """It answers nothing on its client port then, and at once on the other."""
    def silent(connection, _):
        connection.recv(1)

    with FakeServer(silent) as client, FakeServer(Replay("3.6.14", "noquorum_exleader")) as metrics:
        with Pmcd(directory, url=client.url, metrics_url=metrics.url, timeout=0.5) as pmcd:
            query = pmcd.query("etcd.up", "etcd.server.has_leader")
            for _ in range(5):
                assert query.fetch() == {"etcd.up": 0, "etcd.server.has_leader": 0}


def test_metrics_url_may_change_while_the_agent_runs(directory):
    with FakeServer(Replay("3.6.14")) as client, FakeServer(Replay("3.7.1")) as metrics:
        with Pmcd(directory, url=client.url, timeout=2) as pmcd:
            query = pmcd.query("etcd.server.go_version", "etcd.server.request.count")
            assert query.fetch()["etcd.server.request.count"] == {}
            pmcd.config.write_text(configuration(url=client.url, timeout=2, metrics_url=metrics.url))
            assert query.fetch()["etcd.server.request.count"]
            assert metrics.requests == ["/metrics"]


# ------------------------------------------------------------------- instances


def calls(*counts):
    """A page with these methods, and the good answers of a server beside it."""
    text = answer("etcd_server_has_leader 1\n" + "".join(LINE % count for count in counts))
    return lambda _, request: text if b" /metrics " in request else answer("", "404 Not Found")


def numbers(pmcd):
    """{instance: number} of the methods."""
    context = pmcd.context()
    desc, = context.pmLookupDescs(context.pmLookupName([CALLS]))
    inst, names = context.pmGetInDom(desc)
    return dict(zip(names or (), inst or ()))


def test_instances_come_and_go_and_keep_their_numbers(directory):
    """One more in the text is one more in PCP; a restart of the agent changes no number."""
    with FakeServer(calls(("A", 1), ("B", 2))) as server:
        with Pmcd(directory, url=server.url, timeout=2) as pmcd:
            query = pmcd.query(CALLS)
            assert query.fetch()[CALLS] == {"KV/A": 1, "KV/B": 2}
            first = numbers(pmcd)
            for counts in ([("A", 1), ("B", 2), ("C", 3)], [("C", 4)], [], [("B", 5), ("C", 6)]):
                server.behaviour = calls(*counts)
                assert query.fetch()[CALLS] == {"KV/" + name: count for name, count in counts}
            later = numbers(pmcd)
            assert later["KV/B"] == first["KV/B"] and later["KV/C"] not in first.values()
        server.behaviour = calls(("D", 1), ("C", 2), ("B", 3), ("A", 4))
        with Pmcd(directory, url=server.url, timeout=2) as pmcd:
            assert pmcd.fetch(CALLS)[CALLS] == {"KV/D": 1, "KV/C": 2, "KV/B": 3, "KV/A": 4}
            again = numbers(pmcd)
    assert {name: again[name] for name in first} == first and again["KV/C"] == later["KV/C"]
    assert len(set(again.values())) == 4


def test_page_that_fails_takes_no_instances_away(directory):
    with FakeServer(calls(("A", 1))) as server, Pmcd(directory, url=server.url, timeout=2) as pmcd:
        query = pmcd.query(CALLS, "etcd.server.has_leader")
        query.fetch()
        before = numbers(pmcd)
        for behaviour, failure in (answer("", "503 x"), AGAIN), (answer("", "401 x"), PERMISSION), (answer("x"), AGAIN):
            server.behaviour = behaviour
            assert query.fetch() == {CALLS: failure, "etcd.server.has_leader": failure}
            assert numbers(pmcd) == before
        server.behaviour = calls(("A", 2))
        assert query.fetch()[CALLS] == {"KV/A": 2}


def test_no_more_than_a_thousand_instances_are_shown(directory):
    counts = [("M%d" % number, number) for number in range(3000)]
    with FakeServer(calls(*counts)) as server, Pmcd(directory, url=server.url, timeout=4) as pmcd:
        values = pmcd.fetch(CALLS)[CALLS]
        assert len(values) == len(numbers(pmcd)) == 1000
        assert values.items() <= {"KV/" + name: count for name, count in counts}.items()


def test_a_hundred_thousand_invented_methods_cost_no_other_row(directory):
    invented = "".join(LINE % ("M%d" % number, 1) for number in range(100000))
    text = answer(page("3.7.1", "cluster_leader") + invented)
    with FakeServer(lambda _, request: text) as server, Pmcd(directory, url=server.url, timeout=4) as pmcd:
        values = pmcd.fetch(CALLS, "etcd.server.has_leader", "etcd.grpc.handled", "etcd.network.peer.active")
        assert values[CALLS] == VALUE
        assert values["etcd.server.has_leader"] == 1 and values["etcd.grpc.handled"]
        assert values["etcd.network.peer.active"]


def test_page_beyond_16_mib_is_refused(directory):
    text = page("3.7.1", "cluster_leader")
    for size, failure in ((16 << 20) - len(text), None), ((16 << 20) + 1 - len(text), AGAIN):
        line = "# " + "x" * 997 + "\n"
        padding = line * (size // 1000) + "#" * (size % 1000 - 1) + "\n"
        body = answer(text + padding)
        with FakeServer(lambda _, request, body=body: body) as server, open_directory() as place:
            with Pmcd(place, url=server.url, timeout=4) as pmcd:
                assert pmcd.fetch("etcd.server.has_leader") == {"etcd.server.has_leader": failure or 1}
