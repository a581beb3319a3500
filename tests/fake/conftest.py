# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests with a misbehaving server use: the server, and an agent that watches it, both those of a module."""

import pytest

from support.watched import settle, watching_fake


@pytest.fixture(scope="module")
def running():
    """(server, agent); a module may have one of its own."""
    with watching_fake() as both:
        yield both


@pytest.fixture
def server(running):
    return running[0]


@pytest.fixture
def watched(running):
    """An agent that has got good values from the server."""
    settle(*running)
    return running[1]
