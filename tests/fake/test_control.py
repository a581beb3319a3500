# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent's metrics about itself, and the two of them that pmstore changes."""

import json
import re
import subprocess
import time

import pytest
from pcp import pmapi

from support.pmcd import Pmcd
from support.processes import wait_until
from support.server import FakeServer, answer
from support.settings import configuration
from support.values import AGAIN, VALUE, Query

SOURCES = ("self", "store", "leader", "version", "members", "metrics", "cluster")
BY_SOURCE = ["etcd.control." + name for name in ("requests", "failures", "timeouts", "time", "bytes", "status",
                                                  "status_code", "age")]
SINGLE = ["etcd.control.url", "etcd.control.timeout", "etcd.control.debug", "etcd.control.config",
          "etcd.control.certificate_time"]
UNASKED = dict.fromkeys(SOURCES, "not asked yet")
SELF = '{"name":"m0","id":"1"}'


class Watched:
    """A private pmcd with the agent, and a client that asks for the agent's own metrics, and only for them."""

    def __init__(self, pmcd):
        self.pmcd = pmcd
        self.context = pmcd.context()
        self.query = Query(self.context, BY_SOURCE + SINGLE)

    def __getitem__(self, name):
        return self.query.fetch()["etcd.control." + name]

    def fetch(self, *names):
        return Query(self.context, names).fetch()

    def store(self, name, value):
        """Whether pmstore took a value."""
        done = subprocess.run(["pmstore", "-h", self.pmcd.host, "etcd.control." + name, value], env=self.pmcd.env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False)
        return done.returncode == 0 and "new value" in done.stdout


@pytest.fixture
def server():
    with FakeServer(answer(SELF)) as fake:
        yield fake


@pytest.fixture
def watched(directory, server):
    with Pmcd(directory, url=server.url, timeout=0.5) as pmcd:
        yield Watched(pmcd)


# ------------------------------------------------------------------- counters


def test_before_the_first_request(watched, server):
    fetched = watched.query.fetch()
    for name in ("requests", "failures", "timeouts", "time", "bytes"):
        assert fetched["etcd.control." + name] == dict.fromkeys(SOURCES, 0)
    assert fetched["etcd.control.status"] == UNASKED
    assert fetched["etcd.control.status_code"] == fetched["etcd.control.age"] == VALUE
    assert fetched["etcd.control.config"] == "ok" and fetched["etcd.control.certificate_time"] == VALUE
    assert fetched["etcd.control.url"] == server.url
    assert fetched["etcd.control.timeout"] == 0.5 and fetched["etcd.control.debug"] == 0
    assert server.connections == 0, "asking for the agent's own metrics asks nobody"


def test_counters_follow_the_requests(watched, server):
    for _ in range(3):
        assert watched.fetch("etcd.name") == {"etcd.name": "m0"}
    watched.fetch("etcd.up")
    assert watched["requests"] == dict(dict.fromkeys(SOURCES, 0), self=3, version=1)
    assert watched["bytes"] == dict(dict.fromkeys(SOURCES, 0), self=3 * len(SELF), version=len(SELF))
    assert watched["failures"] == watched["timeouts"] == dict.fromkeys(SOURCES, 0)
    assert watched["status"] == dict(UNASKED, self="ok", version="ok")
    assert watched["status_code"] == {"self": 200, "version": 200}
    assert 0 < watched["time"]["self"] < 1
    assert len(server.requests) == 4


def test_failures_and_their_reasons(watched, server):
    for behaviour, status, code in [
            (answer("", "503 Service Unavailable"), "HTTP status 503: see the log of etcd", 503),
            (answer("x"), "answer is not JSON; is this the URL of an etcd member?", 200),
            (answer(""), "empty answer", 200)]:
        server.behaviour = behaviour
        before = watched["failures"]["self"]
        assert watched.fetch("etcd.name") == {"etcd.name": AGAIN}
        assert watched["failures"]["self"] == before + 1
        assert watched["status"]["self"] == status and watched["status_code"]["self"] == code
    assert watched["requests"]["self"] == 3 and watched["timeouts"]["self"] == 0
    server.behaviour = answer(SELF)
    watched.fetch("etcd.name")
    assert watched["status"]["self"] == "ok" and watched["failures"]["self"] == 3


def test_member_that_does_not_lead_has_not_failed(watched, server):
    server.behaviour = answer('{"message":"not current leader"}', "403 Forbidden")
    assert watched.fetch("etcd.is_leader") == {"etcd.is_leader": 0}
    assert (watched["failures"]["leader"], watched["status"], watched["status_code"]) == (
        0, dict(UNASKED, leader="ok"), {"leader": 403})


def test_cluster_with_a_member_down_is_that_of_the_url(watched, server):
    """Though it is the member that is down whom all its URLs are asked for last."""
    listed = {"header": {"cluster_id": "9", "member_id": "2"}, "members": [
        {"ID": "1", "name": "m1", "clientURLs": ["http://127.0.0.1:1", "http://127.0.0.2:1"]},
        {"ID": "2", "name": "m2", "clientURLs": [server.url]}]}
    status = {"header": {"cluster_id": "9", "member_id": "2"}, "leader": "2", "version": "3.6.14"}
    server.behaviour = lambda _, request: answer(json.dumps(listed if b"list" in request else status))
    for _ in range(2):
        assert watched.fetch("etcd.cluster.size", "etcd.cluster.up") == {"etcd.cluster.size": 2, "etcd.cluster.up": 1}
        assert (watched["failures"]["cluster"], watched["status"]["cluster"], watched["status_code"]["cluster"]) == (
            0, "ok", 200)


