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
"""Labels of domain, instance domains and instances, as PCP's tools show them, for every odd name of a member."""

import contextlib
import getpass
import http.client
import json
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from pcp import pmapi

import harness
from behaviours import OPERATIONS

NAMES = {
    "plain": "m1",
    "quotes": "a\"b'c`d\"",
    "backslashes": "a\\b\\\\\"c\\n\\u0041\\",
    "control characters": "tab\t line\n return\r escape\x1b one\x01 delete\x7f next\x85",
    "spaces": "  a  b ",
    "only spaces": "   ",
    "nul": "a\0b",
    "5000 characters": "m" * 5000,
    "5000 quotes": "\"" * 5000,
    "umlauts": "Zürich 北京",
    "5000 umlauts": "ü" * 5000,
    "emoji": "🂡 😀",
    "5000 emoji": "😀" * 5000,
    "lone surrogate": "a\ud800b\udfff",
    "separators": "a\u2028b\u2029",
    "json": '{"member_id":"7"}',
    "prometheus": 'x"} 7\nother{a="b',
    "format": "%s%n{}$(id)`id`",
    "markup": "</script><b>&amp;",
    "as on etcd's command line": "m1=http://127.0.0.1:2380,m2",
}
METRIC = "etcd.follower.success"


def named(names):
    """The answers of a member that leads members of these names by id, its own name among those of /v2/members."""
    followers = {id: {"latency": {}, "counts": {"success": 1, "fail": 0}} for id in names}
    members = [{"id": id, "name": name, "peerURLs": [], "clientURLs": []} for id, name in dict(names, f="me").items()]
    leader = harness.answer(json.dumps({"leader": "f", "followers": followers}))
    members = harness.answer(json.dumps({"members": members}))
    store = harness.answer(json.dumps({operation + "Success": 1 for operation in OPERATIONS}))
    return lambda _, request: leader if b"stats/leader" in request else members if b"members" in request else store


def labels_of(names):
    """The labels of followers of these names, by instance name."""
    return {id: dict({"member_id": id}, **{"member_name": name} if name else {}) for id, name in names.items()}


@pytest.fixture
def server():
    with harness.FakeServer(named({"a": "m1"})) as fake:
        yield fake


@pytest.fixture
def pmcd(directory, server):
    with harness.Pmcd(directory, url=server.url) as daemon:
        yield daemon


def instance_labels(output):
    """{instance name: its own labels} in the output of pminfo -l for one metric."""
    found = re.findall(r'^    inst \[\d+ or "(.*)"\] labels (.*)$', output, re.MULTILINE)
    return {name: {key: value for key, value in json.loads(labels).items() if key in ("member_id", "member_name",
                                                                                      "operation", "source")}
            for name, labels in found}


def log(pmcd, archive, samples=3, metrics=METRIC):
    """Writes an archive of the metrics."""
    config = pmcd.directory / "pmlogger.conf"
    config.write_text("log mandatory on 100 msec { %s }\n" % metrics)
    pmcd.run("pmlogger", "-c", str(config), "-h", pmcd.host, "-s", str(samples),
             "-l", str(pmcd.directory / "pmlogger.log"), str(archive))


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
    query = harness.Query(context, [METRIC])
    assert query.fetch() == {METRIC: {"a": 1}}
    assert list(context.pmGetInstancesLabels(query.descs[0].contents.indom).values()) == [
        {"member_id": "a", "member_name": "m1"}]


def test_names_are_asked_for_seldom(pmcd, server):
    query = harness.Query(pmcd.context(), [METRIC])
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
    server.behaviour = lambda connection, request: harness.answer(json.dumps({"members": members})) \
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
    for failure in (harness.answer("", "404 Not Found"), harness.answer("x" * (2 << 20)), None):
        server.behaviour = lambda connection, request, reply=failure: (
            reply if b"members" in request else leader(connection, request))
        assert harness.Query(pmcd.context(), [METRIC]).fetch() == {METRIC: {"a": 1}}
        assert instance_labels(pmcd.pminfo("-l", METRIC)) == {"a": {"member_id": "a"}}


POSSIBLE = {case: name for case, name in NAMES.items() if case not in ("nul", "lone surrogate")}


@pytest.mark.parametrize("name", POSSIBLE.values(), ids=POSSIBLE)
def test_an_odd_name_of_a_real_member(directory, cluster, name):
    cluster.rename(next(each for each in cluster.members if each not in ("m0", "m2")), name)
    cluster.lead("m0")
    published = harness.wait_until(lambda: {member["id"]: member["name"] for member in
                                            cluster["m0"].json("/v2/members")["members"] if member["name"] == name},
                                   "the new name")
    with harness.Pmcd(directory, url=cluster["m0"].url) as pmcd:
        labels = instance_labels(pmcd.pminfo("-l", METRIC))
        assert {id: labels[id] for id in published} == labels_of(published)


