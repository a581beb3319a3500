# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who a member is and whom it follows, where there is no v2 API: from the v3 gateway, under the prefix it has."""

import json
from datetime import timedelta

import pytest

from support.documents import SELF
from support.naming import short
from support.plans import memory_of, response, run, served_by
from support.prometheus import parse
from support.replay import SITUATIONS, VERSIONS, Replay, document, page
from support.server import answer

IDS = {"m0": "71405583d3e2d5ce", "m1": "ff9d11e786a34662", "m2": "5bb404e5464eca79"}  # as v2 would write them
LEADER = {"3.6.14": "m1", "3.7.1": "m2"}


def identity(agent, behaviour, memory=None):
    """(document of self, document of leader) of a server."""
    memory = memory or memory_of(agent)
    return [run(agent, source, memory, served_by(behaviour)) for source in ("self", "leader")]


@pytest.fixture
def failure_of(agent):
    """The Failure of a source of a server."""
    def failure(source, behaviour, **settings):
        with pytest.raises(agent.Failure) as caught:
            run(agent, source, memory_of(agent, **settings), served_by(behaviour))
        return caught.value
    return failure


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_id_is_that_of_metrics(agent, version, situation):
    """Where etcd itself writes it in hexadecimal."""
    (labels, _), = parse(page(version, situation))["etcd_server_id"]
    assert identity(agent, Replay(version, situation))[0]["id"] == labels["server_id"]


# ------------------------------------------------------------------- who it is


@pytest.mark.parametrize("version", VERSIONS)
def test_leader(agent, version):
    name = LEADER[version]
    own, leads = identity(agent, Replay(version, "cluster_leader"))
    assert own == {"id": IDS[name], "name": name, "state": "StateLeader", "leaderInfo": {"leader": IDS[name]}}
    assert leads == {"is_leader": 1, "followers": {}}


@pytest.mark.parametrize("version", VERSIONS)
def test_follower(agent, version):
    own, leads = identity(agent, Replay(version, "cluster_follower"))
    assert own == {"id": IDS["m0"], "name": "m0", "state": "StateFollower",
                   "leaderInfo": {"leader": IDS[LEADER[version]]}}
    assert leads == {"is_leader": 0, "followers": {}}


@pytest.mark.parametrize("version", VERSIONS)
def test_learner_does_not_know_its_name(agent, version):
    """It refuses the list of members."""
    own, leads = identity(agent, Replay(version, "learner_itself"))
    status = document(version, "learner_itself_status")
    assert own == {"id": "%x" % int(status["header"]["member_id"]), "name": None, "state": "StateFollower",
                   "leaderInfo": {"leader": IDS["m0"]}}
    assert leads["is_leader"] == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_leader_that_lost_its_quorum_has_no_leader(agent, version):
    own, leads = identity(agent, Replay(version, "noquorum_exleader"))
    assert own == {"id": IDS["m0"], "name": "m0", "state": "StateFollower", "leaderInfo": {"leader": ""}}
    assert leads["is_leader"] == 0


def test_what_v3_can_not_know_is_not_supported(agent):
    own, _ = identity(agent, Replay("3.6.14"))
    known = {"etcd.name", "etcd.id", "etcd.state", "etcd.leader.id"}
    for metric in agent.CATALOGUE[0].metrics:
        found = metric.where.find(own).get(None, agent.ABSENT)
        assert (found is not agent.ABSENT) == (metric.name in known), metric.name
        assert metric.absent is agent.FailureKind.UNSUPPORTED, metric.name


def test_members_have_names(agent):
    assert run(agent, "members", memory_of(agent), served_by(Replay("3.7.1"))) == {
        "names": {identity: name for name, identity in IDS.items()}}


@pytest.mark.parametrize("raw, expected", [
    ("18418897737109161570", "ff9d11e786a34662"), ("1", "1"), ("10", "a"), ("18446744073709551615", "f" * 16),
    ("0", ""), ("", ""), (None, ""), (5, ""), ("-1", ""), ("+1", ""), ("1 ", ""), ("ff", ""), ("1_0", ""), ("٣", ""),
    ("1.0", ""), ("1\n", ""), ("9" * 21, ""), (True, ""), ([], "")], ids=short)
def test_decimal_id_becomes_hexadecimal(agent, raw, expected):
    assert agent.hexadecimal(raw) == expected


@pytest.mark.parametrize("status", ["{}", '{"header": null}', '{"header": {"member_id": 5}}', '{"leader": "5"}',
                                    '{"header": {"member_id": "0"}, "leader": "0"}'])
@pytest.mark.parametrize("source", ["self", "leader"])
def test_answer_without_a_member_id_is_no_status(agent, failure_of, source, status):
    """Whatever it is that answers so: it is not a follower."""
    failure = failure_of(source, lambda _, request: answer(status) if b" /v3/" in request else answer("", "404 x"))
    assert (failure.kind.name, failure.words) == ("UNREACHABLE", "answer is not the status of a member")


