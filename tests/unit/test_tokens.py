# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Users of etcd: a token is asked for where one is wanted, kept, and renewed; a refused password is not tried again."""

import json

import pytest

from support.naming import short
from support.plans import memory_of, run, served_by
from support.replay import VERSIONS, Replay, sample
from support.server import answer

USER, PASSWORD = "monitor", 'hunter2 "ü\\'
USERS = {USER: PASSWORD}
AUTHENTICATE, STATUS, LIST = "/v3/auth/authenticate", "/v3/maintenance/status", "/v3/cluster/member/list"


class Asker:
    """Plans that are run again and again with the memory of one configuration."""

    def __init__(self, agent, server, **settings):
        self.agent = agent
        self.server = server
        self.memory = memory_of(agent, **settings)
        self.memory["config"] = self.memory["config"]._replace(password=agent.Secret(PASSWORD))
        self.memory["no_v2"] = True

    def ask(self, source="leader"):
        """The document of a source. Raises Failure."""
        return run(self.agent, source, self.memory, served_by(self.server))

    def paths(self):
        """What was asked for since the last time."""
        return [path for _, path in self.server.paths()]

    def refusal(self):
        """The Failure of a source that is refused."""
        with pytest.raises(self.agent.Failure) as caught:
            self.ask()
        assert caught.value.kind is self.agent.FailureKind.REFUSED
        return caught.value


@pytest.fixture
def server():
    return Replay("3.6.14", users=USERS)


@pytest.fixture
def asker(agent, server):
    return Asker(agent, server, username=USER)


@pytest.mark.parametrize("version", VERSIONS)
def test_token_is_asked_for_once_and_kept(agent, version):
    asker = Asker(agent, Replay(version, users=USERS), username=USER)
    assert asker.ask("self")["name"] and asker.paths() == [STATUS, LIST, AUTHENTICATE, STATUS, LIST]
    for _ in range(5):
        assert asker.ask()["is_leader"] == 1
    assert asker.paths() == [STATUS] * 5 and asker.server.entries == 1


def test_server_that_wants_none_gets_none(agent):
    """Each token costs etcd an entry of raft."""
    asker = Asker(agent, Replay("3.6.14"), username=USER)
    for _ in range(3):
        assert asker.ask()["is_leader"] == 1
    assert {(path, token) for _, path, token in asker.server.asked} == {(STATUS, "")}


def test_token_is_sent_as_it_came(asker, server):
    """Bearer is known to some versions alone."""
    asker.ask()
    token, = server.tokens
    assert [sent for _, _, sent in server.asked] == ["", "", token]


def test_token_that_ends_is_renewed_within_the_fetch(asker, server):
    """After five minutes without use, or when etcd restarts."""
    asker.ask()
    server.paths()
    for entries in 2, 3:
        server.forget_tokens()
        assert asker.ask()["is_leader"] == 1
        assert asker.paths() == [STATUS, AUTHENTICATE, STATUS] and server.entries == entries
        assert asker.ask()["is_leader"] == 1
        assert asker.paths() == [STATUS] and server.entries == entries


def test_token_that_ends_between_two_calls_is_renewed(asker, server):
    """The list of members is refused, the status is not."""
    refused = []

    def list_refused_once(connection, request):
        if LIST.encode() in request and not refused:
            refused.append(request)
            return sample("3.6.14", "auth_leader_status_as_bad_token")
        return server(connection, request)

    asker.ask()
    asker.server = list_refused_once
    assert asker.ask("self")["name"] == "m1" and len(refused) == 1


def test_without_a_user_no_token_is_asked_for(agent, server):
    asker = Asker(agent, server)
    for _ in range(3):
        assert "set username and password_file" in asker.refusal().words
    assert asker.paths() == [STATUS] * 3


@pytest.mark.parametrize("users", [{USER: "another"}, {}], ids=["wrong password", "unknown user"])
def test_refused_password_is_not_tried_again(agent, users):
    """Each try costs etcd 80 ms and two lines of its log."""
    asker = Asker(agent, Replay("3.6.14", users=users), username=USER)
    for _ in range(20):
        assert "username or password_file is wrong" in asker.refusal().words
    assert asker.server.refusals == 1 and asker.server.entries == 0


