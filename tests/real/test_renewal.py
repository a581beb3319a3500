# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Renewed certificates are in force at the next connection, without a restart."""

import os
import shutil

import pytest
from pcp.pmapi import pmContext

from support.certificates import DAY
from support.pmcd import Pmcd
from support.processes import wait_until
from support.server import FakeServer, answer
from support.settings import as_root, configuration
from support.values import PERMISSION

VALUES = ("etcd.name", "etcd.store.watchers", "etcd.version.server", "etcd.up")  # of three sources


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
    return pmcd.fetch(*VALUES)["etcd.up"]


def fake(name):
    """A server whose member has this name."""
    return FakeServer(answer('{"name": "%s"}' % name))


def name(pmcd):
    return pmcd.fetch("etcd.name")["etcd.name"]


def test_fifty_reloads_leave_nothing_behind(directory, pki, mutual):
    replace(directory / "client.key", pki.client.key)
    settings = dict(pki.client_settings(mutual.url), key_file=directory / "client.key")
    with Pmcd(directory, **settings) as pmcd:
        values = pmcd.query(*VALUES)

        def reload(times):
            for _ in range(times):
                os.utime(pmcd.config)
                assert values.fetch()["etcd.up"] == 1

        def resources():
            return pmcd.held("task"), pmcd.held("fd")

        reload(5)
        before = resources()
        reload(45)
        assert len(pmcd.messages()) == 50
        wait_until(lambda: resources() <= before, "the end of replaced threads and connections", 2)


def test_replaced_certificates_are_used_at_the_next_connection(directory, pki, mutual):
    place(directory, pki.ca.cert, pki.stranger)
    with Pmcd(directory, **settings_of(directory, mutual.url)) as pmcd:
        assert pmcd.fetch(*VALUES)["etcd.name"] == PERMISSION
        agent = pmcd.agent_pid()
        place(directory, pki.ca.cert, pki.client)
        assert up(pmcd) == 1
        replace(directory / "ca.pem", pki.other.cert, 0o644)
        assert pmcd.fetch(*VALUES)["etcd.name"] == PERMISSION
        assert "certificate of the server is not trusted" in pmcd.messages()[-1]
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
        line, = pmcd.messages()
        assert "does not belong to the key" in line and "stays in force" in line
        (last, source), = files.items()
        replace(directory / last, source)
        assert pmcd.fetch(*VALUES)["etcd.name"] == PERMISSION
        assert [each for each in pmcd.messages()[1:] if "read again" in each]


def test_file_that_is_written_slowly(directory, pki, mutual):
    """A key that is truncated and written in place, with a fetch in between."""
    place(directory, pki.ca.cert, pki.client)
    key = directory / "client.key"
    with Pmcd(directory, **settings_of(directory, mutual.url)) as pmcd:
        text = key.read_text()
        for part in "", text[:40], text:
            key.write_text(part)
            assert up(pmcd) == 1
        assert pmcd.messages()[-1] == "%s: read again" % pmcd.config


def test_key_that_becomes_open_to_others(directory, pki, mutual):
    place(directory, pki.ca.cert, pki.client)
    with Pmcd(directory, **settings_of(directory, mutual.url)) as pmcd:
        (directory / "client.key").chmod(0o644)
        assert up(pmcd) == 1
        line, = pmcd.messages()
        assert "chmod g-w,o-rwx %s/client.key" % directory in line


@pytest.mark.parametrize("secret", [False, True])
@as_root
def test_key_that_only_root_may_read_needs_a_restart(directory, pki, mutual, secret):
    """secret: the user pcp can't even look into the directory, so it has to be said at the start."""
    files = directory / "files"
    files.mkdir(mode=0o700 if secret else 0o755)
    place(files, pki.ca.cert, pki.client, owner="root")
    with Pmcd(directory, **settings_of(files, mutual.url)) as pmcd:
        assert up(pmcd) == 1
        assert len(pmcd.messages()) == (1 if secret else 0)
        place(files, pki.ca.cert, pki.ca.issue("renewed", end=2 * DAY), owner="root")
        for _ in range(5):
            assert up(pmcd) == 1
        line, = pmcd.messages()
        assert "restart" in line


@as_root
def test_timeout_changes_though_only_root_may_read_the_key(directory, pki, mutual):
    files = directory / "files"
    files.mkdir()
    place(files, pki.ca.cert, pki.client, owner="root")
    with Pmcd(directory, **settings_of(files, mutual.url)) as pmcd:
        pmcd.config.write_text(configuration(timeout=2.5, **settings_of(files, mutual.url)))
        assert up(pmcd) == 1
        assert pmcd.fetch("etcd.control.timeout") == {"etcd.control.timeout": 2.5}
        assert pmcd.messages() == ["%s: read again" % pmcd.config]


@as_root
def test_renewed_certificate_is_seen_where_only_root_may_read_the_configuration(directory, pki, mutual):
    place(directory, pki.ca.cert, pki.client)
    pmcd = Pmcd(directory, **settings_of(directory, mutual.url))
    pmcd.config.chmod(0o600)
    with pmcd:
        assert up(pmcd) == 1
        replace(directory / "client.pem", pki.client.cert, 0o644)
        assert up(pmcd) == 1
        line, = pmcd.messages()
        assert line.startswith(str(pmcd.config)) and "can't be read" in line and "restart" in line


def test_time_until_a_certificate_expires(directory, pki, mutual):
    place(directory, pki.ca.cert, pki.client)
    with Pmcd(directory, **settings_of(directory, mutual.url)) as pmcd:
        left = "etcd.control.certificate_time"
        assert DAY - 3600 < pmcd.fetch(left)[left] <= DAY
        place(directory, pki.ca.cert, pki.ca.issue("renewed", end=2 * DAY))
        assert 2 * DAY - 3600 < pmcd.fetch(left)[left] <= 2 * DAY


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
        assert pmcd.fetch(*VALUES)["etcd.name"] == PERMISSION
        for version, expected in ("..2", 1), ("..1", 0), ("..2", 1):
            (directory / "..data_tmp").symlink_to(version)
            (directory / "..data_tmp").rename(directory / "..data")
            assert up(pmcd) == expected
        shutil.rmtree(directory / "..1")
        assert up(pmcd) == 1
