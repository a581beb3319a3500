# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The log: one short printable line for each message, whatever a server or a file says; errors of our own once."""

import re
import time

import pytest

from support.naming import short
from support.settings import config_of

LIMIT = 300  # characters

ODD = ["a\nb", "a\r\nb", "\0" * 100, "tab\t", "\x1b[2J\x1b]0;title\x07", "\x7f\x85\x9b", "\u2028\u2029\u202e\u200b",
       "\ud800", "a" * 301, "é" * 1000, "\n" * 1000, "\U0001f363" * 300, "x" * (1 << 20)]


@pytest.mark.parametrize("message", ODD, ids=short)
def test_line_is_short_and_printable(agent, message):
    line = agent.printable(message)
    assert line.isprintable() and len(line) <= LIMIT
    line.encode()


def test_line_that_is_cut_says_so(agent):
    assert agent.printable("x" * LIMIT) == "x" * LIMIT
    assert agent.printable("x" * (LIMIT + 1)) == "x" * (LIMIT - 3) + "..."


def test_line_keeps_what_people_read(agent):
    assert agent.printable("Zürich 北京 \"%s\" \\") == "Zürich 北京 \"%s\" \\"
    assert agent.printable("a\nb\0c\ud800") == r"a\nb\x00c\ud800"


def test_all_lines_of_the_agent_are_printable(agent, monkeypatch):
    lines = []
    for method in "log", "err":
        monkeypatch.setattr(agent.PMDA, method, staticmethod(lines.append))
        getattr(agent.EtcdPMDA, method)("a\nb" * LIMIT)
    assert len(lines) == 2 and lines[0] == lines[1] == agent.printable("a\nb" * LIMIT)


# --------------------------------------------------------------- errors of our own


@pytest.fixture
def sampler(agent):
    """A sampler of a server that is not asked, and what it logs."""
    log = []
    return agent.Sampler(config_of(agent, timeout=4.0), log.append), log


def test_error_of_the_agent_is_a_failure_that_names_its_place_once(agent, sampler, monkeypatch):
    def faulty(_self, _request, _until):
        raise ValueError("of the\ntest")

    monkeypatch.setattr(agent.Client, "send", faulty)
    sampler, log = sampler
    for _ in range(3):
        begun = time.monotonic()
        sampler.begin()
        outcome = sampler.sample({"self"})["self"]
        assert outcome.failure.kind is agent.FailureKind.UNREACHABLE and outcome.document == {}
        assert time.monotonic() - begun < 2, "the thread is dead"
    line, = log
    assert re.fullmatch(r"http://127.0.0.1:2379/v2/stats/self: error in the agent: "
                        r"ValueError\('of the\\ntest',?\) in run line \d+, faulty line \d+", line)


def test_error_of_the_agent_ends(agent, sampler, monkeypatch):
    """The thread lives on."""
    sampler, log = sampler
    answers = [ValueError("1"), TypeError("2"), agent.Failure(agent.FailureKind.REFUSED, "3"), KeyError("4")]

    def send(_self, _request, _until):
        raise answers.pop(0)

    monkeypatch.setattr(agent.Client, "send", send)
    workers = []
    for kind in "UNREACHABLE", "UNREACHABLE", "REFUSED", "UNREACHABLE":
        sampler.begin()
        assert sampler.sample({"self"})["self"].failure.kind.name == kind
        workers += sampler.workers.values()
    assert len(set(workers)) == 1 and len(log) == 4


def test_changed_reason_is_logged(agent, sampler, monkeypatch):
    sampler, log = sampler
    for words in "refused", "refused", "HTTP status 401", "HTTP status 401", "refused":
        def send(_self, _request, _until, words=words):
            raise agent.Failure(agent.FailureKind.UNREACHABLE, words)

        monkeypatch.setattr(agent.Client, "send", send)
        sampler.begin()
        sampler.sample({"self"})
    assert [line.rpartition(": ")[2] for line in log] == ["refused", "HTTP status 401", "refused"]
