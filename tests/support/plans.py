# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The plans of the agent's sources, run without any server."""

import io

import requests

from support.settings import config_of


def response(body, status=200, first=False):
    """A response as the client hands it on; first: whether it is the first of a new connection."""
    made = requests.Response()
    made.status_code = status
    made.raw = io.BytesIO(body if isinstance(body, bytes) else body.encode())
    made.is_first = first
    return made


def memory_of(agent, **settings):
    """The memory of plans with these settings."""
    return {"config": config_of(agent, **settings)}


def run(agent, source, memory, reply_to):
    """The document that a source makes of reply_to(call), a response or a failure each. Raises Failure."""
    plan = agent.SOURCES[source](memory)
    try:
        calls = next(plan)
        while True:
            calls = plan.send([reply_to(call) for call in calls])
    except StopIteration as end:
        return end.value


def ask(agent, source, *replies, **settings):
    """The document that a source makes of these replies; whatever it asks after them is not found. Raises Failure."""
    left = list(replies)
    return run(agent, source, memory_of(agent, **settings),
               lambda _: left.pop(0) if left else response("404 page not found\n", 404))


def served_by(behaviour):
    """reply_to() of a server with this behaviour."""
    def reply_to(call):
        request = "%s %s HTTP/1.1\r\n%s\r\n%s" % (
            call.method, call.path, "Authorization: %s\r\n" % call.token if call.token else "", call.body or "")
        reply = behaviour(None, request.encode())
        head, _, body = reply.partition(b"\r\n\r\n")
        return response(body, int(head.split()[1]))
    return reply_to
