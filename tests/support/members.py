# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Documents of members of a cluster by the v3 gateway: of a, b and c of the cluster c, if nothing else is said."""


def number(identity):
    """A member id as v3 writes it."""
    return str(int(identity, 16))


def member(identity, name="m", urls=None, **more):
    """A member in the list of v3."""
    urls = ["http://%s:2379" % identity] if urls is None else urls
    return dict({"ID": number(identity), "name": name, "clientURLs": urls}, **more)


def listing(*members, near="a", cluster="c"):
    """A list of v3."""
    return {"header": {"cluster_id": number(cluster), "member_id": number(near)}, "members": list(members)}


def status(identity, leader="a", cluster="c", **more):
    """A status of v3."""
    said = {"header": {"cluster_id": number(cluster), "member_id": number(identity)}, "version": "3.6.14",
            "leader": number(leader), "raftIndex": "9", "raftAppliedIndex": "9", "raftTerm": "2", "dbSize": "4096"}
    return {key: value for key, value in dict(said, **more).items() if value is not None}
