# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents of a good etcd, and the values that the agent makes of them."""

import json

from support.server import answer

OPERATIONS = ("gets", "sets", "delete", "update", "create", "compareAndSwap", "compareAndDelete")
SELF = {
    "name": "m0", "id": "8e9e05c52164694d", "state": "StateLeader", "startTime": "2026-01-01T00:00:00Z",
    "leaderInfo": {"leader": "8e9e05c52164694d", "uptime": "1m25.5s", "startTime": "2026-01-01T00:00:01Z"},
    "recvAppendRequestCnt": 11, "recvPkgRate": 1.5, "recvBandwidthRate": 2.5,
    "sendAppendRequestCnt": 12, "sendPkgRate": 3.5, "sendBandwidthRate": 4.5}
STORE = {"expireCount": 7, "watchers": 3}
for number, operation in enumerate(OPERATIONS):
    STORE[operation + "Success"] = 100 + number
    STORE[operation + "Fail"] = 200 + number
VERSION = {"etcdserver": "3.6.1", "etcdcluster": "3.6.0", "storage": "3.6.0"}
DOCUMENTS = {"/v2/stats/self": SELF, "/v2/stats/store": STORE, "/version": VERSION}
FOLLOWING = answer('{"message":"not current leader"}', "403 Forbidden")
NOT_FOUND = answer("404 page not found\n", "404 Not Found")
GOOD_ANSWERS = {path: answer(json.dumps(document)) for path, document in DOCUMENTS.items()}
GOOD_ANSWERS["/v2/stats/leader"] = FOLLOWING

STRINGS = {
    "etcd.name": "m0", "etcd.id": "8e9e05c52164694d", "etcd.state": "StateLeader",
    "etcd.start_time": "2026-01-01T00:00:00Z", "etcd.leader.id": "8e9e05c52164694d",
    "etcd.leader.start_time": "2026-01-01T00:00:01Z",
    "etcd.version.server": "3.6.1", "etcd.version.cluster": "3.6.0", "etcd.version.storage": "3.6.0"}
RATES = {
    "etcd.recv_packet_rate": 1.5, "etcd.recv_bandwidth_rate": 2.5,
    "etcd.send_packet_rate": 3.5, "etcd.send_bandwidth_rate": 4.5}
BY_OPERATION = {
    "etcd.store.success": {name: 100 + number for number, name in enumerate(OPERATIONS)},
    "etcd.store.fail": {name: 200 + number for number, name in enumerate(OPERATIONS)}}
COUNTERS = dict(BY_OPERATION, **{
    "etcd.recv_append_request": 11, "etcd.send_append_request": 12, "etcd.store.expire": 7, "etcd.store.watchers": 3})
GOOD_VALUES = dict(STRINGS, **RATES, **COUNTERS, **{"etcd.leader.uptime": 85.5, "etcd.up": 1})


def path_of(request):
    """The path that a request asks for."""
    return request.split()[1].decode()


def endpoint(name):
    """The path where the values of a metric come from."""
    if name.startswith("etcd.store."):
        return "/v2/stats/store"
    return "/version" if name.startswith(("etcd.up", "etcd.version.")) else "/v2/stats/self"


def good(_, request):
    """A behaviour: the answers of a member that follows, 404 where etcd has nothing."""
    return GOOD_ANSWERS.get(path_of(request), NOT_FOUND)


def all_are(failure, up):
    """What a fetch gives where no answer is good."""
    return dict(dict.fromkeys(GOOD_VALUES, failure), **{"etcd.up": up})
