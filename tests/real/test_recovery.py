# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""An etcd that is away has no values, and has them again once it is back."""

import pytest

from support.documents import all_are
from support.etcd import Etcd
from support.processes import wait_until
from support.values import AGAIN, VALUE, Failure, metric_names
from support.watched import MARGIN, TIMEOUT, watching


@pytest.fixture
def running():
    """An etcd and an agent that watches it."""
    with Etcd() as etcd, watching(etcd.url) as watched:
        for _ in range(3):
            assert has_all_values(watched)
        watched.remember()
        yield etcd, watched


def has_all_values(watched):
    """Whether all values are there, but one that this version of etcd lacks."""
    values, took = watched.fetch()
    assert took <= TIMEOUT + MARGIN
    return [name for name, value in values.items() if isinstance(value, Failure)] == ["etcd.version.storage"]


@pytest.mark.parametrize("away, back", [(Etcd.pause, Etcd.resume), (Etcd.kill, Etcd.start)], ids=["stopped", "killed"])
def test_etcd_is_away_and_comes_back(running, away, back):
    etcd, watched = running
    everything = watched.pmcd.query(*metric_names(watched.pmcd.context()))
    everything.fetch()
    watched.remember()
    for _ in range(2):
        away(etcd)
        watched.rounds(all_are(AGAIN, 0))
        check_own_metrics(everything.fetch(), etcd)
        back(etcd)
        etcd.wait()
        wait_until(lambda: has_all_values(watched), "values", TIMEOUT + MARGIN)
    watched.leaves_nothing()


def check_own_metrics(fetched, etcd):
    """The agent's own metrics have values whatever etcd does."""
    own = {name: value for name, value in fetched.items() if name.startswith("etcd.control.")}
    assert own["etcd.control.url"] == etcd.url and own["etcd.control.requests"]["self"] > 0
    failures = {name for name, value in own.items() if isinstance(value, Failure)}
    assert failures <= {"etcd.control.certificate_time", "etcd.control.status_code"}
    assert all(own[name] == VALUE for name in failures)
