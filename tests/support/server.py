# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""A server that does to a client whatever a test wants."""

import contextlib
import re
import socket
import threading

from support.processes import free_port


def answer(body=b"", status="200 OK", headers=()):
    """The bytes of a complete HTTP response."""
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    lines = ["HTTP/1.1 " + status, "Content-Length: %d" % len(body)] + list(headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class FakeServer:
    """A server on a loopback port that does to each request what its behaviour says.

    behaviour: bytes to send to everyone, or a function of (connection, request bytes) that returns the bytes
    to send, or None after which the connection is closed. It can be changed at any time.
    tls: the ssl.SSLContext of an https server.
    hello: what it does to a connection before it reads a request, as a behaviour.
    requests: the paths asked for; connections: the number of connections accepted.
    """

    def __init__(self, behaviour, port=None, tls=None, hello=None):
        self.behaviour = behaviour
        self.port = port or free_port()
        self.tls = tls
        self.hello = hello
        self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.port)
        self.requests = []
        self.connections = 0
        self.open = set()
        self.listener = None

    def __enter__(self):
        self.listen()
        return self

    def __exit__(self, *_):
        self.refuse()
        self.hang_up()

    def listen(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self.accept, args=[self.listener], daemon=True).start()

    def refuse(self):
        """Stops listening: further connections are refused, those that are open stay so."""
        if self.listener:
            shut_down(self.listener)
            self.listener.close()
            self.listener = None

    def hang_up(self):
        """Ends all open connections."""
        for connection in list(self.open):
            shut_down(connection)

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):  # a Unix socket has no such option
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self.open.add(connection)
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, plain):
        """Answers the requests of one connection."""
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(plain)
            try:
                if self.tls:
                    connection = stack.enter_context(self.tls.wrap_socket(plain, server_side=True))
                if self.hello:
                    self.hello(connection, b"")
                while True:
                    request = read_request(connection)
                    if not request:
                        break
                    self.requests.append(request.split()[1].decode())
                    behaviour = self.behaviour
                    reply = behaviour if isinstance(behaviour, bytes) else behaviour(connection, request)
                    if reply is None:
                        break
                    connection.sendall(reply)
            except OSError:
                pass  # the client is gone, as it should be
        self.open.discard(plain)


def read_request(connection):
    """The bytes of one request; b"" at the end of the connection."""
    request = b""
    while len(request) < length_of(request):
        received = connection.recv(65536)
        if not received:
            return b""
        request += received
    return request


def length_of(request):
    """The bytes that a request has in all, as far as they are known."""
    head, end, _ = request.partition(b"\r\n\r\n")
    body = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return len(head + end) + (int(body.group(1)) if body else 0) if end else len(request) + 1


def shut_down(connection):
    """Ends what other threads wait for on a socket."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # not connected any more
