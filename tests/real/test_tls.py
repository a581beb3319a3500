# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent and real etcd servers over TLS, mutual TLS and Unix sockets: whom it trusts, and what it says if not."""

import functools
import os
import pwd
import re
import select
import shutil
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from pcp.pmapi import pmContext

from support.certificates import self_signed
from support.etcd import Etcd
from support.pmcd import Pmcd
from support.processes import free_port, wait_until
from support.server import FakeServer, answer, shut_down
from support.settings import as_root, configuration
from support.values import AGAIN, PERMISSION

DEADLINE = 1.0
SLACK = 0.2
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


UNTRUSTED = {
    "expired": ("127.0.0.1", lambda pki: pki.ca.issue("expired", end=-60), "certificate has expired"),
    "not yet valid": ("127.0.0.1", lambda pki: pki.ca.issue("early", begin=3600), "certificate is not yet valid"),
    "wrong address": ("127.0.0.1", lambda pki: pki.ca.issue("address", names="IP:127.0.0.2,DNS:localhost"),
                      "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    "wrong name": ("localhost", lambda pki: pki.ca.issue("name", names="IP:127.0.0.1,DNS:example.org"),
                   "Hostname mismatch, certificate is not valid for 'localhost'"),
    "self-signed": ("127.0.0.1", lambda pki: self_signed(pki.directory, "lone"),
                    "self-signed certificate"),
    "unknown CA": ("127.0.0.1", lambda pki: pki.other.issue("server"), "unable to get local issuer certificate"),
}


@pytest.mark.parametrize("case", UNTRUSTED)
def test_untrusted_server(directory, pki, case):
    host, issue, reason = UNTRUSTED[case]
    with pki.etcd(issue(pki)) as etcd:
        url = etcd.url.replace("127.0.0.1", host)
        with Pmcd(directory, url=url, ca_file=pki.ca.cert) as pmcd:
            assert_no_values(pmcd, PERMISSION, "certificate of the server is not trusted: " + reason, url)
            pmcd.config.write_text(configuration(url=url, insecure_skip_verify="yes"))
            assert_true_values(pmcd, etcd)


def test_private_ca_means_only_that_ca(directory, pki, secure, monkeypatch):
    """Neither the system's CAs, which SSL_CERT_FILE stands for, nor what requests and curl are told."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(pki.ca.cert))
    with Pmcd(directory, url=secure.url, ca_file=pki.other.cert) as pmcd:
        assert_no_values(pmcd, PERMISSION, "certificate of the server is not trusted")
        pmcd.config.write_text(configuration(url=secure.url, ca_file=pki.ca.cert))
        assert_true_values(pmcd, secure)


def test_environment_is_ignored(directory, pki, secure, monkeypatch):
    """No CA, no proxy and no password come from the environment or the home directory."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(pki.other.cert))
    netrc = directory / ".netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    netrc.chmod(0o644)
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("NETRC", str(netrc))
    seen = []

    def note(_, request):
        seen.append(request)
        return answer("{}")

    with FakeServer(note) as server, FakeServer(b"") as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        with Pmcd(directory, url=secure.url, ca_file=pki.ca.cert) as pmcd:
            assert_true_values(pmcd, secure)
            pmcd.config.write_text(configuration(url=server.url))
            assert pmcd.fetch(*VALUES)["etcd.up"] == 1
        assert seen and not any(b"authorization" in request.lower() for request in seen)
        assert proxy.connections == 0


# --------------------------------------------------- whom the server trusts


