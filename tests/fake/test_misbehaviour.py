# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever a server does, a fetch is answered in time with errors, values come back, and nothing is left behind.

One shape of misbehaviour of each class; test_client.py has them all.
"""

import json

import pytest

from support.behaviours import (
    GOOD_SELF,
    NO_ANSWER,
    NO_VALUES,
    NOT_A_DOCUMENT,
    NOT_HTTP,
    STATUSES,
    UNUSABLE,
    clogged,
    refuse,
)
from support.documents import GOOD_VALUES, STORE, all_are, good, path_of
from support.server import answer
from support.values import AGAIN
from support.watched import TIMEOUT


def recover(watched, server):
    """Good behaviour from now on, while connections that are still open go on as they were."""
    server.behaviour = good
    watched.recovers()


# ------------------------------------------------------------ classes of answers


@pytest.mark.parametrize("case", ["silent", "silence after half a body", "dripping headers", "dripping body"])
def test_server_gives_no_answer(watched, server, case):
    server.behaviour = NO_ANSWER[case]
    watched.rounds(all_are(AGAIN, 0))
    recover(watched, server)


@pytest.mark.parametrize("case", ["closed", "reset in the body", "truncated body", "not HTTP", "endless headers"])
def test_server_does_not_speak_http(watched, server, case):
    server.behaviour = NOT_HTTP[case]
    watched.rounds(all_are(AGAIN, 0))
    recover(watched, server)


@pytest.mark.parametrize("case", ["endless body", "one endless chunk", "gzip bomb"])
def test_answer_is_too_large(watched, server, case):
    server.behaviour = UNUSABLE[case][0]
    watched.rounds(all_are(AGAIN, 1))
    recover(watched, server)


@pytest.mark.parametrize("case", ["empty", "HTML", "deep lists"])
def test_answer_is_no_document(watched, server, case):
    server.behaviour = answer(NOT_A_DOCUMENT[case])
    watched.rounds(all_are(AGAIN, 1))
    recover(watched, server)


def test_answer_is_a_redirect(watched, server):
    server.behaviour = NO_VALUES["redirect with a good body"][0]
    watched.rounds(all_are(AGAIN, 1))
    recover(watched, server)


@pytest.mark.parametrize("body", [b"", GOOD_SELF], ids=["empty", "with values"])
def test_status_of_an_answer_is_an_error(watched, server, body):
    server.behaviour = answer(body, "404 Not Found")
    watched.fetch()
    watched.remember()  # with the connections that look for the v3 gateway
    for status, failure in STATUSES.items():
        server.behaviour = answer(body, "%d Some Reason" % status)
        assert watched.fetch()[0] == all_are(failure, 1)
    recover(watched, server)


# ----------------------------------------------------------------- connections


def test_connections_are_refused(watched, server):
    refuse(server)
    watched.rounds(all_are(AGAIN, 0))
    server.listen()
    recover(watched, server)


def test_connections_get_no_answer(watched, server):
    with clogged(server):
        watched.rounds(all_are(AGAIN, 0))
    server.listen()
    recover(watched, server)


def test_server_closes_idle_connections(watched, server):
    for _ in range(20):
        server.hang_up()
        assert watched.fetch()[0] == GOOD_VALUES
    watched.leaves_nothing()


def test_server_closes_connections_as_the_request_comes(watched, server):
    """Each takes one request and no more: a client can't see that before it sends."""
    used = set()

    def good_once(connection, request):
        if connection in used:
            return None
        used.add(connection)
        return good(connection, request)

    server.behaviour = good_once
    for _ in range(20):
        assert watched.fetch()[0] == GOOD_VALUES
    assert len(used) > 20
    recover(watched, server)


def test_answer_that_was_not_asked_for_is_no_value(watched, server):
    """A second response on a connection is not the answer to the next request."""
    numbers = []

    def twice(_, request):
        if "store" not in path_of(request):
            return good(_, request)
        numbers.append(len(numbers))
        return answer(json.dumps(dict(STORE, watchers=numbers[-1]))) + answer(json.dumps(dict(STORE, watchers=999)))

    server.behaviour = twice
    for _ in range(20):
        assert watched.fetch()[0]["etcd.store.watchers"] == numbers[-1]
    recover(watched, server)


# ------------------------------------------------------------------ rare fetches


def test_fetches_are_rarer_than_the_timeout(watched, server):
    """A server stays suspect though the request has ended before the next fetch."""
    server.behaviour = NO_ANSWER["silent"]
    watched.rounds(all_are(AGAIN, 0), number=5, pause=TIMEOUT + 0.05)
    recover(watched, server)


def test_fetches_are_rarer_than_connects_that_get_no_answer(watched, server):
    with clogged(server):
        watched.rounds(all_are(AGAIN, 0), number=5, pause=TIMEOUT + 0.05)
    server.listen()
    recover(watched, server)


# -------------------------------------------------------------------- the log


def test_log_has_a_line_for_a_change_and_none_for_a_fetch(watched, server):
    before = len(watched.pmcd.messages())
    refuse(server)
    watched.rounds(all_are(AGAIN, 0), number=200)
    server.listen()
    for _ in range(5):
        recover(watched, server)
    lines = watched.pmcd.messages()[before:]
    assert len(lines) == 2, lines
    assert server.url in lines[0] and "Connection refused" in lines[0]
    assert server.url in lines[1] and lines[1].endswith("answers again")
