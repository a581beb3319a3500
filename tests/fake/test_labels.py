# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels of domain, instance domains and instances, as PCP's tools show them, for every odd name of a member."""

import json
import re

import pytest

from support.documents import NOT_FOUND, OPERATIONS
from support.labels import METRIC, NAMES, instance_labels, labels_of, log, named
from support.pmcd import Pmcd
from support.processes import open_directory, wait_until
from support.repository import AGENT
from support.server import FakeServer, answer


@pytest.fixture(scope="module")
def running():
    with FakeServer(named({"a": "m1"})) as server, open_directory() as directory:
        with Pmcd(directory, url=server.url) as pmcd:
            yield server, pmcd


@pytest.fixture
def pmcd(running):
    """The agent, which has last seen a member that leads nobody: it asks for names when it sees other members."""
    server, pmcd = running
    server.behaviour = named({})
    assert pmcd.fetch(METRIC) == {METRIC: {}}
    server.behaviour = named({"a": "m1"})
    server.requests.clear()
    return pmcd


def labels(pmcd):
    """{member id: labels} as pminfo shows them after a fetch."""
    pmcd.fetch(METRIC)
    return instance_labels(pmcd.pminfo("-l", METRIC))


# ---------------------------------------------------------- each level of label


def test_labels_of_domain_instance_domains_and_fixed_instances(pmcd):
    assert '"agent":"etcd"' in pmcd.pminfo("-l", "etcd.name")
    success = pmcd.pminfo("-l", "etcd.store.success")
    assert '"indom_name":"operations"' in success
    assert instance_labels(success) == {name: {"operation": name} for name in OPERATIONS}
    requests = pmcd.pminfo("-l", "etcd.control.requests")
    assert '"indom_name":"sources"' in requests
    assert all(found == {"source": name} for name, found in instance_labels(requests).items())
    assert {"self", "store", "leader", "version", "members"} <= set(instance_labels(requests))
    assert '"indom_name":"followers"' in pmcd.pminfo("-l", METRIC)


def test_labels_are_there_in_the_first_query(directory, server, pmcd):
    with Pmcd(directory, url=server.url) as fresh:
        context = fresh.context()
        indom = context.pmLookupDescs(context.pmLookupName([METRIC]))[0].contents.indom
        assert list(context.pmGetInstancesLabels(indom).values()) == [{"member_id": "a", "member_name": "m1"}]


def test_labels_are_there_after_a_fetch(pmcd):
    query = pmcd.query(METRIC)
    assert query.fetch() == {METRIC: {"a": 1}}
    assert list(query.context.pmGetInstancesLabels(query.descs[0].contents.indom).values()) == [
        {"member_id": "a", "member_name": "m1"}]


# ---------------------------------------------------------------------- names


def test_names_are_asked_for_seldom(pmcd, server):
    query = pmcd.query(METRIC)
    for _ in range(50):
        query.fetch()
    pmcd.pminfo("-l", METRIC)
    assert server.requests.count("/v2/members") == 1


def test_names_are_asked_for_when_members_change(pmcd, server):
    for names in ({"a": "m1"}, {"a": "m1", "b": "m2"}, {"a": "other", "b": "m2", "c": "m3"}, {"c": "m3"}):
        server.behaviour = named(names)
        assert labels(pmcd) == labels_of(names)


def test_name_of_a_member_changes(directory):
    """The agent asks for names now and then: here each second."""
    text = AGENT.read_text()
    assert text.count("NAMES_AGE = 30 ") == 1
    hasty = directory / "hasty.python"
    hasty.write_text(text.replace("NAMES_AGE = 30 ", "NAMES_AGE = 1 "))
    with FakeServer(named({"a": "old"})) as server, Pmcd(directory, agent=hasty, url=server.url) as pmcd:
        context = pmcd.context()
        indom = context.pmLookupDescs(context.pmLookupName([METRIC]))[0].contents.indom

        def seen():
            """The names that a client gets."""
            pmcd.fetch(METRIC)
            return [each["member_name"] for each in context.pmGetInstancesLabels(indom).values()]

        assert seen() == ["old"]
        server.behaviour = named({"a": "new"})
        wait_until(lambda: seen() == ["new"], "the new name", 5)
        log(pmcd, directory / "archive", 1)
        archived = instance_labels(pmcd.run("pminfo", "-a", str(directory / "archive"), "-l", METRIC))
        assert archived == {"a": {"member_id": "a", "member_name": "new"}}


def test_odd_names_in_pminfo_and_in_an_archive(pmcd, server, directory):
    names = {format(number + 16, "x"): name for number, name in enumerate(NAMES.values())}
    server.behaviour = named(names)
    assert labels(pmcd) == labels_of(names)
    log(pmcd, directory / "archive")
    assert instance_labels(pmcd.run("pminfo", "-a", str(directory / "archive"), "-l", METRIC)) == labels_of(names)
    dump = pmcd.run("pmdumplog", "-e", str(directory / "archive"))
    dumped = re.findall(r"InDom 400\.1\[\d+\] labels \(\d+ bytes\): (.*)", dump)
    assert sorted(map(json.loads, dumped), key=str) == sorted(labels_of(names).values(), key=str)
    assert "rror" not in pmcd.agent_log()


def test_text_of_labels_is_for_people(pmcd, server):
    server.behaviour = named({"a": "Zürich 🂡"})
    pmcd.fetch(METRIC)
    assert '"member_name":"Zürich 🂡"' in pmcd.pminfo("-l", METRIC).replace('": "', '":"')


def test_name_that_no_label_can_hold_is_cut(pmcd, server):
    server.behaviour = named({"a": "😀" * 6000, "b": "x" * 100000, "c": "m3"})
    assert labels(pmcd) == labels_of({"a": "😀" * 5000, "b": "x" * 5000, "c": "m3"})
    assert "rror" not in pmcd.agent_log()


UNNAMED = {"no API": NOT_FOUND, "too large": answer("x" * (2 << 20)), "closed": None, "no list": answer("{}"),
           "no names": answer('{"members": [{"id": "b"}, {"id": "c", "name": 7}, null]}')}


@pytest.mark.parametrize("case", UNNAMED)
def test_member_without_a_name_has_its_id(directory, server, pmcd, case):
    leader = named({"b": "m1", "c": "m2"})
    server.behaviour = lambda *asked: UNNAMED[case] if b"members" in asked[1] else leader(*asked)
    with Pmcd(directory, url=server.url) as fresh:
        assert fresh.fetch(METRIC) == {METRIC: {"b": 1, "c": 1}}
        assert labels(fresh) == {"b": {"member_id": "b"}, "c": {"member_id": "c"}}
