# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands between the agent and a server, and sees what is asked."""

import re
import select
import socket
import threading

from support.server import shut_down


class Relay:
    """Hands connections on to a port of a server, and counts them; where it is silent, it only takes them.

    sent: the bytes that clients have sent; target: the port, which may change.
    """

    def __init__(self, port):
        self.target = port
        self.silent = False
        self.sent = []
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = "http://127.0.0.1:%d" % self.port
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
            if not self.silent:
                self.connect(client)

    def connect(self, client):
        """Connects a client to the server, where there is one."""
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            shut_down(client)
            return
        self.open.append(server)
        threading.Thread(target=copy, args=[client, server, self.sent.append], daemon=True).start()
        threading.Thread(target=copy, args=[server, client], daemon=True).start()

    def switch(self, port):
        """Another server has taken the place of the one before, whose connections have ended."""
        self.target = port
        self.hang_up()
        self.requests()

    def requests(self):
        """(method, path, token) of each request since this was last asked."""
        sent, self.sent[:] = b"".join(self.sent), []
        heads = re.findall(rb"(GET|POST) (/\S*) HTTP/1.1\r\n((?:[^\r\n]+\r\n)*)", sent)
        tokens = [re.search(rb"Authorization: (\S+)", head) for _, _, head in heads]
        return [(method.decode(), path.decode(), token.group(1).decode() if token else "")
                for (method, path, _), token in zip(heads, tokens)]

    def hang_up(self):
        """Ends all connections."""
        for each in self.open:
            shut_down(each)

    def clients_are_gone(self):
        """Whether every client has closed its connection."""
        return all(is_closed(each) for each in self.open)


def copy(source, destination, note=None):
    """Hands on what comes, until the end, and notes it."""
    destination.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        for data in iter(lambda: source.recv(65536), b""):
            if note:
                note(data)
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
