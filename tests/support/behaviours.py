# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""What servers may do to a client, as behaviours of FakeServer, each with what the client then gets."""

import contextlib
import gzip
import json
import socket
import struct
import time

from support.documents import SELF
from support.server import answer
from support.values import AGAIN, APPVERSION, PERMISSION


def silent(connection, _):
    """Says nothing until the client goes."""
    connection.recv(1)


def then_silent(sent):
    """Sends this, and nothing more until the client goes."""
    return lambda connection, _: connection.sendall(sent) or silent(connection, _)


def once(sent):
    """Sends this and closes the connection."""
    return lambda connection, _: connection.sendall(sent)


def then_reset(sent):
    """Sends this and ends the connection with a TCP reset."""
    def behaviour(connection, _):
        connection.sendall(sent)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return behaviour


def flood(start, piece, pause=0.0):
    """Sends `start`, and then pieces without end, as fast as they are taken, or with pauses of so many seconds."""
    def behaviour(connection, _):
        connection.sendall(start)
        while True:
            connection.sendall(piece)
            time.sleep(pause)
    return behaviour


def drip(start, piece):
    """Sends `start`, and then a piece each 20 ms, without end."""
    return flood(start, piece, pause=0.02)


def redirect(location, status="302 Found", body=b""):
    return answer(body, status, ["Location: " + location])


def refuse(server):
    """Connections are refused, and those that are open end."""
    server.refuse()
    server.hang_up()


@contextlib.contextmanager
def clogged(server):
    """Meanwhile the queue of a listener that never accepts is full: connects get no answer at all."""
    refuse(server)
    with contextlib.ExitStack() as stack:
        stack.enter_context(socket.create_server(("127.0.0.1", server.port), backlog=0))
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", server.port))
        yield


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MEGABYTE = b"x" * (1 << 20)
GOOD_SELF = json.dumps(SELF).encode()
BOMB = gzip.compress(b" " * (64 << 20))
ZIPPED = "Content-Encoding: gzip"

