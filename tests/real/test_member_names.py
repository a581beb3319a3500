# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of real members are labels of followers."""

import tempfile
from pathlib import Path

import pytest

from support.labels import METRIC, NAMES, instance_labels, labels_of, log
from support.pmcd import Pmcd
from support.pmproxy import pmproxy, series_labels
from support.processes import wait_until

POSSIBLE = {case: name for case, name in NAMES.items() if case not in ("nul", "lone surrogate")}


@pytest.mark.parametrize("name", POSSIBLE.values(), ids=POSSIBLE)
def test_an_odd_name_of_a_real_member(directory, cluster, name):
    cluster.rename(next(each for each in cluster.members if each not in ("m0", "m2")), name)
    cluster.lead("m0")
    published = wait_until(lambda: {member["id"]: member["name"] for member in
                                            cluster["m0"].json("/v2/members")["members"] if member["name"] == name},
                                   "the new name")
    with Pmcd(directory, url=cluster["m0"].url) as pmcd:
        labels = instance_labels(pmcd.pminfo("-l", METRIC))
        assert {id: labels[id] for id in published} == labels_of(published)


def test_a_renamed_member_is_right_within_a_minute(directory, cluster):
    cluster.lead("m0")
    identity = cluster.id("m2")
    with Pmcd(directory, url=cluster["m0"].url) as pmcd, pmproxy(pmcd) as proxy:
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
            wait_until(lambda: name() == "new", "the new name", 60)
            assert names() == {"new"}
        finally:
            cluster.rename("new", "m2")