def test_a_renamed_member_is_right_within_a_minute(directory, cluster):
    cluster.lead("m0")
    identity = cluster.id("m2")
    with harness.Pmcd(directory, url=cluster["m0"].url) as pmcd, pmproxy(pmcd) as proxy:
        def name():
            return instance_labels(pmcd.pminfo("-l", METRIC))[identity]["member_name"]

        def names():
            """What pminfo and pmproxy show, and what a logger that starts now writes."""
            archive = Path(tempfile.mkdtemp(dir=directory)) / "archive"
            log(pmcd, archive, 1)
            return {name()} | {labels[identity]["member_name"] for labels in (
                series_labels(proxy.metrics()), instance_labels(pmcd.run("pminfo", "-a", str(archive), "-l", METRIC)))}

        assert names() == {"m2"}
        cluster.rename("m2", "new")
        try:
            harness.wait_until(lambda: name() == "new", "the new name", 60)
            assert names() == {"new"}
        finally:
            cluster.rename("new", "m2")


# -------------------------------------------------------------------- pmproxy


class Pmproxy:
    """A private pmproxy beside a private pmcd, on a port of the loopback interface."""

    CONFIG = ("[pmproxy]\npcp.enabled = true\nhttp.enabled = true\nredis.enabled = false\n"
              "[redis]\nenabled = %s\nservers = 127.0.0.1:%d\n[discover]\nenabled = %s\n"
              "[pmseries]\nenabled = %s\n[pmsearch]\nenabled = false\n")

    def __init__(self, pmcd, redis=None):
        self.pmcd = pmcd
        self.port = harness.free_port()
        enabled = str(redis is not None).lower()
        config = pmcd.directory / "pmproxy.conf"
        config.write_text(self.CONFIG % (enabled, redis or 1, enabled, enabled))
        self.archives = pmcd.directory / "archives"
        self.archives.mkdir(exist_ok=True)
        binary = pmapi.pmContext.pmGetConfig("PCP_BINADM_DIR") + "/pmproxy"
        self.command = [binary, "-f", "-c", str(config), "-i", "127.0.0.1", "-p", str(self.port),
                        "-U", getpass.getuser(), "-s", str(pmcd.directory / "pmproxy.socket"),
                        "-l", str(pmcd.directory / "pmproxy.log")]

    def get(self, path):
        """Body of an answer; pmproxy 6.0 cuts long ones short where asked to close the connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    def answers(self):
        try:
            return self.get("/pmapi/ping") is not None
        except OSError:
            return False

    def metrics(self):
        """What Prometheus would get of the followers."""
        return self.get("/metrics?names=%s&hostspec=%s" % (METRIC, self.pmcd.host))


@contextlib.contextmanager
def pmproxy(pmcd, redis=None):
    proxy = Pmproxy(pmcd, redis)
    with harness.running(proxy.command, env=dict(pmcd.env, PCP_ARCHIVE_DIR=str(proxy.archives)), cwd=pmcd.directory):
        harness.wait_until(proxy.answers, "pmproxy")
        yield proxy


@contextlib.contextmanager
def redis(directory):
    """The port of a private Redis server without files.

    The package redis-server would start one of the system, so the program is taken by its other name, of redis-tools.
    """
    port = harness.free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
               "--dir", str(directory)]
    with harness.running(command, executable="/usr/bin/redis-check-rdb", stdout=subprocess.DEVNULL):
        harness.wait_until(lambda: subprocess.run(
            ["redis-cli", "-p", str(port), "ping"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=False).returncode == 0, "Redis")
        yield port


def series_labels(text):
    """{instance name: its member labels} of an answer in the format of Prometheus.

    pmproxy takes the text between the quotes of JSON for the value of a label: its escapes come escaped again.
    """
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        assert re.fullmatch(r'\w+\{(\w+="([^"\\\n]|\\["\\n])*",?)+\} \d+', line), line[:200]
        labels = {key: json.loads('"%s"' % re.sub(r"\\(.)", r"\1", value))
                  for key, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', line)}
        assert labels["indom_name"] == "followers"
        found[labels["instname"]] = {key: value for key, value in labels.items() if key.startswith("member_")}
    return found


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
        with harness.logging(pmcd, folder / "20260101", METRIC):
            series, = harness.wait_until(lambda: json.loads(proxy.get("/series/query?expr=" + METRIC)), "the series")
            instances = harness.wait_until(lambda: json.loads(proxy.get("/series/instances?series=" + series)),
                                           "the instances")
            assert {instance["name"] for instance in instances} == set(names)
            for instance in instances:
                labels, = harness.wait_until(
                    lambda id=instance["instance"]: json.loads(proxy.get("/series/labels?series=" + id)), "labels")
                assert labels["labels"]["agent"] == "etcd" and labels["labels"]["indom_name"] == "followers"
