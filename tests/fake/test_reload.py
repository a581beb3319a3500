# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes of etcd.conf and of certificates while the agent runs."""

import os

import pytest

from support.pmcd import Pmcd
from support.processes import free_port, wait_until
from support.server import FakeServer, answer
from support.settings import as_root, configuration
from support.values import AGAIN, VALUE

CONTROL = ["etcd.control.url", "etcd.control.timeout"]
VALUES = ("etcd.name", "etcd.store.watchers", "etcd.version.server", "etcd.up")  # of three sources


def fake(name):
    """A server whose member has this name."""
    return FakeServer(answer('{"name": "%s"}' % name))


def name(pmcd):
    return pmcd.fetch("etcd.name")["etcd.name"]


def test_change_is_in_force_at_the_next_fetch(directory):
    with fake("one") as one, fake("two") as two, Pmcd(directory, url=one.url) as pmcd:
        values = pmcd.query("etcd.name", *CONTROL)
        assert values.fetch() == {"etcd.name": "one", "etcd.control.url": one.url, "etcd.control.timeout": 1.0}
        agent = pmcd.agent_pid()
        for timeout, server, expected in (2.5, two, "two"), (0.5, one, "one"), (0.5, two, "two"):
            pmcd.config.write_text(configuration(url=server.url, timeout=timeout))
            assert values.fetch() == {"etcd.name": expected, "etcd.control.url": server.url,
                                      "etcd.control.timeout": timeout}
        assert pmcd.messages() == ["%s: read again" % pmcd.config] * 3
        assert pmcd.agent_pid() == agent


def test_timeout_is_the_new_one(directory):
    """The deadline itself, not only what etcd.control.timeout says."""
    with FakeServer(lambda *_: wait_until(lambda: False, "ever")) as silent:
        with Pmcd(directory, url=silent.url, timeout=4) as pmcd:
            pmcd.config.write_text(configuration(url=silent.url, timeout=0.1))
            assert name(pmcd) == AGAIN
            assert "no answer within 0.1 s" in pmcd.messages()[-1]


def test_file_that_comes_later_is_read(directory):
    with fake("one") as one, Pmcd(directory, timeout=2) as pmcd:
        values = pmcd.query(*CONTROL)  # asks nobody, so not what may listen at the default URL
        pmcd.config.write_text(configuration(url=one.url))
        assert values.fetch() == {"etcd.control.url": one.url, "etcd.control.timeout": 1.0}
        assert name(pmcd) == "one"


@pytest.mark.parametrize("case", ["removed", "emptied", "zeros", "replaced by a pipe", "bad value", "bad file"])
def test_file_that_can_not_be_used_changes_nothing(directory, case):
    """Not even for a moment: defaults would ask another server. One line and etcd.control.config say what is wrong."""
    with fake("one") as one, fake("two") as two, Pmcd(directory, url=one.url) as pmcd:
        assert name(pmcd) == "one"
        assert pmcd.fetch("etcd.control.config") == {"etcd.control.config": "ok"}
        connections = one.connections
        if case in ("removed", "replaced by a pipe"):
            pmcd.config.unlink()
        if case == "replaced by a pipe":
            os.mkfifo(pmcd.config)
            pmcd.config.chmod(0o644)
        if case not in ("removed", "replaced by a pipe"):
            pmcd.config.write_text({"emptied": "", "zeros": "\0" * 4096, "bad value": "[etcd]\ntimeout = 9\n",
                                    "bad file": "timeout"}[case])
        for _ in range(5):
            assert name(pmcd) == "one"
        line, = pmcd.messages()
        assert line.startswith("%s: " % pmcd.config) and line.endswith("; what was read before stays in force")
        assert line.startswith(pmcd.fetch("etcd.control.config")["etcd.control.config"])
        assert "Error: " in pmcd.agent_log()
        assert one.connections == connections
        if case == "replaced by a pipe":
            pmcd.config.unlink()
        pmcd.config.write_text(configuration(url=two.url))
        assert name(pmcd) == "two"
        assert pmcd.messages()[1:] == ["%s: read again" % pmcd.config]
        assert pmcd.fetch("etcd.control.config") == {"etcd.control.config": "ok"}


def test_trouble_of_before_is_forgotten(directory):
    """What an earlier server did is no trouble of the one that is asked now, and the same trouble is logged anew."""
    refused = ["http://127.0.0.1:%d" % free_port() for _ in range(2)]
    with Pmcd(directory, url=refused[0]) as pmcd:
        assert name(pmcd) == AGAIN
        assert pmcd.fetch("etcd.control.status")["etcd.control.status"]["self"].startswith("Connection refused")
        pmcd.config.write_text(configuration(url=refused[1]))
        own = pmcd.fetch("etcd.control.status", "etcd.control.age", "etcd.control.url")
        assert own["etcd.control.url"] == refused[1]
        assert own["etcd.control.status"]["self"] == "not asked yet" and own["etcd.control.age"] == VALUE
        assert name(pmcd) == AGAIN
        lines = pmcd.messages()
        assert lines[0].startswith(refused[0]) and lines[1].endswith("read again") and lines[2].startswith(refused[1])


def test_configuration_that_others_may_write_is_refused(directory):
    with fake("one") as one, fake("two") as two, Pmcd(directory, url=one.url) as pmcd:
        pmcd.config.write_text(configuration(url=two.url))
        pmcd.config.chmod(0o666)
        assert name(pmcd) == "one"
        line, = pmcd.messages()
        assert "chmod o-w %s" % pmcd.config in line
        pmcd.config.chmod(0o664)
        assert name(pmcd) == "two"


@as_root
def test_configuration_that_the_agent_may_not_read_again(directory):
    with fake("one") as one, fake("two") as two, Pmcd(directory, url=one.url) as pmcd:
        pmcd.config.write_text(configuration(url=two.url))
        pmcd.config.chmod(0o600)
        for _ in range(3):
            assert name(pmcd) == "one"
        line, = pmcd.messages()
        assert "%s: can't be read" % pmcd.config in line and "Permission denied" in line
        pmcd.config.chmod(0o644)
        assert name(pmcd) == "two"


def test_reloads_with_a_silent_server_leave_nothing_behind(directory):
    with FakeServer(lambda *_: wait_until(lambda: False, "ever")) as silent:
        with Pmcd(directory, url=silent.url, timeout=0.05) as pmcd:
            values = pmcd.query(*VALUES)
            for _ in range(50):
                os.utime(pmcd.config)
                assert values.fetch()["etcd.up"] == 0
            wait_until(lambda: pmcd.held("task") <= 1 + 3, "the end of replaced threads", 2)
            wait_until(lambda: pmcd.held("fd") < 20, "the end of connections", 2)
