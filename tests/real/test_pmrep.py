# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The reports of pmrep: on a busy cluster, on one member alone, where etcd is down, beside the reports of PCP."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.etcd import Etcd
from support.pmcd import Pmcd
from support.replay import VERSIONS, Replay, document
from support.reports import MISSING, REPORTS, folder, pmrep, rows, sections
from support.server import FakeServer
from support.values import Query

WIDTH = 120
OPTIONS = ("header", "unitinfo", "globals", "timestamp", "repeat_header", "fixed_header", "colxrow", "interval",
           "limit_filter", "delimiter")
NAMES = ["etcd", "etcd-server", "etcd-disk", "etcd-mvcc", "etcd-network", "etcd-grpc", "etcd-store", "etcd-cluster"]
BY_INSTANCE = {"etcd-network": 2, "etcd-store": 7, "etcd-cluster": 3}  # rows of a sample


def metrics_of(section):
    """The metrics that a report shows or computes with."""
    found = [key for key in section if key.startswith("etcd.")]
    for key, value in section.items():
        if key.endswith(".formula"):
            found += re.findall(r"etcd\.[a-z_.]*[a-z]", value)
    return found


def test_names_of_the_reports():
    assert list(sections()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_report_has_metrics_of_one_domain(agent, name):
    domains = {cluster_row.name: cluster_row.indom for cluster in agent.CATALOGUE for cluster_row in cluster.metrics}
    section = sections()[name]
    unknown = [key for key in section if "." not in key and key not in OPTIONS and key + ".formula" not in section]
    assert not unknown, "neither an option nor a formula"
    assert len({domains[metric] for metric in metrics_of(section)}) == 1


def work(etcd, count):
    """Requests that move what the reports show."""
    for number in range(count):
        assert etcd.request("PUT", "/v2/keys/reported?value=%d" % number)[0] in (200, 201)
        assert etcd.request("PUT", "/v2/keys/reported?value=1&prevExist=false")[0] == 412
        etcd.v3("/kv/put", key="YQ==", value="YQ==")
        etcd.v3("/kv/range", key="YQ==")


def test_reports_of_a_busy_cluster(directory, cluster):
    """All reports at once: each has values in every column that such a member has values for."""
    leader = cluster[cluster.leader()]
    folder(directory)
    with Pmcd(directory, url=leader.url) as pmcd, ThreadPoolExecutor(len(NAMES)) as pool:
        found = {name: pool.submit(pmrep, directory, "-h", pmcd.host, "-t", "2sec", "-s", "2", ":" + name)
                 for name in NAMES}
        while not all(each.done() for each in found.values()):
            work(leader, 1)
        for name in NAMES:
            check_report(name, found[name].result())


def check_report(name, lines):
    """Width, header, rows, and that rates have values in the second sample."""
    assert max(map(len, lines)) <= WIDTH, name
    text = "\n".join(lines)
    assert not re.search(r"\b(inf|nan)\b", text), text
    head, found = rows(lines)
    for key, value in sections()[name].items():
        if key.startswith("etcd."):
            assert value.split(",")[0] in head, name
    last = found[-1][0]
    of_last = [row for row in found if row[0] == last]
    if name == "etcd-grpc":
        assert len(of_last) < 10, text
        of_last = [row for row in of_last if row[1].startswith("KV/")]
        assert {row[1] for row in of_last} == {"KV/Put", "KV/Range"}, text
    else:
        assert len(of_last) == BY_INSTANCE.get(name, 1), text
    # 3.4 has no wal_write, no quota in its status, and a peer is measured each 30 seconds; no call failed
    lacking = {"etcd-disk": 2, "etcd-cluster": 1, "etcd-network": 2, "etcd-grpc": 2}.get(name, 0)
    for row in of_last:
        assert sum(word in MISSING for word in row) <= lacking, text


def test_rows_of_the_cluster(directory, cluster):
    """A row a member, with what etcdctl says of it."""
    with Pmcd(directory, url=cluster[cluster.followers()[0]].url) as pmcd:
        found = rows(pmrep(directory, "-h", pmcd.host, "-s", "1", ":etcd-cluster"))[1]
    said = json.loads(cluster.ctl("endpoint", "status", "--cluster", "-w", "json"))
    leader = cluster.leader()
    assert {tuple(row[1:7]) for row in found} == {
        (cluster.id(name), name, "leader" if name == leader else "follower", member.url,
         next(each["Status"]["version"] for each in said if each["Endpoint"] == member.url), "1")
        for name, member in cluster.members.items()}
    sizes = {each["Endpoint"]: each["Status"]["dbSize"] / 2 ** 20 for each in said}
    assert all(abs(float(row[7]) - sizes[row[4]]) < 0.2 for row in found)


@pytest.mark.parametrize("version", VERSIONS)
def test_quota_of_a_member(directory, version):
    """From 3.6 on a member tells its quota: of versions that there is no program of, as they answered once."""
    with FakeServer(Replay(version)) as server, Pmcd(directory, url=server.url) as pmcd:
        said = document(version, "cluster_leader_status")
        found = rows(pmrep(directory, "-h", pmcd.host, "-s", "1", ":etcd-cluster"))[1]
        row = next(row for row in found if row[1] == format(int(said["header"]["member_id"]), "x"))
    assert row[9] == "%.0f" % (100 * int(said["dbSize"]) / int(said["dbSizeQuota"]))
    assert row[5] == version


def test_a_mean_is_that_of_the_interval(directory, etcd):
    """One fsync takes as long as the counters say; where there was none, there is no time."""
    with Pmcd(directory, url=etcd.url) as pmcd:
        names = ["etcd.disk.wal_fsync.count", "etcd.disk.wal_fsync.time"]
        query = Query(pmcd.context(), names)
        before = query.fetch()
        with ThreadPoolExecutor(1) as pool:
            report = pool.submit(pmrep, directory, "-h", pmcd.host, "-t", "1.5sec", "-s", "2", ":etcd-disk")
            while not report.done():
                work(etcd, 1)
            head, found = rows(report.result())
        after = query.fetch()
    count, time = (after[name] - before[name] for name in names)
    assert head.split()[:3] == ["fsyncs/s", "fsync", "ms"]
    assert found[0][1:3] == ["N/A", "N/A"]
    assert 0.2 < float(found[1][2]) / (1000 * time / count) < 5


def test_a_member_alone_and_no_etcd(directory):
    """What has no instance has no row, and costs no other report a value; up is 0 where etcd is down."""
    with Etcd() as alone, Pmcd(directory, url=alone.url) as pmcd:
        live = ["-h", pmcd.host, "-t", "0.5sec", "-s", "2"]
        for row in rows(pmrep(directory, *live, ":etcd-network"))[1]:
            assert set(row[1:]) <= set(MISSING)
        assert not set(MISSING) & set(rows(pmrep(directory, *live, ":etcd"))[1][1][1:9])
        alone.stop()
        assert rows(pmrep(directory, *live, ":etcd"))[1][0][1:] == ["0", *["N/A"] * 11]
        for name in NAMES[1:]:
            found = rows(pmrep(directory, "-h", pmcd.host, "-t", "0.2sec", "-s", "2", ":" + name))[1]
            assert found and all(set(row[2:]) <= set(MISSING) for row in found), name


def test_the_folder_still_serves_all_others(directory, etcd):
    """One percent sign too few in a file, and no pmrep of the host starts: here all files are read by each run."""
    with Pmcd(directory, url=etcd.url) as pmcd:
        for report in ("pmcd.numagents", ":etcd"):
            assert pmrep(directory, "-h", pmcd.host, "-s", "1", report)
        broken = folder(directory) / REPORTS.name
        broken.write_text(broken.read_text().replace("%%", "%", 1))
        pmrep(directory, "-h", pmcd.host, "-s", "1", "pmcd.numagents", status=1)
