# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Against real etcd servers: every value is what the endpoints say at that moment."""

import contextlib
import re
import threading

import pytest

from support.cluster import Cluster
from support.documents import OPERATIONS, RATES
from support.etcd import Etcd, programs
from support.pmcd import Pmcd
from support.processes import wait_until
from support.values import AGAIN, APPVERSION, Failure, Query

UNITS = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
NAMES = list(RATES) + [
    "etcd.name", "etcd.id", "etcd.state", "etcd.recv_append_request", "etcd.send_append_request", "etcd.start_time",
    "etcd.leader.id", "etcd.leader.uptime", "etcd.leader.start_time",
    "etcd.store.success", "etcd.store.fail", "etcd.store.expire", "etcd.store.watchers",
    "etcd.up", "etcd.version.server", "etcd.version.cluster", "etcd.version.storage"]


def endpoints(etcd):
    """The values of all metrics, but the leader's uptime, as the endpoints have them now."""
    own, store, version = etcd.json("/v2/stats/self"), etcd.json("/v2/stats/store"), etcd.json("/version")
    return {
        "etcd.name": own["name"], "etcd.id": own["id"], "etcd.state": own["state"], "etcd.start_time": own["startTime"],
        "etcd.recv_append_request": own["recvAppendRequestCnt"],
        "etcd.send_append_request": own["sendAppendRequestCnt"],
        "etcd.leader.id": own["leaderInfo"]["leader"], "etcd.leader.start_time": own["leaderInfo"]["startTime"],
        "etcd.recv_packet_rate": own.get("recvPkgRate", 0), "etcd.recv_bandwidth_rate": own.get("recvBandwidthRate", 0),
        "etcd.send_packet_rate": own.get("sendPkgRate", 0), "etcd.send_bandwidth_rate": own.get("sendBandwidthRate", 0),
        "etcd.store.success": {name: store[name + "Success"] for name in OPERATIONS},
        "etcd.store.fail": {name: store[name + "Fail"] for name in OPERATIONS},
        "etcd.store.expire": store["expireCount"], "etcd.store.watchers": store["watchers"],
        "etcd.up": 1, "etcd.version.server": version["etcdserver"], "etcd.version.cluster": version["etcdcluster"],
        "etcd.version.storage": version.get("storage", APPVERSION)}


def leader_uptime(etcd):
    """How long, in seconds, the member has known its leader, as it says itself."""
    written = etcd.json("/v2/stats/self")["leaderInfo"]["uptime"]
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)([a-zµ]+)", written))


class Compared:
    """An etcd, and the agent's values of it."""

    def __init__(self, etcd, pmcd):
        self.etcd = etcd
        self.query = Query(pmcd.context(), NAMES)

    def values(self):
        """The agent's values, after making sure that the endpoints say the same."""
        earliest = leader_uptime(self.etcd)
        values = self.query.fetch()
        assert earliest <= values["etcd.leader.uptime"] <= leader_uptime(self.etcd)
        assert {name: value for name, value in values.items() if name != "etcd.leader.uptime"} == endpoints(self.etcd)
        return values

    def moved(self, *request, status):
        """What a request to the keys API adds to the counters: {(metric, operation): by how much}."""
        before = self.values()
        assert self.etcd.request(*request)[0] == status
        after = self.values()
        return {(name, operation): after["etcd.store." + name][operation] - before["etcd.store." + name][operation]
                for name in ("success", "fail") for operation in OPERATIONS
                if after["etcd.store." + name][operation] != before["etcd.store." + name][operation]}


@contextlib.contextmanager
def comparing(etcd, directory):
    with Pmcd(directory, url=etcd.url) as pmcd:
        yield Compared(etcd, pmcd)


@pytest.fixture
def compared(etcd, directory):
    with comparing(etcd, directory) as both:
        yield both


# The requests in their order, the status of the answer, and what they add to the counters beside one failed get: etcd
# looks in vain whether authentication is on. It also counts a failed comparison before a delete as a success.
ONE_FAILED_GET = {("fail", "gets"): 1}
REQUESTS = [
    ("PUT", "/v2/keys/a", "value=1", 201, ("success", "sets")),
    ("PUT", "/v2/keys/a", "value=2", 200, ("success", "sets")),
    ("GET", "/v2/keys/a", None, 200, ("success", "gets")),
    ("GET", "/v2/keys/none", None, 404, ("fail", "gets")),
    ("GET", "/v2/keys/a?quorum=true", None, 200, ("success", "gets")),
    ("PUT", "/v2/keys/a?prevExist=true", "value=3", 200, ("success", "update")),
    ("PUT", "/v2/keys/none?prevExist=true", "value=3", 404, ("fail", "update")),
    ("PUT", "/v2/keys/b?prevExist=false", "value=1", 201, ("success", "create")),
    ("PUT", "/v2/keys/b?prevExist=false", "value=1", 412, ("fail", "create")),
    ("POST", "/v2/keys/queue", "value=job", 201, ("success", "create")),
    ("PUT", "/v2/keys/a?prevValue=3", "value=4", 200, ("success", "compareAndSwap")),
    ("PUT", "/v2/keys/a?prevValue=3", "value=5", 412, ("fail", "compareAndSwap")),
    ("PUT", "/v2/keys/queue", "value=1", 403, ("fail", "sets")),
    ("DELETE", "/v2/keys/b?prevValue=2", None, 412, ("success", "compareAndDelete")),
    ("DELETE", "/v2/keys/b?prevValue=1", None, 200, ("success", "compareAndDelete")),
    ("DELETE", "/v2/keys/b", None, 404, ("fail", "delete")),
    ("DELETE", "/v2/keys/a", None, 200, ("success", "delete")),
    ("DELETE", "/v2/keys/queue", None, 403, ("fail", "delete")),
    ("DELETE", "/v2/keys/queue?recursive=true", None, 200, ("success", "delete")),
]


