# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the locators find in a page of /metrics: what stands there, exactly, or nothing."""

import random
import tracemalloc

import cpmapi as c_api
import pytest

from support.naming import short
from support.plans import memory_of, response, run

HAS_LEADER, DB_SIZE, GC_TIME = "etcd.server.has_leader", "etcd.mvcc.db_size", "etcd.process.gc_time"
VERSION = 'etcd_server_version{server_version="%s"} 1\n'
VALUE, APPVERSION = c_api.PM_ERR_VALUE, c_api.PM_ERR_APPVERSION


def document(agent, page):
    """The document of a page. Raises Failure."""
    return run(agent, "metrics", memory_of(agent), lambda _: response(page))


def row(agent, name):
    """A metric by its name."""
    return next(metric for cluster in agent.CATALOGUE for metric in cluster.metrics if metric.name == name)


def find(agent, page, name):
    """{instance: raw value} of a metric in a page."""
    return row(agent, name).where.find(document(agent, page))


def value(agent, page, name, instance=None):
    """The value of a metric as PCP gets it, a negative PM_ERR_* where it has none."""
    outcome = agent.Outcome(document(agent, page))
    metric = row(agent, name)
    raw = metric.where.find(outcome.document).get(instance, agent.ABSENT)
    result, good = agent.EtcdPMDA.value(metric, outcome, raw)
    return result if good else "error %d" % result


def error(code):
    """What value() gives for a PM_ERR_*."""
    return "error %d" % code


# -------------------------------------------------------------------- literals


@pytest.mark.parametrize("literal, expected", [
    ("0", 0), ("1", 1), ("+1", 1), ("1.0", 1), ("1.", 1), ("1e+06", 1000000), ("1E6", 1000000),
    ("2.147483648e+09", 2 ** 31), ("9007199254740993", 2 ** 53 + 1), ("9223372036854775807", 2 ** 63 - 1),
    ("18446744073709551615", 2 ** 64 - 1), ("1.8446744073709552e+19", VALUE), ("9.007199254740992e+15", 2 ** 53),
    ("-0", 0), ("-0.0", 0), (" 7 ", 7)])
def test_count_is_exact(agent, literal, expected):
    wanted = error(expected) if expected == VALUE else expected
    assert value(agent, "etcd_mvcc_db_total_size_in_bytes %s\n" % literal, DB_SIZE) == wanted


NOT_COUNTS = ["NaN", "+Inf", "-Inf", "Inf", "-1", "-1e+06", "0.5", "1e-3", "18446744073709551616", "1" * 21, "9" * 400,
              "9" * 5000, "1e400", "1e308", "", "x", "0x10", "1_0", "1,5", "1 1700000000000", "1 2", "true", "None",
              "٣", "１", "1e", "e1", ".", "-", "+", "--1", "1e5.5", "1\x00", "infinity", "nan", "1__0", '"1"']


@pytest.mark.parametrize("literal", NOT_COUNTS, ids=short)
@pytest.mark.parametrize("name, family", [(DB_SIZE, "etcd_mvcc_db_total_size_in_bytes"),
                                          (HAS_LEADER, "etcd_server_has_leader")])
def test_what_is_no_count_is_no_value(agent, literal, name, family):
    assert value(agent, "%s %s\n" % (family, literal), name) == error(VALUE)


@pytest.mark.parametrize("literal", ["4294967296", "4294967297", str(2 ** 63)])
def test_flag_that_32_bits_do_not_hold_is_no_value(agent, literal):
    """PCP would keep its last 32 bits: 2^32 + 1 would show as 1."""
    assert value(agent, "etcd_server_has_leader %s\n" % literal, HAS_LEADER) == error(VALUE)


@pytest.mark.parametrize("literal, expected", [("0", 0.0), ("1.5", 1.5), ("1.5e-05", 1.5e-05), ("1e+06", 1e6),
                                               ("1e308", 1e308), ("1" * 24, float("1" * 24))])
def test_time_is_the_nearest_float(agent, literal, expected):
    found = value(agent, "go_gc_duration_seconds_sum %s\n" % literal, GC_TIME)
    assert found == expected and type(found) is float


@pytest.mark.parametrize("literal", ["NaN", "+Inf", "-Inf", "9" * 400, "9" * 5000, "1e400", "", "x", "1_0", "0x1"],
                         ids=short)
