# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""An agent with a user of etcd: values with its token, a password that is refused, and nothing secret anywhere."""

import json
import os
import pwd
import time
from pathlib import Path

import pytest

from support.pmcd import Pmcd
from support.processes import wait_until
from support.replay import Replay, path_and_token
from support.server import FakeServer, answer
from support.settings import configuration
from support.values import PERMISSION, metric_names

USER, PASSWORD = "monitor", 'hunter2"\\secret'
IDENTITY = ["etcd.id", "etcd.is_leader"]
GOOD = {"etcd.id": "ff9d11e786a34662", "etcd.is_leader": 1}
REFUSED = dict.fromkeys(IDENTITY, PERMISSION)
AUTHENTICATE = "/v3/auth/authenticate"


@pytest.fixture
def password(directory):
    """The path of a password file that user pcp can read, as Install leaves it."""
    path = directory / "password"
    write(path, PASSWORD)
    return path


def write(path, text):
    """Puts a password into its file."""
    path.write_text(text + "\n")
    path.chmod(0o600)
    if os.getuid() == 0:
        os.chown(str(path), pwd.getpwnam("pcp").pw_uid, -1)


@pytest.fixture
def replay():
    return Replay("3.6.14", users={USER: PASSWORD})


@pytest.fixture
def server(replay):
    with FakeServer(replay) as fake:
        yield fake


@pytest.fixture
def pmcd(directory, server, password):
    with Pmcd(directory, url=server.url, timeout=2, username=USER, password_file=password) as running:
        yield running


def status(pmcd, source="leader"):
    """What etcd.control.status says of a source."""
    return pmcd.fetch("etcd.control.status")["etcd.control.status"][source]


def nothing_secret(pmcd, *secrets):
    """No secret stands in what anybody sees: the log, all values, labels, the command line."""
    context = pmcd.context()
    shown = pmcd.agent_log() + pmcd.pminfo("-f", "-l", "-T", "etcd") + repr(pmcd.fetch(*metric_names(context)))
    shown += Path("/proc/%d/cmdline" % pmcd.agent_pid()).read_text()
    for secret in secrets:
        assert secret not in shown and json.dumps(secret)[1:-1] not in shown


def test_user_gets_values_and_costs_one_token(pmcd, replay):
    query = pmcd.query(*IDENTITY)
    for _ in range(20):
        assert query.fetch() == GOOD
    assert (replay.entries, replay.refusals) == (1, 0)
    replay.forget_tokens()
    for _ in range(5):
        assert query.fetch() == GOOD
    assert (replay.entries, replay.refusals) == (2, 0)
    assert status(pmcd) == "ok" and pmcd.messages() == []


def test_everything_else_goes_on_without_a_password(directory, server, replay):
    with Pmcd(directory, url=server.url, timeout=2) as pmcd:
        assert pmcd.fetch(*IDENTITY) == REFUSED
        values = pmcd.fetch("etcd.up", "etcd.version.server", "etcd.server.has_leader", *IDENTITY)
        assert values == dict(REFUSED, **{
            "etcd.up": 1, "etcd.version.server": "3.6.14", "etcd.server.has_leader": 1})
        assert "set username and password_file" in status(pmcd)
        assert AUTHENTICATE not in server.requests and not any(token for _, _, token in replay.asked)


def test_token_ends_between_fetches_of_everything(pmcd, replay):
    """However many sources want one, one is asked for."""
    query = pmcd.query(*metric_names(pmcd.context(), "etcd"))
    for entries in 1, 2, 3:
        values = query.fetch()
        assert {name: values[name] for name in IDENTITY} == GOOD and replay.entries == entries
        replay.forget_tokens()


def test_token_is_new_while_a_slow_call_is_out(pmcd, server, replay):
    """The list of members is refused at once, the status later: no source loses its call to another."""
    def slow(connection, request):
        if "/maintenance/status" in str(request):
            time.sleep(0.2)
        return replay(connection, request)

    server.behaviour = slow
    query = pmcd.query("etcd.cluster.up", *IDENTITY)
    for entries in 1, 2:
        assert query.fetch() == dict(GOOD, **{"etcd.cluster.up": 1}) and replay.entries == entries
        replay.forget_tokens()


