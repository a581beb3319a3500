# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of members, the odd ones too, and the labels that they make."""

import json
import re

from support.documents import OPERATIONS
from support.server import answer

NAMES = {
    "plain": "m1",
    "quotes": "a\"b'c`d\"",
    "backslashes": "a\\b\\\\\"c\\n\\u0041\\",
    "control characters": "tab\t line\n return\r escape\x1b one\x01 delete\x7f next\x85",
    "spaces": "  a  b ",
    "only spaces": "   ",
    "nul": "a\0b",
    "5000 characters": "m" * 5000,
    "5000 quotes": "\"" * 5000,
    "umlauts": "Zürich 北京",
    "5000 umlauts": "ü" * 5000,
    "emoji": "🂡 😀",
    "5000 emoji": "😀" * 5000,
    "lone surrogate": "a\ud800b\udfff",
    "separators": "a\u2028b\u2029",
    "json": '{"member_id":"7"}',
    "prometheus": 'x"} 7\nother{a="b',
    "format": "%s%n{}$(id)`id`",
    "markup": "</script><b>&amp;",
    "as on etcd's command line": "m1=http://127.0.0.1:2380,m2",
}
METRIC = "etcd.follower.success"


def named(names):
    """The answers of a member that leads members of these names by id, its own name among those of /v2/members."""
    followers = {id: {"latency": {}, "counts": {"success": 1, "fail": 0}} for id in names}
    members = [{"id": id, "name": name, "peerURLs": [], "clientURLs": []} for id, name in dict(names, f="me").items()]
    leader = answer(json.dumps({"leader": "f", "followers": followers}))
    members = answer(json.dumps({"members": members}))
    store = answer(json.dumps({operation + "Success": 1 for operation in OPERATIONS}))
    return lambda _, request: leader if b"stats/leader" in request else members if b"members" in request else store


def labels_of(names):
    """The labels of followers of these names, by instance name."""
    return {id: dict({"member_id": id}, **{"member_name": name} if name else {}) for id, name in names.items()}


def instance_labels(output):
    """{instance name: its own labels} in the output of pminfo -l for one metric."""
    found = re.findall(r'^    inst \[\d+ or "(.*)"\] labels (.*)$', output, re.MULTILINE)
    return {name: {key: value for key, value in json.loads(labels).items() if key in ("member_id", "member_name",
                                                                                      "operation", "source")}
            for name, labels in found}


def log(pmcd, archive, samples=3, metrics=METRIC):
    """Writes an archive of the metrics."""
    config = pmcd.directory / "pmlogger.conf"
    config.write_text("log mandatory on 100 msec { %s }\n" % metrics)
    pmcd.run("pmlogger", "-c", str(config), "-h", pmcd.host, "-s", str(samples),
             "-l", str(pmcd.directory / "pmlogger.log"), str(archive))
