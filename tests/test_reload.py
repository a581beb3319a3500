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
"""Changes of etcd.conf and of certificates while the agent runs."""

import os
import shutil
import types

import pytest
from pcp.pmapi import pmContext

import certificates
import harness
from harness import AGAIN, PERMISSION, FakeServer, Pmcd, configuration, wait_until
from settings import BAD_CONFIGURATIONS, as_root, messages, query, threads

CONTROL = ["etcd.control.url", "etcd.control.timeout"]


def replace(path, source, mode=0o600, owner="pcp"):
    """Puts a copy of a file in place of another in one step; the agent may read it if the owner is pcp."""
    fresh = path.with_suffix(".new")
    shutil.copy(source, fresh)
    fresh.chmod(mode)
    if owner == "pcp" and os.getuid() == 0:
        shutil.chown(fresh, pmContext.pmGetConfig("PCP_USER"))
    fresh.rename(path)


def settings_of(directory, url):
    """Settings with a ca.pem, client.pem and client.key in the test's own directory."""
    return {"url": url, "ca_file": directory / "ca.pem", "cert_file": directory / "client.pem",
            "key_file": directory / "client.key"}


def place(directory, ca, pair, **more):
    """Puts these files where settings_of() names them."""
    replace(directory / "ca.pem", ca, 0o644)
    replace(directory / "client.pem", pair.cert, 0o644)
    replace(directory / "client.key", pair.key, **more)


def up(pmcd):
    return query(pmcd).fetch()["etcd.up"]


def fake(name):
    """A server whose member has this name."""
    return FakeServer(harness.answer('{"name": "%s"}' % name))


def name(pmcd):
    return query(pmcd, ["etcd.name"]).fetch()["etcd.name"]


# ------------------------------------------------------------------ etcd.conf


def test_change_is_in_force_at_the_next_fetch(directory):
    with fake("one") as one, fake("two") as two, Pmcd(directory, url=one.url) as pmcd:
        values = query(pmcd, ["etcd.name", *CONTROL])
        assert values.fetch() == {"etcd.name": "one", "etcd.control.url": one.url, "etcd.control.timeout": 1.0}
        agent = pmcd.agent_pid()
        for timeout, server, expected in (2.5, two, "two"), (0.5, one, "one"), (0.5, two, "two"):
            pmcd.config.write_text(configuration(url=server.url, timeout=timeout))
            assert values.fetch() == {"etcd.name": expected, "etcd.control.url": server.url,
                                      "etcd.control.timeout": timeout}
        assert messages(pmcd) == ["%s: read again" % pmcd.config] * 3
        assert pmcd.agent_pid() == agent


def test_timeout_is_the_new_one(directory):
    """The deadline itself, not only what etcd.control.timeout says."""
    with FakeServer(lambda *_: wait_until(lambda: False, "ever")) as silent:
        with Pmcd(directory, url=silent.url, timeout=4) as pmcd:
            pmcd.config.write_text(configuration(url=silent.url, timeout=0.1))
            assert name(pmcd) == AGAIN
            assert "no answer within 0.1 s" in messages(pmcd)[-1]


def test_created_and_removed(directory):
    default = {"etcd.control.url": "http://127.0.0.1:2379", "etcd.control.timeout": 1.0}
    with fake("one") as one, Pmcd(directory, timeout=2) as pmcd:
        values = query(pmcd, CONTROL)  # asks nobody, so not what may listen at the default URL
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
        line, = messages(pmcd)
        assert line.startswith("%s: " % pmcd.config) and reason in line and "hunter2" not in line
        assert line.endswith("; what was read before stays in force")
        assert one.connections == connections
        pmcd.config.write_text(configuration(url=two.url))
        assert name(pmcd) == "two"
        assert messages(pmcd)[1:] == ["%s: read again" % pmcd.config]


def test_configuration_that_others_may_write_is_refused(directory):
    with fake("one") as one, fake("two") as two, Pmcd(directory, url=one.url) as pmcd:
        pmcd.config.write_text(configuration(url=two.url))
        pmcd.config.chmod(0o666)
        assert name(pmcd) == "one"
        line, = messages(pmcd)
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
        line, = messages(pmcd)
        assert "%s: can't be read" % pmcd.config in line and "Permission denied" in line
        pmcd.config.chmod(0o644)
        assert name(pmcd) == "two"


