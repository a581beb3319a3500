# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The HTTP client alone, without pmcd: a complete response by the deadline or a failure in words, whatever comes."""

import gc
import http.client
import json
import os
import socket
import ssl
import threading
import time
import types

import pytest

from support.behaviours import (
    CHUNKED,
    ENDLESS,
    GOOD_SELF,
    HEAD,
    MEGABYTE,
    NO_ANSWER,
    NO_VALUES,
    NOT_A_DOCUMENT,
    NOT_HTTP,
    UNUSABLE,
    clogged,
    drip,
    once,
    then_silent,
)
from support.certificates import self_signed
from support.processes import free_port, wait_until
from support.server import FakeServer, answer, shut_down

PATH = "/v2/stats/self"
TIMEOUT = 0.3
MARGIN = 0.5  # what a busy machine may add to any time
GOOD = answer(GOOD_SELF)


class Asked:
    """A client of the agent, and what it is asked for."""

    def __init__(self, agent, url, tls=None):
        self.agent = agent
        self.client = agent.Client(url, tls)
        self.request = self.client.prepare("GET", PATH)

    def send(self, timeout=10):
        """(status, body) of a response."""
        response = self.client.send(self.request, time.monotonic() + timeout)
        return response.status_code, response.content

    def failure(self, timeout=10):
        """The Failure of a request, in words for people."""
        with pytest.raises(self.agent.Failure) as caught:
            self.send(timeout)
        failure = caught.value
        assert failure.words and failure.words.isprintable() and len(failure.words) <= 200
        return failure

    def is_late(self):
        """Waits for a request that ends at its deadline, neither before nor after it."""
        begun = time.monotonic()
        failure = self.failure(TIMEOUT)
        took = time.monotonic() - begun
        assert failure.kind is self.agent.FailureKind.LATE
        assert TIMEOUT <= took <= TIMEOUT + MARGIN

    def is_good(self):
        """A request gets the answer of a good server."""
        assert self.send() == (200, GOOD_SELF)


@pytest.fixture
def server():
    with FakeServer(GOOD) as fake:
        yield fake


@pytest.fixture
def asked(agent, server):
    """A client that has an open connection to a good server."""
    client = Asked(agent, server.url)
    client.is_good()
    yield client
    client.client.session.close()


def recovers(asked, server):
    """The next request gets a good answer, and no connection but one is left open."""
    server.behaviour = GOOD
    for _ in range(3):
        asked.is_good()
    wait_until(lambda: len(server.open) == 1, "the end of connections", 5)


# ----------------------------------------------------------------- misbehaviour


@pytest.mark.parametrize("case", NO_ANSWER)
def test_no_answer_ends_at_the_deadline(asked, server, case):
    server.behaviour = NO_ANSWER[case]
    asked.is_late()
    recovers(asked, server)


@pytest.mark.parametrize("case", NOT_HTTP)
def test_what_is_not_http_is_a_failure(asked, server, case):
    server.behaviour = NOT_HTTP[case]
    failure = asked.failure()
    assert (failure.kind, failure.status_code) == (asked.agent.FailureKind.UNREACHABLE, None)
    recovers(asked, server)


@pytest.mark.parametrize("case", ENDLESS)
def test_endless_answer_ends(asked, server, case):
    server.behaviour = ENDLESS[case]
    begun = time.monotonic()
    asked.failure(TIMEOUT)
    assert time.monotonic() - begun <= TIMEOUT + MARGIN
    recovers(asked, server)


@pytest.mark.parametrize("case", UNUSABLE)
def test_body_that_cannot_be_taken_is_a_failure_with_a_status(asked, server, case):
    server.behaviour, status = UNUSABLE[case]
    failure = asked.failure()
    assert (failure.kind, failure.status_code) == (asked.agent.FailureKind.UNREACHABLE, status)
    recovers(asked, server)


