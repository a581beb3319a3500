# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Members that misbehave cost the view of the cluster nothing but their own values, and leave nothing behind."""

import contextlib
import itertools
import json
import re
import ssl
import statistics
import time

import pytest

from support.behaviours import drip, silent
from support.documents import NOT_FOUND, path_of
from support.members import listing, member, status
from support.picture import Pictures
from support.pmcd import Pmcd
from support.processes import open_directory, wait_until
from support.server import FakeServer, answer
from support.values import AGAIN, PERMISSION, VALUE
from support.watched import MARGIN, MEMORY, SUSPECT_WAIT

LIST, STATUS = "/v3/cluster/member/list", "/v3/maintenance/status"
TIMEOUT = 0.5
ROUNDS = 10


class Members:
    """Fake members by id, of which a is the one at url; each answers with a raft index that it gives once.

    urls: {id: URLs} that they advertise, if not their own; heard: {id: the bytes of requests}.
    """

    def __init__(self, *identities, tls=None):
        self.servers = {each: FakeServer(self.behaviour(each), tls=tls if each == "a" else None)
                        for each in identities}
        self.urls = {}
        self.heard = {each: [] for each in identities}
        self.index = itertools.count(1)

    def __enter__(self):
        for server in self.servers.values():
            server.__enter__()
        return self

    def __exit__(self, *_):
        for server in self.servers.values():
            server.__exit__()

    def __getitem__(self, identity):
        return self.servers[identity]

    def behaviour(self, identity):
        """What a good member does."""
        def answers(_, request):
            self.heard[identity].append(request)
            if path_of(request) == LIST:
                return answer(json.dumps(listing(*(
                    member(each, urls=self.urls.get(each, [server.url])) for each, server in self.servers.items()))))
            if path_of(request) == STATUS:
                return answer(json.dumps(status(identity, raftIndex=str(next(self.index)))))
            return NOT_FOUND
        return answers

    def forget(self):
        """Forgets what was asked so far."""
        for server in self.servers.values():
            server.requests.clear()


@contextlib.contextmanager
def viewing(url, timeout=TIMEOUT, **settings):
    """Pictures of an agent that watches a URL."""
    with open_directory() as directory, Pmcd(directory, url=url, timeout=timeout, **settings) as pmcd:
        taken = Pictures(pmcd)
        taken.pmcd = pmcd
        yield taken
        assert "Traceback" not in pmcd.agent_log()


def timed(taken):
    """(values, seconds) of one fetch."""
    begun = time.monotonic()
    return taken.values(), time.monotonic() - begun


@pytest.fixture(scope="module")
def five():
    """Five members and what an agent sees of them, for tests that leave them well."""
    with Members(*"abcde") as members, viewing(members["a"].url) as taken:
        yield members, taken


# ------------------------------------------------------------------ misbehaviour

