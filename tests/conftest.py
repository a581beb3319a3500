# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of all kinds use. pytest puts the directory of this file into the path, so that they find support/."""

import signal

import pytest

from support.certificates import Pki
from support.processes import open_directory
from support.repository import load_agent


def pytest_sessionstart():
    """SIGTERM ends the run as Ctrl-C does, with every server that it started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture
def directory():
    """A directory of the test's own that every user may enter, unlike pytest's."""
    with open_directory() as path:
        yield path


@pytest.fixture(scope="session")
def agent():
    """The agent as a module."""
    return load_agent()


@pytest.fixture(scope="session")
def pki():
    """Certificates, and the authorities that have signed them."""
    with Pki() as files:
        yield files
