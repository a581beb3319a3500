#
# Copyright (c) 2026 The etcd PMDA authors.
#
# This program is free software; you can redistribute it and/or modify it
# under the terms of the GNU General Public License as published by the
# Free Software Foundation; either version 2 of the License, or (at your
# option) any later version.
#
# This program is distributed in the hope that it will be useful, but
# WITHOUT ANY WARRANTY; without even the implied warranty of MERCHANTABILITY
# or FITNESS FOR A PARTICULAR PURPOSE.  See the GNU General Public License
# for more details.
#
"""The agent's parts by themselves: converters, configuration, reading of answers, reasons, logging, catalogue."""

import http.client
import math
import re
import socket
import ssl
import threading
import time

import cpmapi as c_api
import pytest
import requests

from harness import GOLDEN, PATIENCE, REPOSITORY, FakeServer, answer


def short(raw):
    """A name for a test's parameter that may be very long."""
    return "%.20s" % (hex(raw) if type(raw) is int else repr(raw))


# ------------------------------------------------------------- converters

NOT_NUMBERS = [True, False, None, "1", "", [], {}, [1], math.nan, math.inf, -math.inf]
LONE_SURROGATE = "\ud800"


@pytest.mark.parametrize("raw", [0, 1, 2 ** 63, 2 ** 64 - 1])
def test_u64_takes_unsigned_integers(agent, raw):
    assert agent.u64(raw) == raw


@pytest.mark.parametrize("raw", NOT_NUMBERS + [-1, 2 ** 64, 2 ** 65, 10 ** 5000, 1.0, 1.5, -0.0], ids=short)
def test_u64_refuses(agent, raw):
    with pytest.raises(ValueError):
        agent.u64(raw)


@pytest.mark.parametrize("raw", [0, -1, 1.5, 2 ** 63, 1e308, 5e-324, -0.0])
def test_double_takes_finite_numbers(agent, raw):
    value = agent.double(raw)
    assert value == raw and type(value) is float


@pytest.mark.parametrize("raw", NOT_NUMBERS, ids=short)
def test_double_refuses(agent, raw):
    with pytest.raises(ValueError):
        agent.double(raw)


@pytest.mark.parametrize("raw", ["", "m0", "Zürich 北京 🂡", "x" * 50000, "\n\t\"%s"])
def test_text_takes_strings(agent, raw):
    assert agent.text(raw) == raw


@pytest.mark.parametrize("raw", [None, True, 1, 1.5, [], {}, b"m0", "a\0b", "\0",
                                 LONE_SURROGATE, "a\udfffb"], ids=short)
def test_text_refuses(agent, raw):
    with pytest.raises(ValueError):
        agent.text(raw)


@pytest.mark.parametrize("raw, value", [
    ("0s", 0), ("1ns", 1e-9), ("1.5µs", 1.5e-6), ("1.5us", 1.5e-6), ("19.284317ms", 0.019284317), ("1m25.27s", 85.27),
    ("86h37m30.47s", 86 * 3600 + 37 * 60 + 30.47), ("2562047h47m16.854775807s", 9223372036.854776), ("1h0m0s", 3600),
])
def test_go_duration(agent, raw, value):
    assert agent.go_duration(raw) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("raw", ["", "s", "1", "-1s", "1d", "1.s", ".5s", "1s ", " 1s",
                                 "1 s", "1s\n", "1e3s", "1m!", "1,5s", "٣s",
                                 "NaN", "Infs", "1\0s", LONE_SURROGATE, "9" * 400 + "h", None, 5, 1.5, True], ids=short)
def test_go_duration_refuses(agent, raw):
    with pytest.raises(ValueError):
        agent.go_duration(raw)


# ---------------------------------------------------------- configuration


@pytest.fixture
def read(agent, tmp_path):
    """Reads a configuration that is given as text or bytes."""
    def read_text(content):
        path = tmp_path / "etcd.conf"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return agent.read_config(str(path))
    return read_text


def test_a_missing_file_means_defaults(agent, tmp_path):
    assert agent.read_config(str(tmp_path / "none.conf")) == agent.Config()
    assert agent.Config().url == "http://127.0.0.1:2379"
    assert agent.Config().timeout == 1.0


@pytest.mark.parametrize("content", ["", "# nothing\n", "[etcd]\n", "[etcd]\n# url = x\n;timeout = 9\n"])
def test_what_is_not_set_has_its_default(agent, read, content):
    assert read(content) == agent.Config()


