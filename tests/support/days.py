# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Days in the life of an etcd member, written as archives of PCP in seconds."""

import functools
import math

import cpmapi as c_api
from pcp import pmi

from support.repository import load_agent

BEGIN = 1767225600  # the start of 2026
MINUTE, HOUR, DAY = 60, 3600, 86400
MEMBERS = ("a1", "b2", "c3")  # ids; c3 leads, b2 is watched
PEERS = ("a1", "c3")
METHODS = ("KV/Range", "KV/Txn", "Lease/LeaseGrant")
SOURCES = ("self", "store", "leader", "version", "members", "metrics", "cluster")
BOUNDS = [0.001 * 2 ** each for each in range(14)]  # seconds, of the buckets of the disk
GIB, MIB = 1 << 30, 1 << 20


def buckets(total, slow):
    """{bound: number up to it} of so many calls, of which slow {seconds: number} took longer than most."""
    found = {format(bound, "g"): total - sum(number for seconds, number in slow.items() if seconds > bound)
             for bound in BOUNDS}
    return dict(found, **{"+Inf": total})


def normal(seconds):
    """{metric: value, or {instance: value}} of what the rules ask for, so long after the start of a normal life."""
    load = 1.5 + math.sin(seconds * 2 * math.pi / DAY)  # less at night
    fsyncs = int(40 * seconds * 1.5)
    return {
        "etcd.up": 1, "etcd.control.config": "ok", "etcd.control.certificate_time": 90 * DAY - seconds,
        "etcd.control.failures": dict.fromkeys(SOURCES, 0),
        "etcd.control.requests": dict.fromkeys(SOURCES, int(seconds / 10) + 1),
        "etcd.cluster.size": 3, "etcd.cluster.up": 3, "etcd.cluster.quorum": 1,
        "etcd.cluster.alarms.nospace": 0, "etcd.cluster.alarms.corrupt": 0,
        "etcd.cluster.member.is_leader": {each: int(each == "c3") for each in MEMBERS},
        "etcd.cluster.member.is_learner": dict.fromkeys(MEMBERS, 0),
        "etcd.cluster.member.raft_index": {each: 7000000 + int(30 * seconds * 1.5) - lag
                                           for each, lag in zip(MEMBERS, (20, 2, 0))},
        "etcd.server.has_leader": 1, "etcd.server.leader_changes": 3 + int(seconds // (6 * HOUR)),
        "etcd.server.proposals.failed": 20 + int(seconds // HOUR), "etcd.server.quota": 2 * GIB,
        "etcd.mvcc.db_size": GIB + int(load * 20 * MIB),
        "etcd.mvcc.db_in_use": int(0.7 * GIB + load * 20 * MIB) + int(seconds % (5 * MINUTE) / 300 * 50 * MIB),
        "etcd.network.peer.send_failures": dict.fromkeys(PEERS, 4),
        "etcd.network.peer.round_trip.count": dict.fromkeys(PEERS, int(seconds / 15)),
        "etcd.network.peer.round_trip.slow": dict.fromkeys(PEERS, int(seconds / 7 / HOUR)),
        "etcd.disk.wal_fsync.bucket": buckets(fsyncs, {0.7: fsyncs // 1000, 3: fsyncs // 5000}),
        "etcd.disk.backend_commit.bucket": buckets(int(10 * seconds), {0.2: int(seconds / 50)}),
        "etcd.grpc.handled": {each: int(number * seconds) for each, number in zip(METHODS, (50, 30, 1))},
        "etcd.grpc.failed": {each: int(number * seconds) for each, number in zip(METHODS, (0.2, 0.1, 0.005))},
    }


@functools.lru_cache(maxsize=None)
def catalogue():
    """{metric: (cluster, row)} of all that the agent has."""
    return {metric.name: (cluster, metric) for cluster in load_agent().CATALOGUE for metric in cluster.metrics}


class Diary:
    """Writes an archive, a record at a time."""

    def __init__(self, path):
        self.log = pmi.pmiLogImport(str(path))
        self.log.pmiSetHostname("etcd-host")
        self.log.pmiSetTimezone("UTC")
        self.rows = catalogue()
        self.instances = {}  # {indom: {name: number}}
        self.known = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.log.pmiEnd()

    def write(self, seconds, values):
        """A record, so many seconds after the beginning; None is no value."""
        for name, value in values.items():
            if value is None:
                continue
            domain = self.introduce(name)
            for instance, each in value.items() if isinstance(value, dict) else [(None, value)]:
                if domain is not None:
                    self.introduce_instance(domain, instance)
                self.log.pmiPutValue(name, instance, str(each))
        self.log.pmiWrite(BEGIN + int(seconds), 0)

    def introduce(self, name):
        """The instance domain of a metric as the archive numbers it, or None; describes the metric at first."""
        cluster, metric = self.rows[name]
        domain = self.log.pmiInDom(400, metric.indom.serial) if metric.indom else None
        if name not in self.known:
            self.known.add(name)
            kind = metric.kind
            self.log.pmiAddMetric(name, self.log.pmiID(400, cluster.number, metric.item), kind.type,
                                  c_api.PM_INDOM_NULL if domain is None else domain, kind.semantics, kind.units)
        return domain

    def introduce_instance(self, domain, name):
        numbers = self.instances.setdefault(domain, {})
        if name not in numbers:
            numbers[name] = len(numbers)
            self.log.pmiAddInstance(domain, name, numbers[name])


def write_days(path, length, change=lambda seconds, values: values, step=10):
    """An archive of normal life, which change(seconds, values) may alter, with a record each `step` seconds."""
    with Diary(path) as diary:
        for seconds in range(0, length + 1, step):
            values = change(seconds, normal(seconds))
            if values:
                diary.write(seconds, values)
    return path
