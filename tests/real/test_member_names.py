# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of real members, odd ones too, are labels of followers."""

from support.labels import METRIC, NAMES, instance_labels, labels_of
from support.pmcd import Pmcd
from support.processes import wait_until

# one name of all odd ones that a command line can hold and that are not very long
ODD = " ".join(name for case, name in NAMES.items() if case not in ("nul", "lone surrogate") and len(name) < 100)


def test_odd_names_of_real_members(directory, cluster):
    cluster.lead("m0")
    try:
        cluster.rename("m1", ODD)
        published = wait_until(lambda: {member["id"]: member["name"] for member in
                                        cluster["m0"].json("/v2/members")["members"] if member["name"] == ODD},
                               "the new name")
        with Pmcd(directory, url=cluster["m0"].url) as pmcd:
            labels = instance_labels(pmcd.pminfo("-l", METRIC))
            assert labels == labels_of(dict(published, **{cluster.id("m2"): "m2"}))
    finally:
        cluster.rename(ODD, "m1")
