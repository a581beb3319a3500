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
"""Archives of pmlogger, single and merged by pmlogextract, hold the instances and values that a live client sees."""

import contextlib
import re
import subprocess

import cpmapi as c_api
from pcp import pmapi

import harness
from cluster import Cluster
from followers import FOLLOWING, Watched, follower, leading, others

FOLLOWER_METRICS = ["etcd.follower.latency.maximum", "etcd.follower.success"]
LOGGED = "etcd.follower etcd.is_leader etcd.store"


class Archive:
    """Reads an archive of one PCP format or the other through PCP's library."""

    def __init__(self, path):
        self.path = path
        self.context = pmapi.pmContext(c_api.PM_CONTEXT_ARCHIVE, str(path))
        self.descs = self.context.pmLookupDescs(self.context.pmLookupName(FOLLOWER_METRICS))

    def instances(self):
        """{name: number} of all followers ever."""
        numbers, names = self.context.pmGetInDomArchive(self.descs[0])
        return dict(zip(names, numbers))

    def samples(self, metric):
        """What each record holds: {instance number: value}, or a Failure."""
        pmids = self.context.pmLookupName([metric])
        desc = self.context.pmLookupDescs(pmids)[0]
        self.context.pmSetMode(c_api.PM_MODE_FORW, self.context.pmGetArchiveLabel().start, 0)
        found = []
        with contextlib.suppress(EOFError):
            while True:
                found.append(self.sample(self.next(), pmids[0], desc))
        return [sample for sample in found if sample is not None]

    def next(self):
        try:
            return self.context.pmFetchArchive()
        except pmapi.pmErr as error:
            if error.errno() == c_api.PM_ERR_EOL:
                raise EOFError
            raise

    def sample(self, result, pmid, desc):
        """Values of a metric in one record, None where it has none of it."""
        try:
            for position in range(result.contents.numpmid):
                if result.contents.get_pmid(position) == pmid:
                    count = result.contents.get_numval(position)
                    if count < 0:
                        return harness.Failure(count)
                    return {result.contents.get_inst(position, each): harness.Query.value(result, position,
                                                                                         desc.contents, each)
                            for each in range(count)}
            return None
        finally:
            self.context.pmFreeResult(result)


def check(path):
    """PCP's own checks of an archive: any line of pmlogcheck is a complaint."""
    environment = harness.tool_environment()
    assert subprocess.run(["pmlogcheck", str(path)], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, check=True).stdout == ""
    return Archive(path)


def reached(archive, condition):
    """Waits until the records so far, of which the last may be half written, meet a condition."""
    def met():
        try:
            return condition(Archive(archive))
        except (pmapi.pmErr, IndexError):
            return False
    return harness.wait_until(met, "records in " + archive.name)


def test_an_archive_over_changes_of_leadership(directory, cluster):
    cluster.lead("m0")
    with harness.Pmcd(directory, url=cluster["m0"].url) as pmcd:
        watched = Watched(pmcd)
        numbers = watched.instances()
        path = directory / "archive"
        with harness.logging(pmcd, path, LOGGED):
            reached(path, lambda archive: archive.samples("etcd.follower.success")[-1].keys() == set(numbers.values()))
            cluster.lead("m1")
            reached(path, lambda archive: archive.samples("etcd.follower.success")[-1] == {})
            cluster.lead("m0")
            reached(path, lambda archive: archive.samples("etcd.follower.success")[-1].keys() == set(numbers.values()))
            harness.wait_until(lambda: agrees(watched, path, numbers), "the same values in the archive")
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
        numbers, members = {}, others(cluster, "m0")
        paths = [directory / name for name in ("first", "second")]
        for path in paths:
            with harness.Pmcd(directory, url=cluster["m0"].url) as pmcd:
                watched = Watched(pmcd)
                assert set(watched.values()) == members
                before, numbers = numbers, watched.instances()
                assert {**numbers, **before} == numbers
                with harness.logging(pmcd, path, LOGGED):
                    reached(path, lambda archive: len(archive.samples("etcd.follower.success")) >= 3)
                assert check(path).instances() == numbers
            if path is paths[0]:
                members.add(cluster.add("m3", "--learner"))
    assert len(numbers) == 3
    merged = directory / "merged"
    subprocess.run(["pmlogextract", *map(str, paths), str(merged)], env=harness.tool_environment(), check=True)
    archive = check(merged)
    assert archive.instances() == numbers
    samples = [sample for sample in archive.samples("etcd.follower.success") if sample]
    single = [sample for path in paths for sample in Archive(path).samples("etcd.follower.success") if sample]
    assert samples == single
    assert {len(sample) for sample in samples} == {2, 3}


def test_an_archive_of_members_that_come_and_go_names_them_all(directory):
    with harness.FakeServer(leading({})) as server, \
            harness.Pmcd(directory, url=server.url) as pmcd:
        path = directory / "archive"
        expected = set()
        with harness.logging(pmcd, path, LOGGED):
            for step in range(12):
                present = {format(id, "x"): follower(10 * step + id) for id in range(1, 7) if (step + id * id) % 3}
                server.behaviour = leading(present) if step % 4 else FOLLOWING
                values = sorted(10 * step + int(id, 16) for id in present) if step % 4 else []
                expected |= set(present) if step % 4 else set()
                reached(path, lambda archive, values=values:
                        sorted(archive.samples("etcd.follower.success")[-1].values()) == values)
        archive = check(path)
        assert set(archive.instances()) == expected
        for sample in archive.samples("etcd.follower.success"):
            assert {format(value % 10, "x"): number for number, value in sample.items()}.items() \
                <= archive.instances().items()