def test_change_while_it_is_read_is_not_missed(directory, agent, monkeypatch):
    path = directory / "etcd.conf"
    path.write_text(configuration(timeout=1))
    watch = agent.ConfigWatch(str(path), agent.read_config(str(path)))
    read, read_config = [], agent.read_config

    def read_and_change(name):
        read.append(read_config(name))
        if len(read) == 1:
            path.write_text(configuration(timeout=3.25))
        return read[-1]

    monkeypatch.setattr(agent, "read_config", read_and_change)
    sampler = agent.Sampler(agent.Config(), print)
    pmda = types.SimpleNamespace(config_watch=watch, sampler=sampler, log=print)
    pmda.reload = lambda: agent.EtcdPMDA.reload(pmda)
    path.write_text(configuration(timeout=2))
    for _ in range(3):
        agent.EtcdPMDA.begin(pmda)
    assert [config.timeout for config in read] == [2, 3.25]
    assert sampler.config.timeout == 3.25


def test_two_hundred_reloads_leave_nothing_behind(directory, pki, mutual):
    replace(directory / "client.key", pki.client.key)
    settings = dict(pki.client_settings(mutual.url), key_file=directory / "client.key")
    with Pmcd(directory, **settings) as pmcd:
        values = query(pmcd)

        def reload(times):
            for _ in range(times):
                os.utime(pmcd.config)
                assert values.fetch()["etcd.up"] == 1

        def resources():
            return threads(pmcd), len(os.listdir("/proc/%d/fd" % pmcd.agent_pid()))

        reload(5)
        before = resources()
        reload(200)
        assert len(messages(pmcd)) == 205
        wait_until(lambda: resources() <= before, "the end of replaced threads and connections", 2)


def test_reloads_with_a_silent_server_leave_nothing_behind(directory):
    with FakeServer(lambda *_: wait_until(lambda: False, "ever")) as silent:
        with Pmcd(directory, url=silent.url, timeout=0.05) as pmcd:
            values = query(pmcd)
            for _ in range(50):
                os.utime(pmcd.config)
                assert values.fetch()["etcd.up"] == 0
            wait_until(lambda: threads(pmcd) <= 1 + 3, "the end of replaced threads", 2)
            wait_until(lambda: len(os.listdir("/proc/%d/fd" % pmcd.agent_pid())) < 20, "the end of connections", 2)


# --------------------------------------------------------------- certificates


def test_replaced_certificates_are_used_at_the_next_connection(directory, pki, mutual):
    place(directory, pki.ca.cert, pki.stranger)
    with Pmcd(directory, **settings_of(directory, mutual.url)) as pmcd:
        assert query(pmcd).fetch()["etcd.name"] == PERMISSION
        agent = pmcd.agent_pid()
        place(directory, pki.ca.cert, pki.client)
        assert up(pmcd) == 1
        replace(directory / "ca.pem", pki.other.cert, 0o644)
        assert query(pmcd).fetch()["etcd.name"] == PERMISSION
        assert "certificate of the server is not trusted" in messages(pmcd)[-1]
        replace(directory / "ca.pem", pki.ca.cert, 0o644)
        assert up(pmcd) == 1
        assert pmcd.agent_pid() == agent


@pytest.mark.parametrize("first", ["client.pem", "client.key"])
def test_half_a_pair_keeps_the_old_one(directory, pki, mutual, first):
    """The pair that comes is a stranger's: when it is in force, the server says so."""
    place(directory, pki.ca.cert, pki.client)
    files = {"client.pem": pki.stranger.cert, "client.key": pki.stranger.key}
    with Pmcd(directory, **settings_of(directory, mutual.url)) as pmcd:
        assert up(pmcd) == 1
        replace(directory / first, files.pop(first))
        for _ in range(5):
            assert up(pmcd) == 1
        line, = messages(pmcd)
        assert "does not belong to the key" in line and "stays in force" in line
        (last, source), = files.items()
        replace(directory / last, source)
        assert query(pmcd).fetch()["etcd.name"] == PERMISSION
        assert [each for each in messages(pmcd)[1:] if "read again" in each]


