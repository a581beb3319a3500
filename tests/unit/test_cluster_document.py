# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture of the cluster: a list of members, and what each says of itself, become the values of etcd.cluster."""

import io
import itertools
import json

import pytest
import requests

from support.members import listing, member, status
from support.naming import short
from support.repository import GOLDEN
from support.values import VALUE, Failure

ANSWERS = json.loads((GOLDEN / "cluster-answers.json").read_text())  # [status, body] of real servers
NEW = ["3.6.14", "3.7.1"]
M0, M1, M2 = "71405583d3e2d5ce", "ff9d11e786a34662", "5bb404e5464eca79"  # of these servers
URLS = {M0: "http://127.0.0.1:2379", M1: "http://127.0.0.1:2389", M2: "http://127.0.0.1:2399"}
WRONG = [None, True, 7, -1.5, "", "x", "\0", "\ud800", [], [7], [[]], {}, {"a": 1}, "9" * 30, "٣"]


class Etcds:
    """Servers that answer the calls of a plan: {URL: {path: [status, body]}}; the first is that of etcd.conf."""

    def __init__(self, agent, servers, **settings):
        self.agent = agent
        self.servers = servers
        self.url = next(iter(servers))
        self.memory = {"config": agent.Config(**{
            **dict.fromkeys(agent.Config._fields), **agent.DEFAULTS, "url": self.url, **settings})}
        self.asked = []  # URLs with their path

    def reply(self, call):
        """The reply to a call; 404 from a server that is there, no answer from others."""
        server = call.server or self.url
        self.asked.append(server + call.path)
        if server not in self.servers:
            return self.agent.Failure(self.agent.FailureKind.UNREACHABLE, "Connection refused")
        made = requests.Response()
        made.status_code, body = self.servers[server].get(call.path, [404, "404 page not found"])
        made.raw = io.BytesIO(body.encode("utf-8", "surrogatepass"))
        made.is_first = False
        return made

    def document(self):
        """What the plan makes of the answers. Raises Failure."""
        plan = self.agent.SOURCES["cluster"](self.memory)
        calls = next(plan)
        replies = {}  # a fetch makes each call once
        while True:
            try:
                for call in calls:
                    replies[call] = replies[call] if call in replies else self.reply(call)
                calls = plan.send([replies[call] for call in calls])
            except StopIteration as end:
                return end.value

    def values(self):
        """{name without etcd.cluster.: value, or {member: value}, or Failure} as PCP gets them."""
        outcome = self.agent.Outcome(self.document())
        return {metric.name.replace("etcd.cluster.", ""): self.value(metric, outcome)
                for cluster in self.agent.CATALOGUE if cluster.source == "cluster" for metric in cluster.metrics}

    def value(self, metric, outcome):
        found = metric.where.find(outcome.document)
        instances = found if metric.indom else {None: found.get(None, self.agent.ABSENT)}
        values = {}
        for instance, raw in instances.items():
            value, is_there = self.agent.EtcdPMDA.value(metric, outcome, raw)
            values[instance] = value if is_there else Failure(value)
        return values if metric.indom else values[None]

    def failure(self):
        """The Failure of the plan."""
        with pytest.raises(self.agent.Failure) as caught:
            self.document()
        assert caught.value.words.isprintable()
        return caught.value


LIST, STATUS = "/v3/cluster/member/list", "/v3/maintenance/status"


def gateway(listed, status):
    """A server with the answers to the two calls of v3; documents, or [status, body]."""
    return {path: each if isinstance(each, list) else [200, json.dumps(each)]
            for path, each in ((LIST, listed), (STATUS, status)) if each is not None}


def three(agent, a=None, b=None, c=None, **settings):
    """A cluster of a, which leads and is asked, b and c; with what each says if not the usual."""
    listed = listing(*map(member, "abc"))
    return Etcds(agent, {"http://%s:2379" % each: gateway(listed, said or status(each))
                         for each, said in (("a", a), ("b", b), ("c", c))}, **settings)