@pytest.mark.parametrize("case", NO_VALUES)
def test_complete_answer_is_a_response(asked, server, case):
    """Redirects are not followed."""
    server.behaviour, *expected = NO_VALUES[case]
    assert asked.send() == tuple(expected)
    recovers(asked, server)


def test_every_body_is_handed_on(asked, server):
    for case, body in NOT_A_DOCUMENT.items():
        server.behaviour = answer(body)
        assert asked.send() == (200, body), case
    recovers(asked, server)
    assert server.connections == 1


def test_largest_body_is_taken(asked, server):
    for behaviour in (answer(MEGABYTE), CHUNKED + b"100000\r\n" + MEGABYTE + b"\r\n0\r\n\r\n"):
        server.behaviour = behaviour
        assert asked.send() == (200, MEGABYTE)


def test_body_ends_with_the_connection(asked, server):
    server.behaviour = once(HEAD + b"\r\n" + GOOD_SELF)
    asked.is_good()
    recovers(asked, server)


def test_misbehaviour_leaves_no_socket_and_no_memory(asked, server):
    """Each shape that does not wait for the deadline, many times."""
    def held():
        gc.collect()
        return len(os.listdir("/proc/self/fd")) - len(server.open)

    before = held()
    for behaviour in [*NOT_HTTP.values(), *(behaviour for behaviour, _ in UNUSABLE.values())]:
        server.behaviour = behaviour
        for _ in range(3):
            asked.failure()
    recovers(asked, server)
    wait_until(lambda: held() <= before, "the end of sockets", 5)


# ------------------------------------------------------------------ connections


def test_response_is_collected_after_its_connection(agent):
    """Since Python 3.13 an error of close() is then a traceback in the log, one for each answer that was not read."""
    wire = agent.Wire(None)
    reader = agent.Reader(wire)
    response = http.client.HTTPResponse(types.SimpleNamespace(makefile=lambda _: reader))
    wire.close()
    response.close()


def test_connection_is_kept(asked, server):
    for _ in range(100):
        asked.is_good()
    assert server.connections == 1


def test_connection_that_the_server_has_closed_is_replaced(asked, server):
    for _ in range(20):
        server.hang_up()
        asked.is_good()


def test_new_connection_is_told_by_its_first_response(asked, server):
    """Another server may answer then; of the very first connection nothing was known before."""
    def first():
        return asked.client.send(asked.request, time.monotonic() + 10).is_first

    assert [first(), first()] == [False, False]
    server.hang_up()
    assert [first(), first()] == [True, False]


def test_connection_that_closes_as_the_request_comes_is_replaced_once(asked, server):
    used = set()

    def good_once(connection, _):
        if connection in used:
            return None
        used.add(connection)
        return GOOD

    server.behaviour = good_once
    for _ in range(20):
        asked.is_good()
    server.behaviour = lambda *_: None
    before = server.connections
    asked.failure()
    assert server.connections <= before + 1, "a new connection that closes is a failure"


def test_late_request_is_not_sent_again(asked, server):
    """Neither a kept connection nor a new one gives a second chance to a server that hangs."""
    server.behaviour = NO_ANSWER["silent"]
    for _ in range(2):
        before = len(server.requests)
        asked.is_late()
        assert len(server.requests) == before + 1


def test_deadline_that_has_passed_sends_nothing(asked, server):
    before = len(server.requests)
    assert asked.failure(-1).kind is asked.agent.FailureKind.LATE
    assert len(server.requests) == before
    recovers(asked, server)


@pytest.mark.parametrize("surplus", [answer("stale"), b"HTTP/1.1 100 Continue\r\n\r\n", b"x"], ids=repr)
def test_bytes_that_come_unasked_end_the_connection(asked, server, surplus):
    """They are not the answer to the next request."""
    for number in range(20):
        body = str(number).encode()
        server.behaviour = answer(body) + surplus
        assert asked.send() == (200, body)
        if number % 2:
            time.sleep(0.01)  # so that the client may get them with the answer, or after it


