# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers of etcd as documents: what is JSON, and which status means what."""

import cpmapi as c_api
import pytest

from support.naming import short


def response(agent, body, status=200):
    return agent.Response(status, body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass"))


def test_json_object_is_the_document(agent):
    answer = agent.read_json(response(agent, '{"a": {"b": 1}, "c": "x"}'))
    assert answer.document == {"a": {"b": 1}, "c": "x"} and answer.reason == ""


@pytest.mark.parametrize("body", [
    "", " ", "null", "true", "1", '"x"', "[]", "[{}]", "{", "{}{}", "{'a': 1}", "<html></html>", '{"a": 01}',
    b"\xff\xfe", b"\x80",
    b"\x1f\x8b\x08\x00", "[" * 100000, '{"a":' * 100000, "{\"a\": \ud800}", "\ufeff{}",
], ids=short)
def test_what_is_not_a_json_object_is_a_failure(agent, body):
    answer = agent.read_json(response(agent, body))
    assert answer.document == {} and answer.missing == c_api.PM_ERR_AGAIN
    assert answer.reason and "\n" not in answer.reason


@pytest.mark.parametrize("status, error", [
    (401, c_api.PM_ERR_PERMISSION), (403, c_api.PM_ERR_PERMISSION), (404, c_api.PM_ERR_APPVERSION),
    (204, c_api.PM_ERR_AGAIN), (301, c_api.PM_ERR_AGAIN), (302, c_api.PM_ERR_AGAIN), (400, c_api.PM_ERR_AGAIN),
    (405, c_api.PM_ERR_AGAIN), (429, c_api.PM_ERR_AGAIN), (500, c_api.PM_ERR_AGAIN), (503, c_api.PM_ERR_AGAIN),
])
@pytest.mark.parametrize("reader", ["read_json", "read_v2", "read_version"])
def test_a_status_other_than_200_is_a_failure(agent, reader, status, error):
    answer = getattr(agent, reader)(response(agent, '{"name": "m0", "up": 0}', status))
    assert "name" not in answer.document and answer.missing == error
    assert str(status) in answer.reason
    if reader == "read_version":
        assert answer.document == {"up": 1}


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "-1", "1e400", str(2 ** 64), str(2 ** 65),
                                     "-" + "9" * 30, "9" * 5000, "1" + "0" * 20, "true", "false", "null",
                                     '"1"', "1.0", "1.5", "1e3", "[]", "{}"], ids=short)
def test_a_literal_that_is_no_counter_is_refused(agent, literal):
    document = agent.read_json(response(agent, '{"a": %s}' % literal)).document
    with pytest.raises(ValueError):
        agent.u64(document["a"])


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 5000, "-" + "9" * 5000,
                                     "true", "null", '"1.5"', "[]", "{}"], ids=short)
def test_a_literal_that_is_no_finite_number_is_refused(agent, literal):
    document = agent.read_json(response(agent, '{"a": %s}' % literal)).document
    with pytest.raises(ValueError):
        agent.double(document["a"])


def test_the_largest_counter_is_read(agent):
    assert agent.u64(agent.read_json(response(agent, '{"a": 18446744073709551615}')).document["a"]) == 2 ** 64 - 1


def test_absent_rate_means_zero_but_only_in_a_good_answer(agent):
    metric = next(metric for cluster in agent.CATALOGUE for metric in cluster.metrics
                  if metric.name == "etcd.recv_packet_rate")
    value = agent.EtcdPMDA.value
    assert value(metric, "", agent.read_json(response(agent, "{}"))) == [0.0, 1]
    assert value(metric, "", agent.read_json(response(agent, ""))) == [c_api.PM_ERR_AGAIN, 0]
    assert value(metric, "", agent.read_json(response(agent, "{}", 404))) == [c_api.PM_ERR_APPVERSION, 0]
    assert value(metric, "", agent.read_json(response(agent, '{"recvPkgRate": null}'))) == [c_api.PM_ERR_VALUE, 0]