def test_what_is_no_finite_number_is_no_time(agent, literal):
    assert value(agent, "go_gc_duration_seconds_sum %s\n" % literal, GC_TIME) == error(VALUE)


def test_sum_beyond_all_floats_is_no_value(agent):
    page = "".join('etcd_server_apply_duration_seconds_sum{version="%d",op="Put",success="true"} 1.7e308\n' % each
                   for each in range(2))
    assert value(agent, page, "etcd.server.apply.time", "Put") == error(VALUE)


@pytest.mark.parametrize("literal, expected", [("-1", -1), ("0", 0), ("9223372036854775807", 2 ** 63 - 1),
                                               ("-9223372036854775808", -2 ** 63)])
def test_what_may_be_negative_is(agent, literal, expected):
    """The quota is -1 where there is none, the compacted revision before the first compaction."""
    page = "etcd_server_quota_backend_bytes {0}\netcd_debugging_mvcc_compact_revision {0}\n".format(literal)
    assert value(agent, page, "etcd.server.quota") == value(agent, page, "etcd.mvcc.compact_revision") == expected


@pytest.mark.parametrize("literal", [str(2 ** 63), str(-2 ** 63 - 1), "0.5", "NaN", "-Inf", "9" * 400], ids=short)
def test_what_is_no_signed_count_is_no_value(agent, literal):
    page = "etcd_server_quota_backend_bytes {0}\netcd_debugging_mvcc_compact_revision {0}\n".format(literal)
    for name in ("etcd.server.quota", "etcd.mvcc.compact_revision"):
        assert value(agent, page, name) == error(VALUE)


# ----------------------------------------------------------------------- lines


def test_only_samples_count(agent):
    """Comments may look like samples, families have names that others begin with, and no blank line matters."""
    page = """# HELP etcd_server_has_leader etcd_server_has_leader 5
# TYPE etcd_server_has_leader gauge
#etcd_server_has_leader 5
 etcd_server_has_leader 5
etcd_server_has_leader_ 5
xetcd_server_has_leader 5
etcd_server_has_leader_total{a="b"} 5

ETCD_SERVER_HAS_LEADER 5
etcd_server_has_leader 1
"""
    assert find(agent, page, HAS_LEADER) == {None: 1}


def test_braces_without_labels_are_none(agent):
    assert find(agent, "etcd_server_has_leader{} 1\n", HAS_LEADER) == {None: 1}


def test_lines_may_end_as_on_windows(agent):
    page = VERSION % "3.6.14" + "etcd_server_has_leader 1\n" + 'grpc_server_handled_total{grpc_code="OK"} 7\n'
    page = page.replace("\n", "\r\n")
    assert find(agent, page, HAS_LEADER) == {None: 1}
    assert find(agent, page, "etcd.grpc.codes") == {"OK": 7}
    assert document(agent, page)["version"] == (3, 6, 14)


@pytest.mark.parametrize("end", ["", "etcd_server_proposals_pending 24", 'etcd_server_version{server_version="3', "#"])
def test_page_that_is_cut_is_a_failure(agent, end):
    """Its last number may have had more digits."""
    with pytest.raises(agent.Failure, match="cut short") as caught:
        document(agent, "etcd_server_has_leader 1\n" + end if end else "etcd_server_has_leader 1")
    assert caught.value.kind is agent.FailureKind.UNREACHABLE


@pytest.mark.parametrize("page", ["\n", "<html></html>\n", "# comments\n", "\x00\n", "go_info 1\n", "{}\n", "a 1\n"])
def test_page_without_a_wanted_sample_is_a_failure(agent, page):
    with pytest.raises(agent.Failure, match="no page of metrics") as caught:
        document(agent, page)
    assert caught.value.kind is agent.FailureKind.UNREACHABLE


def test_bytes_that_are_no_text_cost_only_their_line(agent):
    page = b'etcd_server_has_leader 1\ngrpc_server_handled_total{grpc_code="\xff\xfe"} 1\n\xff{\xff} 1\n'
    assert find(agent, page, HAS_LEADER) == {None: 1}
    (name, count), = find(agent, page, "etcd.grpc.codes").items()
    assert count == 1 and agent.text(name)


# ---------------------------------------------------------------------- labels