# --------------------------------------------------- answers of real servers


@pytest.mark.parametrize("version", NEW)
def test_picture_of_a_cluster(agent, version):
    """Two of three members, as their statuses were recorded."""
    answers = ANSWERS[version]
    leader = {"3.6.14": M1, "3.7.1": M2}[version]
    etcds = Etcds(agent, {URLS[M0]: gateway(answers["cluster_leader_memberlist"], answers["cluster_follower_status"]),
                          URLS[leader]: gateway(None, answers["cluster_leader_status"])})
    values = etcds.values()
    up = {M0, leader}
    times = values.pop("member.time")
    assert set(times) == up
    followed = json.loads(answers["cluster_follower_status"][1])
    led = json.loads(answers["cluster_leader_status"][1])

    def of_both(key):
        return {M0: int(followed[key]), leader: int(led[key])}

    assert values == {
        "id": "f3c63c6f5a2966ff", "size": 3, "voters": 3, "learners": 0, "up": 2, "quorum": 1, "leader": leader,
        "alarms.nospace": 0, "alarms.corrupt": 0, "raft_lag": 1, "versions": 1,
        "member.name": {M0: "m0", M1: "m1", M2: "m2"}, "member.url": URLS,
        "member.up": {each: int(each in up) for each in URLS},
        "member.is_learner": dict.fromkeys(URLS, 0), "member.role": {M0: "follower", leader: "leader"},
        "member.is_leader": {M0: 0, leader: 1}, "member.version": dict.fromkeys(up, version),
        "member.alarms": dict.fromkeys(up, ""), "member.errors": dict.fromkeys(up, ""),
        "member.quota": dict.fromkeys(up, 2 << 30), "member.db_size": of_both("dbSize"),
        "member.db_in_use": of_both("dbSizeInUse"), "member.raft_term": of_both("raftTerm"),
        "member.raft_index": of_both("raftIndex"), "member.raft_applied_index": of_both("raftAppliedIndex")}


@pytest.mark.parametrize("version", NEW)
def test_learner_knows_itself_alone(agent, version):
    answers = ANSWERS[version]
    etcds = Etcds(agent, {"http://127.0.0.1:2409": gateway(answers["learner_itself_memberlist"],
                                                           answers["learner_itself_status"])})
    values = etcds.values()
    itself = agent.hexadecimal(json.loads(answers["learner_itself_status"][1])["header"]["member_id"])
    assert [values[name] for name in ("size", "voters", "quorum", "member.name")] == [VALUE, VALUE, VALUE, {}]
    assert [values[name] for name in ("up", "learners", "leader", "id")] == [1, 1, M0, "f3c63c6f5a2966ff"]
    assert (values["member.role"], values["member.up"]) == ({itself: "learner"}, {itself: 1})
    assert (values["member.is_learner"], values["member.is_leader"]) == ({itself: 1}, {itself: 0})
    assert values["member.url"] == {itself: etcds.url}


@pytest.mark.parametrize("version", NEW)
def test_member_without_a_quorum(agent, version):
    answers = ANSWERS[version]
    values = Etcds(agent, {URLS[M0]: gateway(answers["noquorum_exleader_memberlist"],
                                             answers["noquorum_exleader_status"])}).values()
    assert [values[name] for name in ("size", "up", "quorum", "leader", "raft_lag")] == [3, 1, 0, "", 0]
    assert (values["member.role"], values["member.errors"]) == ({M0: "follower"}, {M0: "etcdserver: no leader"})


@pytest.mark.parametrize("version", NEW)
def test_alarm_is_that_of_the_member_that_has_it(agent, version):
    """Each member tells of the alarms of all."""
    answers = ANSWERS[version]
    url = URLS[M2] if version == "3.6.14" else URLS[M0]
    near = M2 if version == "3.6.14" else M0
    values = Etcds(agent, {url: gateway(answers["nospace_leader_memberlist"],
                                        answers["nospace_leader_status"])}).values()
    assert (values["alarms.nospace"], values["alarms.corrupt"]) == (1, 0)
    assert values["member.alarms"] == {near: "NOSPACE" if near == M2 else ""}
    assert values["member.errors"] == {near: ""}
    assert values["member.quota"] == {near: 6291456}


