# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every row of /metrics finds what a parser of another make finds: in real pages, and in pages made at random."""

import random

import pytest

from support.plans import memory_of, response, run
from support.prometheus import parse
from support.replay import SITUATIONS, VERSIONS, page
from support.rows import rows as other_rows
from support.rows import values_of


def rows(agent):
    """The metrics whose source is /metrics."""
    return [metric for cluster in agent.CATALOGUE for metric in cluster.metrics if cluster.source == "metrics"]


def find_all(agent, text):
    """{metric: {instance: raw}} of a page; rows that find nothing are left out."""
    document = run(agent, "metrics", memory_of(agent), lambda _: response(text))
    return {metric.name: metric.where.find(document) for metric in rows(agent) if metric.where.find(document)}


def exact(found):
    """Times are floats in the agent and exact in the other parser; all else is the same."""
    return {name: {instance: pytest.approx(value, rel=1e-12) if name.endswith("time") else value
                   for instance, value in instances.items()} for name, instances in found.items() if instances}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_row_of_a_real_page(agent, version, situation):
    text = page(version, situation)
    assert find_all(agent, text) == exact(values_of(text))


@pytest.mark.parametrize("version", VERSIONS)
def test_real_page_of_a_leader_has_every_row_that_this_version_has(agent, version):
    """But for what appears with its first event."""
    expected = {metric.name for metric in rows(agent)} - {
        "etcd.network.peer.send_failures", "etcd.network.peer.receive_failures", "etcd.network.peer.disconnects",
        "etcd.network.snapshot.sent", "etcd.network.snapshot.received", "etcd.server.healthcheck.error"}
    if version == "3.6.14":
        expected -= {"etcd.server.request.count", "etcd.server.request.time", "etcd.server.request.bucket"}
    missing = expected - find_all(agent, page(version, "cluster_leader")).keys()
    assert missing == set()


def test_every_row_is_checked(agent):
    """By its name, in the table that the other parser goes by."""
    special = {"etcd.server.healthcheck.success", "etcd.server.healthcheck.error", "etcd.server.go_version",
               "etcd.grpc.failed", "etcd.network.peer.round_trip.slow"}
    assert {metric.name for metric in rows(agent)} == {"etcd." + name for name, _, _ in other_rows()} | special


def test_instances_have_short_names_without_blanks(agent):
    for version in VERSIONS:
        for name, found in find_all(agent, page(version, "cluster_leader")).items():
            for instance in found:
                assert instance is None or instance and not set(" \t\n") & set(instance) and len(instance) <= 40, name


def test_buckets_are_cumulative_up_to_the_count(agent):
    """Each real histogram: a bound further up never counts less, and the last one counts all."""
    found = find_all(agent, page("3.7.1", "cluster_leader"))
    for name in [name for name in found if name.endswith(".bucket")]:
        counts = found[name.replace(".bucket", ".count")]
        for instance, count in counts.items():
            prefix = "" if instance is None else instance + "/"
            bounds = {float(each[len(prefix):]): value
                      for each, value in found[name].items() if each.startswith(prefix)}
            in_order = [bounds[bound] for bound in sorted(bounds)]
            assert in_order == sorted(in_order) and in_order[-1] == count and len(in_order) > 5, name


# ------------------------------------------------------------ pages at random

LETTERS = ["a", "B", "7", "_", "/", ",", "{", "}", "} ", "=", '"', "\\", "\n", "#", "é", "北", "", "le=", "  ", "0"]
LITERALS = ["0", "1", "17", "1e+06", "1.5e+09", "9007199254740993", "18446744073709551615", "3", "250"]
ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


CALLS = ["grpc_service", "grpc_method", "grpc_type"]
LABELS = {family: labels for _, families, labels in other_rows() for family in families}
LABELS.update(dict.fromkeys((family for family in LABELS if family.startswith("grpc_")), CALLS))
LABELS.update({
    "grpc_server_handled_total": CALLS + ["grpc_code"], "etcd_server_healthchecks_total": ["type", "name", "status"],
    "etcd_server_client_requests_total": ["client_api_version", "type"],
    "etcd_network_active_peers": ["Local", "Remote"], "etcd_network_known_peers": ["Local", "Remote"],
    "etcd_network_disconnected_peers_total": ["Local", "Remote"]})
FEW = {"Local": ["own"], "status": ["success", "error"], "grpc_code": ["OK", "Unknown", "Internal"],
       "le": ["0.0001", "0.1024", "+Inf"], "Remote": ["own", "p1", "p2"], "To": ["0", "p1", "p2"]}


def random_page(dice):
    """A well-formed page of the families of all rows, with labels of any content and in any order."""
    lines = ['etcd_server_go_version{server_go_version="go1.19"} 1']
    for family in [family for family in LABELS if dice.random() < 0.8]:
        seen = []
        for _ in range(dice.randint(1, 5) if LABELS[family] else 1):
            values = {label: dice.choice(FEW[label]) if label in FEW else text(dice) for label in LABELS[family]}
            if values not in seen:
                pairs = ['%s="%s"' % (label, value.translate(ESCAPED)) for label, value in values.items()]
                dice.shuffle(pairs)
                lines.append("%s%s %s" % (family, "{%s}" % ",".join(pairs) if pairs else "", dice.choice(LITERALS)))
            seen.append(values)
    dice.shuffle(lines)
    return "\n".join(lines) + "\n"


def text(dice):
    """Any text but an empty one."""
    return "x" + "".join(dice.choices(LETTERS, k=dice.randint(0, 6)))


def without_blanks(found):
    """Instances with _ for each blank, those that are the same then summed."""
    sums = {"etcd.server.go_version": found.pop("etcd.server.go_version")}
    for name, instances in found.items():
        sums[name] = {}
        for instance, value in instances.items():
            key = instance if instance is None else "".join("_" if each.isspace() else each for each in instance)
            sums[name][key] = sums[name].get(key, 0) + value
    return sums


@pytest.mark.parametrize("seed", range(60))
def test_rows_of_a_page_made_at_random(agent, seed):
    dice = random.Random(seed)
    made = random_page(dice)
    assert parse(made)
    found = find_all(agent, made)
    expected = without_blanks(values_of(made))
    for name in ("etcd.grpc.started", "etcd.grpc.handled", "etcd.grpc.messages.received", "etcd.grpc.messages.sent"):
        found.pop(name, None)  # how a service is shortened has tests of its own
        expected.pop(name, None)
    assert found == exact(expected)
