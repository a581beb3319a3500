# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""etcd with users and passwords: who is refused what on each version, tokens, and secrets that stay secret."""

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from pcp.pmapi import pmContext

from support.etcd import Etcd, programs, version_tuple
from support.pmcd import Pmcd
from support.processes import wait_until
from support.prometheus import parse
from support.relay import Relay
from support.repository import AGENT
from support.values import PERMISSION, Query, metric_names
from support.versions import NEWEST, PASSWORD, SERVERS, enable_rbac, token_of

OLDEST = next(iter(programs()))
FROM_V3 = ("etcd.name", "etcd.id", "etcd.state", "etcd.leader.id", "etcd.is_leader")
REST = ("etcd.up", "etcd.version.server", "etcd.server.has_leader", "etcd.mvcc.put")
OF_SELF = ("etcd.name", "etcd.id", "etcd.state", "etcd.leader.", "etcd.recv_", "etcd.send_", "etcd.start_time")
STATUS = "etcd.control.status"
AUTHENTICATE = "/v3/auth/authenticate"


def settings(directory, user="root", password=PASSWORD):
    """The settings of a user; the agent may read the file at any time."""
    path = directory / "password"
    path.touch(0o600)
    path.write_text(password + "\n")
    shutil.chown(path, pmContext.pmGetConfig("PCP_USER"))
    return {"username": user, "password_file": path}


def check_values(fetched, etcd, refused=False):
    """That only what v3 refuses fails."""
    if refused:
        assert {fetched[name] for name in FROM_V3} == {PERMISSION}
    else:
        assert fetched["etcd.name"] == "m0" and fetched["etcd.is_leader"] == 1
        (labels, _), = parse(etcd.request("GET", "/metrics")[1])["etcd_server_id"]
        assert fetched["etcd.id"] == fetched["etcd.leader.id"] == labels["server_id"]
    assert fetched["etcd.up"] == fetched["etcd.server.has_leader"] == 1 and fetched["etcd.mvcc.put"] >= 5


def status_code(etcd, token=""):
    """The HTTP status with which etcd answers the agent's main question."""
    return etcd.request("POST", "/v3/maintenance/status", "{}", token)[0]


@pytest.mark.parametrize("version, v2", SERVERS)
def test_without_a_user_only_what_needs_one_is_refused(directory, servers, version, v2):
    etcd = servers(version, v2, rbac=True)
    own = version_tuple(version)
    wants_user = own >= (3, 5, 28) or (3, 4, 42) <= own < (3, 5)
    assert status_code(etcd) == (400 if wants_user else 200)
    with Pmcd(directory, url=etcd.url) as pmcd:
        fetched = pmcd.fetch(*FROM_V3, *REST, STATUS)
        check_values(fetched, etcd, refused=wants_user and not v2)
        assert ("RBAC is on: set username and password_file" in fetched[STATUS]["self"]) == (wants_user and not v2)


@pytest.mark.parametrize("user", ["root", "plain"])
@pytest.mark.parametrize("version", programs())
def test_with_a_user_one_token_serves_all_fetches(directory, servers, version, user):
    etcd = servers(version, v2=False, rbac=True)
    wants_user = status_code(etcd) == 400
    refused = wants_user and status_code(etcd, token_of(etcd, user)) == 403
    with Relay(etcd.port) as relay, Pmcd(directory, url=relay.url, **settings(directory, user)) as pmcd:
        query = pmcd.query(*FROM_V3, *REST, STATUS)
        for _ in range(10):
            check_values(query.fetch(), etcd, refused)
        assert [path for _, path, _ in relay.requests()].count(AUTHENTICATE) == int(wants_user)
        assert ("role root" in query.fetch()[STATUS]["self"]) == refused


def test_wrong_password_is_tried_once_until_the_file_changes(directory, servers):
    etcd = servers(NEWEST, v2=False, rbac=True)
    log = etcd.data / "m0.log"
    with Relay(etcd.port) as relay, Pmcd(directory, url=relay.url, **settings(directory, password="wrong")) as pmcd:
        query = pmcd.query(*FROM_V3, *REST, STATUS)
        before = log.read_text().count("\n")
        for _ in range(20):
            fetched = query.fetch()
            check_values(fetched, etcd, refused=True)
            assert "username or password_file is wrong" in fetched[STATUS]["self"]
        assert [path for _, path, _ in relay.requests()].count(AUTHENTICATE) == 1
        assert log.read_text().count("\n") - before <= 2
        settings(directory)
        check_values(query.fetch(), etcd)
        assert [path for _, path, _ in relay.requests()].count(AUTHENTICATE) == 1
        (directory / "password").chmod(0o644)
        wait_until(lambda: "is open to other users" in pmcd.fetch("etcd.control.config")["etcd.control.config"],
                   "the refusal of the file", 5)
        check_values(query.fetch(), etcd)


