# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""A wrong value in an answer is an error of its metric: never a number, and no harm to other metrics."""

import json

from support.documents import BY_OPERATION, GOOD_VALUES, RATES, SELF, STORE, VERSION, all_are
from support.literals import LITERALS, NOT_JSON_LITERALS, with_all
from support.server import answer
from support.values import AGAIN, APPVERSION


def serve(self=SELF, store=STORE, version=VERSION):
    """A behaviour: these documents instead of the good ones."""
    answers = {path: answer(json.dumps(document)) for path, document in (
        ("/v2/stats/self", self), ("/v2/stats/store", store), ("/version", version))}
    return lambda _, request: answers[request.split()[1].decode()]


def check(running, behaviour, expected, what=""):
    """A fetch gives what is expected, and good values thereafter: a wrong type could spoil the next callback."""
    server, watched = running
    server.behaviour = behaviour
    for _ in range(2):
        assert watched.fetch()[0] == expected, what
    server.behaviour = serve()
    assert watched.fetch()[0] == GOOD_VALUES, what
    assert "Traceback" not in watched.pmcd.agent_log()


def test_literal_is_a_value_or_an_error(running, watched):
    for literal, expected in LITERALS.items():
        check(running, with_all(literal), expected, "%.40r" % literal)


def test_literal_that_json_lacks_spoils_its_answer(running, watched):
    for literal in NOT_JSON_LITERALS:
        check(running, with_all(literal), all_are(AGAIN, 1), "%.40r" % literal)


def test_missing_field_is_one_that_this_etcd_lacks(running, watched):
    """But an absent rate is 0: etcd leaves that out."""
    check(running, answer("{}"), dict(all_are(APPVERSION, 1), **dict.fromkeys(RATES, 0.0)))


def test_unknown_fields_do_no_harm(running, watched):
    extra = {"key%d" % number: [number, {"x": None}] for number in range(10000)}
    check(running, serve(dict(extra, **SELF), dict(extra, **STORE), dict(extra, up=0, **VERSION)), GOOD_VALUES)


def test_inner_document_has_another_form(running, watched):
    for inner in (None, True, 1, "x", [], [{}], {}):
        expected = {name: APPVERSION if name.startswith("etcd.leader.") else value
                    for name, value in GOOD_VALUES.items()}
        check(running, serve(self=dict(SELF, leaderInfo=inner)), expected, repr(inner))


def test_instance_with_a_wrong_value_is_left_out(running, watched):
    expected = dict(GOOD_VALUES)
    for name, operation in (("etcd.store.success", "sets"), ("etcd.store.fail", "gets")):
        expected[name] = {each: value for each, value in BY_OPERATION[name].items() if each != operation}
    check(running, serve(store=dict(STORE, setsSuccess="no", getsFail=-1)), expected)
