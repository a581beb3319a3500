# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers of etcd become documents, or failures that say why not."""

import json

import pytest

from support.behaviours import NO_VALUES, NOT_A_DOCUMENT
from support.naming import short
from support.plans import ask, response

REFUSED, UNSUPPORTED, UNREACHABLE = "REFUSED", "UNSUPPORTED", "UNREACHABLE"


def failure(agent, source, *replies):
    """The Failure of a source."""
    with pytest.raises(agent.Failure) as caught:
        ask(agent, source, *replies)
    assert caught.value.words and caught.value.words.isprintable()
    return caught.value


def test_json_object_is_the_document(agent):
    assert ask(agent, "store", response('{"a": {"b": 1}, "c": "x"}')) == {"a": {"b": 1}, "c": "x"}


def test_rate_that_is_absent_is_zero(agent):
    """etcd leaves out a rate of 0."""
    rates = dict.fromkeys(("recvPkgRate", "recvBandwidthRate", "sendPkgRate", "sendBandwidthRate"), 0)
    assert ask(agent, "self", response('{"name": "m0"}')) == dict(rates, name="m0")
    assert ask(agent, "self", response('{"sendPkgRate": 1.5}')) == dict(rates, sendPkgRate=1.5)


@pytest.mark.parametrize("source", ["self", "store", "leader", "version", "members"])
def test_anything_else_is_a_failure(agent, source):
    for case, body in NOT_A_DOCUMENT.items():
        found = failure(agent, source, response(body))
        assert (found.kind.name, found.status_code) == (UNREACHABLE, 200), case
        assert found.document == ({"up": 1} if source == "version" else {}), case


def test_answer_without_values_is_a_failure(agent):
    for case, (_, status, body) in NO_VALUES.items():
        found = failure(agent, "self", response(body, status))
        assert (found.kind.name, found.status_code) == (UNREACHABLE, status), case


@pytest.mark.parametrize("source", ["self", "store", "leader", "version", "members"])
@pytest.mark.parametrize("status, kind", [(401, REFUSED), (403, REFUSED), (404, UNSUPPORTED)] + [
    (status, UNREACHABLE) for status in (204, 301, 302, 400, 405, 429, 500, 503, 599)])
def test_status_other_than_200_is_a_failure(agent, source, status, kind):
    found = failure(agent, source, response('{"name": "m0", "up": 0, "followers": {}}', status))
    assert (found.kind.name, found.status_code) == (kind, status)
    assert "HTTP status %d" % status in found.words
    assert found.document == ({"up": 1} if source == "version" else {})


def test_server_that_gives_no_answer_is_down(agent):
    late = agent.Failure(agent.FailureKind.LATE, "no answer in time")
    found = failure(agent, "version", late)
    assert (found.kind, found.words, found.document) == (late.kind, late.words, {"up": 0})


# ------------------------------------------------------------------ the leader


def test_member_that_does_not_lead_has_not_failed(agent):
    answer = response('{"message":"not current leader"}', 403)
    assert ask(agent, "leader", answer) == {"is_leader": 0, "followers": {}}


@pytest.mark.parametrize("followers", [None, 1, "x", [], ["a"], True], ids=str)
def test_leader_has_an_object_of_followers(agent, followers):
    found = failure(agent, "leader", response(json.dumps({"followers": followers})))
    assert found.words == "answer is not that of a leader" + agent.IS_IT_ETCD


def test_leader_has_a_thousand_followers_at_most(agent):
    """More are not a cluster, and each would get a number that is kept."""
    def leading(count):
        return response(json.dumps({"followers": {format(each, "x"): {} for each in range(count)}}))

    for count in (0, 1000):
        assert len(ask(agent, "leader", leading(count))["followers"]) == count
    assert failure(agent, "leader", leading(1001)).kind.name == UNREACHABLE


@pytest.mark.parametrize("name", ["", " ", "A", "x", "0x1", "a b", "-1", "é", "1" * 17, "a" * 5000, "../a", "a\n",
                                  "a\0", "\ud800", "%s"], ids=short)
def test_name_that_is_no_member_id_is_no_follower(agent, name):
    body = json.dumps({"followers": {name: {}, "a": {}, "ffffffffffffffff": {}}})
    assert set(ask(agent, "leader", response(body))["followers"]) == {"a", "ffffffffffffffff"}


@pytest.mark.parametrize("statistics", [None, 1, "x", [], {}, {"latency": None, "counts": None},
                                        {"latency": [], "counts": 7}, {"latency": [], "counts": {"success": 0}},
                                        {"latency": {}, "counts": {"success": 0}}], ids=str)
def test_statistics_of_a_follower_may_have_any_form(agent, statistics):
    body = json.dumps({"followers": {"a": statistics}})
    assert ask(agent, "leader", response(body))["followers"] == {"a": statistics}


# ----------------------------------------------------------------- the members


@pytest.mark.parametrize("members, names", [
    ([], {}), (None, {}), ({}, {}), ("x", {}), ([None], {}), ([1], {}), ([[]], {}), ([{}], {}), ([{"id": "a"}], {}),
    ([{"id": "a", "name": None}], {}), ([{"id": "a", "name": 7}], {}), ([{"id": 10, "name": "m1"}], {}),
    ([{"name": "m1"}], {}), ([{"id": "a", "name": "x\0"}, {"id": "b", "name": "\ud800"}], {"a": "x\0", "b": "\ud800"}),
    ([{"id": "a", "name": "m1"}, None, {"id": "b", "name": "m2"}], {"a": "m1", "b": "m2"}),
    ([{"id": "a", "name": "m" * 6000}], {"a": "m" * 5000})], ids=short)
def test_names_of_members(agent, members, names):
    """A member without a name is left out, a long name is cut."""
    assert ask(agent, "members", response(json.dumps({"members": members})))["names"] == names


# -------------------------------------------------------------------- literals


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "-1", "1e400", str(2 ** 64), str(2 ** 65),
                                     "-" + "9" * 30, "9" * 5000, "1" + "0" * 20, "true", "false", "null",
                                     '"1"', "1.0", "1.5", "1e3", "[]", "{}"], ids=short)
def test_literal_that_is_no_counter_is_refused(agent, literal):
    with pytest.raises(ValueError):
        agent.u64(ask(agent, "self", response('{"a": %s}' % literal))["a"])


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 5000, "-" + "9" * 5000,
                                     "true", "null", '"1.5"', "[]", "{}"], ids=short)
def test_literal_that_is_no_finite_number_is_refused(agent, literal):
    with pytest.raises(ValueError):
        agent.double(ask(agent, "self", response('{"a": %s}' % literal))["a"])


def test_largest_counter_is_read(agent):
    assert agent.u64(ask(agent, "self", response('{"a": 18446744073709551615}'))["a"]) == 2 ** 64 - 1
