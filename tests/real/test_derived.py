# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Derived metrics, in the file that this release of PCP takes, through PCP's own tools."""

import csv
import re
import subprocess
import time

import pytest
from pcp.pmapi import pmContext

from support.days import MINUTE, normal, write_days
from support.etcd import Etcd
from support.pmcd import Pmcd, logging
from support.processes import open_directory, running, tool_environment, wait_until
from support.repository import REPOSITORY

VERSION = tuple(int(each) for each in pmContext.pmGetConfig("PCP_VERSION").split(".")[:2])
FOLDER = REPOSITORY / "config" / "derived"
FILE = FOLDER / ("etcd-6.3.conf" if VERSION >= (6, 3) else "etcd.conf")
BASE = ["etcd.disk.wal_fsync.time", "etcd.disk.wal_fsync.count", "etcd.disk.backend_commit.time",
        "etcd.disk.backend_commit.count", "etcd.mvcc.db_size", "etcd.mvcc.db_in_use", "etcd.server.quota",
        "etcd.grpc.failed", "etcd.grpc.handled", "etcd.store.fail", "etcd.store.success", "etcd.disk.wal_fsync.bucket"]
OPERATION = "create"
CLIENT = """
import sys, urllib.error, urllib.request
WORK = {"/v3/kv/put": '{"key": "aw=="}', "/v3/auth/enable": "{}", "/v2/keys/k?prevExist=false": ""}
while True:
    for path, body in WORK.items():
        request = urllib.request.Request(sys.argv[1] + path, body.encode(), method="PUT" if "v2" in path else "POST")
        try:
            urllib.request.urlopen(request, timeout=5).read()
        except urllib.error.HTTPError as error:
            error.close()
"""


def derived(text):
    """{metric: its definition} of a file."""
    return dict(re.findall(r"^(etcd\.derived\.[\w.]+) = (.*)$", text, re.M))


DERIVED = sorted(derived(FILE.read_text()))


def run(*command, file=FILE):
    """What a tool prints, with our derived metrics and no others."""
    return subprocess.run(list(map(str, command)), env=dict(tool_environment(), PCP_DERIVED_CONFIG=str(file)),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False,
                          timeout=60).stdout


@pytest.fixture(scope="module")
def watched():
    """(pmcd, archive) of an etcd that has work to do."""
    with open_directory() as directory, Etcd() as etcd, Pmcd(directory, url=etcd.url, timeout=2) as pmcd:
        with running(["/usr/bin/python3", "-c", CLIENT, etcd.url]):
            archive = directory / "archive"
            with logging(pmcd, archive, "etcd"):
                wait_until(lambda: archive.with_suffix(".0").exists(), "the archive")
                time.sleep(1)
            yield pmcd, archive


@pytest.fixture(scope="module")
def found(watched):
    """{(metric, instance): [values of three samples]}, None where there is none; counters as they are."""
    output = run("pmrep", "-h", watched[0].host, "-r", "-o", "csv", "-P", "9", "-s", "3", "-t", "0.7", *BASE, *DERIVED)
    rows = list(csv.reader(output.splitlines()))
    values = {}
    for position, column in enumerate(rows[0][1:], 1):
        name, instance = re.match(r"([\w.]+)[-[]?(.*?)\]?$", column).groups()  # metric-instance, or metric[instance]
        values[name, instance] = [float(row[position]) if row[position] else None for row in rows[1:]]
    return values


def changes(found, metric, instance=""):
    """The differences from sample to sample."""
    series = found["etcd." + metric, instance]
    return [new - old for old, new in zip(series, series[1:])]


def test_values(found):
    """Each is what the metrics below it say of the time between two samples."""

    def check(name, expected, instance=""):
        assert found["etcd.derived." + name, instance][1:] == pytest.approx(expected, rel=1e-5, abs=1e-8), name
    for name in "wal_fsync", "backend_commit":
        check(name + ".average", [total / count for total, count in zip(changes(found, "disk.%s.time" % name),
                                                                        changes(found, "disk.%s.count" % name))])
    failed, good = (changes(found, "store." + name, OPERATION) for name in ("fail", "success"))
    check("store.failed", [100 * bad / (bad + fine) for bad, fine in zip(failed, good)], OPERATION)
    for method, least in ("KV/Put", 0), ("Auth/AuthEnable", 100):
        failed, handled = (changes(found, "grpc." + name, method) for name in ("failed", "handled"))
        assert [100 * bad / all_ for bad, all_ in zip(failed, handled)] == [least, least]
        check("grpc.failed", [least, least], method)
    size, used, quota = (found["etcd." + name, ""] for name in ("mvcc.db_size", "mvcc.db_in_use", "server.quota"))
    check("fragmentation", [100 * (whole - part) / whole for whole, part in zip(size, used)][1:])
    check("quota_used", [100 * whole / most for whole, most in zip(size, quota)][1:])
    assert all(0 <= each < 1000 for each in found["etcd.derived.apply_lag", ""])


