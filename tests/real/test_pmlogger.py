# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""pmlogger with the groups of pmlogconf: what it picks up, and what PCP's tools read in such archives."""

import contextlib
import re
import subprocess
from pathlib import Path

import pytest
from pcp.pmapi import pmContext

from support.etcd import Etcd
from support.pmcd import Pmcd
from support.processes import PATIENCE, running, tool_environment, wait_until
from support.reports import pmrep, rows
from support.repository import REPOSITORY

GROUPS = REPOSITORY / "config" / "pmlogconf"
ON, OFF = {"etcd/cluster", "etcd/summary"}, {"etcd/buckets", "etcd/grpc"}
PLAIN = ("etcd.server", "etcd.disk", "etcd.mvcc", "etcd.lease", "etcd.network", "etcd.process", "etcd.follower",
         "etcd.cluster", "etcd.version", "etcd.leader")


def tool(*command, **environment):
    """Output of a PCP tool that must succeed."""
    done = subprocess.run(command, env=tool_environment(**environment), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def pmlogconf(pmcd, *options):
    """{group: whether it is on} in a configuration for pmlogger, made or updated for what this pmcd has."""
    path = pmcd.directory / "pmlogconf"
    tool(pmContext.pmGetConfig("PCP_BINADM_DIR") + "/pmlogconf", "-d", str(GROUPS), "-h", pmcd.host, "-q", *options,
         str(path))
    return {name: state == "y" for name, state in re.findall(r"^#\+ (etcd/\w+):([yn]):", path.read_text(), re.M)}


@contextlib.contextmanager
def recording(pmcd, archive, interval="200msec"):
    """A pmlogger with the configuration of pmlogconf and this default interval."""
    with running(["pmlogger", "-u", "-t", interval, "-c", str(pmcd.directory / "pmlogconf"), "-h", pmcd.host,
                  "-l", str(archive) + ".log", str(archive)], env=pmcd.env) as process:
        wait_until(Path(str(archive) + ".0").exists, "an archive")
        yield process


def values(archive, metric, *options):
    """What pmval prints for each record of a metric without instances."""
    printed = tool("pmval", "-U", str(archive), "-w", "12", *options, metric)
    return re.findall(r"^\d+:\d+:\d+\.\d+ +(\S.*)", printed, re.M)


@pytest.fixture
def watched(directory, cluster):
    """A pmcd whose agent watches the leader of a cluster of three."""
    with Pmcd(directory, url=cluster[cluster.leader()].url) as pmcd:
        yield pmcd


def test_groups_where_the_agent_is(watched):
    assert pmlogconf(watched) == {**dict.fromkeys(ON | {"etcd/store"}, True), **dict.fromkeys(OFF, False)}
    path = watched.directory / "pmlogconf"
    path.write_text(path.read_text().replace("#+ etcd/buckets:n:", "#+ etcd/buckets:y:"))
    assert pmlogconf(watched) == {**dict.fromkeys(ON | {"etcd/store", "etcd/buckets"}, True), "etcd/grpc": False}
    assert "etcd.disk.wal_fsync.bucket" in path.read_text()


def test_groups_of_a_member_without_the_v2_api(directory):
    with Etcd(v2=False) as etcd, Pmcd(directory, url=etcd.url) as pmcd:
        assert pmlogconf(pmcd) == {**dict.fromkeys(ON, True), **dict.fromkeys(OFF, False)}
        etcd.stop()
        assert pmlogconf(pmcd, "-r") == {**dict.fromkeys(ON, True), **dict.fromkeys(OFF, False)}


def test_no_groups_without_the_agent(directory):
    pmcd = Pmcd(directory)
    pmcd.namespace.write_text(pmcd.pmcd_namespace())
    pmcd.pmcd_conf.write_text(pmcd.pmcd_conf.read_text().splitlines(True)[0])
    with pmcd:
        assert pmlogconf(pmcd) == {}


def test_groups_hold_every_metric_once(agent):
    """What no group has is the agent itself, whose values matter only while it runs."""
    subtrees = [line.strip() for path in (GROUPS / "etcd").iterdir() for line in path.read_text().splitlines()
                if line.startswith("\t")]
    for metric in (metric for cluster in agent.CATALOGUE for metric in cluster.metrics):
        holders = [tree for tree in subtrees if metric.name == tree or metric.name.startswith(tree + ".")]
        alone = metric.name.startswith("etcd.control.") or metric.name == "etcd.server.go_version"
        assert len(holders) == (0 if alone else 1), metric.name


def test_tools_read_an_archive_while_it_is_written_and_after(watched):
    pmlogconf(watched)
    archive = watched.directory / "archive"
    with recording(watched, archive):
        wait_until(lambda: try_to_read(archive), "five records")
        read(watched.directory, archive)
    read(watched.directory, archive)
    assert tool("pmlogcheck", str(archive)) == ""
    for options in (["-d"], ["-l"], ["-t"], ["-T"]):
        check_metadata(watched, archive, options)


def try_to_read(archive):
    """Whether five records are written whole."""
    with contextlib.suppress(AssertionError):
        return len(values(archive, "etcd.up")) >= 5
    return False


def read(directory, archive):
    """Every tool finds what was recorded."""
    assert set(values(archive, "etcd.up")) == {"1"}
    assert re.search(r"etcd\.server\.proposals\.applied +[\d.]+ +count / sec",
                     tool("pmlogsummary", str(archive), "etcd.server.proposals.applied"))
    dumped = tool("pmdumptext", "-a", str(archive), "-t", "200msec", "-f", "", "etcd.up", "etcd.server.has_leader")
    assert {float(word) for word in dumped.split() if word != "?"} == {1}
    for report, least in ((":etcd", 9), (":etcd-disk", 5), (":etcd-store", 2)):
        found = rows(pmrep(directory, "-a", str(archive), "-t", "200msec", report))[1]
        assert max(len([word for word in row if re.match(r"[\d.]+$", word)]) for row in found) >= least, report
    members = rows(pmrep(directory, "-a", str(archive), "-u", ":etcd-cluster"))[1]
    assert sorted(row[2] for row in members) == ["m0", "m1", "m2"], "once a minute"
    draw(directory, archive)


def draw(directory, archive):
    """pmchart draws every view of it, and complains of none."""
    home = directory / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    for view in ("Etcd", "EtcdCluster", "EtcdDisk", "EtcdStore"):
        picture = directory / (view + ".png")
        said = tool("pmchart", "-a", str(archive), "-c", str(REPOSITORY / "config" / (view + ".pmchart")), "-W",
                    "-t", "200msec", "-s", "8", "-v", "4", "-o", str(picture), QT_QPA_PLATFORM="offscreen",
                    HOME=str(home), XDG_RUNTIME_DIR=str(home), PCP_STDERR="")
        complaints = [line for line in said.splitlines() if "propagateSizeHints" not in line and "bucket" not in line]
        assert not complaints and picture.stat().st_size > 5000
        picture.unlink()


def check_metadata(pmcd, archive, options):
    """Descriptions, labels and help are those of the agent that runs; only labels of hosts are pmcd's."""
    def found(*source):
        lines = tool("pminfo", *options, *source, *PLAIN).splitlines()
        return [line for line in lines if "Error" not in line and "bucket" not in line and "inst [" not in line]
    live, recorded = found("-h", pmcd.host), found("-a", str(archive))
    known = {line for line in recorded if line.startswith("etcd.")}
    assert {line.partition(" ")[0] for line in live if line.startswith("etcd.")} >= \
        {line.partition(" ")[0] for line in known}
    assert set(recorded) <= set(live), options


def test_two_days_merge(watched):
    """Two archives become one that has the records of both."""
    pmlogconf(watched)
    days = [watched.directory / name for name in ("first", "second")]
    for day in days:
        with recording(watched, day):
            wait_until(lambda path=day: try_to_read(path), "five records")
    merged = watched.directory / "merged"
    tool("pmlogextract", *map(str, days), str(merged))
    assert tool("pmlogcheck", str(merged)) == ""
    for metric in ("etcd.up", "etcd.cluster.size"):
        single = [value for day in days for value in values(day, metric)]
        assert [value for value in values(merged, metric) if value != "No values available"] == single
    members = rows(pmrep(watched.directory, "-a", str(merged), "-u", ":etcd-cluster"))[1]
    assert [row[2] for row in members].count("m0") == 2


def test_an_outage_and_a_restart(directory):
    """etcd.up is 0 while etcd is down, and -u shows no other value then; after it, the first rate is missing."""
    with Etcd() as etcd, Pmcd(directory, url=etcd.url) as pmcd:
        pmlogconf(pmcd)
        archive = directory / "archive"
        with recording(pmcd, archive):
            wait_until(lambda: try_to_read(archive), "records of etcd")
            etcd.stop()
            wait_until(lambda: values(archive, "etcd.up")[-4:] == ["0"] * 4, "records without it")
            etcd.start()
            wait_until(lambda: values(archive, "etcd.up")[-3:] == ["1"] * 3, "records of etcd again")
        complaints = [line for line in tool("pmlogcheck", str(archive)).splitlines() if not line.startswith("\t")]
        assert complaints and all(line.endswith("-bit wrap") for line in complaints), "counters began anew, that is all"
        found = rows(pmrep(directory, "-a", str(archive), "-u", ":etcd"))[1]
        down = [row for row in found if row[1] == "0"]
        # at the end etcd may have answered one call and not the other
        assert len(down) >= 4 and all(set(row[2:]) == {"N/A"} for row in down[1:-1])
        first = next(row for row in found[found.index(down[-1]) + 1:] if row[2] != "N/A")
        assert first[5] == "N/A", "the rate over the restart"
        filled = rows(pmrep(directory, "-a", str(archive), "-t", "100msec", ":etcd"))[1]
        assert any(row[1] == "0" and row[2] == "1" for row in filled), "replay fills the gap, as the manual says"
        draw(directory, archive)  # of a member that has no peers