@pytest.mark.parametrize("protocol", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("case", ["none", "stranger", "expired"])
def test_server_wants_another_client(directory, pki, mutual, monkeypatch, case, protocol):
    limits = directory / "openssl.cnf"
    limits.write_text("openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = limits\n"
                      "[limits]\nMinProtocol = {0}\nMaxProtocol = {0}\n".format(protocol))
    settings = {"none": {"url": mutual.url, "ca_file": pki.ca.cert},
                "stranger": pki.client_settings(mutual.url, pki.stranger),
                "expired": pki.client_settings(mutual.url, pki.ca.issue("former", end=-60))}[case]
    monkeypatch.setenv("OPENSSL_CONF", str(limits))
    give_to_pcp(settings.get("key_file"))
    with Pmcd(directory, **settings) as pmcd:
        line = assert_no_values(pmcd, PERMISSION, "server wants a client certificate that it trusts")
        values = pmcd.query(*VALUES)
        for _ in range(20):  # each on new connections: the refusal comes at another moment each time
            os.utime(pmcd.config)
            assert set(values.fetch().values()) == {PERMISSION, 0}
        assert [each for each in pmcd.messages() if "read again" not in each] == [line] * 21


def give_to_pcp(key):
    """Lets the agent read a key again after it has become user pcp."""
    if key and os.getuid() == 0:
        shutil.chown(key, pmContext.pmGetConfig("PCP_USER"))


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


class Relay:
    """Hands connections on to a port of a server, and counts them; `slow`: "", "silent" or "drip" instead."""

    HUGE_RECORD = b"\x16\x03\x03\x3f\xff"  # the head of a TLS record of 16 KiB, which never comes to its end

    def __init__(self, port):
        self.target = port
        self.slow = ""
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = []

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        shut_down(self.listener)
        self.listener.close()
        for each in self.open:
            shut_down(each)
            each.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(client)
            if not self.slow:
                server = socket.create_connection(("127.0.0.1", self.target))
                self.open.append(server)
                threading.Thread(target=copy, args=[client, server], daemon=True).start()
                threading.Thread(target=copy, args=[server, client], daemon=True).start()
            elif self.slow == "drip":
                threading.Thread(target=self.drip, args=[client], daemon=True).start()

    def drip(self, client):
        try:
            client.sendall(self.HUGE_RECORD)
            while True:
                time.sleep(0.05)
                client.sendall(b"\2")
        except OSError:
            pass  # the client has given up

    def clients_are_gone(self):
        """Whether every client has closed its connection."""
        return all(is_closed(each) for each in self.open)


def copy(source, destination):
    """Hands on what comes, until the end."""
    destination.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        for data in iter(lambda: source.recv(65536), b""):
            destination.sendall(data)
    except OSError:
        pass
    shut_down(destination)


def is_closed(connection):
    """Whether the other side has closed or reset a connection."""
    try:
        while select.select([connection], [], [], 0)[0]:
            if not connection.recv(65536):
                return True
    except (OSError, ValueError):
        return True
    return False


def test_connections_are_kept(directory, pki, mutual):
    with Relay(mutual.port) as relay:
        settings = pki.client_settings("https://127.0.0.1:%d" % relay.port)
        with Pmcd(directory, **settings) as pmcd:
            values = pmcd.query(*VALUES)
            for _ in range(100):
                assert values.fetch()["etcd.up"] == 1
            assert relay.connections == 3  # one for each of the three endpoints


@pytest.mark.parametrize("slow", ["silent", "drip"])
def test_handshake_that_never_ends(directory, pki, mutual, slow):
    with Relay(mutual.port) as relay:
        relay.slow = slow
        settings = pki.client_settings("https://127.0.0.1:%d" % relay.port)
        with Pmcd(directory, timeout=DEADLINE, **settings) as pmcd:
            values, others = pmcd.query(*VALUES), pmcd.query("pmcd.pid")
            assert fetch_time(values, AGAIN) < DEADLINE + SLACK
            for _ in range(20):
                assert fetch_time(values, AGAIN) < SLACK
                assert fetch_time(others) < SLACK
            line, = pmcd.messages()
            assert "no answer within 1 s" in line
            wait_until(relay.clients_are_gone, "the end of all handshakes", DEADLINE + 0.6)
            relay.slow = ""
            begun = time.monotonic()
            first = values.fetch()
            # three handshakes may take a busy machine longer than the wait for a server that was slow
            assert AGAIN not in first.values() or time.monotonic() - begun > SUSPECT_WAIT
            wait_until(lambda: AGAIN not in values.fetch().values(), "values", 2)
            assert_true_values(pmcd, mutual)
            assert "answers again" in pmcd.messages()[-1]
            assert pmcd.held("task") <= 1 + 3  # one for each endpoint


def fetch_time(values, failure=None):
    """Seconds that a fetch takes, in which name and version fail like that."""
    begun = time.monotonic()
    fetched = values.fetch()
    taken = time.monotonic() - begun
    if failure:
        assert fetched["etcd.name"] == fetched["etcd.version.server"] == failure
    return taken
