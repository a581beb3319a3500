# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each version of etcd there is, with and without the v2 API: values are those of its own answers."""

import contextlib
import os

import pytest

from support import matrix
from support.etcd import programs, version_tuple
from support.page import expected, is_younger
from support.pmcd import Pmcd
from support.replay import VERSIONS, Replay
from support.server import FakeServer
from support.values import APPVERSION, VALUE, Failure, Query, metric_names
from support.versions import SERVERS

PAGE = ("etcd.server", "etcd.disk", "etcd.mvcc", "etcd.lease", "etcd.network", "etcd.grpc", "etcd.process")
V3_IDENTITY = ("etcd.name", "etcd.id", "etcd.state", "etcd.leader.id", "etcd.is_leader")
V2_ALONE = ("etcd.leader.start_time", "etcd.leader.uptime", "etcd.recv_append_request", "etcd.send_packet_rate",
            "etcd.start_time", "etcd.store.success", "etcd.store.watchers")
ROUNDING = 1e-12  # the page is summed exactly
OWN_CONNECTIONS = 5  # goroutines and files that a request of the test itself may cost etcd at most


def test_there_are_versions_newer_than_that_of_pypi():
    assert len([each for each in programs() if version_tuple(each) > (3, 5, 1)]) >= 2, "run qa/check"


class Compared:
    """Rows of /metrics as the agent has them, beside the page before and after."""

    def __init__(self, etcd, pmcd):
        self.etcd = etcd
        self.version = etcd.json("/version")["etcdserver"]
        context = pmcd.context()
        self.query = Query(context, [name for root in PAGE for name in metric_names(context, root)])

    def page(self):
        return expected(self.etcd.request("GET", "/metrics")[1])

    def differing(self, rounds=20):
        """{metric: (before, fetched, after)} of those that are not between two pages in any of some rounds."""
        different = None
        for _ in range(rounds):
            before, fetched, after = self.page(), self.query.fetch(), self.page()
            assert fetched.keys() == before.keys()
            different = {name: (before[name], value, after[name]) for name, value in fetched.items()
                         if (different is None or name in different)
                         and not self.fits(name, before[name], value, after[name])}
            if not different:
                break
        return different

    def fits(self, name, before, value, after):
        """Whether a value is one between two pages, or the error that says why there is none."""
        if isinstance(before, dict):
            if value in (APPVERSION, VALUE):  # so for all instances, which other rows of the domain have
                return not before and value == self.why_not(name)
            return isinstance(value, dict) and before.keys() <= value.keys() <= after.keys() and all(
                before[each] * (1 - ROUNDING) <= value[each] <= after[each] * (1 + ROUNDING) for each in before)
        if before is None:
            return value == self.why_not(name)
        if isinstance(before, str):
            return value == before
        slack = OWN_CONNECTIONS if name in ("etcd.process.goroutines", "etcd.process.open_files") else (
            ROUNDING * abs(before))
        return value not in (APPVERSION, VALUE) and (
            min(before, after) - slack <= value <= max(before, after) + slack)

    def why_not(self, name):
        return APPVERSION if is_younger(name[len("etcd."):], self.version) else VALUE


@pytest.mark.parametrize("version, v2", SERVERS)
def test_rows_of_metrics_are_those_of_the_page(directory, servers, version, v2):
    etcd = servers(version, v2)
    with Pmcd(directory, url=etcd.url) as pmcd:
        compared = Compared(etcd, pmcd)
        assert compared.differing() == {}
        values = compared.query.fetch()
        assert values["etcd.mvcc.put"] >= 6 and values["etcd.disk.backend_defrag.count"] == 1
        assert values["etcd.grpc.failed"]["Auth/AuthEnable"] == 1


def identity(etcd):
    """The rows of identity as the v3 gateway of a single member has them."""
    status, member = etcd.v3("/maintenance/status"), etcd.v3("/cluster/member/list")["members"][0]
    own = format(int(status["header"]["member_id"]), "x")
    return {"etcd.name": member["name"], "etcd.id": own, "etcd.leader.id": format(int(status["leader"]), "x"),
            "etcd.state": "StateLeader", "etcd.is_leader": 1}


@pytest.mark.parametrize("version, v2", SERVERS)
def test_identity_is_the_same_with_and_without_v2(directory, servers, version, v2):
    etcd = servers(version, v2)
    with Pmcd(directory, url=etcd.url) as pmcd:
        assert pmcd.fetch(*V3_IDENTITY) == identity(etcd)
        rest = pmcd.fetch(*V2_ALONE)
        assert {name for name in rest if not isinstance(rest[name], Failure)} == set(V2_ALONE) if v2 else (
            rest == dict.fromkeys(V2_ALONE, APPVERSION))


@pytest.mark.parametrize("version, v2", SERVERS)
def test_fetches_make_no_request_that_they_do_not_need(directory, servers, version, v2):
    etcd = servers(version, v2)
    with Pmcd(directory, url=etcd.url) as pmcd:
        context = pmcd.context()
        wanted = {"etcd.is_leader": 1, "etcd.id": 1 if v2 else 2, "etcd.mvcc.put": 1, "etcd.up": 1}
        queries = [(Query(context, [name]), count) for name, count in wanted.items()]
        # the view of the cluster asks by v3, which identity may need not
        queries += [(Query(context, V3_IDENTITY), 2), (Query(context, metric_names(context)), 7 if v2 else 5)]
        for query, count in queries:
            query.fetch()
            before = sum(pmcd.fetch("etcd.control.requests")["etcd.control.requests"].values())
            for _ in range(5):
                query.fetch()
            after = sum(pmcd.fetch("etcd.control.requests")["etcd.control.requests"].values())
            assert after - before == 5 * count, query.names


def columns(directory, servers):
    """{server: {metric: whether it has values}} of each real server, and of recorded answers of newer ones."""
    found = {}
    with contextlib.ExitStack() as stack:
        urls = {"%s%s" % (version, " v2" * v2): servers(version, v2).url
                for version, v2 in (each.values for each in SERVERS)}
        urls.update((version, stack.enter_context(FakeServer(Replay(version))).url) for version in VERSIONS)
        for server, url in urls.items():
            own = directory / server.replace(" ", "-")
            own.mkdir()
            with Pmcd(own, url=url) as pmcd:
                context = pmcd.context()
                fetched = Query(context, metric_names(context)).fetch()
            found[server] = matrix.column(fetched, server.partition(" ")[0])
    return found


def test_matrix_of_the_documents_is_what_was_found(directory, servers):
    """Versions that are not in the document, such as the next one of a distribution, are left out."""
    text = matrix.document(columns(directory, servers))
    if os.environ.get("WRITE_VERSIONS"):
        matrix.PATH.write_text(text)
    found, written = matrix.tables(text), matrix.tables(matrix.PATH.read_text())
    common = {server for server, *_ in found} & {server for server, *_ in written}
    assert len(common) >= 4 and set(VERSIONS) <= common, "write it: see tests/README.md"
    shown = {key: cell for key, cell in found.items() if key[0] in common}
    assert {key: cell for key, cell in written.items() if key[0] in common and key in found} == {
        key: cell for key, cell in shown.items() if key in written}
    assert {heading for _, heading, number in found if number == 0} == {
        heading for _, heading, number in written if number == 0}
