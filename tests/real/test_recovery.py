# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""An etcd that is away and comes back."""

import pytest

from support.documents import all_are
from support.etcd import Etcd
from support.values import AGAIN, Failure
from support.watched import SLACK, watching


@pytest.fixture
def real(directory):
    """An etcd and an agent that watches it."""
    with Etcd() as etcd:
        for agent in watching(directory, etcd.url):
            for _ in range(3):
                check_all_values(agent)
            agent.remember()
            yield etcd, agent


def check_all_values(watched):
    """All values are there, but one that this version of etcd lacks."""
    values, took = watched.fetch()
    assert [name for name, value in values.items() if isinstance(value, Failure)] == ["etcd.version.storage"], values
    assert took <= SLACK


@pytest.mark.parametrize("away, back", [(Etcd.pause, Etcd.resume), (Etcd.kill, Etcd.start)], ids=["stopped", "killed"])
def test_an_etcd_that_is_away_and_comes_back(real, away, back):
    etcd, watched = real
    for _ in range(3):
        away(etcd)
        watched.rounds(all_are(AGAIN, 0), number=20)
        back(etcd)
        etcd.wait()
        check_all_values(watched)
    watched.check_nothing_is_left()
