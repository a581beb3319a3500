# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The recipes of the README, each with an etcd that is set up like that; only ports and paths are the test's own."""

import configparser
import re

import pytest

from support.etcd import programs
from support.pmcd import Pmcd
from support.processes import free_port
from support.repository import REPOSITORY
from support.values import APPVERSION, PERMISSION
from support.versions import NEWEST, PASSWORD, SERVERS, token_of

IDENTITY = ("etcd.name", "etcd.state", "etcd.is_leader")
VALUES = (*IDENTITY, "etcd.up", "etcd.server.has_leader", "etcd.disk.wal_fsync.count", "etcd.store.watchers")


def recipes():
    """The settings of each block below the heading, in their order."""
    section = re.search(r"^### Recipes\n(.*?)^##", (REPOSITORY / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    found = []
    for block in re.findall(r"```ini\n(.*?)```", section.group(1), re.DOTALL):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(block)
        found.append(dict(parser["etcd"]))
    return found


def replaced(recipe, **own):
    """A recipe with values of the test's own for exactly its keys but `username`."""
    assert set(own) == set(recipe) - {"username"}
    assert all(str(own[key]).partition(":")[0] == recipe[key].partition(":")[0] for key in own if "url" in key)
    return dict(recipe, **own)


def check(pmcd, v2=False):
    """That all has values which such a server can have, and that nothing else is logged than a missing v2 API."""
    fetched = pmcd.fetch(*VALUES)
    assert fetched.pop("etcd.disk.wal_fsync.count") > 0
    assert fetched == {"etcd.name": "m0", "etcd.state": "StateLeader", "etcd.is_leader": 1, "etcd.up": 1,
                       "etcd.server.has_leader": 1, "etcd.store.watchers": 0 if v2 else APPVERSION}
    assert [line for line in pmcd.messages() if "no v2 API" not in line] == []


def test_there_are_three():
    kubeadm, plain, rbac = recipes()
    assert "metrics_url" in kubeadm and "key_file" in kubeadm
    assert list(plain) == ["url"] and "username" in rbac


@pytest.mark.parametrize("version", [next(iter(programs())), NEWEST])
def test_kubeadm(directory, pki, version):
    """Client certificates, a key that only root may read, /metrics without TLS on a port of its own, no v2 API."""
    recipe, listener = recipes()[0], "http://127.0.0.1:%d" % free_port()
    assert pki.client.key.stat().st_mode & 0o077 == 0
    with pki.etcd(pki.server, mutual=True, binary=programs()[version], v2=False,
                  arguments=["--listen-metrics-urls", listener]) as etcd:
        own = replaced(recipe, metrics_url=listener, **pki.client_settings(etcd.url))
        with Pmcd(directory, **own) as pmcd:
            check(pmcd)


@pytest.mark.parametrize("version, v2", SERVERS)
def test_plain_http(directory, servers, version, v2):
    with Pmcd(directory, **replaced(recipes()[1], url=servers(version, v2).url)) as pmcd:
        check(pmcd, v2)


@pytest.mark.parametrize("version", programs())
def test_rbac(directory, servers, version):
    """A user without roles, and on those versions that want it, with the role root."""
    recipe, etcd = recipes()[2], servers(version, v2=False, rbac=True)
    user, root = recipe["username"], token_of(etcd)
    (directory / "password").touch(0o600)
    (directory / "password").write_text(PASSWORD + "\n")
    own = replaced(recipe, url=etcd.url, password_file=directory / "password")
    etcd.v3("/auth/user/add", root, name=user, password=PASSWORD)
    try:
        if etcd.request("POST", "/v3/maintenance/status", "{}", token_of(etcd, user))[0] == 403:
            with Pmcd(directory, **own) as pmcd:
                assert set(pmcd.fetch(*IDENTITY).values()) == {PERMISSION}
                assert any("role root" in line for line in pmcd.messages())
            etcd.v3("/auth/user/grant", root, user=user, role="root")
            (directory / "agent.log").unlink()
        with Pmcd(directory, **own) as pmcd:
            check(pmcd)
    finally:
        etcd.v3("/auth/user/delete", root, name=user)