def test_each_kind_of_operation_moves_its_counter(compared):
    for method, path, form, status, counter in REQUESTS:
        added = compared.moved(method, path, form, status=status)
        expected = dict(ONE_FAILED_GET)
        expected[counter] = expected.get(counter, 0) + 1
        assert added == expected, (method, path)


def test_reading_the_statistics_moves_nothing(compared):
    before = compared.values()
    for _ in range(20):
        after = compared.values()
    assert {name: value for name, value in after.items() if name != "etcd.leader.uptime"} == {
        name: value for name, value in before.items() if name != "etcd.leader.uptime"}


def test_expiring_key(compared):
    before = compared.values()["etcd.store.expire"]
    assert compared.etcd.request("PUT", "/v2/keys/brief", "value=1&ttl=1")[0] == 201
    wait_until(lambda: compared.query.fetch()["etcd.store.expire"] == before + 1, "the end of the key")
    compared.values()


def test_waiting_for_a_key(compared):
    assert compared.values()["etcd.store.watchers"] == 0
    answers = []

    def watch():
        answers.append(compared.etcd.request("GET", "/v2/keys/awaited?wait=true"))

    watchers = [threading.Thread(target=watch) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    wait_until(lambda: compared.query.fetch()["etcd.store.watchers"] == 3, "three watchers")
    compared.values()
    compared.etcd.request("PUT", "/v2/keys/awaited", "value=1")
    for watcher in watchers:
        watcher.join()
    assert [status for status, _ in answers] == [200] * 3
    wait_until(lambda: compared.query.fetch()["etcd.store.watchers"] == 0, "no watchers")
    compared.values()


def test_v3_api_moves_no_counter(compared):
    before = compared.values()
    assert compared.etcd.request("POST", "/v3/kv/put", '{"key": "YQ==", "value": "Yg=="}')[0] == 200
    assert compared.values()["etcd.store.success"] == before["etcd.store.success"]


def test_restart_resets_the_counters(directory):
    with Etcd() as etcd, comparing(etcd, directory) as compared:
        for _ in range(50):
            etcd.request("PUT", "/v2/keys/none?prevExist=true", "value=1")
        before = compared.values()
        assert before["etcd.store.fail"]["gets"] >= 50
        etcd.stop()
        down = compared.query.fetch()
        assert down.pop("etcd.up") == 0
        assert set(down.values()) == {AGAIN}
        etcd.start()
        after = compared.values()
        assert after["etcd.store.fail"]["gets"] < before["etcd.store.fail"]["gets"]
        assert after["etcd.id"] == before["etcd.id"]
        assert after["etcd.start_time"] > before["etcd.start_time"]


def test_etcd_that_starts_after_the_agent(directory):
    with Etcd() as etcd:
        etcd.kill()
        with comparing(etcd, directory) as compared:
            values = compared.query.fetch()
            assert values.pop("etcd.up") == 0
            assert set(values.values()) == {AGAIN}
            etcd.start()
            compared.values()


@pytest.mark.parametrize("version", programs())
def test_each_version_with_the_v2_api(directory, servers, version):
    with comparing(servers(version, v2=True), directory) as compared:
        compared.etcd.request("PUT", "/v2/keys/a", "value=1")
        assert compared.values()["etcd.version.server"] == version


def settled(member):
    """What the endpoints say once the last appends are through, without the rates, which change by themselves."""
    def twice_the_same():
        first, second = endpoints(member), endpoints(member)
        return first == second and first

    values = wait_until(twice_the_same, "an idle cluster")
    return {name: value for name, value in values.items() if name not in RATES}


def test_cluster(directory):
    """On each of three members, of which the leader sends and the followers receive."""
    with Cluster("m0", "m1", "m2") as cluster, contextlib.ExitStack() as stack:
        leader = cluster.leader()
        compared = {}
        for name, member in cluster.members.items():
            own = directory / name
            own.mkdir()
            compared[name] = stack.enter_context(comparing(member, own)).query
        for number in range(20):
            cluster[leader].request("PUT", "/v2/keys/a", "value=%d" % number)
        for name, member in cluster.members.items():
            said = settled(member)
            values = compared[name].fetch()
            assert {each: values[each] for each in said} == said
            assert (values["etcd.send_append_request"] >= 20) == (name == leader)
            assert (values["etcd.recv_append_request"] >= 20) == (name != leader)
            assert values["etcd.leader.id"] == compared[leader].fetch()["etcd.id"]
        # while the cluster is written to, the leader has rates of sending and the followers of receiving
        for name, query in compared.items():
            wait_for_rates(cluster[leader], query, "send" if name == leader else "recv")


def wait_for_rates(writer, query, direction):
    def rates():
        writer.request("PUT", "/v2/keys/a", "value=1")
        values = query.fetch()
        numbers = [values["etcd.%s_%s_rate" % (direction, what)] for what in ("packet", "bandwidth")]
        # between two messages etcd may answer nothing at all
        return not any(isinstance(number, Failure) for number in numbers) and min(numbers) > 0

    wait_until(rates, "rates")
