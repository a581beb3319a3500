#
# Copyright (c) 2026 The etcd PMDA authors.
#
# This program is free software; you can redistribute it and/or modify it
# under the terms of the GNU General Public License as published by the
# Free Software Foundation; either version 2 of the License, or (at your
# option) any later version.
#
# This program is distributed in the hope that it will be useful, but
# WITHOUT ANY WARRANTY; without even the implied warranty of MERCHANTABILITY
# or FITNESS FOR A PARTICULAR PURPOSE.  See the GNU General Public License
# for more details.
#
"""What all tests share: they run under the Python that has PCP's module, and end what they start."""

import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import certificates  # noqa: E402  (found by the path above)
import harness  # noqa: E402
from cluster import Cluster  # noqa: E402


def pytest_sessionstart():
    """SIGTERM ends the run as Ctrl-C does, with every server that it started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture
def directory():
    """A directory of the test's own that every user may enter, unlike pytest's."""
    path = Path(tempfile.mkdtemp(prefix="pmdaetcd-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def agent():
    """The agent as a module."""
    return harness.load_agent()


@pytest.fixture(scope="module")
def pki():
    """Certificates, and the authorities that have signed them."""
    with certificates.Pki() as files:
        yield files


@pytest.fixture(scope="module")
def mutual(pki):
    """A real etcd that wants certificates of its clients."""
    with pki.etcd(pki.server, mutual=True) as server:
        yield server


@pytest.fixture(scope="module")
def cluster():
    """Three members; tests leave them all running."""
    with Cluster("m0", "m1", "m2") as members:
        yield members


@pytest.fixture(scope="module")
def etcd():
    """A real etcd with the v2 API."""
    with harness.Etcd() as server:
        yield server