def test_refused_password_is_tried_again_after_a_minute(agent, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(agent.time, "monotonic", lambda: now[0])
    assert agent.REFUSED_FOR == 60
    users = {USER: "another"}
    asker = Asker(agent, Replay("3.6.14", users=users), username=USER)
    for wait, refusals in (0, 1), (59.9, 1), (0.2, 2), (59.9, 2):
        now[0] += wait
        asker.refusal()
        assert asker.server.refusals == refusals
    users[USER] = PASSWORD
    now[0] += 0.2
    assert asker.ask()["is_leader"] == 1 and asker.server.refusals == 2


def test_server_that_refuses_its_own_tokens_is_asked_for_one_a_minute(agent, monkeypatch):
    """Each costs etcd an entry of raft; what else is asked goes on, with the last one."""
    now = [1000.0]
    monkeypatch.setattr(agent.time, "monotonic", lambda: now[0])
    server = Replay("3.6.14", users=USERS)
    server.tokens = set.__new__(type("Forgetful", (set,), {"add": lambda *_: None}))
    asker = Asker(agent, server, username=USER)
    for wait, paths in (0, [STATUS, AUTHENTICATE, STATUS]), (30, [STATUS]), (29, [STATUS]), (
            2, [STATUS, AUTHENTICATE, STATUS]), (1, [STATUS]):
        now[0] += wait
        assert "refuses the token" in asker.refusal().words
        assert asker.paths() == paths


@pytest.mark.parametrize("status", ["429 Too Many Requests", "500 Internal Server Error", "503 Service Unavailable"])
def test_trouble_is_no_refusal(agent, server, status):
    """Without a quorum etcd can't give a token: the next fetch tries again."""
    asker = Asker(agent, server, username=USER)

    def troubled(connection, request):
        return answer('{"code":14, "message":"request timed out"}', status) if AUTHENTICATE.encode() in request else (
            server(connection, request))

    asker.server = troubled
    with pytest.raises(agent.Failure) as caught:
        asker.ask()
    assert caught.value.kind is agent.FailureKind.UNREACHABLE
    asker.server = server
    assert asker.ask()["is_leader"] == 1


TOKENS = ["", " ", "a b", "a\r\nX-Injected: 1", "a\n", "\n", "a\0b", "\x7f", "ü", "\u2028", "a" * 8193, None, 5, True,
          ["a"], {}]


@pytest.mark.parametrize("token", TOKENS, ids=short)
def test_token_that_no_header_can_hold_is_refused(agent, server, token):
    """Nor is it tried again at once, and the message does not show it."""
    asker = Asker(agent, server, username=USER)
    given = []

    def odd(connection, request):
        if AUTHENTICATE.encode() not in request:
            return server(connection, request)
        given.append(request)
        return answer(json.dumps({"token": token}))

    asker.server = odd
    for _ in range(2):
        assert asker.refusal().words == "answer to username and password is no token"
    assert len(given) == 1 and not any(sent for _, _, sent in server.asked)


@pytest.mark.parametrize("token", ["x", "GyNkwZCnZFyulBZm.19", "eyJhbGciOi.J9-_~+/=", "a" * 8192], ids=short)
def test_token_of_any_kind_is_taken(agent, server, token):
    """Simple ones and JSON web tokens."""
    asker = Asker(agent, server, username=USER)
    server.tokens.add(token)
    asker.server = lambda connection, request: (
        answer(json.dumps({"token": token})) if AUTHENTICATE.encode() in request else server(connection, request))
    assert asker.ask()["is_leader"] == 1


def test_certificate_with_a_common_name_is_not_called_a_wrong_password(agent):
    """etcd then refuses whatever comes, and the message says what to do; nothing is tried again."""
    asker = Asker(agent, Replay("3.6.14", users=USERS, common_name=True), username=USER)
    for _ in range(3):
        assert "client certificate with a CN" in asker.refusal().words
    assert asker.paths() == [STATUS] * 3


def test_user_without_the_role_is_told_so(agent, server):
    """As 3.6.0 to 3.6.11 answer a user without roles, by the documented shape of a refusal."""
    asker = Asker(agent, server, username=USER)

    def denied(connection, request):
        reply = server(connection, request)
        return answer('{"code":7, "message":"etcdserver: permission denied"}', "403 Forbidden") if (
            b" 200 " in reply[:20] and STATUS.encode() in request) else reply

    asker.server = denied
    assert "wants a user with the role root" in asker.refusal().words
    assert asker.refusal() and server.entries == 1


def test_secret_shows_in_no_message(agent, asker):
    calls = []
    reply_to = served_by(asker.server)
    run(agent, "leader", asker.memory, lambda call: calls.append(call) or reply_to(call))
    assert PASSWORD in json.loads(calls[1].body).values() and "hunter2" not in repr(calls)
    for secret in asker.memory["token"], asker.memory["config"].password:
        assert isinstance(secret, agent.Secret) and repr(secret) == "***"
    shown = repr(asker.memory)
    assert PASSWORD not in shown and "hunter2" not in shown and str(asker.memory["token"]) not in shown
    call = agent.Call("/v3/auth/authenticate", "POST", agent.Secret("body"), token=asker.memory["token"])
    assert "body'" not in repr(call) and str(asker.memory["token"]) not in repr(call)
