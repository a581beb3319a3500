# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the locators find in a page of /metrics: what stands there, exactly, or nothing."""

import math
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
    result, good = agent.EtcdPMDA.value(metric, outcome, metric.where.find(outcome.document).get(instance, agent.ABSENT))
    return result if good else "error %d" % result


def error(code):
    """What value() gives for a PM_ERR_*."""
    return "error %d" % code


# -------------------------------------------------------------------- literals


@pytest.mark.parametrize("literal, expected", [
    ("0", 0), ("1", 1), ("+1", 1), ("1.0", 1), ("1.", 1), ("1e+06", 1000000), ("1E6", 1000000), ("2.147483648e+09", 2 ** 31),
    ("9007199254740993", 2 ** 53 + 1), ("9223372036854775807", 2 ** 63 - 1), ("18446744073709551615", 2 ** 64 - 1),
    ("1.8446744073709552e+19", VALUE), ("9.007199254740992e+15", 2 ** 53), ("-0", 0), ("-0.0", 0), (" 7 ", 7)])
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
                                               ("1e308", 1e308), ("123456789012345678901234", 123456789012345678901234.0)])
def test_time_is_the_nearest_float(agent, literal, expected):
    found = value(agent, "go_gc_duration_seconds_sum %s\n" % literal, GC_TIME)
    assert found == expected and type(found) is float


@pytest.mark.parametrize("literal", ["NaN", "+Inf", "-Inf", "9" * 400, "9" * 5000, "1e400", "", "x", "1_0", "0x1"], ids=short)
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


@pytest.mark.parametrize("literal", ["9223372036854775808", "-9223372036854775809", "0.5", "NaN", "-Inf", "9" * 400], ids=short)
def test_what_is_no_signed_count_is_no_value(agent, literal):
    page = "etcd_server_quota_backend_bytes {0}\netcd_debugging_mvcc_compact_revision {0}\n".format(literal)
    for name in ("etcd.server.quota", "etcd.mvcc.compact_revision"):
        assert value(agent, page, name) == error(VALUE)