@pytest.mark.parametrize("written, name", [
    ("plain", "plain"), (r"a\"b", 'a"b'), (r"a\\b", "a\\b"), (r"a\\", "a\\"), (r"a\nb", "a_b"), ("a b", "a_b"),
    ("a\tb", "a_b"),
    ("a,b", "a,b"), ("a}b", "a}b"), ("a} 5", "a}_5"), ("{a=", "{a="), (r"\"} 9", '"}_9'), (r"a\",x=\"b", 'a",x="b'),
    ("ü北", "ü北"), ("a\u00a0b", "a_b"), ("a\u2003b", "a_b"), ("#", "#"), ("=", "=")])
def test_instance_is_the_value_of_a_label(agent, written, name):
    """Whatever stands in it, with _ for blanks: PCP's tools end a name at the first blank."""
    page = 'grpc_server_handled_total{a="1",grpc_code="%s",grpc_codex="x",z="2"} 7\n' % written
    assert find(agent, page, "etcd.grpc.codes") == {name: 7}


def test_order_and_number_of_labels_change_nothing(agent):
    for labels in ('grpc_code="OK"', 'b="2",grpc_code="OK",a="1"', 'grpc_code="OK",', ' grpc_code="OK" , a="x" '):
        assert find(agent, "grpc_server_handled_total{%s} 7\n" % labels, "etcd.grpc.codes") == {"OK": 7}


@pytest.mark.parametrize("labels", ["", 'other="x"', 'grpc_code=""', "grpc_code=OK", "grpc_code"])
def test_sample_without_its_label_is_of_no_instance(agent, labels):
    """A name must not be empty."""
    page = 'grpc_server_handled_total{%s} 7\ngrpc_server_handled_total{grpc_code="OK"} 1\n' % labels
    assert find(agent, page, "etcd.grpc.codes") == {"OK": 1}


def test_versions_of_clients_are_summed(agent):
    page = "".join('etcd_server_client_requests_total{client_api_version="%s",type="%s"} %d\n' % each for each in (
        ("3.5", "unary", 1), ("unknown", "unary", 10), ('a\\"} 9', "unary", 100), ("3.5", "stream", 1000)))
    assert find(agent, page, "etcd.server.client_requests") == {"unary": 111, "stream": 1000}


def test_method_is_named_after_its_service_without_the_package(agent):
    line = 'grpc_server_started_total{grpc_method="%s",grpc_service="%s",grpc_type="%s"} %d\n'
    page = "".join(line % each for each in (
        ("Range", "etcdserverpb.KV", "unary", 1), ("Watch", "etcdserverpb.Watch", "bidi_stream", 2),
        ("Check", "grpc.health.v1.Health", "unary", 4), ("Bare", "KV", "unary", 8)))
    assert find(agent, page, "etcd.grpc.started") == {"KV/Range": 1, "Watch/Watch": 2, "Health/Check": 4, "KV/Bare": 8}


FAILED = "Unknown FailedPrecondition ResourceExhausted Internal Unavailable DataLoss DeadlineExceeded".split()
ALL_CODES = FAILED + ("OK Canceled InvalidArgument NotFound AlreadyExists PermissionDenied Aborted OutOfRange "
                      "Unimplemented Unauthenticated").split()


def test_failed_calls_are_those_of_the_alert_of_etcd(agent):
    line = 'grpc_server_handled_total{grpc_code="%s",grpc_method="Range",grpc_service="etcdserverpb.KV"} %d\n'
    page = "".join(line % (code, 2 ** number) for number, code in enumerate(ALL_CODES))
    assert find(agent, page, "etcd.grpc.failed") == {"KV/Range": 2 ** len(FAILED) - 1}
    assert find(agent, page, "etcd.grpc.handled") == {"KV/Range": 2 ** len(ALL_CODES) - 1}
    assert find(agent, page, "etcd.grpc.codes") == {code: 2 ** number for number, code in enumerate(ALL_CODES)}


# ----------------------------------------------------------------------- peers


