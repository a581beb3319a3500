# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The host of url is looked up for each connection, in its zone where it has one: http://[fe80::1%25eth0]:2379."""

import ctypes
import os
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.behaviours import silent
from support.processes import wait_until
from support.server import FakeServer, answer
from support.settings import as_root

CLONE_NEWNET = 0x40000000


def test_late_request_looks_nothing_up(agent, monkeypatch):
    """A look-up has no deadline: none is begun for a connection that would be too late."""
    looked_up = []
    look_up = socket.getaddrinfo
    with FakeServer(answer("{}")) as server:
        monkeypatch.setattr(agent.socket, "getaddrinfo", lambda *asked, **more: looked_up.append(asked) or look_up(
            *asked, **more))
        client = agent.Client(server.url)
        request = client.prepare("GET", "/version")
        client.send(request, time.monotonic() + 5)
        server.behaviour = silent
        for _ in range(2):  # on a kept connection, and on a new one
            with pytest.raises(agent.Failure):
                client.send(request, time.monotonic() + 0.2)
        client.session.close()
    assert len(looked_up) == 2


# ------------------------------------------------------------ a zone (RFC 6874)


@pytest.mark.parametrize("url, host, header", [
    ("http://[fe80::1%25eth0]:2379", "fe80::1%eth0", "[fe80::1]:2379"),
    ("http://[fe80::1%eth0]", "fe80::1%eth0", "[fe80::1]:80"),
    ("http://[fe80::1%25br-lan.7]/", "fe80::1%br-lan.7", "[fe80::1]:80"),
    ("http://[::1]:2379", "::1", "[::1]:2379")])
def test_zone_is_for_the_look_up_and_not_for_the_server(agent, monkeypatch, url, host, header):
    looked_up = []
    seen = []
    with FakeServer(lambda _, request: seen.append(request.decode()) or answer("{}")) as server:
        monkeypatch.setattr(agent.socket, "getaddrinfo", lambda *asked, **_: looked_up.append(asked) or [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", server.port))])
        client = agent.Client(agent.server_url(url))
        client.send(client.prepare("GET", "/version"), time.monotonic() + 5)
        client.session.close()
    assert looked_up == [(host, int(header.rpartition(":")[2]))]
    assert "\r\nHost: %s\r\n" % header in seen[0]


def is_reached(address):
    """Whether a connection is made; Linux needs a moment for the route to a new address."""
    with socket.socket(socket.AF_INET6) as probe:
        return probe.connect_ex(address) == 0


def answer_over_a_link_local_address(agent):
    """Status of an answer, in a network of this thread's own that has nothing but a loopback interface."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        pytest.skip("may not make a network of its own: %s" % os.strerror(ctypes.get_errno()))
    for command in "link set lo up", "addr add fe80::7/64 dev lo nodad":
        subprocess.run(["ip", *command.split()], check=True)
    with FakeServer(answer("{}")) as server, socket.socket(socket.AF_INET6) as listener:
        listener.bind(("fe80::7", 0, 0, socket.if_nametoindex("lo")))
        listener.listen()
        threading.Thread(target=server.accept, args=[listener], daemon=True).start()
        wait_until(lambda: is_reached(listener.getsockname()), "the route to the address")
        client = agent.Client(agent.server_url("http://[fe80::7%%25lo]:%d" % listener.getsockname()[1]))
        try:
            return client.send(client.prepare("GET", "/version"), time.monotonic() + 5).status_code
        finally:
            client.session.close()
            listener.shutdown(socket.SHUT_RDWR)


@as_root
def test_server_at_a_link_local_address_answers(agent):
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(answer_over_a_link_local_address, agent).result() == 200


def test_name_of_a_tls_server_has_no_zone(agent, monkeypatch):
    """It would be no name that a certificate can hold."""
    names = []

    class Tls:
        """The part of an ssl.SSLContext that the client uses."""

        @staticmethod
        def wrap_socket(_sock, server_hostname, **_):
            names.append(server_hostname)
            raise ssl.SSLError("enough")  # without a reason, as those that OpenSSL has no part in

    with FakeServer(answer("{}")) as server:
        monkeypatch.setattr(agent.socket, "getaddrinfo", lambda *_, **__: [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", server.port))])
        client = agent.Client(agent.server_url("https://[fe80::1%25eth0]"), Tls)
        with pytest.raises(agent.Failure):
            client.send(client.prepare("GET", "/version"), time.monotonic() + 5)
    assert names == ["fe80::1"]
