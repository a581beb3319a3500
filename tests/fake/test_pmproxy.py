# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels as pmproxy gives them to Prometheus and Grafana."""

import json

import pytest

from support.labels import METRIC, NAMES, labels_of, named
from support.pmcd import Pmcd, logging
from support.pmproxy import pmproxy, redis, series_labels
from support.processes import wait_until
from support.server import FakeServer


@pytest.fixture
def server():
    with FakeServer(named({"a": "m1"})) as fake:
        yield fake


@pytest.fixture
def pmcd(directory, server):
    with Pmcd(directory, url=server.url) as daemon:
        yield daemon


def test_an_odd_name_in_metrics_of_pmproxy(pmcd, server):
    names = {format(number + 16, "x"): name for number, name in enumerate(NAMES.values())}
    server.behaviour = named(names)
    with pmproxy(pmcd) as proxy:
        assert series_labels(proxy.metrics()) == labels_of(names)


def test_series_of_pmproxy(pmcd, server, directory):
    """pmproxy 6.0 drops labels of instances of all agents here; an instance's name is its member's id."""
    names = {format(number + 16, "x"): name for number, name in enumerate(NAMES.values())}
    server.behaviour = named(names)
    with redis(directory) as port, pmproxy(pmcd, port) as proxy:
        folder = proxy.archives / "host"
        folder.mkdir()
        with logging(pmcd, folder / "20260101", METRIC):
            series, = wait_until(lambda: json.loads(proxy.get("/series/query?expr=" + METRIC)), "the series")
            instances = wait_until(lambda: json.loads(proxy.get("/series/instances?series=" + series)),
                                           "the instances")
            assert {instance["name"] for instance in instances} == set(names)
            for instance in instances:
                labels, = wait_until(
                    lambda id=instance["instance"]: json.loads(proxy.get("/series/labels?series=" + id)), "labels")
                assert labels["labels"]["agent"] == "etcd" and labels["labels"]["indom_name"] == "followers"
