# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole agent with etcd 3.6.14 and 3.7.1, from recorded answers: each metric has its value, or says why not."""

import pytest

from support.pmcd import Pmcd
from support.processes import open_directory
from support.replay import SITUATIONS, VERSIONS, Replay, document, page
from support.rows import ZERO, values_of
from support.server import FakeServer
from support.values import APPVERSION, VALUE

V2_ALONE = ["etcd.recv_append_request", "etcd.send_append_request", "etcd.start_time", "etcd.leader.uptime",
            "etcd.leader.start_time", "etcd.recv_packet_rate", "etcd.recv_bandwidth_rate", "etcd.send_packet_rate",
            "etcd.send_bandwidth_rate", "etcd.store.expire", "etcd.store.watchers", "etcd.store.success",
            "etcd.store.fail"]


@pytest.fixture(scope="module", params=[(version, situation) for version in VERSIONS for situation in SITUATIONS],
                ids="-".join)
def case(request, agent):
    """(version, situation, all values of one fetch) of a server that is replayed."""
    version, situation = request.param
    names = [metric.name for cluster in agent.CATALOGUE for metric in cluster.metrics]
    with FakeServer(Replay(version, situation)) as server, open_directory() as directory:
        with Pmcd(directory, url=server.url, timeout=4) as pmcd:
            values = pmcd.fetch(*names)
            assert "Traceback" not in pmcd.agent_log()
    return version, situation, values


def zero_where_none_was_seen(expected):
    """What other rows know of an instance makes these 0 before their first event, and only these."""
    checks = [expected.get("etcd.server.healthcheck." + row, {}) for row in ("state", "success", "error")]
    peers = [found for name, found in expected.items()
             if name.startswith(("etcd.network.peer.", "etcd.network.snapshot.")) and not name.endswith("bucket")]
    calls = [found for name, found in expected.items() if name.startswith("etcd.grpc.") and name != "etcd.grpc.codes"]
    for names, rows in (["etcd." + name for name in ZERO], peers), (["etcd.grpc.failed"], calls), (
            ["etcd.server.healthcheck.success", "etcd.server.healthcheck.error"], checks):
        for name in names:
            expected[name] = dict(dict.fromkeys(set().union(*rows), 0), **expected.get(name, {}))
    return expected


def test_every_row_of_metrics_has_the_value_of_the_page(agent, case):
    """As another parser finds it; a row without a value has none for a reason."""
    version, situation, values = case
    expected = zero_where_none_was_seen(values_of(page(version, situation)))
    for cluster in agent.CATALOGUE:
        for metric in cluster.metrics if cluster.source == "metrics" else ():
            found, wanted = values[metric.name], expected.get(metric.name, {})
            if found == VALUE or found == {}:
                assert not wanted, metric.name
            elif metric.indom:
                assert found == {name: pytest.approx(value, rel=1e-12) for name, value in wanted.items()}, metric.name
            else:
                assert found == (pytest.approx(wanted[None]) if metric.name.endswith("time") else wanted[None])


def test_identity_is_that_of_the_member(case):
    version, situation, values = case
    status = document(version, situation + "_status")
    names = {"cluster_leader": {"3.6.14": "m1", "3.7.1": "m2"}[version], "learner_itself": VALUE}  # it is not told
    leads = situation == "cluster_leader"
    known = ("etcd.name", "etcd.id", "etcd.state", "etcd.leader.id", "etcd.is_leader")
    assert {name: values[name] for name in known} == {
        "etcd.name": names.get(situation, "m0"), "etcd.id": "%x" % int(status["header"]["member_id"]),
        "etcd.state": "StateLeader" if leads else "StateFollower", "etcd.is_leader": int(leads),
        "etcd.leader.id": "%x" % int(status["leader"]) if "leader" in status else ""}


def test_versions_are_those_of_the_server(case):
    version, _, values = case
    assert (values["etcd.up"], values["etcd.version.server"], values["etcd.version.storage"]) == (
        1, version, version.rpartition(".")[0] + ".0")


def test_what_only_v2_knows_is_not_supported(case):
    _, _, values = case
    assert {name: values[name] for name in V2_ALONE} == dict.fromkeys(V2_ALONE, APPVERSION)
    assert {name for name, value in values.items() if value == APPVERSION} == set(V2_ALONE)


def test_sources_are_well_but_for_the_store(case):
    _, situation, values = case
    status, codes = dict(values["etcd.control.status"]), values["etcd.control.status_code"]
    assert "--enable-v2" in status.pop("store") and codes["store"] == 404
    if situation == "learner_itself":
        assert "learner" in status.pop("members") and codes["members"] == 400
    assert set(status.values()) == {"ok"} and {codes[source] for source in status} == {200}
