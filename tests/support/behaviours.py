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
    """Sends `start`, and then for ever pieces, as fast as they are taken, or with pauses of so many seconds."""
    def behaviour(connection, _):
        connection.sendall(start)
        while True:
            connection.sendall(piece)
            time.sleep(pause)
    return behaviour


def drip(start, piece):
    """Sends `start`, and then for ever a piece each 20 ms."""
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
MANY_KEYS = json.dumps({"key%d" % number: number for number in range(200000)})

# No answer comes to an end: a fetch runs into the deadline.
NO_ANSWER = {
    "silent": silent,
    "silence after the head": then_silent(HEAD + b"Content-Length: 10\r\n\r\n"),
    "silence after half a body": then_silent(HEAD + b"Content-Length: 1000\r\n\r\n" + GOOD_SELF[:100]),
    "silence after a length of -1": then_silent(HEAD + b"Content-Length: -1\r\n\r\n" + GOOD_SELF),
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
    "endless 100 Continue": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "endless trailers": flood(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: 1\r\n" * 1000),
}

# The answer comes to an end, but not to a good one; the number is etcd.up, 1 where the server did answer HTTP.
BROKEN_ANSWER = {
    "closed": (once(b""), 0),
    "reset": (then_reset(b""), 0),
    "reset in the body": (then_reset(HEAD + b"Content-Length: 100\r\n\r\n{"), 0),
    "truncated body": (once(HEAD + b"Content-Length: 1000\r\n\r\n" + GOOD_SELF), 0),
    "truncated chunk": (once(CHUNKED + b"ff\r\n{"), 0),
    "truncated chunks": (once(CHUNKED + b"2\r\n{}\r\n"), 0),
    "truncated without length": (once(HEAD + b"\r\n" + GOOD_SELF[:-1]), 1),
    "endless body": (flood(HEAD + b"\r\n", MEGABYTE), 1),
    "endless body of a length": (flood(HEAD + b"Content-Length: 99999999999\r\n\r\n", MEGABYTE), 1),
    "endless chunks": (flood(CHUNKED, b"100000\r\n" + MEGABYTE + b"\r\n"), 1),
    "one endless chunk": (flood(CHUNKED + b"fffffffffff\r\n", MEGABYTE), 1),
    "endless chunk size": (flood(CHUNKED, b"1" * 100000), 0),
    "endless status line": (flood(b"HTTP/1.1 200 ", MEGABYTE), 0),
    "endless header": (flood(HEAD + b"X: ", MEGABYTE), 0),
    "endless headers": (flood(HEAD, b"X: 1\r\n" * 10000), 0),
    "endless redirect": (flood(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", MEGABYTE), 1),
    "thousands of headers": (answer(GOOD_SELF, headers=["X-%d: 1" % number for number in range(5000)]), 0),
    "not HTTP": (once(b"SSH-2.0-OpenSSH_9.2p1\r\n"), 0),
    "binary": (once(bytes(range(256)) * 10), 0),
    "TLS alert": (once(b"\x15\x03\x01\x00\x02\x02\x46"), 0),
    "NULs": (once(b"\0" * 70000), 0),
    "HTTP/0.9": (once(b"<html></html>"), 0),
    "HTTP/9.9": (once(b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\n{}"), 0),
    "status 99999": (once(b"HTTP/1.1 99999 OK\r\n\r\n"), 0),
    "status abc": (once(b"HTTP/1.1 abc OK\r\n\r\n"), 0),
    "length of 5000 digits": (once(HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}"), 0),
    "two lengths": (once(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "), 0),
    "length not a number": (once(HEAD + b"Content-Length: two\r\n\r\n{}"), 0),
    "chunk size not a number": (once(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"), 0),
    "endless chunk of negative size": (flood(CHUNKED + b"-1\r\n", MEGABYTE), 0),
    "gzip bomb": (answer(BOMB, headers=[ZIPPED]), 1),
    "gzip bomb in chunks": (CHUNKED[:-2] + b"%s\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (ZIPPED.encode(), len(BOMB), BOMB), 1),
    "gzip bomb in a redirect": (answer(BOMB, "302 Found", ["Location: /", ZIPPED]), 1),
    "gzip": (answer(gzip.compress(GOOD_SELF), headers=[ZIPPED]), 1),
    "deflate that is none": (answer(GOOD_SELF, headers=["Content-Encoding: deflate"]), 1),
    "empty": (answer(b""), 1),
    "blank": (answer(b"\r\n"), 1),
    "HTML": (answer("<!DOCTYPE html><html><body>Welcome!</body></html>", headers=["Content-Type: text/html"]), 1),
    "not UTF-8": (answer(b'{"name": "\xff"}'), 1),
    "UTF-16": (answer(GOOD_SELF.decode().encode("utf-16")), 1),
    "deep lists": (answer(b"[" * 500000), 1),
    "deep objects": (answer(b'{"a":' * 150000), 1),
    "200,000 keys": (answer(MANY_KEYS), 1),
    "string of 3 MB": (answer(json.dumps(dict(SELF, name="x" * 3000000))), 1),
    "redirect to another port": (redirect("http://127.0.0.1:1/"), 1),
    "redirect to itself": (redirect("/v2/stats/self"), 1),
    "redirect to no URL": (redirect("http://[::1"), 1),
    "redirect to another scheme": (redirect("gopher://x/", "301 Moved Permanently"), 1),
    "redirect not in UTF-8": (b"HTTP/1.1 307 x\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\n\r\n", 1),
    "redirect without location": (answer(b"", "308 Permanent Redirect"), 1),
    "redirect with a good body": (redirect("/", body=GOOD_SELF), 1),
    "cookies": (answer(b"", "503 x", ["Set-Cookie: a=b; expires=Foo; domain=.; port=\"x\""] * 50), 1),
    "switching protocols": (once(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"), 1),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 1),
    "partial content": (answer(GOOD_SELF, "206 Partial Content"), 1),
}
for shape in ("null", "true", "0", "-1", "NaN", "1e999", '"text"', "[]", "[{}]", "{", '{"name"', "{}{}", "{'a': 1}",
              "\ufeff{}"):
    BROKEN_ANSWER["JSON " + ascii(shape)] = (answer(shape), 1)

STATUSES = dict.fromkeys(
    (400, 402, 405, 406, 408, 409, 410, 415, 418, 429, 451, 500, 501, 502, 503, 504, 505, 511, 599), AGAIN)
STATUSES.update({401: PERMISSION, 403: PERMISSION, 404: APPVERSION})
