# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""An agent that two clients use, with a look at what it holds and how long it takes."""

import contextlib
import math
import threading
import time
from pathlib import Path

from support.documents import GOOD_VALUES, good
from support.pmcd import Pmcd
from support.processes import open_directory, wait_until
from support.server import FakeServer
from support.values import Query

TIMEOUT = 0.3
SUSPECT_WAIT = 0.05  # what a fetch waits for a server that missed the deadline
MARGIN = 0.5  # what a busy machine may add to any time
MEMORY = 32 << 20  # bytes that the agent may grow: copies of answers of 1 MiB, 8 MiB of stack on Python 3.14


class Bystander(threading.Thread):
    """Another client of pmcd, which wants nothing of etcd; notes when it asked and how long it had to wait."""

    def __init__(self, pmcd):
        super().__init__(daemon=True)
        self.query = Query(pmcd.context(), ["pmcd.numclients"])
        self.waits = []
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.01):
            begun = time.monotonic()
            self.query.fetch()
            self.waits.append((begun, time.monotonic() - begun))

    def longest(self, since, until=math.inf):
        """Its longest wait of those that began in a time."""
        return max((took for begun, took in self.waits if since <= begun < until), default=0.0)

    def end(self):
        self.ended.set()
        self.join()


class Watched:
    """An agent under a private pmcd that two clients use, and what the agent held at first."""

    def __init__(self, pmcd):
        self.pmcd = pmcd
        self.query = Query(pmcd.context(), GOOD_VALUES)
        self.bystander = Bystander(pmcd)
        self.pid = pmcd.agent_pid()
        self.threads = self.files = self.memory = None

    def remember(self):
        """Notes what the agent holds."""
        self.threads, self.files = self.pmcd.held("task"), self.pmcd.held("fd")
        self.memory = self.memory_of("VmRSS")

    def memory_of(self, which):
        """Memory of the agent in bytes, now (VmRSS) or at most so far (VmHWM)."""
        return 1024 * int(Path("/proc/%d/status" % self.pid).read_text().partition(which + ":")[2].split()[0])

    def fetch(self):
        """(values, seconds) of one fetch of everything that a good server has."""
        begun = time.monotonic()
        values = self.query.fetch()
        return values, time.monotonic() - begun

    def rounds(self, expected, number=20, pause=0.0):
        """Fetches while the server misbehaves: all get what is expected, and only the first waits for the timeout."""
        begun = time.monotonic()
        times = []
        for each in range(number):
            values, took = self.fetch()
            assert values == expected, "fetch %d" % each
            times.append(took)
            time.sleep(pause)
        assert times[0] <= TIMEOUT + MARGIN
        assert sum(times[1:]) <= number * SUSPECT_WAIT + MARGIN
        first_over = begun + times[0]
        assert self.bystander.longest(begun, first_over) <= TIMEOUT + MARGIN
        assert self.bystander.longest(first_over) <= MARGIN

    def recovers(self, expected=None):
        """Good values come back before requests that are still out can be over, and cost no fetch its time."""
        begun = time.monotonic()
        values = None
        while values != (expected or GOOD_VALUES):
            assert time.monotonic() <= begun + TIMEOUT + MARGIN, values
            values, took = self.fetch()
            assert took <= MARGIN
        self.leaves_nothing()

    def leaves_nothing(self):
        """The same process holds no more threads, sockets and memory than at first."""
        assert self.pmcd.agent_pid() == self.pid
        wait_until(lambda: self.pmcd.held("task") <= self.threads, "the end of threads", 5)
        wait_until(lambda: self.pmcd.held("fd") <= self.files, "the end of sockets", 5)
        assert self.memory_of("VmHWM") <= self.memory + MEMORY
        assert "Traceback" not in self.pmcd.agent_log()


@contextlib.contextmanager
def watching(url, timeout=TIMEOUT):
    """An agent that watches a URL, and a bystander."""
    with open_directory() as directory, Pmcd(directory, url=url, timeout=timeout) as pmcd:
        watched = Watched(pmcd)
        watched.bystander.start()
        try:
            yield watched
        finally:
            watched.bystander.end()


@contextlib.contextmanager
def watching_fake(timeout=TIMEOUT):
    """(server, agent) for a module: a good server and an agent that watches it."""
    with FakeServer(good) as server, watching(server.url, timeout) as watched:
        yield server, watched


def settle(server, watched):
    """Good values from a good server, whatever the test before has left behind."""
    server.behaviour = good
    wait_until(lambda: watched.fetch()[0] == GOOD_VALUES, "good values")
    watched.remember()