PEERS = """etcd_network_active_peers{Local="a1",Remote="a1"} 1
etcd_network_active_peers{Local="a1",Remote="b2"} 0
etcd_network_known_peers{Local="a1",Remote="a1"} 1
etcd_network_known_peers{Local="a1",Remote="b2"} 1
etcd_network_peer_sent_bytes_total{To="b2"} 10
etcd_network_peer_sent_bytes_total{To="0"} 3
etcd_network_peer_received_bytes_total{From="0"} 20
etcd_network_peer_received_bytes_total{From="b2"} 21
etcd_network_peer_round_trip_time_seconds_count{To="b2"} 9
etcd_network_peer_round_trip_time_seconds_sum{To="b2"} 1.5
etcd_network_peer_round_trip_time_seconds_bucket{To="b2",le="0.0001"} 2
etcd_network_peer_round_trip_time_seconds_bucket{To="b2",le="0.1024"} 5
etcd_network_peer_round_trip_time_seconds_bucket{To="b2",le="+Inf"} 9
"""


@pytest.mark.parametrize("name, expected", [
    ("active", {"b2": 0}), ("known", {"b2": 1}), ("sent_bytes", {"b2": 10}), ("received_bytes", {"b2": 21}),
    ("round_trip.count", {"b2": 9}), ("round_trip.time", {"b2": 1.5}), ("round_trip.slow", {"b2": 4}),
    ("round_trip.bucket", {"b2/0.0001": 2, "b2/0.1024": 5, "b2/+Inf": 9})])
def test_peers_are_the_other_members(agent, name, expected):
    assert find(agent, PEERS, "etcd.network.peer." + name) == expected


def test_families_of_a_row_are_all_looked_at(agent):
    """Lines of others are not kept."""
    locator = agent.Difference(agent.Sample("a", "b"), agent.Sample("c"))
    assert set(locator.families) == {"a", "b", "c"}
    for cluster in agent.CATALOGUE:
        for metric in cluster.metrics if cluster.source == "metrics" else ():
            assert set(metric.where.families) <= agent.WANTED, metric.name


def test_slow_round_trips_need_their_bucket(agent):
    page = PEERS.replace('le="0.1024"', 'le="0.2"')
    assert find(agent, page, "etcd.network.peer.round_trip.slow") == {}
    assert find(agent, page, "etcd.network.peer.round_trip.count") == {"b2": 9}


@pytest.mark.parametrize("name", ["send_failures", "receive_failures", "disconnects"])
def test_failure_that_never_happened_is_zero(agent, name):
    """etcd has the family from the first failure on."""
    assert value(agent, PEERS, "etcd.network.peer." + name, "b2") == 0


def test_failure_that_a_version_can_not_count_is_not_zero(agent):
    page = PEERS + VERSION % "3.3.27"
    assert value(agent, page, "etcd.network.peer.disconnects", "b2") == error(APPVERSION)
    assert value(agent, page, "etcd.network.peer.send_failures", "b2") == 0


def test_snapshot_that_was_never_sent_is_zero(agent):
    for name in ("sent", "received"):
        assert value(agent, PEERS, "etcd.network.snapshot." + name, "b2") == 0


# ------------------------------------------------------------------ histograms


def test_histogram_is_summed_over_what_is_left_out(agent):
    """Its three rows are of the same samples."""
    line = 'etcd_server_apply_duration_seconds_%s{op="%s",success="%s",version="%s"%s} %s\n'
    page = ""
    for op, success, version, count in (("Put", "true", "v3", 1), ("Put", "false", "v3", 2), ("Put", "true", "v2", 4),
                                        ("Range", "true", "v3", 8)):
        page += line % ("count", op, success, version, "", count) + line % ("sum", op, success, version, "", count / 8)
        page += line % ("bucket", op, success, version, ',le="+Inf"', count) + line % (
            "bucket", op, success, version, ',le="0.0001"', 0)
    assert find(agent, page, "etcd.server.apply.count") == {"Put": 7, "Range": 8}
    assert find(agent, page, "etcd.server.apply.time") == {"Put": 0.875, "Range": 1}
    assert find(agent, page, "etcd.server.apply.bucket") == {
        "Put/+Inf": 7, "Put/0.0001": 0, "Range/+Inf": 8, "Range/0.0001": 0}


def test_bucket_without_a_bound_is_none(agent):
    page = 'etcd_server_apply_duration_seconds_bucket{op="Put"} 5\netcd_disk_wal_fsync_duration_seconds_bucket 5\n'
    assert find(agent, page, "etcd.server.apply.bucket") == find(agent, page, "etcd.disk.wal_fsync.bucket") == {}


