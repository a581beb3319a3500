# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers that answer as etcd 3.6.14 and 3.7.1 do, of which there is no package: from their answers in samples/."""

import gzip
import json
import re

from support.repository import REPOSITORY
from support.server import answer

SAMPLES = REPOSITORY / "tests" / "samples"
VERSIONS = ("3.6.14", "3.7.1")
SITUATIONS = ("cluster_leader", "cluster_follower", "learner_itself", "noquorum_exleader")
V3 = re.compile("/v3(?:beta)?(/.*)")  # /v3beta still means /v3, /v3alpha means nothing any more
SERVED = {"/maintenance/status": "status", "/cluster/member/list": "memberlist"}


def sample(version, name):
    """The bytes of a recorded answer: its status and body, with a head of our own."""
    path = SAMPLES / version / (name + ".http")
    recorded = path.read_bytes() if path.exists() else gzip.decompress((path.parent / (path.name + ".gz")).read_bytes())
    head, _, body = recorded.replace(b"\r\n", b"\n").partition(b"\n\n")
    status = re.match(r"HTTP/[\d.]+ (\d+ ?.*)", head.decode()).group(1)
    kind = re.search(r"(?i)content-type: (.*)", head.decode()).group(1)
    return answer(body, status, ["Content-Type: " + kind])


def document(version, name):
    """The JSON document of a recorded answer."""
    return json.loads(sample(version, name).partition(b"\r\n\r\n")[2])


def page(version, situation):
    """The text of a recorded /metrics."""
    return sample(version, situation + "_metrics").partition(b"\r\n\r\n")[2].decode()


def path_and_token(request):
    """(method, path, token, body) of the bytes of a request."""
    head, _, body = request.decode().partition("\r\n\r\n")
    method, path = head.split()[:2]
    token = re.search(r"(?im)^authorization: (.*?)\r?$", head)
    return method, path, token.group(1) if token else "", body


class Replay:
    """A behaviour of FakeServer: what a member of this version answers in a situation.

    users: {name: password} where RBAC is on; then what needs a token needs one of those that the server gave.
    common_name: whether a client certificate with a CN came with each request, which RBAC does not take.
    asked: (method, path, token) of each request; tokens: those that are valid; entries: tokens given, each of which
    is an entry of raft; refusals: wrong passwords, each of which costs etcd 80 ms and two lines of its log.
    """

    def __init__(self, version, situation="cluster_leader", users=None, common_name=False):
        self.version = version
        self.situation = situation
        self.users = users
        self.common_name = common_name
        self.asked = []
        self.tokens = set()
        self.entries = self.refusals = 0

    def __call__(self, _, request):
        method, path, token, body = path_and_token(request)
        self.asked.append((method, path, token))
        gateway = V3.fullmatch(path)
        if gateway and self.common_name:
            return self.sample("tls_rbac_cert_CN_mon_notoken_status")
        if gateway:
            return self.gateway(method, gateway.group(1), token, body)
        if path in ("/metrics", "/version"):
            return self.sample("%s_%s" % (self.situation, path[1:])) if method == "GET" else answer(
                "Method Not Allowed\n", "405 Method Not Allowed")
        return self.sample("single_v2_stats_self")  # 404, as for all that it does not have

    def gateway(self, method, path, token, body):
        """The answer to a path of the v3 gateway."""
        if path not in SERVED and path != "/auth/authenticate":
            return self.sample("single_v2_stats_self")
        if method != "POST":
            return answer('{"code":12, "message":"Method Not Allowed"}', "501 Not Implemented")
        if path == "/auth/authenticate":
            return self.authenticate(json.loads(body))
        if self.users is not None and token not in self.tokens:
            return self.sample("auth_leader_status_as_%s" % ("bad_token" if token else "notoken"))
        return self.sample("%s_%s" % (self.situation, SERVED[path]))

    def authenticate(self, asked):
        """The answer to a name and a password: a new token, in the form of the recorded one."""
        if self.users is None:
            return answer('{"code":9, "message":"etcdserver: authentication is not enabled"}', "400 Bad Request")
        if asked["password"] != self.users.get(asked["name"]):
            self.refusals += 1
            return self.sample("auth_authenticate_wrong_password")
        self.entries += 1
        known = document(self.version, "auth_authenticate_response")
        token = "%s.%d" % (known["token"].partition(".")[0], 19 + self.entries)
        self.tokens.add(token)
        return answer(json.dumps(dict(known, token=token)))

    def forget_tokens(self):
        """All tokens are invalid from now on, as after five minutes or a restart."""
        self.tokens.clear()

    def paths(self):
        """What was asked for since the last time, without the tokens."""
        asked, self.asked = self.asked, []
        return [(method, path) for method, path, _ in asked]

    def sample(self, name):
        return sample(self.version, name)