# The answer has no end: a client waits until its deadline.
NO_ANSWER = {
    "silent": silent,
    "silence after the head": then_silent(HEAD + b"Content-Length: 10\r\n\r\n"),
    "silence after half a body": then_silent(HEAD + b"Content-Length: 1000\r\n\r\n" + GOOD_SELF[:100]),
    "dripping status line": drip(b"HTTP/1.1 2", b"0"),
    "dripping headers": drip(HEAD, b"X-Slow: 1\r\n"),
    "dripping one header": drip(HEAD + b"X-Slow: ", b"1"),
    "dripping body": drip(HEAD + b"Content-Length: 1000\r\n\r\n{", b" "),
    "dripping body without end": drip(HEAD + b"\r\n{", b" "),
    "dripping chunks": drip(CHUNKED, b"1\r\n \r\n"),
    "dripping chunk size": drip(CHUNKED, b"0"),
    "dripping trailers": drip(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: 1\r\n"),
    "dripping 100 Continue": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "dripping redirect": drip(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 100000\r\n\r\n", b" "),
}

# The answer is not to be had, or not to be understood. A client need not wait for its deadline.
NOT_HTTP = {
    "closed": once(b""),
    "reset": then_reset(b""),
    "reset in the body": then_reset(HEAD + b"Content-Length: 100\r\n\r\n{"),
    "truncated body": once(HEAD + b"Content-Length: 1000\r\n\r\n" + GOOD_SELF),
    "truncated chunk": once(CHUNKED + b"ff\r\n{"),
    "truncated chunks": once(CHUNKED + b"2\r\n{}\r\n"),
    "endless chunk size": flood(CHUNKED, b"1" * 100000),
    "endless status line": flood(b"HTTP/1.1 200 ", MEGABYTE),
    "endless header": flood(HEAD + b"X: ", MEGABYTE),
    "endless headers": flood(HEAD, b"X: 1\r\n" * 10000),
    "thousands of headers": answer(GOOD_SELF, headers=["X-%d: 1" % number for number in range(5000)]),
    "not HTTP": once(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    "binary": once(bytes(range(256)) * 10),
    "TLS alert": once(b"\x15\x03\x01\x00\x02\x02\x46"),
    "NULs": once(b"\0" * 70000),
    "HTTP/0.9": once(b"<html></html>"),
    "HTTP/9.9": once(b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
    "status 99999": once(b"HTTP/1.1 99999 OK\r\n\r\n"),
    "status abc": once(b"HTTP/1.1 abc OK\r\n\r\n"),
    "length of 5000 digits": once(HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}"),
    "two lengths": once(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
    "length not a number": once(HEAD + b"Content-Length: two\r\n\r\n{}"),
    "chunk size not a number": once(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"),
}

# The answer ends with its deadline or with one of the limits of a client, whichever comes first.
ENDLESS = {
    "100 Continue": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "trailers": flood(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: 1\r\n" * 1000),
    "silence after a length of -1": then_silent(HEAD + b"Content-Length: -1\r\n\r\n" + GOOD_SELF),
}

# The head of an answer is good, but its body can't be taken: by the status that a client then knows.
UNUSABLE = {
    "endless body": (flood(HEAD + b"\r\n", MEGABYTE), 200),
    "endless body of a length": (flood(HEAD + b"Content-Length: 99999999999\r\n\r\n", MEGABYTE), 200),
    "endless chunks": (flood(CHUNKED, b"100000\r\n" + MEGABYTE + b"\r\n"), 200),
    "one endless chunk": (flood(CHUNKED + b"fffffffffff\r\n", MEGABYTE), 200),
    "endless chunk of negative size": (flood(CHUNKED + b"-1\r\n", MEGABYTE), 200),
    "endless redirect": (flood(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", MEGABYTE), 302),
    "too large by a byte": (answer(b"x" * ((1 << 20) + 1)), 200),
    "gzip bomb": (answer(BOMB, headers=[ZIPPED]), 200),
    "gzip bomb in chunks": (CHUNKED[:-2] + b"%s\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
        ZIPPED.encode(), len(BOMB), BOMB), 200),
    "gzip bomb in a redirect": (answer(BOMB, "302 Found", ["Location: /", ZIPPED]), 302),
    "gzip": (answer(gzip.compress(GOOD_SELF), headers=[ZIPPED]), 200),
    "deflate that is none": (answer(GOOD_SELF, headers=["Content-Encoding: deflate"]), 200),
}

# The answer is complete, and holds no values: by status and body.
NO_VALUES = {
    "truncated without length": (once(HEAD + b"\r\n" + GOOD_SELF[:-1]), 200, GOOD_SELF[:-1]),
    "redirect to another port": (redirect("http://127.0.0.1:1/"), 302, b""),
    "redirect to itself": (redirect("/v2/stats/self"), 302, b""),
    "redirect to no URL": (redirect("http://[::1"), 302, b""),
    "redirect to another scheme": (redirect("gopher://x/", "301 Moved Permanently"), 301, b""),
    "redirect not in UTF-8": (b"HTTP/1.1 307 x\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\n\r\n", 307, b""),
    "redirect without location": (answer(b"", "308 Permanent Redirect"), 308, b""),
    "redirect with a good body": (redirect("/", body=GOOD_SELF), 302, GOOD_SELF),
    "cookies": (answer(b"", "503 x", ["Set-Cookie: a=b; expires=Foo; domain=.; port=\"x\""] * 50), 503, b""),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "partial content": (answer(GOOD_SELF, "206 Partial Content"), 206, GOOD_SELF),
}

# Bodies with status 200 that are no JSON object.
NOT_A_DOCUMENT = {
    "empty": b"",
    "blank": b"\r\n",
    "HTML": b"<!DOCTYPE html><html><body>Welcome!</body></html>",
    "not UTF-8": b'{"name": "\xff"}',
    "UTF-16": GOOD_SELF.decode().encode("utf-16"),
    "gzip": gzip.compress(GOOD_SELF),
    "deep lists": b"[" * 500000,
    "deep objects": b'{"a":' * 150000,
    "a lone surrogate": b'{"a": \xed\xa0\x80}',
}
for shape in ("null", "true", "0", "-1", "NaN", "1e999", '"text"', "[]", "[{}]", "{", '{"name"', "{}{}", "{'a': 1}",
              '{"a": 01}', "\ufeff{}"):
    NOT_A_DOCUMENT["JSON " + ascii(shape)] = shape.encode()

STATUSES = dict.fromkeys(
    (400, 402, 405, 406, 408, 409, 410, 415, 418, 429, 451, 500, 501, 502, 503, 504, 505, 511, 599), AGAIN)
STATUSES.update({401: PERMISSION, 403: PERMISSION, 404: APPVERSION})