@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n",
                                     b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"], ids=repr)
def test_interim_answer_is_no_answer(asked, server, interim):
    """What follows it is the answer to this request, and not to the next."""
    for number in range(10):
        body = str(number).encode()
        server.behaviour = interim * (1 + number % 3) + answer(body)
        assert asked.send() == (200, body)


def test_cookies_are_not_kept(asked, server):
    seen = []

    def remember(_, request):
        seen.append(request)
        return answer(GOOD_SELF, headers=["Set-Cookie: session=1; Path=/"])

    server.behaviour = remember
    for _ in range(3):
        asked.is_good()
    assert len(seen) == 3 and not any(b"ookie" in request for request in seen)


def test_body_of_a_request_is_sent(agent, server):
    seen = []

    def remember(connection, request):
        head, _, body = request.partition(b"\r\n\r\n")
        while len(body) < 9:
            body += connection.recv(100)
        seen.append((head.split(b"\r\n")[0], body))
        return GOOD

    server.behaviour = remember
    asked = Asked(agent, server.url)
    for body in ('{"a": "b"', "Zürich.."):
        asked.request = asked.client.prepare("POST", "/v3/kv/range", body)
        asked.is_good()
    assert seen == [(b"POST /v3/kv/range HTTP/1.1", b'{"a": "b"'), (b"POST /v3/kv/range HTTP/1.1", "Zürich..".encode())]


# -------------------------------------------------------------------- addresses


def addresses(monkeypatch, agent, *ports):
    """Lets a name have several addresses, which are ports here."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(agent.socket, "getaddrinfo", lambda *_, **__: list(found))


def test_refused_connection_is_a_failure(asked, server):
    server.refuse()
    server.hang_up()
    assert asked.failure().words.startswith("Connection refused")
    server.listen()
    recovers(asked, server)


def test_connect_without_answer_ends_at_the_deadline(asked, server):
    with clogged(server):
        asked.is_late()
    server.listen()
    recovers(asked, server)


def test_every_address_is_tried(agent, server, monkeypatch):
    asked = Asked(agent, server.url)
    addresses(monkeypatch, agent, free_port(), free_port(), server.port)
    asked.is_good()


def test_addresses_share_the_time(agent, server, monkeypatch):
    """A connect to the first address gets no answer; the second address is good, and is the first from then on."""
    with FakeServer(GOOD) as dead, clogged(dead):
        asked = Asked(agent, server.url)
        addresses(monkeypatch, agent, dead.port, server.port)
        begun = time.monotonic()
        assert asked.send(2) == (200, GOOD_SELF)
        assert 1 <= time.monotonic() - begun <= 1 + MARGIN
        server.hang_up()
        begun = time.monotonic()
        assert asked.send(2) == (200, GOOD_SELF)
        assert time.monotonic() - begun <= MARGIN


def test_host_without_address_is_a_failure(agent, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(agent.socket, "getaddrinfo", unknown)
    assert "Name or service not known" in Asked(agent, "http://nowhere.invalid:2379").failure().words


def test_unix_socket(agent, directory):
    path = directory / "etcd.sock"
    with socket.socket(socket.AF_UNIX) as listener, FakeServer(GOOD) as server:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=server.accept, args=[listener], daemon=True).start()
        Asked(agent, "unix:%s" % path).is_good()
        shut_down(listener)  # or the thread might accept connections of the next socket with this number


def test_host_header_names_host_and_port(asked, server):
    seen = []
    server.behaviour = lambda _, request: seen.append(request) or GOOD
    asked.is_good()
    assert b"\r\nHost: 127.0.0.1:%d\r\n" % server.port in seen[0]


# -------------------------------------------------------------------------- TLS


def server_tls(pair):
    """How a server shows a certificate."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.cert, pair.key)
    return tls