def test_tokens_that_end_leave_nothing_behind(pmcd, replay):
    """No thread and no connection for each of them."""
    query = pmcd.query(*IDENTITY)
    for _ in range(2):
        assert query.fetch() == GOOD
        replay.forget_tokens()
    threads, files = pmcd.held("task"), pmcd.held("fd")
    for _ in range(10):
        assert query.fetch() == GOOD
        replay.forget_tokens()
    assert pmcd.held("task") <= threads and pmcd.held("fd") <= files and replay.entries == 12


def test_wrong_password_is_tried_once(pmcd, replay, server):
    replay.users = {USER: "another"}
    query = pmcd.query(*IDENTITY)
    for _ in range(10):
        assert query.fetch() == REFUSED
    assert replay.refusals == 1 and server.requests.count(AUTHENTICATE) == 1
    assert "username or password_file is wrong" in status(pmcd)
    line, = pmcd.messages()
    assert "username or password_file is wrong" in line


def test_password_that_is_put_right_is_taken_at_once(pmcd, replay, password):
    """No minute passes, and nothing is restarted."""
    replay.users = {USER: "brand-new-9"}
    query = pmcd.query(*IDENTITY)
    assert query.fetch() == REFUSED
    write(password, "brand-new-9")
    wait_until(lambda: query.fetch() == GOOD, "the new password", 5)
    assert (replay.refusals, replay.entries) == (1, 1)
    nothing_secret(pmcd, "brand-new-9", PASSWORD)


def test_user_that_is_configured_later_is_taken(directory, server, replay, password):
    with Pmcd(directory, url=server.url, timeout=2) as pmcd:
        query = pmcd.query(*IDENTITY)
        assert query.fetch() == REFUSED
        pmcd.config.write_text(configuration(url=server.url, timeout=2, username=USER, password_file=password))
        assert query.fetch() == GOOD and replay.entries == 1


def test_server_that_says_401_for_ever_is_asked_for_one_token_a_minute(pmcd, server, replay):
    def never(connection, request):
        _, path, _, _ = path_and_token(request)
        return replay(connection, request) if path in (AUTHENTICATE, "/v2/stats/self", "/v2/stats/leader") else (
            answer('{"code":16, "message":"etcdserver: invalid auth token"}', "401 Unauthorized"))

    server.behaviour = never
    query = pmcd.query(*IDENTITY)
    for tokens in 1, 0, 0, 0:
        server.requests.clear()
        assert query.fetch() == REFUSED
        assert server.requests.count(AUTHENTICATE) == tokens and len(server.requests) <= 7
    assert "refuses the token" in status(pmcd)
    assert len(pmcd.messages()) == 1


def test_nothing_secret_is_shown(pmcd, server, replay, directory):
    """Not with debugging on, nor by a server that sends back what it was sent."""
    pmcd.run("pmstore", "-h", pmcd.host, "etcd.control.debug", "1")
    assert pmcd.fetch(*IDENTITY) == GOOD
    token, = replay.tokens
    nothing_secret(pmcd, PASSWORD, token)
    assert AUTHENTICATE in pmcd.agent_log(), "the log has a line for each request"

    def echo(_, request):
        return answer(request, "500 %s" % token)

    for behaviour in echo, lambda _, request: answer(request), lambda _, request: request + b"\r\n\r\n":
        server.behaviour = behaviour
        pmcd.fetch(*IDENTITY, "etcd.up", "etcd.server.has_leader")
        nothing_secret(pmcd, PASSWORD, token)


def test_server_that_is_slow_to_check_a_password_delays_nothing(pmcd, server, replay):
    """Without a quorum a token takes 7 s: other values come as ever."""
    def slow(connection, request):
        if AUTHENTICATE.encode() in request:
            connection.recv(1)
            return None
        return replay(connection, request)

    server.behaviour = slow
    query = pmcd.query("etcd.up", "etcd.server.has_leader", "etcd.id")
    query.fetch()
    begun = time.monotonic()
    for _ in range(5):
        values = query.fetch()
        assert (values["etcd.up"], values["etcd.server.has_leader"]) == (1, 1)
    assert time.monotonic() - begun < 1.25  # 50 ms each