def test_file_that_is_written_slowly(directory, pki, mutual):
    """A key that is truncated and written in place, with a fetch in between."""
    place(directory, pki.ca.cert, pki.client)
    key = directory / "client.key"
    with Pmcd(directory, **settings_of(directory, mutual.url)) as pmcd:
        text = key.read_text()
        for part in "", text[:40], text:
            key.write_text(part)
            assert up(pmcd) == 1
        assert messages(pmcd)[-1] == "%s: read again" % pmcd.config


def test_key_that_becomes_open_to_others(directory, pki, mutual):
    place(directory, pki.ca.cert, pki.client)
    with Pmcd(directory, **settings_of(directory, mutual.url)) as pmcd:
        (directory / "client.key").chmod(0o644)
        assert up(pmcd) == 1
        line, = messages(pmcd)
        assert "chmod g-w,o-rwx %s/client.key" % directory in line


@pytest.mark.parametrize("secret", [False, True])
@as_root
def test_key_that_only_root_may_read_needs_a_restart(directory, pki, mutual, secret):
    """secret: the user pcp can't even look into the directory, so it has to be said at the start."""
    files = directory / "files"
    files.mkdir(mode=0o700 if secret else 0o755)
    place(files, pki.ca.cert, pki.client, owner="root")
    end = subject_end(files / "client.pem")
    with Pmcd(directory, **settings_of(files, mutual.url)) as pmcd:
        assert up(pmcd) == 1
        assert len(messages(pmcd)) == (1 if secret else 0)
        place(files, pki.ca.cert, pki.ca.issue("renewed", end=2 * certificates.DAY), owner="root")
        for _ in range(5):
            assert up(pmcd) == 1
        line, = messages(pmcd)
        assert "restart the agent" in line and line.endswith(end)


@as_root
def test_a_renewed_certificate_is_seen_where_only_root_may_read_the_configuration(directory, pki, mutual):
    place(directory, pki.ca.cert, pki.client)
    pmcd = Pmcd(directory, **settings_of(directory, mutual.url))
    pmcd.config.chmod(0o600)
    with pmcd:
        assert up(pmcd) == 1
        replace(directory / "client.pem", pki.client.cert, 0o644)
        assert up(pmcd) == 1
        line, = messages(pmcd)
        assert "%s: can't be read" % pmcd.config in line and "restart the agent" in line


def subject_end(cert):
    """When a certificate runs out, as the agent writes it."""
    return certificates.openssl("x509", "-in", cert, "-noout", "-enddate").strip().partition("=")[2]


def test_new_files_are_watched_before_they_are_good(directory, pki, mutual):
    """etcd.conf names files that come, or become readable, later."""
    with fake("one") as one, Pmcd(directory, url=one.url) as pmcd:
        pmcd.config.write_text(configuration(**settings_of(directory, mutual.url)))
        assert name(pmcd) == "one"
        replace(directory / "ca.pem", pki.ca.cert, 0o644)
        assert name(pmcd) == "one"
        replace(directory / "client.pem", pki.client.cert, 0o644)
        assert name(pmcd) == "one"
        replace(directory / "client.key", pki.client.key, 0o644)
        assert name(pmcd) == "one"
        (directory / "client.key").chmod(0o600)
        assert name(pmcd) == mutual.name


def test_kubernetes_swaps_a_symbolic_link(directory, pki, mutual):
    """The files are links to ..data/NAME, and ..data is a link to a directory that is replaced as a whole."""
    for version, pair in ("..1", pki.stranger), ("..2", pki.client):
        (directory / version).mkdir()
        place(directory / version, pki.ca.cert, pair)
    (directory / "..data").symlink_to("..1")
    for file in "ca.pem", "client.pem", "client.key":
        (directory / file).symlink_to("..data/" + file)
    with Pmcd(directory, **settings_of(directory, mutual.url)) as pmcd:
        assert query(pmcd).fetch()["etcd.name"] == PERMISSION
        for version, expected in ("..2", 1), ("..1", 0), ("..2", 1):
            (directory / "..data_tmp").symlink_to(version)
            (directory / "..data_tmp").rename(directory / "..data")
            assert up(pmcd) == expected
        shutil.rmtree(directory / "..1")
        assert up(pmcd) == 1
