# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""etcd with listeners of its own for /metrics or for HTTP."""

import pytest

from support.etcd import Etcd, programs
from support.pmcd import Pmcd
from support.processes import free_port, wait_until
from support.relay import Relay
from support.values import AGAIN, Query, metric_names
from support.versions import NEWEST

OLDEST = next(iter(programs()))
PAGE = ("etcd.server.has_leader", "etcd.mvcc.revision", "etcd.process.max_files")
REST = ("etcd.name", "etcd.is_leader", "etcd.up")
GOOD = {"etcd.name": "m0", "etcd.is_leader": 1, "etcd.up": 1}
GRPC_ALONE = "Where this port takes gRPC alone, set url to one of --listen-client-http-urls"


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_metrics_listener(directory, version):
    port = free_port()
    arguments = ["--listen-metrics-urls", "http://127.0.0.1:%d" % port]
    with Etcd(programs()[version], v2=False, arguments=arguments) as etcd, Relay(etcd.port) as client, \
            Relay(port) as metrics, Pmcd(directory, url=client.url, metrics_url=metrics.url) as pmcd:
        page, rest = pmcd.query(*PAGE), pmcd.query(*REST)
        context = pmcd.context()
        everything = Query(context, metric_names(context))
        everything.fetch()
        assert page.fetch()["etcd.server.has_leader"] == 1
        assert {path for _, path, _ in metrics.requests()} == {"/metrics"}
        assert "/metrics" not in {path for _, path, _ in client.requests()}
        check_loss_of_listener(metrics, port, page, rest)
        assert pmcd.messages()[-2:] == [
            "%s/metrics: server hung up without an answer; does it want https? %s" % (metrics.url, GRPC_ALONE),
            "%s/metrics: answers again" % metrics.url]


def check_loss_of_listener(metrics, port, page, rest):
    """Only the rows of the page fail while nothing answers there."""
    metrics.switch(free_port())
    for _ in range(3):
        assert page.fetch() == dict.fromkeys(PAGE, AGAIN)
        assert rest.fetch() == GOOD
    metrics.switch(port)
    assert wait_until(lambda: AGAIN not in page.fetch().values(), "the page", 2)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_metrics_listener_beside_mutual_tls(directory, pki, scheme):
    """The client certificate is for https alone; the listener of kubeadm is http."""
    listener = "%s://127.0.0.1:%d" % (scheme, free_port())
    with pki.etcd(pki.server, mutual=True, binary=programs()[NEWEST], v2=False,
                  arguments=["--listen-metrics-urls", listener]) as etcd:
        with Pmcd(directory, metrics_url=listener, **pki.client_settings(etcd.url)) as pmcd:
            assert pmcd.fetch(*REST) == GOOD
            assert pmcd.fetch(*PAGE)["etcd.server.has_leader"] == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_port_for_grpc_alone(directory, pki, scheme):
    """One line of the log says what to configure."""
    http = "%s://127.0.0.1:%d" % (scheme, free_port())
    options = {"binary": programs()[NEWEST], "v2": False, "arguments": ["--listen-client-http-urls", http]}
    etcd = Etcd(**options) if scheme == "http" else pki.etcd(pki.server, **options)
    grpc, etcd.url = etcd.url, http
    tls = {"ca_file": pki.ca.cert} if scheme == "https" else {}
    with etcd, Pmcd(directory, url=grpc, **tls) as pmcd:
        query = pmcd.query(*REST, *PAGE, "etcd.control.status")
        for _ in range(3):
            fetched = query.fetch()
            assert {fetched[name] for name in (*REST[:2], *PAGE)} == {AGAIN} and fetched["etcd.up"] == 0
            for source in ("self", "leader", "version", "metrics"):
                assert GRPC_ALONE in fetched["etcd.control.status"][source]
        line, = pmcd.messages()
        assert GRPC_ALONE in line
        pmcd.config.write_text(pmcd.config.read_text().replace(grpc, http))
        assert query.fetch()["etcd.server.has_leader"] == 1
