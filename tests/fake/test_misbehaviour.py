# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever a server does, every fetch is answered in time, with true values or errors, and costs nothing that lasts."""

import json
import socket
import threading
import time

import pytest
import requests

from support.behaviours import BROKEN_ANSWER, GOOD_SELF, NO_ANSWER, STATUSES, clogged, refuse, silent
from support.documents import BY_OPERATION, GOOD_VALUES, RATES, SELF, STORE, VERSION, all_are, endpoint, good, path_of
from support.literals import LITERALS, NOT_JSON_LITERALS, with_all
from support.processes import wait_until
from support.server import FakeServer, answer
from support.values import AGAIN, APPVERSION, Query, metric_names
from support.watched import ROUNDS, SLACK, TIMEOUT, watching


@pytest.fixture
def server():
    with FakeServer(good) as fake:
        yield fake


@pytest.fixture
def watched(directory, server):
    """An agent that has got good values from the server."""
    for agent in watching(directory, server.url):
        for _ in range(3):
            assert agent.fetch()[0] == GOOD_VALUES
        agent.remember()
        yield agent


def recover(watched, server):
    """Good behaviour from now on, while connections that are still open go on as they were."""
    server.behaviour = good
    values, took = watched.fetch()
    assert values == GOOD_VALUES, "first fetch after recovery"
    assert took <= SLACK
    watched.check_nothing_is_left()


# --------------------------------------------------- no answer, or a broken one


@pytest.mark.parametrize("case", NO_ANSWER)
def test_a_server_that_gives_no_answer(watched, server, case):
    server.behaviour = NO_ANSWER[case]
    watched.rounds(all_are(AGAIN, 0))
    recover(watched, server)


@pytest.mark.parametrize("case", BROKEN_ANSWER)
def test_a_server_that_gives_a_broken_answer(watched, server, case):
    server.behaviour, up = BROKEN_ANSWER[case]
    watched.rounds(all_are(AGAIN, up))
    recover(watched, server)


@pytest.mark.parametrize("body", [b"", GOOD_SELF], ids=["empty", "with values"])
def test_errors_of_http(watched, server, body):
    for status, failure in STATUSES.items():
        server.behaviour = answer(body, "%d Some Reason" % status)
        watched.rounds(all_are(failure, 1), number=3)
        recover(watched, server)


def test_connections_refused(watched, server):
    refuse(server)
    watched.rounds(all_are(AGAIN, 0))
    server.listen()
    recover(watched, server)


def test_connections_that_get_no_answer(watched, server):
    with clogged(server):
        watched.rounds(all_are(AGAIN, 0))
    server.listen()
    recover(watched, server)


def test_a_client_that_is_given_up_tries_no_other_address(agent, server, monkeypatch):
    """Its connect to the first address of two gets no answer, the second one would be good."""
    client = agent.Client(server.url)
    failed = []

    def send():
        try:
            client.send(client.prepare("/version"), TIMEOUT)
        except requests.RequestException as error:
            failed.append(error)

    with FakeServer(good) as other, clogged(server):
        monkeypatch.setattr(client, "addresses", lambda: [(socket.AF_INET, ("127.0.0.1", each.port))
                                                          for each in (server, other)])
        sender = threading.Thread(target=send)
        sender.start()
        wait_until(lambda: client.socket, "the connect")
        client.abort()
        sender.join()
        assert failed and other.connections == 0


def test_idle_connections_that_the_server_closes(watched, server):
    """They are no reason for an error."""
    for _ in range(ROUNDS):
        server.hang_up()
        assert watched.fetch()[0] == GOOD_VALUES
    watched.check_nothing_is_left()


def test_connections_that_the_server_closes_as_the_request_comes(watched, server):
    """Each takes one request and no more: what closes while a request is on its way could not be seen before."""
    used = set()

    def good_once(connection, request):
        if connection in used:
            return None
        used.add(connection)
        return good(connection, request)

    server.behaviour = good_once
    for _ in range(ROUNDS):
        assert watched.fetch()[0] == GOOD_VALUES
    assert len(used) > ROUNDS
    recover(watched, server)


