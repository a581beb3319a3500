# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Another version of etcd, with other APIs, comes under the same URL while the agent runs."""

import contextlib

import pytest

from support.etcd import Etcd, programs
from support.pmcd import Pmcd
from support.processes import free_port, wait_until
from support.relay import Relay
from support.replay import VERSIONS, Replay, document
from support.server import FakeServer
from support.values import AGAIN, APPVERSION, Failure
from support.versions import NEWEST, PASSWORD, enable_rbac, token_of

OLDEST = next(iter(programs()))
IDENTITY = ("etcd.name", "etcd.id", "etcd.state", "etcd.leader.id", "etcd.is_leader")
OTHERS = ("etcd.version.server", "etcd.mvcc.revision", "etcd.store.watchers", "etcd.recv_append_request")
ALL = IDENTITY + OTHERS
MANY = 5  # fetches


def expected(etcd, v2, token=""):
    """The values of a single member."""
    status = etcd.v3("/maintenance/status", token)
    return {"etcd.name": "m0", "etcd.id": etcd.id(token), "etcd.state": "StateLeader", "etcd.leader.id": etcd.id(token),
            "etcd.is_leader": 1, "etcd.version.server": status["version"],
            "etcd.mvcc.revision": int(status["header"]["revision"]), "etcd.store.watchers": 0 if v2 else APPVERSION,
            "etcd.recv_append_request": 0 if v2 else APPVERSION}


def test_versions_come_and_go_under_one_url(directory, servers):
    ways = [(OLDEST, True), (NEWEST, False), (OLDEST, True), (OLDEST, False), (NEWEST, True), (NEWEST, False)]
    with Relay(servers(*ways[0]).port) as relay, Pmcd(directory, url=relay.url) as pmcd:
        query = pmcd.query(*ALL)
        for version, v2 in ways:
            etcd = servers(version, v2)
            relay.switch(etcd.port)
            assert query.fetch() == expected(etcd, v2)  # the first fetch of all finds out
            relay.requests()
            for _ in range(MANY):
                assert query.fetch() == expected(etcd, v2)
            asked = [path for _, path, _ in relay.requests()]
            wanted = {"/v2/stats/self", "/v2/stats/leader"} if v2 else {"/v3/maintenance/status",
                                                                       "/v3/cluster/member/list"}
            assert sorted(asked) == sorted([*wanted, "/v2/stats/store", "/version", "/metrics"] * MANY)
        assert "Traceback" not in pmcd.agent_log()


def recorded(version):
    """The identity and version of the leader whose answers were recorded."""
    status = document(version, "cluster_leader_status")
    own = status["header"]["member_id"]
    name, = [each["name"] for each in document(version, "cluster_leader_memberlist")["members"] if each["ID"] == own]
    own = format(int(own), "x")
    return {"etcd.name": name, "etcd.id": own, "etcd.state": "StateLeader", "etcd.leader.id": own, "etcd.is_leader": 1,
            "etcd.version.server": version, "etcd.store.watchers": APPVERSION, "etcd.recv_append_request": APPVERSION}


def test_upgrade_to_versions_that_never_have_v2_and_back(directory, servers):
    old, middle = servers(OLDEST, v2=True), servers(NEWEST, v2=False)
    with contextlib.ExitStack() as stack:
        newest = {version: stack.enter_context(FakeServer(Replay(version))) for version in VERSIONS}
        relay = stack.enter_context(Relay(old.port))
        query = stack.enter_context(Pmcd(directory, url=relay.url)).query(*ALL)
        for _ in range(2):
            for etcd, v2 in ((old, True), (middle, False)):
                relay.switch(etcd.port)
                assert query.fetch() == expected(etcd, v2)
            for version, server in newest.items():
                relay.switch(server.port)
                fetched = query.fetch()
                assert {name: fetched[name] for name in recorded(version)} == recorded(version)


def test_v2_api_appears_on_a_server_with_rbac(directory, servers):
    """A token that the new server does not know is no reason to overlook its v2 API."""
    (directory / "password").touch(0o600)
    (directory / "password").write_text(PASSWORD)
    before, after = servers(NEWEST, v2=False, rbac=True), servers(NEWEST, v2=True, rbac=True)
    settings = {"username": "root", "password_file": directory / "password"}
    token = token_of(before)
    for _ in range(30):  # etcd waits for the index at which a token was made, which the new server does not reach
        before.v3("/kv/put", token, key="a2V5")
    with Relay(before.port) as relay, Pmcd(directory, url=relay.url, **settings) as pmcd:
        query = pmcd.query("etcd.id", "etcd.recv_append_request")
        assert query.fetch()["etcd.recv_append_request"] == APPVERSION
        relay.switch(after.port)
        expected_values = {"etcd.id": after.json("/v2/stats/self")["id"], "etcd.recv_append_request": 0}
        wait_until(lambda: query.fetch() == expected_values, "the v2 API")


def test_server_that_is_behind_the_token_of_the_one_before(directory, servers):
    """Etcd lets a request wait for the raft index at which its token was made: a new token is asked for."""
    (directory / "password").touch(0o600)
    (directory / "password").write_text(PASSWORD)
    before = servers(NEWEST, v2=False, rbac=True)
    token = token_of(before)
    for _ in range(30):
        before.v3("/kv/put", token, key="a2V5")
    with Etcd(programs()[NEWEST], v2=False) as after:
        enable_rbac(after)
        identity = after.id(token_of(after))
        with Relay(before.port) as relay, \
                Pmcd(directory, url=relay.url, username="root", password_file=directory / "password") as pmcd:
            query = pmcd.query("etcd.id")
            assert query.fetch() == {"etcd.id": before.id(token)}
            relay.switch(after.port)
            wait_until(lambda: query.fetch() == {"etcd.id": identity}, "the id of the new server")


@pytest.mark.parametrize("version", [each for each in programs() if each != OLDEST][:1])
def test_upgrade_in_place_keeps_the_identity(directory, version):
    """The same data under a newer etcd without the v2 API: the same words, from another API."""
    (directory / "data").mkdir()
    arguments = {"data": directory / "data", "port": free_port(),
                 "peer": "http://127.0.0.1:%d" % free_port()}
    with Etcd(binary=programs()[OLDEST], **arguments) as etcd, Pmcd(directory, url=etcd.url) as pmcd:
        query = pmcd.query(*IDENTITY)
        before = query.fetch()
        assert not any(isinstance(value, Failure) for value in before.values())
        etcd.stop()
        assert set(query.fetch().values()) == {AGAIN}
        with Etcd(binary=programs()[version], v2=False, **arguments):
            assert query.fetch() == before
            assert pmcd.fetch("etcd.version.server", "etcd.start_time") == {
                "etcd.version.server": version, "etcd.start_time": APPVERSION}