@pytest.mark.parametrize("version", NEW)
def test_member_that_is_down_keeps_what_the_list_says(agent, version):
    answers = ANSWERS[version]
    values = Etcds(agent, {URLS[M0]: gateway(answers["one_member_down_leader_memberlist"],
                                             answers["one_member_down_leader_status"])}).values()
    for name, by_member in values.items():
        kept = {"member.name", "member.url", "member.is_learner", "member.up"}
        assert not name.startswith("member.") or set(by_member) == (set(URLS) if name in kept else {M0}), name
    assert values["quorum"] == 0  # as seen from here: nobody else answers


def test_member_that_has_not_started_yet(agent):
    """It has neither name nor URL."""
    values = Etcds(agent, {"http://127.0.0.1:22389": gateway(
        ANSWERS["3.4.23"]["unstarted_learner_memberlist"], status("12a74176c6c84c0e"))}).values()
    new = agent.hexadecimal("14952350969594739145")
    assert [values["member." + name][new] for name in ("name", "url", "up", "is_learner")] == ["", "", 0, 1]
    assert [values[name] for name in ("size", "voters", "learners", "up")] == [4, 3, 1, 0]


def test_two_alarms_and_an_error_of_3_5(agent):
    """The quota is missing there."""
    raisers = {agent.hexadecimal(each): each for each in ("15881124535637782564", "9914196832557106916")}
    cluster = agent.hexadecimal("17093580352927990743")
    urls = ["http://%s:2379" % each for each in raisers]
    listed = listing(*map(member, raisers), cluster=cluster)
    near = urls[1]
    values = Etcds(agent, {near: gateway(listed, ANSWERS["3.5.30"]["noquorum_status"])}).values()
    answering = list(raisers)[1]
    assert values["alarms.nospace"] == 2
    assert values["member.alarms"] == {answering: "NOSPACE"}
    assert values["member.errors"] == {answering: "etcdserver: no leader"}
    assert values["member.quota"] == {}


def test_refusal_says_what_to_do(agent):
    """A list that anyone may read, and statuses that want a user, as on 3.6.0 to 3.6.8."""
    refusal = ANSWERS["3.5.30"]["no_token_status"]
    found = three(agent, refusal, refusal, refusal).failure()
    assert (found.kind.name, found.words) == (
        "REFUSED", "HTTP status 400: RBAC is on: set username and password_file")


# -------------------------------------------------------------------- the v2 API


def v2(identity, **said):
    """A server of a, b and c without a gateway; b leads."""
    members = [{"id": each, "name": "m" + each, "peerURLs": [], "clientURLs": ["http://%s:2379" % each]}
               for each in "abc"]
    itself = {"name": "m", "id": identity, "state": "StateFollower", "leaderInfo": {"leader": "b", "uptime": "1m"}}
    return {"/v2/members": [200, json.dumps({"members": members})],
            "/v2/stats/self": [200, json.dumps(dict(itself, **said))]}


def test_servers_without_a_gateway(agent):
    """What v2 does not know is missing."""
    etcds = Etcds(agent, {"http://%s:2379" % each: v2(each) for each in "ab"})
    values = etcds.values()
    known = {"size": 3, "voters": 3, "learners": 0, "up": 2, "quorum": 1, "leader": "b"}
    assert {name: value for name, value in values.items() if not name.startswith("member.")} == dict(
        known, **{name: VALUE for name in values if not name.startswith("member.") and name not in known})
    assert values["member.role"] == {"a": "follower", "b": "leader"}
    assert values["member.up"] == {"a": 1, "b": 1, "c": 0}
    assert [values["member." + name] for name in ("alarms", "errors", "version", "raft_index")] == [{}] * 4
    etcds.asked.clear()
    etcds.values()
    assert sorted(etcds.asked) == ["http://a:2379/v2/members"] + ["http://%s:2379/v2/stats/self" % each
                                                                  for each in "abc"]


