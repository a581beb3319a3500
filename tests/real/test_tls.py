# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent and real etcd servers over TLS, mutual TLS and Unix sockets: whom it trusts, and what it says if not."""

import functools
import os
import pwd
import re
import socket
import ssl
import time
from pathlib import Path

import pytest
from pcp.pmapi import pmContext

from support.etcd import Etcd
from support.pmcd import Pmcd
from support.processes import free_port, wait_until
from support.relay import Relay
from support.settings import as_root, configuration
from support.values import AGAIN, PERMISSION

DEADLINE = 1.0
MARGIN = 0.5  # what a busy machine may add to any time
SUSPECT_WAIT = 0.05
VALUES = ("etcd.name", "etcd.store.watchers", "etcd.version.server", "etcd.up")  # of three sources



def assert_true_values(pmcd, etcd):
    """That the agent's values are those of the server."""
    self_ = etcd.json("/v2/stats/self")
    assert pmcd.fetch(*VALUES) == {"etcd.name": self_["name"], "etcd.store.watchers": 0, "etcd.up": 1,
                                   "etcd.version.server": etcd.json("/version")["etcdserver"]}


def assert_no_values(pmcd, failure, *words):
    """That fetches fail like that, and that one line of the log, which holds these words, says why."""
    values = pmcd.query(*VALUES)
    for _ in range(3):
        assert values.fetch() == {"etcd.name": failure, "etcd.store.watchers": failure,
                                  "etcd.version.server": failure, "etcd.up": 0}
    assert len(pmcd.messages()) == 1, pmcd.messages()
    line, = pmcd.messages()
    for word in words:
        assert word in line
    return line


# ---------------------------------------------------------- ways to a server


def test_tls(directory, pki, secure):
    with Pmcd(directory, url=secure.url, ca_file=pki.ca.cert) as pmcd:
        assert_true_values(pmcd, secure)
        assert pmcd.messages() == []


def test_tls_by_name(directory, pki, secure):
    url = secure.url.replace("127.0.0.1", "localhost")
    with Pmcd(directory, url=url, ca_file=pki.ca.cert) as pmcd:
        assert_true_values(pmcd, secure)


def test_mutual_tls(directory, pki, mutual):
    with Pmcd(directory, **pki.client_settings(mutual.url)) as pmcd:
        assert_true_values(pmcd, mutual)
        assert pmcd.messages() == []


def test_key_and_certificate_in_one_file(directory, pki, mutual):
    both = directory / "both.pem"
    both.touch(0o600)
    both.write_text(pki.client.key.read_text() + pki.client.cert.read_text())
    with Pmcd(directory, url=mutual.url, ca_file=pki.ca.cert, cert_file=both) as pmcd:
        assert_true_values(pmcd, mutual)


def test_unix_socket(directory, monkeypatch):
    # etcd takes the port to be a part of the file's name, and the name to be in its working directory
    monkeypatch.chdir(directory)
    port = free_port()
    listen = "http://127.0.0.1:%d,unix://etcd.sock:2379" % port
    with Etcd(port=port, arguments=["--listen-client-urls", listen]) as etcd:
        path = directory / "etcd.sock:2379"
        path.chmod(0o777)
        for url in ("unix:%s" % path, "unix://%s" % path):
            with Pmcd(directory, url=url) as pmcd:
                assert_true_values(pmcd, etcd)


@as_root
def test_agent_is_user_pcp_where_only_root_may_read_the_key(directory, pki, mutual, request):
    user = pwd.getpwnam(pmContext.pmGetConfig("PCP_USER"))
    assert pki.client.key.stat().st_uid == 0 and pki.client.key.stat().st_mode & 0o077 == 0
    request.addfinalizer(functools.partial(os.setgroups, os.getgroups()))
    os.setgroups([0, 4])  # the agent should lose them
    with Pmcd(directory, **pki.client_settings(mutual.url)) as pmcd:
        assert_true_values(pmcd, mutual)
        status = dict(re.findall(r"(\w+):\t(.*)", Path("/proc/%d/status" % pmcd.agent_pid()).read_text()))
        assert status["Uid"].split() == [str(user.pw_uid)] * 4
        assert status["Gid"].split() == [str(user.pw_gid)] * 4
        assert set(map(int, status["Groups"].split())) <= set(os.getgrouplist(user.pw_name, user.pw_gid))
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0


# ------------------------------------------------------ whom the agent trusts