def test_wrong_password_is_tried_again_later(directory, servers):
    """After a minute, here of one second."""
    etcd = servers(NEWEST, v2=False, rbac=True)
    agent = directory / "agent"
    agent.write_text(re.sub(r"\nREFUSED_FOR = \d+", "\nREFUSED_FOR = 1", AGENT.read_text()))
    with Relay(etcd.port) as relay, Pmcd(directory, agent, url=relay.url, **settings(directory, "other")) as pmcd:
        query = pmcd.query(*FROM_V3, *REST)
        check_values(query.fetch(), etcd, refused=True)
        etcd.v3("/auth/user/add", token_of(etcd), name="other", password=PASSWORD)
        etcd.v3("/auth/user/grant", token_of(etcd), user="other", role="root")
        try:
            check_values(query.fetch(), etcd, refused=True)
            wait_until(lambda: query.fetch()["etcd.name"] == "m0", "another try", 3)
        finally:
            etcd.v3("/auth/user/delete", token_of(etcd), name="other")
        assert [path for _, path, _ in relay.requests()].count(AUTHENTICATE) == 2


def test_token_that_etcd_forgot_is_renewed_in_the_same_fetch(directory):
    with Etcd(programs()[NEWEST], v2=False, arguments=["--auth-token-ttl", "1"]) as etcd:
        etcd.v3("/kv/put", key="YQ==", value="Yg==")
        enable_rbac(etcd)
        with Relay(etcd.port) as relay, Pmcd(directory, url=relay.url, **settings(directory)) as pmcd:
            query = pmcd.query(*FROM_V3)
            assert query.fetch()["etcd.name"] == "m0"
            first = relay.requests()[-1][2]
            time.sleep(2.5)  # etcd looks each second which tokens were not used for their time
            assert status_code(etcd, first) == 401
            assert query.fetch()["etcd.name"] == "m0"
            assert [path for _, path, _ in relay.requests()].count(AUTHENTICATE) == 1
            etcd.stop()
            etcd.start()
            assert query.fetch()["etcd.name"] == "m0"
            assert [path for _, path, _ in relay.requests()].count(AUTHENTICATE) == 1


def test_password_and_token_are_shown_nowhere(directory, servers):
    etcd = servers(NEWEST, v2=False, rbac=True)
    with Relay(etcd.port) as relay, Pmcd(directory, url=relay.url, **settings(directory)) as pmcd:
        pmcd.run("pmstore", "-h", pmcd.host, "etcd.control.debug", "1")
        shown = [pmcd.pminfo("-f", "etcd"), pmcd.pminfo("-l", "etcd"), pmcd.pminfo("-f", "etcd.control")]
        asked = relay.requests()
        relay.hang_up()
        settings(directory, password=PASSWORD + "-wrong")
        shown += [pmcd.pminfo("-f", "etcd"), pmcd.pminfo("-f", "etcd.control"), pmcd.agent_log()]
        tokens = {token for _, _, token in asked if token}
        assert tokens and [path for _, path, _ in relay.requests()].count(AUTHENTICATE) == 1
        process = Path("/proc/%d" % pmcd.agent_pid())
        shown += [(process / name).read_bytes().decode("utf-8", "replace") for name in ("cmdline", "environ")]
        shown += [path.read_text("utf-8", "replace") for path in directory.rglob("*")
                  if path.is_file() and path.name != "password"]
    secrets = {PASSWORD, *tokens}
    assert any(AUTHENTICATE in each for each in shown)
    assert [secret for secret in secrets if any(secret in each for each in shown)] == []


@contextlib.contextmanager
def mutual(pki, version):
    """An etcd with RBAC that wants client certificates."""
    with pki.etcd(pki.server, mutual=True, binary=programs()[version], v2=False) as etcd:
        for _ in range(5):
            etcd.v3("/kv/put", key="YQ==", value="Yg==")
        enable_rbac(etcd)
        yield etcd


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_certificate_with_a_cn_is_refused_and_one_without_works(directory, pki, version):
    with mutual(pki, version) as etcd:
        with Pmcd(directory, **pki.client_settings(etcd.url), **settings(directory)) as pmcd:
            query = pmcd.query(*FROM_V3, *REST, STATUS)
            fetched = query.fetch()
            check_values(fetched, etcd, refused=True)
            assert "etcd with RBAC takes no client certificate with a CN: use one without" in fetched[STATUS]["self"]
        os.remove(directory / "etcd.conf")
        with Pmcd(directory, **pki.client_settings(etcd.url, pki.nameless), **settings(directory)) as pmcd:
            check_values(pmcd.fetch(*FROM_V3, *REST), etcd)


def test_everything_has_a_value_or_says_why_not(directory, servers):
    """No metric is refused that needs no user, on the version that refuses most."""
    etcd = servers(NEWEST, v2=False, rbac=True)
    with Pmcd(directory, url=etcd.url) as pmcd:
        context = pmcd.context()
        fetched = Query(context, metric_names(context)).fetch()
        assert {name for name, value in fetched.items() if value == PERMISSION} == {
            name for name in fetched if name.startswith((*OF_SELF, "etcd.is_leader", "etcd.cluster."))
            and not name.startswith("etcd.cluster.member.")}  # which have no instances yet