def test_wrong_types_without_a_gateway(agent):
    for key, wrong in itertools.product(("id", "leaderInfo", "state", "name"), WRONG):
        values = Etcds(agent, {"http://a:2379": v2("a"), "http://b:2379": v2("b"),
                               "http://c:2379": v2("c", **{key: wrong})}).values()
        assert values["member.up"] == {"a": 1, "b": 1, "c": int(key != "id")}, (key, wrong)
        assert (values["leader"], values["quorum"]) == ("b", 1)
    for wrong in WRONG:
        values = Etcds(agent, {"http://a:2379": v2("a", leaderInfo={"leader": wrong})}).values()
        assert values["leader"] == "", wrong


def test_server_that_has_neither_api(agent):
    found = Etcds(agent, {"http://a:2379": {}}).failure()
    assert (found.kind.name, found.words) == ("UNSUPPORTED", agent.NO_API)


# ------------------------------------------------------------------ texts, forms


@pytest.mark.parametrize("text", ["memberID:11 alarm:%s ", "memberID:11  alarm:%s", "memberID:11 alarm:%s"])
def test_blanks_of_alarms(agent, text):
    errors = [text % "NOSPACE", text % "CORRUPT", text % "CORRUPT", "etcdserver: no leader", "no space"]
    values = three(agent, b=status("b", errors=errors)).values()
    assert values["member.alarms"] == {"a": "", "b": "CORRUPT NOSPACE", "c": ""}
    assert values["member.errors"] == {"a": "", "b": "etcdserver: no leader; no space", "c": ""}
    assert (values["alarms.nospace"], values["alarms.corrupt"]) == (1, 1)


def test_alarm_of_a_member_that_is_gone_still_counts(agent):
    """The cluster refuses writes until it is disarmed."""
    assert three(agent, status("a", errors=["memberID:99 alarm:NOSPACE "])).values()["alarms.nospace"] == 1


@pytest.mark.parametrize("quota, value", [("-1", {"a": -1}), ("2147483648", {"a": 2 << 30}), (None, {}),
                                          (6291456, {"a": 6291456})], ids=str)
def test_quota(agent, quota, value):
    assert three(agent, status("a", dbSizeQuota=quota)).values()["member.quota"] == value


@pytest.mark.parametrize("urls, first", [
    (["HTTP://A.example:2379/"], "http://A.example:2379"), (["http://a.example"], "http://a.example:80"),
    (["unix:///run/etcd:0", "ftp://a:21", "file:///etc/passwd", "http://b:1"], "http://b:1"),
    (["unixs://a:1", "//a:1", "a:1", "http://u:p@a:1", "http://a:1/x?y", "http://a:99999", "http://a b:1"], ""),
    ([7, None, [], {}], ""), (["http://x:1"] * 10000, "http://x:1"), ([], ""),
    (["https://a:1"], "https://a:1")], ids=short)
def test_advertised_urls(agent, urls, first):
    listed = listing(member("a"), member("b", urls=urls))
    etcds = Etcds(agent, {"http://a:2379": gateway(listed, status("a"))})
    assert etcds.values()["member.url"]["b"] == first
    others = [url for url in etcds.asked if not url.startswith("http://a:2379/")]
    assert others == ([first + STATUS] if first and first.startswith("http:") else [])


def test_only_four_urls_of_a_member_are_asked(agent):
    urls = ["http://b%d:2379" % each for each in range(10000)]
    etcds = Etcds(agent, {"http://a:2379": gateway(listing(member("a"), member("b", urls=urls)), status("a"))})
    etcds.values()
    assert len(etcds.asked) == 2 + 4


def test_only_64_members_are_asked(agent):
    """Of the others is known what the list says; at most 1,000 are shown."""
    members = [member(format(each, "x")) for each in range(10, 10010)]
    etcds = Etcds(agent, {"http://a:2379": gateway(listing(*members), status("a"))})
    values = etcds.values()
    assert len(etcds.asked) == 1 + 64
    assert [values[name] for name in ("size", "voters", "up", "quorum")] == [1000, 1000, 1, 0]
    assert len(values["member.up"]) == 64
    assert len(values["member.name"]) == 1000


