# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrong values in answers that are good otherwise, each with what the agent makes of them."""

from support.documents import BY_OPERATION, COUNTERS, DOCUMENTS, GOOD_VALUES, OPERATIONS, RATES, STRINGS, path_of
from support.server import answer
from support.values import VALUE


def replaced(document, literal):
    """The JSON text of a document in which every value is this literal."""
    if not isinstance(document, dict):
        return literal
    return "{%s}" % ", ".join('"%s": %s' % (key, replaced(value, literal)) for key, value in document.items())


def with_all(literal):
    """A behaviour: every value of every answer is this literal."""
    return lambda _, request: answer(replaced(DOCUMENTS[path_of(request)], literal))


def only(*groups):
    """What a fetch gives where these metrics alone have a value; a group is (names, value)."""
    expected = dict.fromkeys(GOOD_VALUES, VALUE)
    for names, value in groups:
        for name in names:
            expected[name] = dict.fromkeys(OPERATIONS, value) if name in BY_OPERATION else value
    return dict(expected, **{"etcd.up": 1})


UPTIME = ["etcd.leader.uptime"]
LITERALS = {literal: only() for literal in (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "true", "false", "null", "[]", "{}", "[1]", '{"a": 1}',
    "9" * 400, "9" * 5000, "-" + "9" * 5000,
    r'"a\u0000b"', r'"\u0000"', r'"\ud800"', r'"\udfff x"')}
LITERALS.update({
    "-1": only((RATES, -1)), "1.0": only((RATES, 1)), "1.5": only((RATES, 1.5)), "1e3": only((RATES, 1000)),
    "0": only((RATES, 0), (COUNTERS, 0)), "-0": only((RATES, 0), (COUNTERS, 0)),
    str(-2 ** 63): only((RATES, -2.0 ** 63)),
    str(2 ** 63): only((RATES, 2.0 ** 63), (COUNTERS, 2 ** 63)),
    str(2 ** 64 - 1): only((RATES, 2.0 ** 64), (COUNTERS, 2 ** 64 - 1)),
    str(2 ** 64): only((RATES, 2.0 ** 64)), str(2 ** 65): only((RATES, 2.0 ** 65)),
    '""': only((STRINGS, "")), '"1"': only((STRINGS, "1")),
    '"-1"': only((STRINGS, "-1")), '"NaN"': only((STRINGS, "NaN")),
    '"1s"': only((STRINGS, "1s"), (UPTIME, 1)), '"-1s"': only((STRINGS, "-1s")),
    r'"\ud83c\udf63 \u00e9 \" \\ \n %s"': only((STRINGS, "\U0001f363 \u00e9 \" \\ \n %s")),
    '"%s"' % ("x" * 50000): only((STRINGS, "x" * 50000)),
})

NOT_JSON_LITERALS = ['"\ud800"', '"\udcff"', '"a\0b"', '"tab\t"', r'"\x"', '"', "01", "1.", ".5", "+1", "0x1", "1_0",
                     "'x'", "undefined", "nan", "tru", "1 2", "// 1"]