def test_member_list_that_is_late_costs_the_name_alone(agent):
    late = agent.Failure(agent.FailureKind.LATE, "no answer in time")
    server = served_by(Replay("3.7.1"))
    own = run(agent, "self", memory_of(agent), lambda call: late if "member" in call.path else server(call))
    assert own["name"] is None and own["id"] == IDS["m2"]


def test_status_that_is_late_is_late(agent):
    late = agent.Failure(agent.FailureKind.LATE, "no answer in time")
    server = served_by(Replay("3.7.1"))
    for source, known in ("self", {}), ("leader", {}), ("self", {"no_v2": True}), ("leader", {"no_v2": True}):
        memory = dict(memory_of(agent), **known)
        with pytest.raises(agent.Failure) as caught:
            run(agent, source, memory, lambda call: late if "status" in call.path else server(call))
        assert caught.value is late and "no_v2" not in memory  # another server may have come meanwhile


# ------------------------------------------------------------ which API it has


def without_gateway(_, request):
    """--enable-grpc-gateway=false: 404 for all but what is no part of it."""
    return answer("404 page not found\n", "404 Not Found")


def test_server_without_both_apis_says_what_turns_them_off(agent, failure_of):
    for source in "self", "leader", "members":
        failure = failure_of(source, without_gateway)
        assert failure.kind is agent.FailureKind.UNSUPPORTED and failure.status_code == 404
        assert "no v2 API" in failure.words and "--enable-grpc-gateway" in failure.words


class Old:
    """A server of before 3.4, started without v2, made from its documented shapes, not from a real one's answers.

    The gateway was /v3alpha in 3.0 to 3.2, and /v3beta as well as /v3alpha in 3.3; numbers are strings there, too, and
    a status has only header, version, dbSize, leader, raftIndex and raftTerm. etcd 2.3 has no gateway, and always v2.
    """

    STATUS = {"header": {"cluster_id": "1", "member_id": "255", "revision": "4", "raft_term": "2"}, "version": "3.2.32",
              "dbSize": "20480", "leader": "255", "raftIndex": "9", "raftTerm": "2"}
    MEMBERS = {"header": {"cluster_id": "1"}, "members": [{"ID": "255", "name": "old", "peerURLs": ["http://x:2380"]}]}

    def __init__(self, *prefixes):
        self.prefixes = prefixes
        self.asked = []

    def __call__(self, _, request):
        method, path = request.decode().split()[:2]
        self.asked.append(path)
        for prefix in self.prefixes:
            for ending, known in (("/maintenance/status", self.STATUS), ("/cluster/member/list", self.MEMBERS)):
                if (method, path) == ("POST", prefix + ending):
                    return answer(json.dumps(known))
        return answer("404 page not found\n", "404 Not Found")


@pytest.mark.parametrize("prefixes, used", [
    (["/v3alpha"], "/v3alpha"), (["/v3beta", "/v3alpha"], "/v3beta"), (["/v3beta"], "/v3beta"),
    (["/v3", "/v3beta"], "/v3")], ids=str)
def test_prefix_is_the_newest_that_the_server_has(agent, prefixes, used):
    """Servers of before 3.4 answer from documented shapes here, see Old."""
    old, memory = Old(*prefixes), memory_of(agent)
    own, leads = identity(agent, old, memory)
    assert own == {"id": "ff", "name": "old", "state": "StateLeader", "leaderInfo": {"leader": "ff"}}
    assert leads["is_leader"] == 1
    assert memory["gateway"] == used
    old.asked.clear()
    assert identity(agent, old, memory) == [own, leads]
    assert old.asked == [used + "/maintenance/status", used + "/cluster/member/list", used + "/maintenance/status"]


def v2(_, request):
    """etcd 2.3, or any with the v2 API, from the documented shapes of its answers."""
    path = request.split()[1].decode()
    if path == "/v2/stats/self":
        return answer(json.dumps(SELF))
    return answer('{"message":"not current leader"}', "403 Forbidden")


def test_server_with_v2_is_asked_by_v2_alone(agent):
    memory = memory_of(agent)
    own, leads = identity(agent, v2, memory)
    assert own["name"] == SELF["name"] and own["recvAppendRequestCnt"] == 11
    assert leads == {"is_leader": 0, "followers": {}}
    assert not {"no_v2", "gateway"} & memory.keys()


def fetches(agent, memory, behaviour, first=False, source="self"):
    """(document of a source, what was asked for it) where the answers are the first of their connections, or not."""
    asked = []
    reply_to = served_by(behaviour)

    def noting(call):
        asked.append((call.method, call.path))
        reply = reply_to(call)
        reply.is_first = first
        reply.elapsed = timedelta(seconds=0.001)
        return reply

    return run(agent, source, memory, noting), asked


V2, STATUS, LIST = ("GET", "/v2/stats/self"), ("POST", "/v3/maintenance/status"), ("POST", "/v3/cluster/member/list")


