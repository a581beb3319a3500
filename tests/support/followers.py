# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of followers have in common: a client that asks for them, and a server that answers as a leader."""

import contextlib
import json

from support.pmcd import Pmcd
from support.server import answer
from support.values import Query

LATENCIES = {"current": "current", "average": "average", "standard_deviation": "standardDeviation",
             "minimum": "minimum", "maximum": "maximum"}
METRICS = (["etcd.follower.latency." + name for name in LATENCIES]
           + ["etcd.follower.success", "etcd.follower.fail", "etcd.is_leader"])


class FollowerClient:
    """A private pmcd with the agent, and a client that asks for all metrics of a leader."""

    def __init__(self, pmcd):
        self.pmcd = pmcd
        self.context = pmcd.context()
        self.query = Query(self.context, METRICS)

    def fetch(self):
        return self.query.fetch()

    def values(self, name="success"):
        return self.fetch()["etcd.follower." + name]

    def is_leader(self):
        return self.fetch()["etcd.is_leader"]

    def instances(self):
        """{name: number} as a client gets them that asks for the instance domain."""
        numbers, names = self.context.pmGetInDom(self.query.descs[0])
        return dict(zip(names or (), numbers or ()))


@contextlib.contextmanager
def watching_followers(directory, url):
    with Pmcd(directory, url=url) as pmcd:
        yield FollowerClient(pmcd)


# -------------------------------------------------------------- fake answers


def follower(success=1, **latency):
    """One follower in an answer of /v2/stats/leader."""
    return {"latency": dict({"current": 0.5, "average": 0.25, "standardDeviation": 0.125, "minimum": 0.1,
                             "maximum": 2}, **latency),
            "counts": {"fail": 0, "success": success}}


def leading(followers):
    """The answers of a member that leads these followers."""
    body = answer(json.dumps({"leader": "1", "followers": followers}))
    return lambda _, request: body if b"leader" in request else answer(b'{"members":[]}')


def many(count):
    """The answers of a leader of so many members."""
    return leading({format(2 ** 60 + 7919 * number, "x"): follower(number) for number in range(1, count + 1)})