def test_sum_of_the_largest_floats_and_a_fraction_is_no_value(agent):
    line = 'etcd_server_apply_duration_seconds_sum{op="Put",version="%d"} %s\n'
    page = line % (1, "1.7e308") + line % (2, "1.7e308") + line % (3, "0.5")
    assert value(agent, page, "etcd.server.apply.time", "Put") == error(VALUE)


def test_value_that_is_none_spoils_the_sum_of_its_instance_alone(agent):
    line = 'etcd_server_client_requests_total{client_api_version="%s",type="%s"} %s\n'
    page = line % ("1", "unary", "NaN") + line % ("2", "unary", "5") + line % ("1", "stream", "6")
    assert value(agent, page, "etcd.server.client_requests", "unary") == error(VALUE)
    assert value(agent, page, "etcd.server.client_requests", "stream") == 6


# ----------------------------------------------------------- what is not there


SINCE = [  # row, the versions that have it first, and versions before each of them
    ("etcd.server.range.count", ["3.6.0", "3.7.1"], ["3.5.30", "3.4.43", "2.3.8"]),
    ("etcd.server.request.count", ["3.7.0", "3.8.0"], ["3.6.14", "3.5.30"]),
    ("etcd.server.healthcheck.state", ["3.4.29", "3.4.43", "3.5.11", "3.6.0"], ["3.4.28", "3.5.10", "3.5.0", "3.3.27"]),
    ("etcd.disk.wal_write.count", ["3.5.14", "3.6.0"], ["3.5.13", "3.5.1", "3.4.43"]),
    ("etcd.disk.defrag_inflight", ["3.4.18", "3.5.2", "3.6.0"], ["3.4.17", "3.5.1", "3.3.27"]),
    ("etcd.disk.wal_write_bytes", ["3.2.30", "3.3.20", "3.4.7", "3.5.0"], ["3.2.29", "3.3.19", "3.4.6", "3.1.20"]),
    ("etcd.server.is_learner", ["3.4.0", "3.4.23"], ["3.3.27"]),
    ("etcd.network.peer.known", ["3.6.0"], ["3.5.30"]),
    ("etcd.process.network.received", ["3.6.0"], ["3.5.16"]),
    ("etcd.server.has_leader", ["3.0.0", "3.7.1"], []),
]


@pytest.mark.parametrize("name, having, lacking", SINCE, ids=short)
def test_family_that_is_absent(agent, name, having, lacking):
    """Not supported by servers that are too old for it; on others its first event is still to come."""
    for versions, expected in (having, VALUE), (lacking, APPVERSION):
        for version in versions:
            assert value(agent, VERSION % version, name) == error(expected), version


def test_line_of_releases_without_the_patch_lacks_the_family(agent):
    """Between lines that got it."""
    since = agent.Since("3.1.19", "3.3.5")
    for version, kind in ("3.1.18", "UNSUPPORTED"), ("3.1.19", "MISSING"), ("3.2.99", "UNSUPPORTED"), (
            "3.3.4", "UNSUPPORTED"), ("3.3.5", "MISSING"), ("3.4.0", "MISSING"), ("3.0.17", "UNSUPPORTED"):
        assert since.kind({"version": agent.version_tuple(version)}).name == kind, version


@pytest.mark.parametrize("version", ["3.5.0-rc.1", "3.5.30+git", "3.5"])
def test_version_may_have_a_suffix(agent, version):
    assert value(agent, VERSION % version, "etcd.server.range.count") == error(APPVERSION)


@pytest.mark.parametrize("page", ["etcd_server_has_leader 1\n", VERSION % "", VERSION % "unknown",
                                  'etcd_server_version{server_version="3.4.0"} 0\n', "etcd_server_version 1\n",
                                  'etcd_server_version{version="3.4.0"} 1\n'])
def test_page_without_a_version_says_only_that_there_is_no_value(agent, page):
    assert document(agent, page)["version"] == ()
    assert value(agent, page, "etcd.server.request.count") == error(VALUE)


def test_version_is_the_one_with_the_value_1(agent):
    """After an upgrade some families keep the old series at 0."""
    for lines in ((VERSION % "3.6.14").replace("} 1", "} 0") + VERSION % "3.7.1", VERSION % "3.7.1" +
                  (VERSION % "3.6.14").replace("} 1", "} 0")):
        assert document(agent, lines)["version"] == (3, 7, 1)


