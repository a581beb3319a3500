# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of clusters that PCP hands to the agent is not freed twice."""

import sys
import types

from pcp.pmapi import pmContext


def test_list_of_clusters_gets_the_reference_that_pcp_drops_too_often(agent):
    """PCP before 7.0 drops its one reference twice: the list itself, and then the tuple of arguments that holds it.

    The second time the list is gone, and sometimes its memory, too: a segmentation fault. So the agent has to add one.
    """
    clusters = [0, 1]
    before = sys.getrefcount(clusters)
    asked = []
    agent.EtcdPMDA.refresh_all(types.SimpleNamespace(sources={0: "self", 1: "store"}, sample=asked.append), clusters)
    assert asked == [[0, 1]]
    missing = int(pmContext.pmGetConfig("PCP_VERSION").split(".")[0]) < 7
    assert sys.getrefcount(clusters) == before + missing
