# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/versions.md: which metrics have values with which etcd, as a run of the agent finds it."""

import re

from support.page import is_younger
from support.repository import REPOSITORY
from support.values import APPVERSION, VALUE, Failure

PATH = REPOSITORY / "docs" / "versions.md"
GROUPS = (  # headings, and how the names begin below etcd.
    ("identity: name, id, state, leader.id, is_leader", r"(name|id|state|leader\.id|is_leader)$"),
    ("rest of self: leader.*, start_time, recv_*, send_*", r"(leader\.|start_time|recv_|send_)"),
    ("store", r"store\."), ("follower", r"follower\."), ("up, version", r"(up$|version\.)"),
    ("server", r"server\."), ("disk", r"disk\."), ("mvcc", r"mvcc\."), ("lease", r"lease\."),
    ("network.client", r"network\.client\."), ("network.peer, network.snapshot", r"network\.(peer|snapshot)\."),
    ("grpc", r"grpc\."), ("process", r"process\."))
HEAD = """# Which metrics have values with which etcd

Made by a run of `tests/real/test_versions.py`, which compares it: edit nothing here. Each column is one server: an only
member after a little traffic, `v2` being `--enable-v2`; {replayed} are recorded answers of a leader of three.
`yes`: a value; `no`: not supported by this version or without the v2 API (`PM_ERR_APPVERSION`); `later`: from the first
event on, such as the first peer or follower (`PM_ERR_VALUE`, or no instances). Where rows of a group differ, the cell
says how many rows are what; they follow below.
"""


def state(name, value, version, v2):
    """yes, no or later, for a metric of a server of some version; v2: whether it has the v2 API."""
    if value in ({}, VALUE) and (is_younger(name[len("etcd."):], version) or (name.startswith("etcd.follower.")
                                                                              and not v2)):
        return "no"  # PCP asks the agent for no value where there is no instance
    if value == APPVERSION:
        return "no"
    if value in ({}, VALUE):
        return "later"
    assert not isinstance(value, Failure), (name, value)
    return "yes"


def column(fetched, version):
    """{metric: state} of all metrics of GROUPS that were fetched."""
    v2 = fetched["etcd.store.watchers"] != APPVERSION
    return {name: state(name, value, version, v2) for name, value in fetched.items() if group_of(name)}


def group_of(name):
    return next((heading for heading, pattern in GROUPS if re.match(r"etcd\." + pattern, name)), None)


def cell(states):
    """What a group is, in a word, or how many of its rows are what."""
    counts = {each: states.count(each) for each in ("yes", "later", "no") if each in states}
    return states[0] if len(counts) == 1 else ", ".join("%d %s" % (count, each) for each, count in counts.items())


def row(heading, cells):
    return "| %s |\n" % " | ".join([heading, *cells])


def shortened(names):
    """{name as it is shown: a metric}: the rows of a histogram as one."""
    return {re.sub(r"\.(count|time|bucket)$", ".{count,time,bucket}", name)[len("etcd."):]: name for name in names}


def document(columns):
    """The text for {server: {metric: state}}."""
    names = sorted(next(iter(columns.values())))
    replayed = " and ".join("%s" % server for server in columns if re.match(r"3\.[67]", server)) or "none"
    lines = [HEAD.format(replayed=replayed), "\n"]
    top = row("metrics, after `etcd.`", columns) + row("---", ["---"] * len(columns))
    lines.append(top)
    for heading, _ in GROUPS:
        lines.append(row(heading, [cell([states[name] for name in names if group_of(name) == heading])
                                   for states in columns.values()]))
    lines.append("\nThe rows of groups in which they differ, where one is not `yes`:\n\n" + top)
    mixed = {heading for heading, _ in GROUPS for states in columns.values()
             if len({states[name] for name in names if group_of(name) == heading}) > 1}
    for shown, name in sorted(shortened(names).items()):
        if group_of(name) in mixed and {states[name] for states in columns.values()} != {"yes"}:
            lines.append(row(shown, [states[name] for states in columns.values()]))
    return "".join(lines)


def tables(text):
    """{(server, heading of a row and of its table): cell} of a document."""
    found = {}
    for number, table in enumerate(re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)):
        top, _, *rows = [[each.strip() for each in line.strip("|\n").split("|")] for line in table.splitlines()]
        found.update(((server, heading, number), what) for heading, *cells in rows
                     for server, what in zip(top[1:], cells))
    return found