def test_version_of_go_is_a_label(agent):
    page = 'etcd_server_go_version{server_go_version="go1.19.8"} 1\n'
    assert value(agent, page, "etcd.server.go_version") == "go1.19.8"
    assert value(agent, page.replace("} 1", "} 0"), "etcd.server.go_version") == error(VALUE)


OLD_NAMES = {DB_SIZE: "db_total_size_in_bytes", "etcd.mvcc.put": "put_total", "etcd.mvcc.delete": "delete_total",
             "etcd.mvcc.txn": "txn_total", "etcd.mvcc.range": "range_total"}


@pytest.mark.parametrize("name", sorted(OLD_NAMES))
def test_family_may_have_its_old_name(agent, name):
    """Where both are there, the new one counts, whatever their order: they are not summed."""
    old, new = "etcd_debugging_mvcc_%s 5\n" % OLD_NAMES[name], "etcd_mvcc_%s 7\n" % OLD_NAMES[name]
    assert find(agent, old, name) == {None: 5} and find(agent, new, name) == {None: 7}
    assert find(agent, old + new, name) == find(agent, new + old, name) == {None: 7}


# ---------------------------------------------------------------------- bounds


def methods(count):
    """A page with so many methods that a client has invented."""
    line = 'grpc_server_handled_total{grpc_code="OK",grpc_method="M%d",grpc_service="x.S",grpc_type="unary"} 1\n'
    return "etcd_server_has_leader 1\n" + "".join(line % each for each in range(count))


def test_family_of_a_large_cluster_is_found_whole(agent):
    assert len(find(agent, methods(10000), "etcd.grpc.handled")) == 10000


def test_family_of_invented_samples_is_left_out(agent):
    """Its rows would cost seconds; a part of its samples would be a wrong sum. All others are there."""
    page = methods(100000)
    tracemalloc.start()
    try:
        found = document(agent, page)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert row(agent, "etcd.grpc.handled").where.find(found) == row(agent, "etcd.grpc.codes").where.find(found) == {}
    assert row(agent, HAS_LEADER).where.find(found) == {None: 1}
    assert kept < 1 << 20


def test_page_of_empty_lines_is_a_failure(agent):
    """Python needs 16 times its size for its lines."""
    page = b"etcd_server_has_leader 1\n" + b"\n" * (16 << 20)
    with pytest.raises(agent.Failure, match="more than 250000 lines"):
        document(agent, page)


def test_labels_that_change_are_forgotten(agent):
    """What is remembered of labels does not grow with what clients invent."""
    where = row(agent, "etcd.server.client_requests").where
    for start in range(0, 20000, 5000):
        page = "".join('etcd_server_client_requests_total{client_api_version="%d",type="unary"} 1\n' % (start + each)
                       for each in range(5000))
        assert where.find(document(agent, page)) == {"unary": 5000}
        assert len(where.labels) == len(where.instances) == 5000


# --------------------------------------------------------------- one after another


def changed(lines, chance):
    """Lines of a page with one thing changed: mostly a value, else which lines there are, or their order."""
    lines = list(lines)
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    name, _, _ = lines[at].rpartition(" ")
    lines[at:at + 1] = chance.choice(
        [["%s %d" % (name, chance.randrange(100))]] * 4
        + [[], [lines[at], lines[other]], [lines[other]], [""], ["# " + lines[at]], [lines[at] + " 5"],
           [lines[at].replace('="', '="x')], [lines[at].replace("peer", "client")]])
    return lines


def test_page_is_read_as_if_it_were_the_first(agent):
    """What is remembered of the page before never shows."""
    chance = random.Random(8)
    memory = memory_of(agent)
    lines = (VERSION % "3.6.14" + PEERS + methods(5)).splitlines()
    for _ in range(2000):
        lines = changed(lines, chance) if len(lines) > 9 else (PEERS + methods(5)).splitlines()
        page = "\n".join(lines) + "\n"
        alone, after = [attempt(agent, page, each) for each in (memory_of(agent), memory)]
        assert alone == after, page


def attempt(agent, page, memory):
    """What all rows find in a page, or why there is nothing."""
    try:
        found = run(agent, "metrics", memory, lambda _: response(page))
    except agent.Failure as failure:
        return failure.words
    return [repr(metric.where.find(found)) for cluster in agent.CATALOGUE if cluster.source == "metrics"
            for metric in cluster.metrics]