def test_url_of_two_members(agent):
    """It is asked once; who does not answer there is down."""
    listed = listing(member("a"), member("b", urls=["http://x:1"]), member("c", urls=["http://x:1"]))
    etcds = Etcds(agent, {"http://a:2379": gateway(listed, status("a")), "http://x:1": gateway(None, status("b"))})
    values = etcds.values()
    assert etcds.asked.count("http://x:1" + STATUS) == 1
    assert values["member.up"] == {"a": 1, "b": 1, "c": 0}
    assert values["member.errors"] == {"a": "", "b": "", "c": "member b of cluster c answers"}


def test_member_at_url_is_asked_there_whatever_it_advertises(agent):
    """What it advertises may be out of reach from here."""
    listed = listing(member("a", urls=["http://etcd0:2379"]))
    etcds = Etcds(agent, {"http://127.0.0.1:2379": gateway(listed, status("a"))})
    values = etcds.values()
    assert (values["member.up"], values["member.url"]) == ({"a": 1}, {"a": "http://127.0.0.1:2379"})
    etcds.asked.clear()
    etcds.values()
    assert etcds.asked == ["http://127.0.0.1:2379" + LIST, "http://127.0.0.1:2379" + STATUS]


# -------------------------------------------------------------------- members =


def test_nobody_is_asked_with_none(agent):
    etcds = three(agent, members="none")
    assert etcds.failure().kind.name == "MISSING"
    assert etcds.asked == []


def test_urls_in_place_of_those_of_the_list(agent):
    listed = listing(*(member(each, "m" + each, ["http://10.0.0.1:2379"]) for each in "abc"))
    etcds = Etcds(agent, {"http://%s:2379" % each: gateway(listed, status(each)) for each in "ab"},
                  members=("http://a:2379", "http://b:2379", "http://d:2379"))
    values = etcds.values()
    assert values["member.name"] == {"a": "ma", "b": "mb", "c": "mc"}
    assert values["member.up"] == {"a": 1, "b": 1, "c": 0}
    assert values["member.url"]["b"] == "http://b:2379"
    assert sorted(set(etcds.asked)) == ["http://a:2379" + LIST] + [
        "http://%s:2379%s" % (each, STATUS) for each in "abd"]


def test_plain_members_of_an_https_url_get_no_token(agent):
    """And what they refuse for want of one costs no new one each fetch, which would be a raft entry each."""
    refusal = ANSWERS["3.5.30"]["no_token_status"]
    listed = listing(member("a", urls=["https://a:2379"]), member("b"))
    etcds = Etcds(agent, {"https://a:2379": gateway(listed, status("a")), "http://b:2379": gateway(None, refusal)},
                  username="me")
    etcds.memory.update(config=etcds.memory["config"]._replace(tls=True), token="secret")
    tokens = []
    reply = etcds.reply
    etcds.reply = lambda call: tokens.append((call.server, call.token)) or reply(call)
    assert etcds.values()["member.up"] == {"a": 1, "b": 0}
    assert sorted(set(tokens)) == [("", "secret"), ("http://b:2379", "")]
    assert not [url for url in etcds.asked if "auth" in url]


def test_member_that_refuses_a_fresh_token_is_not_asked_for_one_each_fetch(agent):
    """As one of another cluster does."""
    etcds = three(agent, c=[401, '{"code":16,"message":"etcdserver: invalid auth token"}'], username="me",
                  password="x")
    etcds.servers["http://a:2379"]["/v3/auth/authenticate"] = [200, '{"token":"t.1"}']
    for _ in range(3):
        assert etcds.values()["member.up"] == {"a": 1, "b": 1, "c": 0}
    assert len([url for url in etcds.asked if "auth" in url]) == 1


