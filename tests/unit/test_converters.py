# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Converters take what PCP can hold as a value of their type, and nothing else."""

import math

import pytest

from support.naming import short

NOT_NUMBERS = [True, False, None, "1", "", [], {}, [1], math.nan, math.inf, -math.inf]
LONE_SURROGATE = "\ud800"


@pytest.mark.parametrize("raw", [0, 1, 2 ** 63, 2 ** 64 - 1])
def test_u64_takes_unsigned_integers(agent, raw):
    assert agent.u64(raw) == raw


@pytest.mark.parametrize("raw", NOT_NUMBERS + [-1, 2 ** 64, 2 ** 65, 10 ** 5000, 1.0, 1.5, -0.0], ids=short)
def test_u64_refuses(agent, raw):
    with pytest.raises(ValueError):
        agent.u64(raw)


@pytest.mark.parametrize("convert, least, most", [("u32", 0, 2 ** 32 - 1), ("u64", 0, 2 ** 64 - 1),
                                                  ("s64", -2 ** 63, 2 ** 63 - 1)])
def test_integers_have_limits(agent, convert, least, most):
    for raw in least, 0, 1, most:
        assert getattr(agent, convert)(raw) == raw
    for raw in NOT_NUMBERS + [least - 1, most + 1, 10 ** 5000, 1.0, -0.0]:
        with pytest.raises(ValueError):
            getattr(agent, convert)(raw)


@pytest.mark.parametrize("raw", [0, -1, 1.5, 2 ** 63, 1e308, 5e-324, -0.0])
def test_double_takes_finite_numbers(agent, raw):
    value = agent.double(raw)
    assert value == raw and type(value) is float


@pytest.mark.parametrize("raw", NOT_NUMBERS + [10 ** 400, -10 ** 400], ids=short)
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