@pytest.mark.parametrize("key, value, expected", [
    ("url", "http://127.0.0.1:2379", "http://127.0.0.1:2379"),
    ("url", "http://127.0.0.1:2379/", "http://127.0.0.1:2379"),
    ("url", "https://etcd.example.org:2379", "https://etcd.example.org:2379"),
    ("url", "http://[::1]:2379", "http://[::1]:2379"),
    ("timeout", "0.05", 0.05), ("timeout", "4", 4.0), ("timeout", "4.0", 4.0), ("timeout", "1e0", 1.0),
])
def test_good_settings(read, key, value, expected):
    assert getattr(read("[etcd]\n%s = %s\n" % (key, value)), key) == expected


BAD_SETTINGS = [
    ("timeout", "0.049"), ("timeout", "4.01"), ("timeout", "0"), ("timeout", "-1"),
    ("timeout", "nan"), ("timeout", "inf"),
    ("timeout", "1s"), ("timeout", "1,5"), ("timeout", "fast"), ("timeout", "0x1"), ("timeout", "1 2"), ("timeout", ""),
    ("url", ""), ("url", "127.0.0.1:2379"), ("url", "localhost"), ("url", "ftp://127.0.0.1:2379"), ("url", "http://"),
    ("url", "http://:2379"), ("url", "http://127.0.0.1:0"), ("url", "http://127.0.0.1:65536"),
    ("url", "http://127.0.0.1:http"), ("url", "http://127.0.0.1:-1"), ("url", "http://[::1"),
    ("url", "http://127.0.0.1:2379/v2"), ("url", "http://127.0.0.1:2379/?a=b"), ("url", "http://127.0.0.1:2379#a"),
    ("url", "http://a b:2379"), ("url", "http://127.0.0.1:2379,http://127.0.0.1:2380"), ("url", "http://*:2379"),
    ("url", "http://.:2379"), ("url", "http://" + "a" * 64 + ":2379"), ("url", "http://127.0.0.1:2379/?"),
    ("urls", "http://127.0.0.1:2379"), ("hurl", "x"),
]


@pytest.mark.parametrize("key, value", BAD_SETTINGS)
def test_a_bad_setting_is_named_in_one_line(agent, read, tmp_path, key, value):
    with pytest.raises(agent.ConfigError) as caught:
        read("[etcd]\n%s = %s\n" % (key, value))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("%s: %s = %s: " % (tmp_path / "etcd.conf", key, value))
    assert len(message) > len("%s: %s = %s: " % (tmp_path / "etcd.conf", key, value)), "the message gives no reason"


@pytest.mark.parametrize("content", [
    "[etcd]\nurl = http://root:hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl = http://hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl = http://root:hunter2@\n",
    "[etcd]\nurl = http://root:hunt@er2@hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl = http://root:hunter2/x@127.0.0.1:2379\n",
    "[etcd]\nurl = root:hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl = http:root:hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl =\n  http://root:hunter2\n  @127.0.0.1:2379\n",
    "[etcd]\nurll = http://root:hunter2@127.0.0.1:2379\n",
    "[etcd]\ntimeout = http://root:hunter2@127.0.0.1:2379\n",
    "[etcd]\nhttp://root:hunter2@127.0.0.1:2379 = url\n",
    "[etcd]\nhttp://root:hunter2@127.0.0.1:2379\n",
    "url = http://root:hunter2@127.0.0.1:2379\n",
    "[http://root:hunter2@127.0.0.1:2379]\n",
    "[etcd]\npassword = hunter2\n",
    "[etcd]\nauth_token = hunter2\n",
])
def test_no_secret_in_the_message(agent, read, content):
    with pytest.raises(agent.ConfigError) as caught:
        read(content)
    message = str(caught.value)
    assert "hunter2" not in message and "er2@" not in message
    assert "etcd.conf" in message and "\n" not in message


@pytest.mark.parametrize("content, word", [
    ("[etcd]\n[other]\n", "other"), ("[DEFAULT]\ntimeout = 1\n", "DEFAULT"), ("[ETCD]\n", "ETCD"),
    ("timeout = 1\n", "timeout"), ("[etcd]\ntimeout\n", "timeout"), ("[etcd]\ntimeout = 1\ntimeout = 2\n", "timeout"),
    ("[etcd]\n[etcd]\n", "etcd"), (b"[etcd]\n# \xff\n", "utf-8"), ("[etcd]\n\0\n", "etcd.conf"), ("[etcd\n", "etcd"),
    ("[etcd]\nurl = http://127.0.0.1:2379\n  timeout = 1\n", "url"),
])
def test_a_file_of_another_form_is_refused_in_one_line(agent, read, content, word):
    with pytest.raises(agent.ConfigError) as caught:
        read(content)
    message = str(caught.value)
    assert "etcd.conf" in message and word in message and "\n" not in message


