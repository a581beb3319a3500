# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue keeps to its contract, and explains every metric."""

import cpmapi as c_api

from support.repository import GOLDEN


def test_the_catalogue_is_that_of_the_design(agent):
    """The contract of golden/catalogue.tsv: PMIDs end up in archives. A row may be added, never changed."""
    types = {c_api.PM_TYPE_STRING: "STRING", c_api.PM_TYPE_U64: "U64", c_api.PM_TYPE_U32: "U32",
             c_api.PM_TYPE_DOUBLE: "DOUBLE"}
    semantics = {c_api.PM_SEM_COUNTER: "counter", c_api.PM_SEM_INSTANT: "instant", c_api.PM_SEM_DISCRETE: "discrete"}
    rows = ["%d.%d.%d\t%s\t%s\t%s\t%s\t%s" % (
        agent.DOMAIN, cluster.number, metric.item, metric.name,
        types[metric.kind.type], semantics[metric.kind.semantics],
        str(metric.kind.units) or "-", "-" if metric.indom is None else "%d.%d" % (agent.DOMAIN, metric.indom.serial))
        for cluster in agent.CATALOGUE for metric in cluster.metrics]
    contract = [line for line in (GOLDEN / "catalogue.tsv").read_text().splitlines() if not line.startswith("#")]
    assert rows == contract


def test_every_metric_has_a_help_of_its_own(agent):
    for cluster in agent.CATALOGUE:
        for metric in cluster.metrics:
            assert metric.oneline and "\n" not in metric.oneline and len(metric.oneline) <= 80, metric.name
            assert metric.help and metric.help != metric.oneline, metric.name
            assert max(map(len, metric.help.splitlines())) <= 120, metric.name


def test_names_and_pmids_are_unique(agent):
    metrics = [(cluster.number, metric.item, metric.name) for cluster in agent.CATALOGUE for metric in cluster.metrics]
    assert len({metric[:2] for metric in metrics}) == len({metric[2] for metric in metrics}) == len(metrics)


def test_operations_keep_their_numbers(agent):
    assert agent.OPERATIONS.serial == 0
    assert agent.OPERATIONS.instances == (
        "gets", "sets", "delete", "update", "create", "compareAndSwap", "compareAndDelete")
