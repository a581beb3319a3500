# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue keeps to its contract, and explains every metric."""

import types
from collections import defaultdict

import cpmapi as c_api
import pytest

from support.repository import GOLDEN
from support.settings import config_of

WIDTH = 84  # columns of a help text; PCP's own tests complain of more
TYPES = {c_api.PM_TYPE_STRING: "STRING", c_api.PM_TYPE_U64: "U64", c_api.PM_TYPE_U32: "U32",
         c_api.PM_TYPE_64: "64", c_api.PM_TYPE_DOUBLE: "DOUBLE"}
SEMANTICS = {c_api.PM_SEM_COUNTER: "counter", c_api.PM_SEM_INSTANT: "instant", c_api.PM_SEM_DISCRETE: "discrete"}


def rows(agent):
    """(cluster, metric) of every row."""
    return [(cluster, metric) for cluster in agent.CATALOGUE for metric in cluster.metrics]


def domains(agent):
    """{instance domain: its rows}."""
    found = defaultdict(list)
    for cluster, metric in rows(agent):
        if metric.indom:
            found[metric.indom].append((cluster, metric))
    return found


# --------------------------------------------------------------------- numbers


def test_catalogue_is_that_of_the_contract(agent):
    """PMIDs end up in archives. A row of golden/catalogue.tsv may be added, never changed."""
    found = ["%d.%d.%d\t%s\t%s\t%s\t%s\t%s" % (
        agent.DOMAIN, cluster.number, metric.item, metric.name,
        TYPES[metric.kind.type], SEMANTICS[metric.kind.semantics],
        str(metric.kind.units) or "-", "-" if metric.indom is None else "%d.%d" % (agent.DOMAIN, metric.indom.serial))
        for cluster, metric in rows(agent)]
    contract = [line for line in (GOLDEN / "catalogue.tsv").read_text().splitlines() if not line.startswith("#")]
    assert found == contract


def test_names_and_numbers_are_unique(agent):
    metrics = [(cluster.number, metric.item, metric.name) for cluster, metric in rows(agent)]
    assert len({metric[:2] for metric in metrics}) == len({metric[2] for metric in metrics}) == len(metrics)
    assert len({domain.serial for domain in domains(agent)}) == len({domain.name for domain in domains(agent)})


def test_fixed_instances_keep_their_numbers(agent):
    """An instance may be added at the end."""
    assert agent.OPERATIONS.serial == 0 and agent.SOURCE_NAMES.serial == 2
    assert agent.OPERATIONS.instances == (
        "gets", "sets", "delete", "update", "create", "compareAndSwap", "compareAndDelete")
    assert agent.SOURCE_NAMES.instances[:5] == ("self", "store", "leader", "version", "members")


# --------------------------------------------------------------------- sources


def test_sources_that_are_asked_are_those_that_are_shown(agent):
    assert sorted(agent.SOURCE_NAMES.instances) == sorted(agent.SOURCES)
    assert {cluster.source for cluster in agent.CATALOGUE} - {None} <= set(agent.SOURCES)
    assert {domain.naming[1] for domain in domains(agent) if domain.naming} <= set(agent.SOURCES)


def test_instances_that_come_and_go_are_of_one_cluster(agent):
    """Its source is asked for them."""
    for domain, of_domain in domains(agent).items():
        if domain.instances is None:
            assert len({cluster.number for cluster, _ in of_domain}) == 1, domain.name


def test_rows_of_a_domain_and_no_others_find_instances(agent):
    for _, metric in rows(agent):
        where = metric.where
        several = where.star if isinstance(where, agent.Field) else getattr(getattr(where, "more", where), "by", None)
        assert bool(metric.indom) == bool(several), metric.name


# ------------------------------------------------------------------------ help


def registered(agent):
    """{name: (one-line help, help)} as PCP gets them."""
    texts = {}
    pcp = types.SimpleNamespace(pmid=lambda *_: 0, indom=lambda serial: serial,
                                add_metric=lambda name, _, *help_texts: texts.update({name: help_texts}))
    for row in rows(agent):
        agent.EtcdPMDA.register(pcp, *row)
    return texts


def test_every_metric_has_help_in_narrow_lines(agent):
    texts = registered(agent)
    assert texts.keys() == {metric.name for _, metric in rows(agent)}
    for name, (oneline, long) in texts.items():
        assert oneline and "\n" not in oneline and len(oneline) <= WIDTH, name
        assert long and oneline not in long, name
        assert max(map(len, long.splitlines())) <= WIDTH, name


def test_every_instance_domain_has_help_in_narrow_lines(agent):
    for domain in domains(agent):
        assert domain.oneline and "\n" not in domain.oneline and len(domain.oneline) <= WIDTH, domain.name
        assert max(map(len, agent.wrapped(domain.help).splitlines())) <= WIDTH, domain.name


def test_help_of_a_counter_says_since_when_it_counts(agent):
    texts = registered(agent)
    for cluster, metric in rows(agent):
        if metric.kind.semantics == c_api.PM_SEM_COUNTER:
            assert cluster.since and " ".join(texts[metric.name][1].split()).endswith(cluster.since), metric.name


# --------------------------------------------------------------------- pmstore


@pytest.fixture
def pcp(agent):
    """The part of the agent that stores, and a sampler that asks nobody."""
    return types.SimpleNamespace(
        metrics={(cluster.number, metric.item): metric for cluster, metric in rows(agent)},
        sampler=agent.Sampler(config_of(agent), print))


STORABLE = {"etcd.control.timeout": ([0.05, 1, 4], [0, 0.049, 4.01, -1, float("nan"), float("inf")]),
            "etcd.control.debug": ([1, 0], [2, -1, 1 << 31])}


def test_value_that_is_stored_is_the_one_that_is_shown(agent, pcp):
    assert {metric.name for _, metric in rows(agent) if metric.store} == STORABLE.keys()
    for cluster, metric in rows(agent):
        good, bad = STORABLE.get(metric.name, ((), ()))
        for value in good:
            assert agent.EtcdPMDA.store(pcp, cluster.number, metric.item, None, value) == 0
            assert metric.where.find(pcp.sampler.control()) == {None: value}
        for value in bad:
            assert agent.EtcdPMDA.store(pcp, cluster.number, metric.item, None, value) == c_api.PM_ERR_BADSTORE
            assert metric.where.find(pcp.sampler.control()) == {None: good[-1]}


def test_other_metrics_can_not_be_stored(agent, pcp):
    before = pcp.sampler.control()
    for cluster, metric in rows(agent):
        if metric.name not in STORABLE:
            assert agent.EtcdPMDA.store(pcp, cluster.number, metric.item, None, 1) == c_api.PM_ERR_PERMISSION
    assert agent.EtcdPMDA.store(pcp, 9999, 0, None, 1) == c_api.PM_ERR_PERMISSION
    assert pcp.sampler.control() == before