def test_percentile(found):
    """The bound of the first bucket that holds 99 of 100; releases before 6.3 can't compute it."""
    assert any(name.endswith("p99") for name in DERIVED) == (VERSION >= (6, 3))
    bounds = sorted((instance for name, instance in found if name == "etcd.disk.wal_fsync.bucket"), key=float)
    counts = {bound: changes(found, "disk.wal_fsync.bucket", bound) for bound in bounds}
    expected = [next(float(bound) for bound in bounds if counts[bound][each] >= 0.99 * counts["+Inf"][each])
                for each in range(2)]
    assert found.get(("etcd.derived.wal_fsync.p99", ""), [None, *expected])[1:] == expected


def test_files_agree():
    """The file for newer releases has all of the other, with the same words, and never without a guard."""
    old, new = (FOLDER.joinpath(name).read_text() for name in ("etcd.conf", "etcd-6.3.conf"))
    for name, definition in derived(old).items():
        assert definition in derived(new)[name]
    texts = re.compile(r"^etcd\.derived.*\((?:oneline|helptext)\) = .*$", re.M)
    assert set(texts.findall(old)) < set(texts.findall(new))
    for definition in derived(new).values():
        assert definition.startswith("defined(") and "novalue(" in definition
    assert "defined(" not in old and "novalue(" not in old and "scalar(" not in old


# ---------------------------------------------------------- no tool complains


def sparse(_, values):
    """What is left where the agent has no values."""
    return {"etcd.up": 0} if values else {}


ASKS_ALL = [["pminfo", "-f", "etcd"], ["pmprobe", "-v", "etcd"], ["pmrep", "-s", "2", "-t", "0.1", "etcd.up"],
            ["pmval", "-s", "2", "-t", "0.1", "etcd.up"], ["pmdumptext", "-s", "2", "-t", "0.1", "etcd.up"],
            ["pminfo", "-dmtT", "etcd.derived"]]
ASKS_NOTHING = [["pminfo", "-f", "pmcd.numclients"], ["pmval", "-s", "1", "pmcd.numclients"], ["pmprobe", "pmcd"],
                ["pmrep", "-s", "2", "-t", "0.1", "pmcd.numclients"]]


def no_complaint(output):
    """That nothing is said of the file, or of what it defines."""
    assert output
    complaint = re.search(r"(?i).*(?:syntax error|semantic error|derived\w*:|%s).*" % re.escape(FILE.name), output)
    assert not complaint, complaint.group()


@pytest.mark.parametrize("command", ASKS_ALL, ids=" ".join)
def test_live(watched, command):
    no_complaint(run(command[0], "-h", watched[0].host, *command[1:]))


@pytest.mark.parametrize("command", ASKS_ALL, ids=" ".join)
def test_archive(watched, command):
    no_complaint(run(command[0], "-a", watched[1], *command[1:]))


def test_complaints_are_seen(watched, tmp_path):
    """As a tool makes them of a file that is wrong."""
    wrong = tmp_path / FILE.name
    wrong.write_text("etcd.derived.wrong = delta(\n")
    with pytest.raises(AssertionError):
        no_complaint(run("pminfo", "-h", watched[0].host, "etcd.up", file=wrong))


@pytest.mark.parametrize("command", ASKS_NOTHING, ids=" ".join)
def test_without_the_agent(directory, command):
    """As after Remove with another host's file in place."""
    pmcd = Pmcd(directory)
    for path in pmcd.pmcd_conf, pmcd.namespace:
        path.write_text("".join(line for line in path.read_text().splitlines(True) if "etcd 400" not in line))
    with pmcd:
        no_complaint(run(command[0], "-h", pmcd.host, *command[1:]))


@pytest.mark.parametrize("change", [lambda _, values: values, sparse], ids=["full", "sparse"])
def test_archives_of_all_kinds(directory, change):
    """Summaries and checks of archives, with and without what the definitions need."""
    assert "etcd.mvcc.db_size" in normal(0)
    archive = write_days(directory / "archive", 10 * MINUTE, change)
    for command in ["pmlogsummary"], ["pmdumplog", "-a"], ["pmlogcheck", "-v"], ["pminfo", "-f", "-a"]:
        no_complaint(run(*command, archive))
