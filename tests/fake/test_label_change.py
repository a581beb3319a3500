# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""pmcd tells its clients when names of members change, so that they ask for labels again."""

from ctypes import POINTER, byref

from pcp.pmapi import LIBPCP, pmResult

from support.labels import METRIC, named
from support.pmcd import Pmcd
from support.server import FakeServer

LABELS_CHANGED = 8  # PMCD_LABEL_CHANGE of pmapi.h


class Client:
    """A client of pmcd that looks at what a fetch says beside values."""

    def __init__(self, pmcd):
        self.query = pmcd.query(METRIC)

    def is_told(self):
        """Whether the next fetch says that labels have changed."""
        result = POINTER(pmResult)()
        LIBPCP.pmUseContext(self.query.context.ctx)
        status = LIBPCP.pmFetch(len(self.query.pmids), self.query.pmids, byref(result))
        assert status >= 0
        LIBPCP.pmFreeResult(result)
        return bool(status & LABELS_CHANGED)


def test_clients_are_told_once_of_new_names(directory):
    with FakeServer(named({"a": "m1"})) as server, Pmcd(directory, url=server.url) as pmcd:
        clients = [Client(pmcd) for _ in range(2)]
        for names in {"a": "m1"}, {"a": "m2", "b": "m3"}, {"b": "m4"}:
            server.behaviour = named(names)
            told = [client.is_told() for client in clients]
            assert all(told), names
            for _ in range(3):
                told = [client.is_told() for client in clients]
                assert not any(told), names


def test_clients_are_not_told_of_names_that_stay(directory):
    """A member goes, another comes back, names are asked for anew: their labels are those of before."""
    with FakeServer(named({"a": "m1", "b": "m2"})) as server, Pmcd(directory, url=server.url) as pmcd:
        client = Client(pmcd)
        assert client.is_told()
        names = named({"a": "m1", "b": "m2"})
        for present in {"a": "x"}, {"b": "x"}, {"a": "x", "b": "x"}:
            leader = named(present)
            server.behaviour = lambda *asked, leader=leader: (names if b"v2/members" in asked[1] else leader)(*asked)
            known = server.requests.count("/v2/members")
            told = [client.is_told() for _ in range(3)]
            assert not any(told)
            assert server.requests.count("/v2/members") == known + 1