def test_api_is_found_out_again_with_a_new_connection(agent):
    """Another version may answer then: the identity is right in every fetch, and nothing is asked without need."""
    memory = memory_of(agent)
    steps = [(v2, [V2], "m0"), (Replay("3.6.14"), [V2, STATUS, LIST], "m1"),
             (Replay("3.7.1", "cluster_follower"), [STATUS, LIST, V2, STATUS, LIST], "m0"),
             (Replay("3.7.1"), [STATUS, LIST, V2, STATUS, LIST], "m2"), (v2, [STATUS, LIST, V2], "m0"),
             (v2, [V2], "m0")]
    for behaviour, expected, name in steps:
        own, asked = fetches(agent, memory, behaviour, first=True)
        assert own["name"] == name and asked == expected
        for _ in range(3):
            own, asked = fetches(agent, memory, behaviour)
            assert own["name"] == name and asked == ([V2] if behaviour is v2 else [STATUS, LIST])


def test_new_connection_counts_whatever_source_has_it(agent):
    """The view of the cluster asks the same, and another fetch may want it alone."""
    memory = memory_of(agent)
    assert fetches(agent, memory, Replay("3.6.14"))[0]["name"] == "m1"
    assert fetches(agent, memory, Replay("3.6.14"), source="cluster")[0]["size"] == 3
    assert fetches(agent, memory, Replay("3.6.14"))[1] == [STATUS, LIST]
    assert fetches(agent, memory, Replay("3.7.1"), first=True, source="cluster")[0]["size"] == 3
    assert fetches(agent, memory, v2)[1] == [V2]


def test_gateway_is_looked_for_again_with_a_new_connection_to_v2(agent):
    memory = memory_of(agent)
    for first, known in (False, True), (True, None):
        memory["no_gateway"] = True
        fetches(agent, memory, v2, first)
        assert memory.get("no_gateway") is known


def test_gateway_that_is_gone_is_looked_for_elsewhere(agent):
    """Even on the same connection, as behind a proxy, and the v2 API as well."""
    memory = memory_of(agent)
    assert fetches(agent, memory, Replay("3.6.14"))[0]["name"] == "m1"
    own, asked = fetches(agent, memory, Old("/v3alpha"))
    assert own["name"] == "old" and memory["gateway"] == "/v3alpha"
    assert asked[:2] == [STATUS, LIST] and asked.count(V2) == 1
    assert fetches(agent, memory, Old("/v3alpha"))[1] == [
        (method, path.replace("/v3", "/v3alpha")) for method, path in (STATUS, LIST)]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503])
def test_trouble_with_the_gateway_changes_no_api(agent, status):
    """Only 404 says that it is not there."""
    memory = memory_of(agent)
    fetches(agent, memory, Replay("3.6.14"))
    asked = []

    def reply_to(call):
        asked.append(call.path)
        return response("{}", status)

    with pytest.raises(agent.Failure):
        run(agent, "self", memory, reply_to)
    assert (memory["gateway"], memory["no_v2"]) == ("/v3", True) and set(asked) == {STATUS[1], LIST[1]}


# ------------------------------------------------------------------ what it says


@pytest.mark.parametrize("status, body, kind, words", [
    (400, "Client sent an HTTP request to an HTTPS server.\n", "UNREACHABLE", "wants https"),
    (400, "CommonName of client sending a request against gateway will be ignored", "REFUSED", "without"),
    (400, '{"code":3, "message":"etcdserver: user name is empty"}', "REFUSED", "set username and password_file"),
    (400, '{"code":3, "message":"etcdserver: authentication failed, invalid user ID"}', "REFUSED", "is wrong"),
    (401, '{"code":16, "message":"etcdserver: invalid auth token"}', "REFUSED", "refuses the token"),
    (403, '{"code":7, "message":"etcdserver: permission denied"}', "REFUSED", "role root"),
    (400, '{"code":9, "message":"etcdserver: rpc not supported for learner"}', "UNSUPPORTED", "learner does not list"),
    (503, '{"code":14, "message":"etcdserver: rpc not supported for learner"}', "UNSUPPORTED", "learner does not list"),
    (400, "other", "UNREACHABLE", "HTTP status 400"), (401, "other", "REFUSED", "HTTP status 401"),
    (503, "user agent", "UNREACHABLE", "HTTP status 503")], ids=short)
def test_hint_says_what_to_do(agent, status, body, kind, words):
    with pytest.raises(agent.Failure) as caught:
        agent.good_body(response(body, status))
    assert caught.value.kind.name == kind and words in caught.value.words
    assert caught.value.words.startswith("HTTP status %d" % status) and caught.value.status_code == status


def test_store_without_v2_says_which_version_has_it(failure_of):
    failure = failure_of("store", Replay("3.6.14"))
    assert failure.kind.name == "UNSUPPORTED" and "--enable-v2" in failure.words