def test_token_that_cannot_be_had_costs_the_others_nothing(agent):
    """Without a quorum etcd makes none."""
    etcds = three(agent, c=[401, '{"code":16,"message":"etcdserver: invalid auth token"}'], username="me",
                  password="x")
    etcds.servers["http://a:2379"]["/v3/auth/authenticate"] = [503, "{}"]
    assert etcds.values()["member.up"] == {"a": 1, "b": 1, "c": 0}


def test_https_members_are_not_spoken_to_in_plain_http(agent):
    etcds = Etcds(agent, {"http://a:2379": gateway(listing(member("a"), member("b", urls=["https://b:1"])),
                                                   status("a"))})
    assert etcds.values()["member.up"] == {"a": 1, "b": 0}
    assert not [url for url in etcds.asked if url.startswith("https")]


# ---------------------------------------------------------------- disagreement


def test_two_leaders(agent):
    values = three(agent, b=status("b", "b", raftTerm="3")).values()
    assert (values["leader"], values["quorum"]) == ("a b", 1)
    assert values["member.role"] == {"a": "leader", "b": "leader", "c": "follower"}
    assert values["member.raft_term"] == {"a": 2, "b": 3, "c": 2}


def test_no_two_agree_on_a_leader(agent):
    values = three(agent, b=status("b", "b"), c=status("c", "c")).values()
    assert (values["leader"], values["quorum"], values["up"]) == ("a b c", 0, 3)


@pytest.mark.parametrize("voters, agreeing, quorum", [(1, 1, 1), (2, 1, 0), (2, 2, 1), (3, 1, 0), (3, 2, 1), (4, 2, 0),
                                                      (4, 3, 1), (5, 2, 0), (5, 3, 1)])
def test_quorum_is_more_than_half_of_the_voters(agent, voters, agreeing, quorum):
    """Learners don't vote."""
    members = [member(each) for each in "abcde"[:voters]] + [member(each, isLearner=True) for each in "123"]
    servers = {"http://%s:2379" % each: gateway(listing(*members), status(each))
               for each in "abcde"[:agreeing] + "123"}
    assert Etcds(agent, servers).values()["quorum"] == quorum


def test_stranger_behind_the_url_of_a_member(agent):
    """Its values are nobody's, but that there is another cluster is shown."""
    for said in (status("d", "d", "f", raftAppliedIndex="999", version="3.4.0", errors=["memberID:7 alarm:CORRUPT "]),
                 status("b", "b", "f", raftAppliedIndex="999", version="3.4.0", errors=["memberID:7 alarm:CORRUPT "])):
        values = three(agent, b=said).values()
        assert values["member.up"] == {"a": 1, "b": 0, "c": 1}
        assert values["member.errors"]["b"] == "member %s of cluster f answers" % agent.hexadecimal(
            said["header"]["member_id"])
        assert [values[name] for name in ("id", "leader", "up", "raft_lag", "versions", "alarms.corrupt")] == [
            "c f", "a", 2, 0, 1, 0]
        assert set(values["member.version"]) == {"a", "c"}


def test_lag_and_versions(agent):
    values = three(agent, status("a", raftAppliedIndex="90"), status("b", raftAppliedIndex="70", version="3.5.1"),
                   status("c", raftAppliedIndex="80")).values()
    assert (values["raft_lag"], values["versions"]) == (20, 2)


def test_nobody_answers_but_the_list(agent):
    """What nobody says is unknown, not zero."""
    etcds = Etcds(agent, {"http://a:2379": gateway(listing(*map(member, "abc")), None)})
    values = etcds.values()
    assert [values[name] for name in ("size", "voters", "learners", "up", "quorum")] == [3, 3, 0, 0, 0]
    assert {values[name] for name in ("id", "leader", "alarms.nospace", "alarms.corrupt", "raft_lag", "versions")} == {
        VALUE}


# -------------------------------------------------------------------------- URLs


