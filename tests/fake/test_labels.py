# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels of domain, instance domains and instances, as PCP's tools show them, for every odd name of a member."""

import json
import re

import pytest

from support.documents import OPERATIONS
from support.labels import METRIC, NAMES, instance_labels, labels_of, log, named
from support.pmcd import Pmcd
from support.server import FakeServer, answer
from support.values import Query


@pytest.fixture
def server():
    with FakeServer(named({"a": "m1"})) as fake:
        yield fake


@pytest.fixture
def pmcd(directory, server):
    with Pmcd(directory, url=server.url) as daemon:
        yield daemon


# ---------------------------------------------------------- each level of label


def test_labels_of_domain_instance_domains_and_fixed_instances(pmcd, server):
    assert '"agent":"etcd"' in pmcd.pminfo("-l", "etcd.name")
    success = pmcd.pminfo("-l", "etcd.store.success")
    assert '"indom_name":"operations"' in success
    assert instance_labels(success) == {name: {"operation": name} for name in OPERATIONS}
    requests = pmcd.pminfo("-l", "etcd.control.requests")
    assert '"indom_name":"sources"' in requests
    assert all(labels == {"source": name} for name, labels in instance_labels(requests).items())
    assert {"self", "store", "leader", "version", "members"} == set(instance_labels(requests))
    assert '"indom_name":"followers"' in pmcd.pminfo("-l", METRIC)


def test_labels_are_there_in_the_first_query(pmcd):
    context = pmcd.context()
    indom = context.pmLookupDescs(context.pmLookupName([METRIC]))[0].contents.indom
    assert list(context.pmGetInstancesLabels(indom).values()) == [{"member_id": "a", "member_name": "m1"}]


def test_labels_are_there_after_a_fetch(pmcd):
    context = pmcd.context()
    query = Query(context, [METRIC])
    assert query.fetch() == {METRIC: {"a": 1}}
    assert list(context.pmGetInstancesLabels(query.descs[0].contents.indom).values()) == [
        {"member_id": "a", "member_name": "m1"}]


def test_names_are_asked_for_seldom(pmcd, server):
    query = Query(pmcd.context(), [METRIC])
    for _ in range(50):
        query.fetch()
        pmcd.pminfo("-l", METRIC)
    assert server.requests.count("/v2/members") == 1


# ------------------------------------------------------------------ odd names


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_an_odd_name_in_pminfo_and_in_an_archive(pmcd, server, directory, name):
    names = {"a": name, "b": "m2"}
    server.behaviour = named(names)
    assert instance_labels(pmcd.pminfo("-l", METRIC)) == labels_of(names)
    log(pmcd, directory / "archive")
    assert instance_labels(pmcd.run("pminfo", "-a", str(directory / "archive"), "-l", METRIC)) == labels_of(names)
    dump = pmcd.run("pmdumplog", "-e", str(directory / "archive"))
    dumped = re.findall(r"InDom 400\.1\[\d+\] labels \(\d+ bytes\): (.*)", dump)
    assert [json.loads(labels) for labels in dumped] == list(labels_of(names).values())
    assert "rror" not in pmcd.agent_log()


@pytest.mark.parametrize("members", [
    [], None, {}, "x", [None], [1], [[]], [{}], [{"id": "a"}], [{"id": "a", "name": None}], [{"id": "a", "name": 7}],
    [{"id": 10, "name": "m1"}], [{"name": "m1"}], [{"id": "a", "name": ""}]], ids=json.dumps)
def test_a_member_without_a_name_has_its_id(pmcd, server, members):
    leader = named({"a": ""})
    server.behaviour = lambda connection, request: answer(json.dumps({"members": members})) \
        if b"members" in request else leader(connection, request)
    assert instance_labels(pmcd.pminfo("-l", METRIC)) == {"a": {"member_id": "a"}}
    assert "Traceback" not in pmcd.agent_log()


def test_a_name_that_no_label_can_hold_is_cut(pmcd, server):
    server.behaviour = named({"a": "😀" * 6000, "b": "x" * 100000, "c": "m3"})
    labels = instance_labels(pmcd.pminfo("-l", METRIC))
    assert labels["a"] == {"member_id": "a", "member_name": "😀" * 5000}
    assert labels["b"] == {"member_id": "b", "member_name": "x" * 5000}
    assert labels["c"] == {"member_id": "c", "member_name": "m3"}
    assert "rror" not in pmcd.agent_log()


def test_without_the_list_of_members_ids_are_labels(pmcd, server):
    leader = named({"a": "m1"})
    for failure in (answer("", "404 Not Found"), answer("x" * (2 << 20)), None):
        server.behaviour = lambda connection, request, reply=failure: (
            reply if b"members" in request else leader(connection, request))
        assert Query(pmcd.context(), [METRIC]).fetch() == {METRIC: {"a": 1}}
        assert instance_labels(pmcd.pminfo("-l", METRIC)) == {"a": {"member_id": "a"}}