def test_a_directory_is_no_configuration(agent, tmp_path):
    with pytest.raises(agent.ConfigError, match="is a directory|Is a directory"):
        agent.read_config(str(tmp_path))


def test_the_delivered_configuration_shows_every_key_with_its_default(agent, read):
    content = (REPOSITORY / "etcd.conf").read_text()
    assert read(content) == agent.Config()
    shown = dict(re.findall(r"^#(\w+) =[ ]*(.*)$", content, re.MULTILINE))
    assert shown.keys() == agent.SETTINGS.keys()
    switched_on = "[etcd]\n" + "".join("%s = %s\n" % setting for setting in shown.items() if setting[1])
    assert read(switched_on) == agent.Config()
    for key, value in shown.items():
        assert value or not getattr(agent.Config(), key), "%s has a default that etcd.conf does not show" % key


# ---------------------------------------------------------------- answers


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


# ---------------------------------------------------------------- reasons


def raised_from(*causes):
    """An exception whose causes, outermost first, are `causes`."""
    try:
        if len(causes) > 1:
            raise causes[0] from raised_from(*causes[1:])
        raise causes[0]
    except Exception as error:  # pylint: disable=broad-except
        return error


@pytest.mark.parametrize("causes, words", [
    ([requests.ConnectionError("outer"), ConnectionRefusedError(111, "Connection refused")], "Connection refused"),
    ([requests.ConnectionError("outer"), OSError("middle"), socket.gaierror(-2, "Name or service not known")],
     "Name or service not known"),
    ([requests.Timeout("outer"), socket.timeout("timed out")], "timed out"),
    ([requests.ConnectionError("outer"), http.client.BadStatusLine("\x00garbage\r\nSet-Cookie: secret")],
     "answer is not HTTP (BadStatusLine)"),
    ([requests.ConnectionError("outer"), http.client.LineTooLong("header line")], "answer is not HTTP (LineTooLong)"),
    ([requests.ConnectionError("outer"), http.client.RemoteDisconnected("Remote end closed")],
         "server hung up without an answer; does it want https?"),
    ([requests.ConnectionError("answer is cut short")], "answer is cut short"),
    ([requests.ConnectionError("outer"), ValueError("line 1\nline 2\x1b[31m")], r"line 1\nline 2\x1b[31m"),
    ([requests.ConnectionError("outer"), ValueError("x" * 5000)], "x" * 200),
])
def test_failure_reason_is_the_innermost_cause(agent, causes, words):
    assert agent.failure_reason(agent.root_cause(raised_from(*causes))) == words


def test_a_cause_that_is_only_an_argument_of_the_error_is_found(agent):
    """As urllib3 2 has it: what it suppresses as a context is kept in the error's arguments."""
    try:
        try:
            raise OSError("a detour")
        except OSError:
            raise requests.ConnectionError("outer", ConnectionRefusedError(111, "Connection refused")) from None
    except requests.ConnectionError as error:
        assert agent.failure_reason(agent.root_cause(error)) == "Connection refused"


@pytest.mark.parametrize("reason, distrust", [
    ("CERTIFICATE_VERIFY_FAILED", True), ("SSLV3_ALERT_BAD_CERTIFICATE", True), ("TLSV1_ALERT_UNKNOWN_CA", True),
    ("TLSV13_ALERT_CERTIFICATE_REQUIRED", True), ("SSLV3_ALERT_CERTIFICATE_EXPIRED", True),
    ("TLSV1_ALERT_ACCESS_DENIED", True), ("SSLV3_ALERT_HANDSHAKE_FAILURE", True),
    ("WRONG_VERSION_NUMBER", False), ("TLSV1_ALERT_PROTOCOL_VERSION", False), (None, False)])
def test_reasons_of_openssl_that_mean_distrust(agent, reason, distrust):
    error = ssl.SSLError("x")
    error.reason = reason
    assert agent.is_refusal(error) == distrust


# ----------------------------------------------------------- name lookup


