# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Archives of pmlogger, single and merged by pmlogextract, hold the instances and values that a live client sees."""

import re
import subprocess

from support.archive import FOLLOWER_METRICS, LOGGED, Archive, check, reached
from support.cluster import Cluster
from support.followers import FollowerClient
from support.pmcd import Pmcd, logging
from support.processes import tool_environment, wait_until


def test_archive_over_changes_of_leadership(directory, cluster):
    cluster.lead("m0")
    with Pmcd(directory, url=cluster["m0"].url) as pmcd:
        watched = FollowerClient(pmcd)
        numbers = watched.instances()
        path = directory / "archive"
        with logging(pmcd, path, LOGGED):
            reached(path, lambda archive: archive.samples("etcd.follower.success")[-1].keys() == set(numbers.values()))
            cluster.lead("m1")
            reached(path, lambda archive: archive.samples("etcd.follower.success")[-1] == {})
            cluster.lead("m0")
            reached(path, lambda archive: archive.samples("etcd.follower.success")[-1].keys() == set(numbers.values()))
            wait_until(lambda: agrees(watched, path, numbers), "the same values in the archive")
        check_tools(pmcd, path, numbers)
    archive = check(path)
    assert archive.instances() == numbers
    followers = [tuple(sample) for sample in archive.samples("etcd.follower.success")]
    leads = [value for sample in archive.samples("etcd.is_leader") for value in sample.values()]
    assert set(followers) == {(), tuple(sorted(numbers.values()))}
    assert [int(bool(each)) for each in followers] == leads, "values of followers where there is leadership"


def agrees(watched, path, numbers):
    """Whether the last record holds what a fetch gives."""
    live = watched.fetch()
    return all(Archive(path).samples(metric)[-1] == {numbers[name]: value for name, value in live[metric].items()}
               for metric in FOLLOWER_METRICS)


def check_tools(pmcd, path, numbers):
    """pmval and pminfo name the instances as pminfo does with the live agent."""
    listed = pmcd.run("pmval", "-U", str(path), "-w", "20", "etcd.follower.latency.maximum")
    assert all(name in listed for name in numbers)
    for source in (["-h", pmcd.host], ["-a", str(path)]):
        found = re.findall(r'inst \[(\d+) or "(\w+)"\] value',
                           pmcd.run("pminfo", *source, "-f", "etcd.follower.success"))
        assert {name: int(number) for number, name in found} == numbers


def test_archives_of_before_and_after_restarts_merge(directory):
    """Agent and pmcd are started again, and a member joins meanwhile; the merged archive has all, under one number."""
    with Cluster("m0", "m1", "m2") as cluster:
        cluster.lead("m0")
        numbers, members = {}, cluster.others("m0")
        paths = [directory / name for name in ("first", "second")]
        for path in paths:
            with Pmcd(directory, url=cluster["m0"].url) as pmcd:
                watched = FollowerClient(pmcd)
                assert set(watched.values()) == members
                before, numbers = numbers, watched.instances()
                assert {**numbers, **before} == numbers
                with logging(pmcd, path, LOGGED):
                    reached(path, lambda archive: len(archive.samples("etcd.follower.success")) >= 3)
                assert check(path).instances() == numbers
            if path is paths[0]:
                members.add(cluster.add("m3", "--learner"))
    assert len(numbers) == 3
    merged = directory / "merged"
    subprocess.run(["pmlogextract", *map(str, paths), str(merged)], env=tool_environment(), check=True)
    archive = check(merged)
    assert archive.instances() == numbers
    samples = [sample for sample in archive.samples("etcd.follower.success") if sample]
    single = [sample for path in paths for sample in Archive(path).samples("etcd.follower.success") if sample]
    assert samples == single
    assert {len(sample) for sample in samples} == {2, 3}