def client_tls(pki):
    """How a client trusts one authority."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.load_verify_locations(pki.ca.cert)
    return tls


def test_tls(agent, pki):
    with FakeServer(GOOD, tls=server_tls(pki.server)) as server:
        for host in "127.0.0.1", "localhost":
            asked = Asked(agent, "https://%s:%d" % (host, server.port), client_tls(pki))
            for _ in range(5):
                asked.is_good()
        assert server.connections == 2


def test_untrusted_server_is_refused(agent, pki, untrusted):
    for case, (host, pair, words) in untrusted.items():
        with FakeServer(GOOD, tls=server_tls(pair)) as server:
            asked = Asked(agent, "https://%s:%d" % (host, server.port), client_tls(pki))
            for _ in range(3):
                failure = asked.failure()
                assert failure.kind is agent.FailureKind.REFUSED, case
                assert "certificate of the server is not trusted: " + words in failure.words, case
            assert server.requests == [], case


@pytest.fixture(scope="module")
def untrusted(pki):
    """Servers that a client must not trust: host, certificate, and why not."""
    return {
        "expired": ("127.0.0.1", pki.ca.issue("expired", end=-60), "certificate has expired"),
        "not yet valid": ("127.0.0.1", pki.ca.issue("early", begin=3600), "certificate is not yet valid"),
        "wrong address": ("127.0.0.1", pki.ca.issue("address", names="IP:127.0.0.2,DNS:localhost"),
                          "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        "wrong name": ("localhost", pki.ca.issue("name", names="IP:127.0.0.1,DNS:example.org"),
                       "Hostname mismatch, certificate is not valid for 'localhost'"),
        "self-signed": ("127.0.0.1", self_signed(pki.directory, "lone"), "self-signed certificate"),
        "unknown authority": ("127.0.0.1", pki.other.issue("server"), "unable to get local issuer certificate"),
    }


@pytest.mark.parametrize("case", ["silent", "dripping"])
def test_handshake_that_does_not_end_is_late(agent, pki, case):
    """A plain server reads the client's greeting, and says nothing or the beginning of a long record."""
    record = b"\x16\x03\x03\x3f\xff"
    with FakeServer(b"", hello=drip(record, b"\2") if case == "dripping" else then_silent(b"")) as server:
        Asked(agent, "https://127.0.0.1:%d" % server.port, client_tls(pki)).is_late()
        wait_until(lambda: not server.open, "the end of the connection", 5)


@pytest.mark.parametrize("case", ["silent", "silence after half a body", "dripping body"])
def test_no_answer_over_tls_ends_at_the_deadline(agent, pki, case):
    with FakeServer(NO_ANSWER[case], tls=server_tls(pki.server)) as server:
        asked = Asked(agent, server.url, client_tls(pki))
        asked.is_late()
        server.behaviour = GOOD
        asked.is_good()


def test_plain_server_is_no_tls_server(agent, pki, server):
    server.behaviour = once(b"")
    failure = Asked(agent, server.url.replace("http", "https"), client_tls(pki)).failure(1)
    assert failure.kind in (agent.FailureKind.UNREACHABLE, agent.FailureKind.LATE)


def test_tls_server_is_no_plain_server(agent, pki):
    with FakeServer(GOOD, tls=server_tls(pki.server)) as server:
        failure = Asked(agent, server.url.replace("https", "http")).failure()
        assert failure.kind is agent.FailureKind.UNREACHABLE


# ------------------------------------------------------------------- fresh values


def test_no_answer_is_older_than_its_request(asked, server):
    """A server stamps its answers and delays them around the deadline."""
    asks = [0]

    def stamped(_, request):
        asks[0] += 1
        mine = asks[0]
        time.sleep(0.02 * (mine % 5))
        return answer(json.dumps({"asked": mine}))

    server.behaviour = stamped
    answered = 0
    for _ in range(50):
        before = asks[0]
        try:
            _, body = asked.send(0.05)
        except asked.agent.Failure:
            continue
        answered += 1
        assert json.loads(body)["asked"] > before
    assert 10 <= answered < 50
