# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Real servers, which tests share and leave as they were."""

import pytest

from support.cluster import Cluster
from support.etcd import Etcd
from support.versions import Servers


@pytest.fixture(scope="session")
def etcd():
    """An etcd with the v2 API."""
    with Etcd() as server:
        yield server


@pytest.fixture(scope="session")
def secure(pki):
    """An etcd over TLS."""
    with pki.etcd(pki.server) as server:
        yield server


@pytest.fixture(scope="session")
def mutual(pki):
    """An etcd over TLS that wants certificates of its clients."""
    with pki.etcd(pki.server, mutual=True) as server:
        yield server


@pytest.fixture(scope="session")
def cluster():
    """Three members of a cluster; tests leave them all running."""
    with Cluster("m0", "m1", "m2") as members:
        yield members


@pytest.fixture(scope="session")
def servers():
    """Servers of all versions, with and without the v2 API and RBAC."""
    with Servers() as started:
        yield started