def test_private_ca_means_only_that_ca(directory, pki, secure, monkeypatch):
    """Neither the system's CAs, which SSL_CERT_FILE stands for, nor what requests and curl are told."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(pki.ca.cert))
    with Pmcd(directory, url=secure.url, ca_file=pki.other.cert) as pmcd:
        assert_no_values(pmcd, PERMISSION, "certificate of the server is not trusted")
        pmcd.config.write_text(configuration(url=secure.url, ca_file=pki.ca.cert))
        assert_true_values(pmcd, secure)
        pmcd.config.write_text(configuration(url=secure.url, insecure_skip_verify="yes"))
        assert_true_values(pmcd, secure)


# --------------------------------------------------- whom the server trusts


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
@pytest.mark.parametrize("case", ["none", "stranger", "expired"])
def test_server_refuses_a_client(agent, pki, mutual, case, version):
    """Each time on a new connection: the refusal comes at another moment each time."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = tls.maximum_version = version
    tls.load_verify_locations(pki.ca.cert)
    if case != "none":
        tls.load_cert_chain(*(pki.stranger if case == "stranger" else pki.ca.issue("former", end=-60)))
    for _ in range(20):
        client = agent.Client(mutual.url, tls)
        with pytest.raises(agent.Failure) as caught:
            client.send(client.prepare("GET", "/version"), time.monotonic() + 5)
        assert caught.value.kind is agent.FailureKind.REFUSED
        assert "server wants a client certificate that it trusts" in caught.value.words


def test_refusal_of_a_client_is_logged_once(directory, pki, mutual):
    with Pmcd(directory, **pki.client_settings(mutual.url, pki.stranger)) as pmcd:
        assert_no_values(pmcd, PERMISSION, "server wants a client certificate that it trusts")


def test_protocols_are_those_wanted(pki, secure):
    """The server speaks TLS 1.3, so that the tests about it mean something."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.load_verify_locations(pki.ca.cert)
    with socket.create_connection(("127.0.0.1", secure.port)) as plain:
        with tls.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            assert connection.version() == "TLSv1.3"


# ------------------------------------------------------------- wrong scheme


def test_http_to_https(directory, secure):
    with Pmcd(directory, url=secure.url.replace("https", "http")) as pmcd:
        assert_no_values(pmcd, AGAIN, "server hung up without an answer; does it want https?")


def test_https_to_http(directory, pki, etcd):
    with Pmcd(directory, url=etcd.url.replace("http", "https"), ca_file=pki.ca.cert) as pmcd:
        assert_no_values(pmcd, AGAIN, "server hung up when asked for TLS; does it speak https?")


# ------------------------------------------- connections, and a slow handshake


def test_connections_are_kept(directory, pki, mutual):
    with Relay(mutual.port) as relay:
        settings = pki.client_settings("https://127.0.0.1:%d" % relay.port)
        with Pmcd(directory, **settings) as pmcd:
            values = pmcd.query(*VALUES)
            for _ in range(100):
                assert values.fetch()["etcd.up"] == 1
            assert relay.connections == 3  # one for each of the three endpoints


def test_handshake_that_never_ends(directory, pki, mutual):
    with Relay(mutual.port) as relay:
        relay.silent = True
        settings = pki.client_settings("https://127.0.0.1:%d" % relay.port)
        with Pmcd(directory, timeout=DEADLINE, **settings) as pmcd:
            values, others = pmcd.query(*VALUES), pmcd.query("pmcd.pid")
            assert fetch_time(values, AGAIN) <= DEADLINE + MARGIN
            assert sum(fetch_time(values, AGAIN) for _ in range(10)) <= 10 * SUSPECT_WAIT + MARGIN
            assert sum(fetch_time(others) for _ in range(10)) <= MARGIN
            line, = pmcd.messages()
            assert "no answer within 1 s" in line
            wait_until(relay.clients_are_gone, "the end of all handshakes", DEADLINE + MARGIN)
            relay.silent = False
            wait_until(lambda: AGAIN not in values.fetch().values(), "values", DEADLINE + MARGIN)
            assert_true_values(pmcd, mutual)
            assert "answers again" in pmcd.messages()[-1]


def fetch_time(values, failure=None):
    """Seconds that a fetch takes, in which name and version fail like that."""
    begun = time.monotonic()
    fetched = values.fetch()
    taken = time.monotonic() - begun
    if failure:
        assert fetched["etcd.name"] == fetched["etcd.version.server"] == failure
    return taken