def test_first_url_that_answers_is_kept_until_it_does_not(agent):
    urls = ["http://b%d:2379" % each for each in range(3)]
    etcds = Etcds(agent, dict({"http://a:2379": gateway(listing(member("a"), member("b", urls=urls)), status("a"))},
                              **{url: gateway(None, status("b")) for url in urls[1:]}))

    def asked():
        etcds.asked.clear()
        values = etcds.values()
        return values["member.url"]["b"], [url.replace(STATUS, "") for url in etcds.asked if "//b" in url]

    assert asked() == (urls[1], urls)
    assert asked() == (urls[1], [urls[1]])
    del etcds.servers[urls[1]]
    assert asked() == (urls[2], [urls[1], urls[0], urls[2]])
    assert asked() == (urls[2], [urls[2]])
    del etcds.servers[urls[2]]
    assert asked() == (urls[0], [urls[2], urls[0], urls[1]])


def test_member_that_moves_is_asked_where_it_is_now(agent):
    etcds = three(agent)
    etcds.values()
    moved = listing(member("a"), member("b", urls=["http://new:1"]), member("c"))
    etcds.servers.update({"http://a:2379": gateway(moved, status("a")), "http://new:1": gateway(None, status("b"))})
    del etcds.servers["http://b:2379"]
    etcds.asked.clear()
    assert etcds.values()["member.up"] == {"a": 1, "b": 1, "c": 1}
    assert "http://b:2379" + STATUS not in etcds.asked


# -------------------------------------------------------------------------- lies


def test_wrong_types_in_the_list(agent):
    """No member, a member without what is wrong, or no list; never an error in the agent."""
    for key, wrong in itertools.product(("ID", "id", "name", "clientURLs", "isLearner", "peerURLs"), WRONG):
        etcds = Etcds(agent, {"http://a:2379": gateway(
            listing(member("a"), dict(member("b"), **{key: wrong})), status("a"))})
        values = etcds.values()
        assert values["member.up"]["a"] == 1, (key, wrong)
        assert set(values["member.up"]) <= {"a", "b", "3"}, (key, wrong)
    for wrong in WRONG:
        listed = {"header": wrong, "members": [wrong, member("a")]}
        assert Etcds(agent, {"http://a:2379": gateway(listed, status("a"))}).values()["size"] == 1
        failure = Etcds(agent, {"http://a:2379": gateway({"members": wrong}, status("a"))}).failure()
        assert failure.kind.name == "UNREACHABLE"


def test_wrong_types_in_a_status(agent):
    """The others are as they were; of the liar is known what is still well."""
    keys = ("header", "version", "dbSize", "leader", "raftIndex", "raftTerm", "raftAppliedIndex", "errors",
            "dbSizeInUse", "dbSizeQuota", "isLearner", "id", "leaderInfo")
    for key, wrong in itertools.product(keys, WRONG):
        values = three(agent, c=dict(status("c"), **{key: wrong})).values()
        assert (values["size"], values["quorum"]) == (3, 1), (key, wrong)
        assert values["member.up"] == {"a": 1, "b": 1, "c": int(key != "header")}, (key, wrong)
        assert values["member.version"]["a"] == values["member.version"]["b"] == "3.6.14"
    for key, wrong in itertools.product(("member_id", "cluster_id", "raft_term"), WRONG):
        said = status("c")
        said["header"][key] = wrong
        values = three(agent, c=said).values()
        assert values["member.up"]["c"] == int(key != "member_id"), (key, wrong)


@pytest.mark.parametrize("raw", WRONG + ["0", "-1", str(2 ** 64), "1.0", " 1", "0x1", "1\n"], ids=short)
def test_what_is_no_id(agent, raw):
    assert agent.hexadecimal(raw) == ""


@pytest.mark.parametrize("body", ["", "x", "[]", "null", '"a"', "{}", '{"header":{}}', "\0", "[" * 5000], ids=short)
def test_status_that_is_none(agent, body):
    values = three(agent, c=[200, body]).values()
    assert values["member.up"] == {"a": 1, "b": 1, "c": 0}
    assert "c" not in values["member.errors"]
