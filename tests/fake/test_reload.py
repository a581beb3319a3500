# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes of etcd.conf and of certificates while the agent runs."""

import os

import pytest

from support.pmcd import Pmcd
from support.processes import wait_until
from support.server import FakeServer, answer
from support.settings import BAD_CONFIGURATIONS, as_root, configuration
from support.values import AGAIN

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


def test_created_and_removed(directory):
    default = {"etcd.control.url": "http://127.0.0.1:2379", "etcd.control.timeout": 1.0}
    with fake("one") as one, Pmcd(directory, timeout=2) as pmcd:
        values = pmcd.query(*CONTROL)  # asks nobody, so not what may listen at the default URL
        pmcd.config.unlink()
        assert values.fetch() == default
        pmcd.config.write_text(configuration(url=one.url))
        assert values.fetch() == dict(default, **{"etcd.control.url": one.url})
        assert name(pmcd) == "one"
        pmcd.config.unlink()
        assert values.fetch() == default


@pytest.mark.parametrize("case", BAD_CONFIGURATIONS)
def test_broken_configuration_changes_nothing(directory, case):
    text, reason = BAD_CONFIGURATIONS[case]
    with fake("one") as one, fake("two") as two, Pmcd(directory, url=one.url) as pmcd:
        assert name(pmcd) == "one"
        connections = one.connections
        pmcd.config.write_bytes(text)
        for _ in range(5):
            assert name(pmcd) == "one"
        line, = pmcd.messages()
        assert line.startswith("%s: " % pmcd.config) and reason in line and "hunter2" not in line
        assert line.endswith("; what was read before stays in force")
        assert one.connections == connections
        pmcd.config.write_text(configuration(url=two.url))
        assert name(pmcd) == "two"
        assert pmcd.messages()[1:] == ["%s: read again" % pmcd.config]


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
