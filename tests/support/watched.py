# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""An agent that two clients use, with a look at what it holds and how long it takes."""

import math
import os
import threading
import time
from pathlib import Path

from support.documents import GOOD_VALUES
from support.pmcd import Pmcd
from support.processes import wait_until
from support.values import Query

TIMEOUT = 0.3
SLACK = 0.2  # what a fetch may take beyond the timeout, and any further one in all
ROUNDS = 50
MEMORY = 48 << 20  # bytes by which the agent may grow at any time: what Python makes of answers of 1 MiB at once


class Watch:
    """Measures time, without that for which a busy machine let pmcd, the agent or this thread wait for a CPU."""

    def __init__(self, pmcd):
        self.threads = ["/proc/%d/schedstat" % pid for pid in (pmcd.process.pid, pmcd.agent_pid())]

    def now(self):
        """A time in seconds, of no meaning but for differences within a thread."""
        waited = sum(int(Path(each).read_text().split()[1]) for each in self.threads + ["/proc/thread-self/schedstat"])
        return time.monotonic() - waited / 1e9


class Bystander(threading.Thread):
    """Another client of pmcd, who wants nothing of etcd; notes when it asked and how long it had to wait."""

    def __init__(self, pmcd):
        super().__init__(daemon=True)
        self.watch = Watch(pmcd)
        self.query = Query(pmcd.context(), ["pmcd.numclients"])
        self.waits = []
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.005):
            begun, before = time.monotonic(), self.watch.now()
            self.query.fetch()
            self.waits.append((begun, self.watch.now() - before))

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
        self.watch = Watch(pmcd)
        self.bystander = Bystander(pmcd)
        self.pid = pmcd.agent_pid()
        self.threads = self.files = self.memory = None

    def remember(self):
        """Notes what the agent holds."""
        self.threads, self.files, self.memory = self.held("task"), self.held("fd"), self.memory_of("VmRSS")

    def held(self, what):
        """Number of the agent's threads (task) or open files (fd)."""
        return len(os.listdir("/proc/%d/%s" % (self.pid, what)))

    def memory_of(self, which):
        """Memory of the agent in bytes, now (VmRSS) or at most so far (VmHWM)."""
        return 1024 * int(Path("/proc/%d/status" % self.pid).read_text().partition(which + ":")[2].split()[0])

    def fetch(self):
        """(values, seconds) of one fetch of everything."""
        begun = self.watch.now()
        values = self.query.fetch()
        return values, self.watch.now() - begun

    def rounds(self, expected, number=ROUNDS, pause=0.0):
        """Fetches while the server misbehaves: each in time, and with what is expected."""
        begun = first_over = time.monotonic()
        for each in range(number):
            values, took = self.fetch()
            assert values == expected, "fetch %d" % each
            assert took <= (SLACK if each else TIMEOUT + SLACK), "fetch %d" % each
            if each == 0:
                first_over = time.monotonic()
            time.sleep(pause)
        assert self.bystander.longest(begun, first_over) <= TIMEOUT + SLACK
        assert self.bystander.longest(first_over) <= SLACK

    def check_nothing_is_left(self):
        """The same process, with no more threads, sockets and memory than at first."""
        assert self.pmcd.agent_pid() == self.pid
        wait_until(lambda: self.held("task") <= self.threads, "the end of threads", 5)
        wait_until(lambda: self.held("fd") <= self.files, "the end of sockets", 5)
        assert self.memory_of("VmHWM") <= self.memory + MEMORY
        assert "Traceback" not in self.pmcd.agent_log()


def watching(directory, url):
    """For fixtures: an agent that watches a URL, and the end of it."""
    with Pmcd(directory, url=url, timeout=TIMEOUT) as pmcd:
        watched = Watched(pmcd)
        watched.bystander.start()
        yield watched
        watched.bystander.end()