def test_what_a_server_sends_unasked_is_no_answer(watched, server):
    """A second response on a connection is not taken for the answer to the next request."""
    numbers = []

    def twice(_, request):
        if "store" not in path_of(request):
            return good(_, request)
        numbers.append(len(numbers))
        return answer(json.dumps(dict(STORE, watchers=numbers[-1]))) + answer(json.dumps(dict(STORE, watchers=999)))

    server.behaviour = twice
    for _ in range(ROUNDS):
        assert watched.fetch()[0]["etcd.store.watchers"] == numbers[-1]
    recover(watched, server)


# ------------------------------------------------------------------ the deadline


@pytest.mark.parametrize("case", ["silent", "dripping body", "silence after the head"])
def test_fetches_that_are_rarer_than_the_timeout(watched, server, case):
    """A source stays suspect though its request has come to its end before the next fetch."""
    server.behaviour = NO_ANSWER[case]
    watched.rounds(all_are(AGAIN, 0), number=10, pause=TIMEOUT + 0.05)
    recover(watched, server)


def test_connects_without_answer_and_fetches_that_are_rarer_than_the_timeout(watched, server):
    with clogged(server):
        watched.rounds(all_are(AGAIN, 0), number=10, pause=TIMEOUT + 0.05)
    server.listen()
    recover(watched, server)


def slow(_, request):
    """Answers in time, but later than a suspect server is waited for."""
    time.sleep(0.6 * TIMEOUT)
    return good(_, request)


def check_slow(watched, server):
    server.behaviour = slow
    for _ in range(5):
        values, took = watched.fetch()
        assert values == GOOD_VALUES
        assert took <= TIMEOUT
    recover(watched, server)


def test_a_slow_server_has_values(watched, server):
    check_slow(watched, server)


def test_a_slow_server_has_values_again_once_it_has_recovered(watched, server):
    server.behaviour = silent
    watched.rounds(all_are(AGAIN, 0), number=3)
    recover(watched, server)
    check_slow(watched, server)


def test_a_request_that_no_value_waits_for_ends_by_itself(watched, server):
    """A client that wants no instance makes the agent ask, but wait for nothing."""
    server.behaviour = silent
    context = watched.pmcd.context()
    pmids = context.pmLookupName(["etcd.store.success"])
    context.pmDelProfile(context.pmLookupDescs(pmids)[0], [])
    asked = len(server.requests)
    result = context.pmFetch(pmids)
    assert result.contents.get_numval(0) == 0
    context.pmFreeResult(result)
    wait_until(lambda: server.requests[asked:] == ["/v2/stats/store"], "the request", 1)
    before = len(server.open)
    wait_until(lambda: len(server.open) < before, "the end of the connection", 5)
    recover(watched, server)


def test_late_answers_are_never_given(watched, server):
    """An answer that comes after its fetch is not the value of a later fetch."""
    asked = {}
    delay = TIMEOUT + 0.1

    def late(_, request):
        path = path_of(request)
        asked[path] = mine = asked.get(path, 0) + 1
        time.sleep(delay)
        return answer(json.dumps({"recvAppendRequestCnt": mine, "watchers": mine, "etcdserver": str(mine)}))

    server.behaviour = late
    for each in range(10):
        values, _ = watched.fetch()
        assert set(values.values()) == {AGAIN, 0}, "fetch %d" % each
        time.sleep(0.07)
    delay = 0
    values, _ = watched.fetch()
    assert values["etcd.recv_append_request"] == asked["/v2/stats/self"]
    assert values["etcd.store.watchers"] == asked["/v2/stats/store"]
    assert values["etcd.version.server"] == str(asked["/version"])
    recover(watched, server)


