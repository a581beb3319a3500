# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels as pmproxy gives them to Prometheus and Grafana."""

import json

import pytest

from support.labels import METRIC, NAMES, labels_of, named
from support.pmcd import Pmcd, logging
from support.pmproxy import pmproxy, redis, series_labels
from support.processes import open_directory, wait_until
from support.server import FakeServer

MEMBERS = {format(number + 16, "x"): name for number, name in enumerate(NAMES.values())}


@pytest.fixture(scope="module")
def pmcd():
    """An agent whose server leads members of odd names."""
    with FakeServer(named(MEMBERS)) as server, open_directory() as directory, Pmcd(directory, url=server.url) as daemon:
        yield daemon


def test_odd_names_in_metrics_for_prometheus(pmcd):
    with pmproxy(pmcd) as proxy:
        assert series_labels(proxy.metrics()) == labels_of(MEMBERS)


def test_series_for_grafana(pmcd):
    """pmproxy 6.0 drops labels of instances of all agents here; an instance's name is its member's id."""
    folder = pmcd.directory / "archives" / "host"
    folder.mkdir(parents=True, exist_ok=True)  # before pmproxy starts, which is slow to see new directories
    with redis(pmcd.directory) as port, pmproxy(pmcd, port) as proxy:
        with logging(pmcd, folder / "20260101", METRIC):
            series, = wait_until(lambda: json.loads(proxy.get("/series/query?expr=" + METRIC)), "the series")
            instances = wait_until(lambda: json.loads(proxy.get("/series/instances?series=" + series)), "instances")
            assert {instance["name"] for instance in instances} == set(MEMBERS)
            for instance in instances:
                labels, = wait_until(
                    lambda id=instance["instance"]: json.loads(proxy.get("/series/labels?series=" + id)), "labels")
                assert labels["labels"]["agent"] == "etcd" and labels["labels"]["indom_name"] == "followers"
