# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a page of /metrics says each metric is, and since when etcd has it, apart from the agent's own catalogue."""

from fractions import Fraction

from support.etcd import version_tuple
from support.rows import ZERO, rows, values_of

# the first versions that have what is younger than 3.4; one of each line of releases that got it as a patch
SINCE = {"server.healthcheck": ["3.4.29", "3.5.11"], "server.apply": ["3.5.0"], "server.range": ["3.6.0"],
         "server.request": ["3.7.0"], "disk.wal_write.": ["3.5.14"], "disk.defrag_inflight": ["3.4.18", "3.5.2"],
         "network.peer.known": ["3.6.0"], "process.network": ["3.6.0"]}


def is_younger(name, version):
    """Whether a metric is younger than a version of etcd, by its name below etcd."""
    since = next((versions for prefix, versions in SINCE.items() if (name + ".").startswith(prefix)), [])
    own = version_tuple(version)
    line = [version_tuple(each) for each in since if version_tuple(each)[:2] == own[:2]]
    return bool(since) and own < max(line or [version_tuple(each) for each in since])


def expected(text):
    """{metric: number, or {instance: number}, or None where the page has nothing} of clusters 5 to 10."""
    found = {"etcd." + name: {} if labels else {None: None} for name, _, labels in rows()}
    found.update(values_of(text))
    values = {name: {instance: rounded(value) for instance, value in each.items()} for name, each in found.items()}
    values = {name: each[None] if None in each else each for name, each in values.items()}
    fill(values)
    return values


def rounded(value):
    """An exact sum as an agent can show it."""
    return float(value) if isinstance(value, Fraction) and value.denominator > 1 else value


def fill(values):
    """Adds the zeros of instances that others of their domain have."""
    peers = {peer for name, value in values.items() if name.startswith(("etcd.network.peer.", "etcd.network.snapshot."))
             and not name.endswith("bucket") for peer in value}
    checks, methods = values["etcd.server.healthcheck.state"], values["etcd.grpc.handled"]
    instances = {"etcd.grpc.failed": methods, "etcd.server.healthcheck.success": checks,
                 "etcd.server.healthcheck.error": checks, **{"etcd." + name: peers for name in ZERO}}
    for name, each in instances.items():
        values[name] = dict(dict.fromkeys(each, 0), **values[name])