@pytest.mark.parametrize("path", ["/v2/stats/self", "/v2/stats/store", "/v2/stats/leader", "/version"])
def test_one_endpoint_that_hangs_costs_the_others_nothing(watched, server, path):
    context = watched.pmcd.context()
    watched.query = Query(context, metric_names(context))
    others = {name: value for name, value in GOOD_VALUES.items() if endpoint(name) != path}

    def hang(connection, request):
        return silent(connection, request) if path_of(request) == path else good(connection, request)

    server.behaviour = hang
    for each in range(10):
        values, took = watched.fetch()
        assert {name: values[name] for name in others} == others, "fetch %d" % each
        assert took <= (SLACK if each else TIMEOUT + SLACK), "fetch %d" % each
    server.behaviour = good
    values, _ = watched.fetch()
    assert {name: values[name] for name in GOOD_VALUES} == GOOD_VALUES


# ---------------------------------------------------------------- wrong values


def check_literals(watched, server, literals, expected):
    for literal in literals:
        server.behaviour = with_all(literal)
        for _ in range(2):
            assert watched.fetch()[0] == expected(literal), "%.40r" % literal
        recover(watched, server)


def test_a_wrong_value_is_an_error_and_never_a_number(watched, server):
    check_literals(watched, server, LITERALS, LITERALS.get)


def test_a_literal_that_is_none_of_json_spoils_the_answer(watched, server):
    check_literals(watched, server, NOT_JSON_LITERALS, lambda _: all_are(AGAIN, 1))


def serve(self=SELF, store=STORE, version=VERSION):
    """A behaviour: these documents instead of the good ones."""
    answers = {path: answer(json.dumps(document)) for path, document in (
        ("/v2/stats/self", self), ("/v2/stats/store", store), ("/version", version))}
    return lambda _, request: answers[path_of(request)]


def test_missing_keys(watched, server):
    """They are what this version of etcd lacks, but an absent rate is 0: etcd leaves that out."""
    server.behaviour = answer("{}")
    watched.rounds(dict(all_are(APPVERSION, 1), **dict.fromkeys(RATES, 0.0)), number=5)
    recover(watched, server)


def test_extra_keys(watched, server):
    extra = {"key%d" % number: [number, {"x": None}] for number in range(10000)}
    server.behaviour = serve(dict(extra, **SELF), dict(extra, **STORE), dict(extra, up=0, **VERSION))
    watched.rounds(GOOD_VALUES, number=5)
    recover(watched, server)


@pytest.mark.parametrize("inner", [None, True, 1, "x", [], [{}], {}], ids=repr)
def test_a_leader_info_of_another_form(watched, server, inner):
    server.behaviour = serve(self=dict(SELF, leaderInfo=inner))
    values, _ = watched.fetch()
    expected = {name: APPVERSION if name.startswith("etcd.leader.") else value for name, value in GOOD_VALUES.items()}
    assert values == expected
    recover(watched, server)


def test_an_instance_with_a_wrong_value_is_left_out(watched, server):
    server.behaviour = serve(store=dict(STORE, setsSuccess="no", getsFail=-1))
    values, _ = watched.fetch()
    for name, operation in (("etcd.store.success", "sets"), ("etcd.store.fail", "gets")):
        expected = dict(BY_OPERATION[name])
        del expected[operation]
        assert values[name] == expected
    recover(watched, server)


# -------------------------------------------------------------------- the log


def test_the_log_has_a_line_for_a_change_and_none_for_a_fetch(watched, server):
    before = len(watched.pmcd.agent_log().splitlines())
    refuse(server)
    watched.rounds(all_are(AGAIN, 0), number=200)
    server.listen()
    for _ in range(5):
        recover(watched, server)
    lines = watched.pmcd.agent_log().splitlines()[before:]
    assert len(lines) == 2, lines
    assert server.url in lines[0] and lines[0].endswith("Connection refused")
    assert server.url in lines[1] and lines[1].endswith("answers again")