WAYS = {
    "hangs": silent, "drips headers": drip(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
    "drips its body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" "),
    "answers garbage": b"garbage\r\n\r\n", "answers no JSON": answer("x"), "answers 500": answer("", "500 Oops"),
    "is of another cluster": answer(json.dumps(status("d", cluster="f"))),
    "is another one": answer(json.dumps(status("f"))), "is too large": answer(b" " * (2 << 20)),
    "hangs up": lambda *_: None, "lies": answer(json.dumps(status("d", errors=7, version=[], raftIndex={})))}


@pytest.mark.parametrize("way", WAYS)
def test_member_costs_the_others_nothing(five, way):
    members, taken = five
    wait_until(lambda: taken.values()["up"] == 5, "all members")
    healthy = statistics.median(timed(taken)[1] for _ in range(ROUNDS))
    members["d"].behaviour = WAYS[way]
    members["d"].hang_up()
    seen = [timed(taken) for _ in range(ROUNDS)]
    assert seen[0][1] <= TIMEOUT + MARGIN
    assert sum(took for _, took in seen[1:]) <= ROUNDS * (healthy + SUSPECT_WAIT) + MARGIN
    indexes = {each: [values["member.raft_index"].get(each) for values, _ in seen] for each in "abcde"}
    for each in "abce":
        assert indexes[each] == sorted(set(indexes[each])), "values are fresh and there"
    assert indexes["d"] == [None] * ROUNDS
    for values, _ in seen:
        assert values["member.up"] == {"a": 1, "b": 1, "c": 1, "d": int(way == "lies"), "e": 1}
        assert (values["quorum"], values["leader"], values["size"]) == (1, "a", 5)
    members["d"].behaviour = members.behaviour("d")
    members["d"].hang_up()
    wait_until(lambda: taken.values()["up"] == 5, "the member that is well again", TIMEOUT + MARGIN)


def test_list_that_hangs_is_a_failure_at_the_deadline(five):
    members, taken = five
    wait_until(lambda: taken.values()["up"] == 5, "all members")
    members["a"].behaviour = silent
    members["a"].hang_up()
    first, *later = [timed(taken)[1] for _ in range(ROUNDS)]
    assert first <= TIMEOUT + MARGIN
    assert sum(later) <= ROUNDS * SUSPECT_WAIT + MARGIN
    members["a"].behaviour = members.behaviour("a")
    members["a"].hang_up()
    wait_until(lambda: taken.values()["up"] == 5, "all members", TIMEOUT + MARGIN)


# ----------------------------------------------------------------------- requests


def test_each_member_is_asked_once_a_fetch(five):
    """And the one at url once for the cluster and for itself."""
    members, taken = five
    names = [*taken.query.names, "etcd.state"]
    query = taken.pmcd.query(*names)
    query.fetch()
    wait_until(lambda: query.fetch()["etcd.cluster.up"] == 5, "all members")
    members.forget()
    connections = {each: members[each].connections for each in "abcde"}
    for _ in range(ROUNDS):
        assert query.fetch()["etcd.state"] == "StateLeader"
    for each in "bcde":
        assert members[each].requests == [STATUS] * ROUNDS
    assert sorted(members["a"].requests) == [LIST] * ROUNDS + [STATUS] * ROUNDS
    assert {each: members[each].connections for each in "abcde"} == connections


def test_list_that_fails_once_costs_no_connection(five):
    members, taken = five
    wait_until(lambda: taken.values()["up"] == 5, "all members")
    connections = {each: members[each].connections for each in "abcde"}
    members["a"].behaviour = answer("", "500 Oops")
    for _ in range(3):
        assert taken.values()["size"] == AGAIN
    members["a"].behaviour = members.behaviour("a")
    wait_until(lambda: taken.values()["up"] == 5, "all members")
    assert {each: members[each].connections for each in "abcde"} == connections


def test_url_that_answers_is_remembered(five):
    """The others are asked when it does not; connections that are not needed any more are closed."""
    members, taken = five
    with FakeServer(silent) as hanging, FakeServer(members.behaviour("b")) as second:
        members.urls["b"] = [hanging.url, members["b"].url, second.url]
        for url, others in (members["b"], [hanging, second]), (second, [hanging, members["b"]]):
            wait_until(lambda url=url: taken.values()["member.url"]["b"] == url.url, "the other URL", 5)
            wait_until(lambda: taken.values()["up"] == 5, "all members")
            for other in others:
                wait_until(lambda other=other: taken.values() and not other.open, "the end of connections", 5)
                other.requests.clear()
            times = [timed(taken)[1] for _ in range(ROUNDS)]
            assert not any(other.requests for other in others)
            assert sum(times) <= MARGIN + ROUNDS * SUSPECT_WAIT
            members["b"].refuse()
            members["b"].hang_up()
        members["b"].listen()
    members.urls.clear()
    wait_until(lambda: taken.values()["up"] == 5, "all members", 5)


def test_nobody_is_asked_with_none():
    with Members("a", "b") as members, viewing(members["a"].url, members="none") as taken:
        values = taken.values()
        assert {values[name] for name in values if not name.startswith("member.")} == {VALUE}
        assert [server.connections for server in members.servers.values()] == [0, 0]


# --------------------------------------------------------------------------- users


def wants_token(good):
    """A member with RBAC on, which gives the token t.1."""
    def answers(connection, request):
        if b"/auth/authenticate" in request:
            return answer('{"token":"t.1"}')
        if not re.search(rb"(?i)\r\nauthorization: t\.1\r\n", request):
            good(connection, request)  # notes it
            return answer('{"code":3,"message":"etcdserver: user name is empty"}', "400 Bad Request")
        return good(connection, request)
    return answers


def password_file(directory):
    path = directory / "password"
    path.touch(0o600)
    path.write_text("secret\n")
    return path


def server_tls(pki):
    """The context of an https server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(pki.server.cert), str(pki.server.key))
    return context


def test_token_never_goes_to_plain_http_where_url_is_https(directory, pki):
    with Members("a", "b", tls=server_tls(pki)) as members:
        for each in "ab":
            members[each].behaviour = wants_token(members.behaviour(each))
        with viewing(members["a"].url, ca_file=pki.ca.cert, username="me",
                     password_file=password_file(directory)) as taken:
            for _ in range(3):
                assert taken.values()["member.up"] == {"a": 1, "b": 0}
        assert b"\r\nAuthorization: t.1\r\n" in members.heard["a"][-1]
        assert len(members.heard["b"]) == 3
        assert not [request for request in members.heard["b"] if b"t.1" in request or b"uthorization" in request]
        assert sum("authenticate" in path for path in members["a"].requests) == 1


def test_one_token_is_for_all_members(directory):
    with Members(*"abc") as members:
        for each in "abc":
            members[each].behaviour = wants_token(members.behaviour(each))
        with viewing(members["a"].url, username="me", password_file=password_file(directory)) as taken:
            for _ in range(3):
                assert taken.values()["up"] == 3
        assert [sum("authenticate" in path for path in members[each].requests) for each in "abc"] == [1, 0, 0]


def test_user_without_the_role_root_is_told_so():
    """3.5.28 to 3.5.31 let others have the list alone."""
    with Members("a", "b") as members:
        for each in "ab":
            good = members.behaviour(each)
            members[each].behaviour = lambda connection, request, good=good: good(
                connection, request) if LIST.encode() in request else answer(
                    '{"code":7,"message":"etcdserver: permission denied"}', "403 Forbidden")
        with viewing(members["a"].url) as taken:
            assert taken.values()["size"] == PERMISSION
            said = taken.pmcd.fetch("etcd.control.status")["etcd.control.status"]["cluster"]
            assert said == "HTTP status 403: this version wants a user with the role root"


# -------------------------------------------------------------------------- bounded


def alias(number, port):
    """One of many URLs of a port of 127.0.0.1: glibc takes any number of zeros."""
    zeros = 1 + number % 50, 1 + number // 50 % 50, number // 2500
    return "http://127.%s.%s.%s1:%d" % (*("0" * each for each in zeros), port)


def alias_number(request):
    """The number of the alias that a request was sent to."""
    first, second, third = re.search(rb"Host: 127\.(0+)\.(0+)\.(0*)1", request).groups()
    return len(first) - 1 + 50 * (len(second) - 1) + 2500 * len(third)


def test_list_that_changes_a_thousand_times_leaves_nothing():
    """Members come and go at new URLs, some of which nobody answers."""
    number = itertools.count()

    def behaviour(_, request):
        if path_of(request) == LIST:
            now = next(number)
            return answer(json.dumps(listing(member("a"), *(
                member(format(100 + (3 * now + each) % 20, "x"),
                       urls=[alias(3 * now + each, server.port if each else 1)]) for each in range(3)))))
        return answer(json.dumps(status(format(100 + alias_number(request) % 20, "x"))))

    with FakeServer(behaviour) as server, viewing(server.url) as taken:
        query = taken.pmcd.query("etcd.cluster.size", "etcd.cluster.up")
        for _ in range(50):
            query.fetch()
        held = [taken.pmcd.held(what) for what in ("task", "fd")]
        memory = resident(taken.pmcd)
        seen = [query.fetch() for _ in range(1000)]
        assert {each["etcd.cluster.size"] for each in seen} == {4}
        assert sum(each["etcd.cluster.up"] for each in seen) > 1900
        wait_until(lambda: query.fetch() and all(
            taken.pmcd.held(what) <= before + 4 for what, before in zip(("task", "fd"), held)), "the end", 5)
        assert resident(taken.pmcd) <= memory + MEMORY


def resident(pmcd):
    """Memory of the agent in bytes."""
    with open("/proc/%d/statm" % pmcd.agent_pid(), encoding="ascii") as file:
        return 4096 * int(file.read().split()[1])


def test_no_more_than_64_members_are_asked():
    """Nor more than four URLs of a member."""
    asked = set()

    def behaviour(_, request):
        if path_of(request) == LIST:
            urls = [alias(each, server.port) for each in range(1000, 1009)]
            return answer(json.dumps(listing(member("a", urls=[server.url]), member("b", urls=urls), *(
                member(format(each, "x"), urls=[alias(each, server.port)]) for each in range(100, 200)))))
        asked.add(alias_number(request))
        return answer(json.dumps(status("a")))

    with FakeServer(behaviour) as server, viewing(server.url, timeout=4) as taken:
        values = taken.values()
        assert (values["size"], values["up"]) == (102, 1)
        assert sum(100 <= each < 200 for each in asked) == 62
        assert sum(each >= 1000 for each in asked) == 4
        assert taken.pmcd.held("task") <= 80
