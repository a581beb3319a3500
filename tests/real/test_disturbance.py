# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Watching disturbs no etcd: what fetches leave behind is read from etcd itself, before and after many of them."""

import os
import re
import time

import pytest

from support.pmcd import Pmcd
from support.processes import wait_until
from support.prometheus import parse
from support.versions import PASSWORD, SERVERS, token_of

ROUNDS = int(os.environ.get("ROUNDS", "64"))  # of each server: over a thousand in all; ROUNDS=1000 takes minutes
# one metric of each source: the requests are those of a fetch of all metrics
ASKED = ["etcd.name", "etcd.store.watchers", "etcd.is_leader", "etcd.up", "etcd.server.has_leader", "etcd.grpc.codes"]
FAMILIES = ("etcd_server_proposals_committed_total", "etcd_server_proposals_applied_total",
            "etcd_disk_wal_write_bytes_total", "etcd_server_proposals_failed_total",
            "etcd_disk_wal_fsync_duration_seconds_count")


def lines(etcd):
    """The number of lines of etcd's log, but those that a busy machine causes."""
    text = (etcd.data / (etcd.name + ".log")).read_text()
    return len([line for line in text.splitlines() if not re.search("too long|slow|overloaded", line)])


def traces(etcd, token):
    """What requests may leave in an etcd: entries of raft, writes to its log on disk, operations, lines of its log."""
    page = parse(etcd.request("GET", "/metrics")[1])
    status = etcd.v3("/maintenance/status", token)
    return dict({family: page[family] for family in page if family in FAMILIES or "debugging_store" in family},
                index=status["raftIndex"], applied=status["raftAppliedIndex"], lines=lines(etcd),
                store=etcd.request("GET", "/v2/stats/store"))


def settled(etcd, token):
    """The traces once an etcd that has just started, or was just written to, does nothing by itself."""
    def twice_the_same():
        first = traces(etcd, token)
        time.sleep(0.25)
        return first == traces(etcd, token) and first
    return wait_until(twice_the_same, "an idle etcd")


@pytest.mark.parametrize("rbac", [False, True], ids=["", "RBAC"])
@pytest.mark.parametrize("version, v2", SERVERS)
def test_fetches_leave_no_trace(directory, servers, version, v2, rbac):
    etcd = servers(version, v2, rbac)
    settings = {}
    if rbac:
        (directory / "password").touch(0o600)
        (directory / "password").write_text(PASSWORD + "\n")
        settings = {"username": "root", "password_file": directory / "password"}
    token = token_of(etcd) if rbac else ""
    with Pmcd(directory, url=etcd.url, **settings) as pmcd:
        query = pmcd.query(*ASKED)
        assert query.fetch()["etcd.name"] == "m0"  # finds out which APIs there are, and gets a token where it needs one
        before = settled(etcd, token)
        for _ in range(ROUNDS):
            query.context.pmFreeResult(query.context.pmFetch(query.pmids))
        assert traces(etcd, token) == before
        requests = pmcd.fetch("etcd.control.requests")["etcd.control.requests"]
        assert min(requests[source] for source in ("store", "version", "metrics")) > ROUNDS
        assert requests["self"] + requests["leader"] > 2 * ROUNDS
