# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Real etcd servers of all versions there are, which tests share, and what they do first."""

import contextlib
from base64 import b64encode

import pytest

from support.etcd import Etcd, programs, version_tuple

PASSWORD = "s3cret-of-root"
# for parametrize: (version, whether with the v2 API) of each server
SERVERS = [pytest.param(version, v2, id=version + " v2" * v2) for version in programs() for v2 in (True, False)
           if version_tuple(version) < (3, 6) or not v2]
NEWEST = list(programs())[-1]


def base64(text):
    """A key or value as the v3 gateway takes it."""
    return b64encode(text.encode()).decode()


def traffic(etcd):
    """A little of everything that clients do, so that most families of /metrics have samples."""
    for number in range(5):
        etcd.v3("/kv/put", key=base64("key%d" % number), value=base64("value"))
    etcd.v3("/kv/range", key=base64("key1"))
    etcd.v3("/kv/deleterange", key=base64("key2"))
    etcd.v3("/kv/txn", success=[{"request_put": {"key": base64("a"), "value": base64("b")}},
                                {"request_put": {"key": base64("c"), "value": base64("d")}}])
    etcd.v3("/kv/compaction", revision="3", physical=True)
    lease = etcd.v3("/lease/grant", TTL="600")["ID"]
    etcd.v3("/lease/revoke", ID=lease)
    etcd.request("POST", "/v3/kv/put", "{}")  # InvalidArgument
    etcd.request("POST", "/v3/auth/enable", "{}")  # FailedPrecondition, which is one of the failures
    etcd.request("POST", "/v3/maintenance/snapshot", "{}")
    etcd.v3("/maintenance/defragment")
    for path in ("/livez", "/readyz", "/health"):
        etcd.request("GET", path)


def enable_rbac(etcd):
    """Turns users and passwords on: root, and a user without roles."""
    etcd.v3("/auth/user/add", name="root", password=PASSWORD)
    etcd.v3("/auth/role/add", name="root")
    etcd.v3("/auth/user/grant", user="root", role="root")
    etcd.v3("/auth/user/add", name="plain", password=PASSWORD)
    etcd.v3("/auth/enable")


def token_of(etcd, name="root", password=PASSWORD):
    """A token, which costs an entry of raft."""
    return etcd.v3("/auth/authenticate", name=name, password=password)["token"]


class Servers:
    """Single etcd servers by (version, v2, rbac), each started when first wanted; tests leave them as they were."""

    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.started = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def __call__(self, version, v2, rbac=False):
        if (version, v2, rbac) not in self.started:
            etcd = self.stack.enter_context(Etcd(binary=programs()[version], v2=v2))
            traffic(etcd)
            if rbac:
                enable_rbac(etcd)
            self.started[version, v2, rbac] = etcd
        return self.started[version, v2, rbac]
