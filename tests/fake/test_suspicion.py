# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""An endpoint that hangs costs the others no value, and a fetch waits for it once: what comes back is seen at once.

Times are far enough from each other that a busy machine can't confuse them.
"""

import contextlib
import json
import threading
import time

import pytest

from support.behaviours import silent
from support.documents import GOOD_VALUES, all_are, endpoint, good, path_of
from support.processes import wait_until
from support.server import answer
from support.values import AGAIN
from support.watched import MARGIN, SUSPECT_WAIT, settle, watching_fake

TIMEOUT = 1.0
ENDPOINTS = ["/v2/stats/self", "/v2/stats/store", "/v2/stats/leader", "/version"]
NAMES = [*GOOD_VALUES, "etcd.is_leader"]
VALUES = dict(GOOD_VALUES, **{"etcd.is_leader": 0})


@pytest.fixture(scope="module")
def running():
    with watching_fake(TIMEOUT) as both:
        yield both


@pytest.fixture
def watched(running):
    """An agent that has got good values from the server."""
    settle(*running)
    wait_until(lambda: running[1].pmcd.fetch(*NAMES) == VALUES, "good values")
    return running[1]


def path_for(name):
    """The endpoint that a metric needs."""
    return "/v2/stats/leader" if name == "etcd.is_leader" else endpoint(name)


def slow(latency, hanging=()):
    """A behaviour: good answers that take their time, none from the endpoints that hang."""
    def behaviour(connection, request):
        if path_of(request) in hanging:
            return silent(connection, request)
        time.sleep(latency)
        return good(connection, request)
    return behaviour


def timed(query):
    """(values, seconds) of a fetch."""
    begun = time.monotonic()
    values = query.fetch()
    return values, time.monotonic() - begun


class Client(threading.Thread):
    """A client that fetches again and again; notes the values of each fetch, and when it began."""

    def __init__(self, pmcd, names, pause):
        super().__init__(daemon=True)
        self.query = pmcd.query(*names)
        self.pause = pause
        self.fetched = []
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(self.pause):
            begun = time.monotonic()
            self.fetched.append((begun, self.query.fetch()))

    def since(self, moment):
        """The values of the fetches that began after a moment."""
        return [values for begun, values in self.fetched if begun > moment]


@contextlib.contextmanager
def clients(pmcd, count, pause, names=NAMES):
    """So many clients at the same time."""
    crowd = [Client(pmcd, names, pause) for _ in range(count)]
    for client in crowd:
        client.start()
    try:
        yield crowd
    finally:
        for client in crowd:
            client.ended.set()
        for client in crowd:
            client.join()


# ---------------------------------------------------------- one endpoint hangs


@pytest.mark.parametrize("path", ENDPOINTS)
def test_endpoint_that_hangs_costs_the_others_nothing(watched, server, path):
    """Whether the others answer at once or take longer than a fetch waits for a suspect; from the first fetch on."""
    query = watched.pmcd.query(*NAMES)
    others = {name: value for name, value in VALUES.items() if path_for(name) != path}
    server.behaviour = slow(0.1, [path])
    for each in range(8):
        values, took = timed(query)
        assert {name: values[name] for name in others} == others, "fetch %d" % each
        assert took <= (TIMEOUT if each == 0 else 0.1) + MARGIN, "fetch %d" % each
    server.behaviour = good
    wait_until(lambda: query.fetch() == VALUES, "good values", TIMEOUT + MARGIN)


def test_order_of_names_changes_no_value(watched, server):
    for names in (["etcd.is_leader", "etcd.up"], ["etcd.up", "etcd.is_leader"]):
        settle(server, watched)
        watched.pmcd.fetch("etcd.is_leader")
        server.behaviour = slow(0.1, ["/v2/stats/leader"])
        assert watched.pmcd.fetch(*names) == {"etcd.up": 1, "etcd.is_leader": AGAIN}


def test_client_of_the_hanging_endpoint_takes_no_value_from_others(watched, server):
    """One client asks for nothing but the endpoint that hangs. Its first fetch gets no answer at all from the server,
    which may cost the others a fetch, and no later one does.
    """
    with clients(watched.pmcd, 1, 0.01, ["etcd.is_leader"]), clients(watched.pmcd, 2, 0.1) as others:
        wait_until(lambda: all(client.fetched for client in others), "fetches")
        server.behaviour = slow(0.1, ["/v2/stats/leader"])
        hanging = time.monotonic()
        time.sleep(3 * TIMEOUT)
    for client in others:
        values = client.since(hanging + TIMEOUT + MARGIN)
        assert len(values) > 3
        for each in values:
            assert dict(each, **{"etcd.is_leader": 0}) == VALUES


# -------------------------------------------------------------- honest latency


@pytest.mark.parametrize("latency", [0.02, 0.2, 0.5])
def test_slow_server_has_values(watched, server, latency):
    server.behaviour = slow(latency)
    query = watched.pmcd.query(*NAMES)
    for _ in range(3):
        values, took = timed(query)
        assert values == VALUES
        assert latency <= took <= latency + MARGIN, "requests are sent one after the other"


def test_fetches_are_faster_than_the_server(watched, server):
    server.behaviour = slow(0.3)
    with clients(watched.pmcd, 3, 0.01) as crowd:
        time.sleep(2)
    for client in crowd:
        assert client.fetched and all(values == VALUES for _, values in client.fetched)


@pytest.mark.parametrize("count, latency", [(1, 0.3), (5, 0.1)])
def test_values_come_back_after_a_blip(watched, server, count, latency):
    """A server that was away for longer than the timeout, and answers slowly before and after."""
    server.behaviour = slow(latency)
    with clients(watched.pmcd, count, 0.2) as crowd:
        wait_until(lambda: all(client.fetched for client in crowd), "fetches")
        server.behaviour = silent
        time.sleep(1.5 * TIMEOUT)
        server.behaviour = slow(latency)
        time.sleep(TIMEOUT + latency + MARGIN)
        back = time.monotonic()
        wait_until(lambda: all(len(client.since(back)) >= 2 for client in crowd), "fetches")
    for client in crowd:
        assert all(values == VALUES for values in client.since(back))


# ---------------------------------------------------------- the server hangs


def test_server_that_hangs_costs_one_timeout(watched, server):
    query = watched.pmcd.query(*NAMES)
    server.behaviour = silent
    expected = dict(all_are(AGAIN, 0), **{"etcd.is_leader": AGAIN})
    values, took = timed(query)
    assert values == expected and took <= TIMEOUT + MARGIN
    asked = len(server.requests)
    begun = time.monotonic()
    rounds = 0
    while time.monotonic() < begun + 2 * TIMEOUT:
        values, took = timed(query)
        assert values == expected and took <= SUSPECT_WAIT + MARGIN
        rounds += 1
        time.sleep(0.02)
    assert rounds > 20
    assert len(server.requests) - asked <= 3 * len(ENDPOINTS), "one request to an endpoint in a timeout"
    server.behaviour = good
    wait_until(lambda: query.fetch() == VALUES, "good values", TIMEOUT + MARGIN)
    watched.leaves_nothing()


def test_endpoint_that_was_not_asked_before_is_suspect_with_its_server(directory):
    """A server that hangs is known by any of its endpoints."""
    with watching_fake(TIMEOUT) as (server, watched):
        server.behaviour = silent
        watched.pmcd.fetch("etcd.name")
        _, took = timed(watched.pmcd.query("etcd.store.watchers", "etcd.up"))
        assert took <= SUSPECT_WAIT + MARGIN


def test_late_answers_are_never_values(watched, server):
    """An answer that comes after its fetch is not the value of a later one."""
    asked = {}
    delay = [TIMEOUT + 0.3]

    def late(_, request):
        path = path_of(request)
        asked[path] = mine = asked.get(path, 0) + 1
        time.sleep(delay[0])
        return answer(json.dumps({"recvAppendRequestCnt": mine, "watchers": mine, "etcdserver": str(mine)}))

    server.behaviour = late
    for each in range(20):
        values, _ = watched.fetch()
        assert set(values.values()) == {AGAIN, 0}, "fetch %d" % each
        time.sleep(0.07)
    delay[0] = 0
    names = ["etcd.recv_append_request", "etcd.store.watchers", "etcd.version.server"]
    query = watched.pmcd.query(*names)
    wait_until(lambda: AGAIN not in query.fetch().values(), "answers in time", TIMEOUT + MARGIN)
    values = query.fetch()
    assert values["etcd.recv_append_request"] == asked["/v2/stats/self"]
    assert values["etcd.store.watchers"] == asked["/v2/stats/store"]
    assert values["etcd.version.server"] == str(asked["/version"])


def test_request_that_no_value_waits_for_ends(watched, server):
    """A client that wants no instance makes the agent ask all the same."""
    server.behaviour = silent
    context = watched.pmcd.context()
    pmids = context.pmLookupName(["etcd.store.success"])
    context.pmDelProfile(context.pmLookupDescs(pmids)[0], [])
    asked = len(server.requests)
    result = context.pmFetch(pmids)
    assert result.contents.get_numval(0) == 0
    context.pmFreeResult(result)
    assert server.requests[asked:] == ["/v2/stats/store"]
    before = len(server.open)
    wait_until(lambda: len(server.open) <= before, "the end of the connection", 5)
    server.behaviour = good
    watched.recovers()