def test_requests_do_not_pile_up_behind_a_name_lookup(agent, monkeypatch):
    """It can't be ended, so the thread comes to no other request before; then the newest one counts."""
    gate = threading.Event()
    lookup = socket.getaddrinfo
    monkeypatch.setattr(agent.socket, "getaddrinfo", lambda *name, **more: gate.wait() and lookup(*name, **more))
    with FakeServer(answer('{"name": "m0"}')) as server:
        worker = agent.Worker(agent.SOURCES[0], agent.Config(url=server.url))
        for _ in range(5):
            request = worker.ask(0.1)
            assert worker.wait(request, 0) is None
            assert worker.inbox.qsize() <= 1
        gate.set()
        assert worker.wait(request, time.monotonic() + PATIENCE).document == {"name": "m0"}
        worker.stop()


# ---------------------------------------------------------------- logging


@pytest.fixture
def noted(agent):
    """Notes a reason for a source, or "", as after a request to it; and the log, a list of lines."""
    lines = []
    idle = agent.Sampler(agent.Config(), lines.append)
    return lambda name, reason: idle.note(name, agent.Answer({}, reason=reason)), lines


WEEK = 7 * 24 * 3600


def test_a_week_of_a_dead_etcd_writes_two_lines(noted):
    note, lines = noted
    for _ in range(WEEK):
        note("self", "Connection refused")
    note("self", "")
    assert lines == ["http://127.0.0.1:2379/v2/stats/self: Connection refused",
                     "http://127.0.0.1:2379/v2/stats/self: answers again"]


def test_a_week_of_a_dead_etcd_of_which_everything_is_asked_writes_two_lines(agent, noted):
    note, lines = noted
    for second in range(WEEK // 7):
        for source in agent.SOURCES:
            note(source.name, "Connection refused" if second % 60 else "no answer within 1 s")
    for _ in range(10):
        for source in agent.SOURCES:
            note(source.name, "")
    assert len(lines) == 2, lines


def test_each_failure_after_a_recovery_is_logged(noted):
    note, lines = noted
    for reason in ["", "", "HTTP status 500", "HTTP status 500", "", "", "Connection refused", ""]:
        note("store", reason)
    assert [line.rpartition(": ")[2] for line in lines] == [
        "HTTP status 500", "answers again", "Connection refused", "answers again"]


def test_sources_that_fail_for_different_reasons_each_say_so(noted):
    note, lines = noted
    note("self", "HTTP status 404")
    note("version", "")
    note("store", "HTTP status 500")
    note("store", "")
    assert len(lines) == 3
    note("self", "")
    assert len(lines) == 4


# -------------------------------------------------------------- catalogue


def test_the_catalogue_is_that_of_the_design(agent):
    """The contract of golden/catalogue.tsv: PMIDs end up in archives. A row may be added, never changed."""
    types = {c_api.PM_TYPE_STRING: "STRING", c_api.PM_TYPE_U64: "U64", c_api.PM_TYPE_U32: "U32",
             c_api.PM_TYPE_DOUBLE: "DOUBLE"}
    semantics = {c_api.PM_SEM_COUNTER: "counter", c_api.PM_SEM_INSTANT: "instant", c_api.PM_SEM_DISCRETE: "discrete"}
    rows = ["%d.%d.%d\t%s\t%s\t%s\t%s\t%s" % (
        agent.DOMAIN, cluster.number, metric.item, metric.name,
        types[metric.kind.type], semantics[metric.kind.semantics],
        str(metric.kind.units) or "-", "-" if metric.indom is None else "%d.%d" % (agent.DOMAIN, metric.indom.serial))
        for cluster in agent.CATALOGUE for metric in cluster.metrics]
    contract = [line for line in (GOLDEN / "catalogue.tsv").read_text().splitlines() if not line.startswith("#")]
    assert rows == contract


def test_every_metric_has_a_help_of_its_own(agent):
    for cluster in agent.CATALOGUE:
        for metric in cluster.metrics:
            assert metric.oneline and "\n" not in metric.oneline and len(metric.oneline) <= 80, metric.name
            assert metric.help and metric.help != metric.oneline, metric.name
            assert max(map(len, metric.help.splitlines())) <= 120, metric.name


def test_names_and_pmids_are_unique(agent):
    metrics = [(cluster.number, metric.item, metric.name) for cluster in agent.CATALOGUE for metric in cluster.metrics]
    assert len({metric[:2] for metric in metrics}) == len({metric[2] for metric in metrics}) == len(metrics)


def test_operations_keep_their_numbers(agent):
    assert agent.OPERATIONS.serial == 0
    assert agent.OPERATIONS.instances == (
        "gets", "sets", "delete", "update", "create", "compareAndSwap", "compareAndDelete")