def test_server_that_hangs(watched, server):
    server.behaviour = lambda connection, request: time.sleep(10)
    assert watched.fetch("etcd.name") == {"etcd.name": AGAIN}
    assert watched["timeouts"]["self"] == watched["failures"]["self"] == watched["requests"]["self"] == 1
    assert watched["status"]["self"].startswith("no answer within 0.5 s: raise timeout, or ")
    assert watched["status"] == dict(UNASKED, self=watched["status"]["self"])
    assert watched["status_code"] == VALUE
    wait_until(lambda: watched.fetch("etcd.up") and watched["time"]["self"] > 0.49, "the time of the request", 5)
    assert watched["url"] == server.url and watched.fetch("etcd.up") == {"etcd.up": 0}


def test_server_that_is_dead(watched, server):
    server.refuse()
    server.hang_up()
    assert watched.fetch("etcd.up", "etcd.control.url") == {"etcd.up": 0, "etcd.control.url": server.url}
    assert watched["status"]["version"].startswith("Connection refused")
    assert watched["status_code"] == VALUE
    assert (watched["failures"]["version"], watched["timeouts"]["version"]) == (1, 0)


# --------------------------------------------------------------------- pmstore


def test_timeout_is_from_a_twentieth_of_a_second_to_four_seconds(watched):
    for value in "0.05", "1", "4", "4.0", "1e-1":
        assert watched.store("timeout", value)
        assert watched["timeout"] == float(value)
    for value in "0", "0.049", "4.001", "-1", "nan", "inf", "-inf", "1e300", "", "x", "1s", "0,5":
        assert not watched.store("timeout", value), value
        assert watched["timeout"] == 0.1
    assert "Traceback" not in watched.pmcd.agent_log()


def test_debug_is_0_or_1(watched):
    for value in "2", "-1", "4294967295", "1.5", "x", "yes":
        assert not watched.store("debug", value), value
        assert watched["debug"] == 0
    assert "Traceback" not in watched.pmcd.agent_log()


def test_nothing_else_can_be_stored(watched):
    watched.fetch("etcd.name")
    before = watched.query.fetch()
    for name in "url", "config", "requests", "bytes", "status", "status_code":
        assert not watched.store(name, "1")
        assert watched[name] == before["etcd.control." + name]


@pytest.mark.parametrize("name, other", [("timeout", "debug"), ("debug", "timeout"), ("timeout", "url"),
                                         ("debug", "url"), ("url", "debug")])
def test_value_of_another_type_is_refused(watched, name, other):
    """A client that sends a value of another metric's type, which pmstore never does."""
    pmid, = watched.context.pmLookupName(["etcd.control." + name])
    result = watched.context.pmFetch(watched.context.pmLookupName(["etcd.control." + other]))
    result.contents.vset[0].contents.pmid = pmid
    try:
        with pytest.raises(pmapi.pmErr):
            watched.context.pmStore(result)
    finally:
        watched.context.pmFreeResult(result)
    assert watched["timeout"] == 0.5 and watched["debug"] == 0
    assert "Traceback" not in watched.pmcd.agent_log()


def test_stored_timeout_is_in_force_at_once(watched, server):
    server.behaviour = lambda connection, request: time.sleep(10)
    assert watched.store("timeout", "0.1")
    assert watched.fetch("etcd.name") == {"etcd.name": AGAIN}
    assert watched["status"]["self"].startswith("no answer within 0.1 s: ")


def test_stored_timeout_lasts_until_the_configuration_changes(watched, server):
    assert watched.store("timeout", "2")
    watched.fetch("etcd.name")
    assert watched["timeout"] == 2
    watched.pmcd.config.write_text(configuration(url=server.url, timeout=0.25))
    watched.fetch("etcd.name")
    assert watched["timeout"] == 0.25


def test_debug_logs_each_request_and_nothing_when_off(watched, server):
    watched.fetch("etcd.name")
    quiet = watched.pmcd.agent_log()
    assert watched.store("debug", "1") and watched["debug"] == 1
    watched.fetch("etcd.name")
    watched.fetch("etcd.name", "etcd.id", "etcd.up")
    server.behaviour = answer("", "500 Internal Server Error")
    watched.fetch("etcd.name")
    lines = watched.pmcd.agent_log()[len(quiet):].splitlines()
    requests = [line.partition(": ")[2] for line in lines if "status" in line and " ms" in line]
    assert [re.sub(r"[\d.]+ ms", "T ms", request).strip() for request in requests] == [
        "GET %s/v2/stats/self: status 200, %d bytes, T ms" % (server.url, len(SELF)),
        "GET %s/v2/stats/self: status 200, %d bytes, T ms" % (server.url, len(SELF)),
        "GET %s/version: status 200, %d bytes, T ms" % (server.url, len(SELF)),
        "GET %s/v2/stats/self: status 500, 0 bytes, T ms" % server.url]
    server.behaviour = answer(SELF)
    watched.fetch("etcd.name")
    assert watched.store("debug", "0") and watched["debug"] == 0
    loud = watched.pmcd.agent_log()
    watched.fetch("etcd.name")
    assert watched.pmcd.agent_log() == loud
