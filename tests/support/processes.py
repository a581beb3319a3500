# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes, the ports they listen on, and waiting for what they do."""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PATIENCE = 30.0  # seconds to wait for what has no deadline of its own


GIVEN = set()  # ports that a server is going to listen on


def free_port():
    """A TCP port of the loopback interface that nothing listens on, another one each time."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        if port not in GIVEN:
            GIVEN.add(port)
            return port


def wait_until(condition, what, patience=PATIENCE):
    """The first true value of condition(). Raises TimeoutError, which says what was waited for."""
    until = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise TimeoutError("waited %g s for %s" % (patience, what))
        time.sleep(0.02)


@contextlib.contextmanager
def open_directory():
    """A new directory that every user may enter, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="pmdaetcd-test-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@contextlib.contextmanager
def running(command, **options):
    """A process, which gets SIGTERM at the end; options are those of subprocess.Popen."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def states(pid):
    """The state of each thread of a process, as one letter: see proc(5). "" where there is no such process."""
    found = ""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir("/proc/%d/task" % pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
                found += Path("/proc/%d/task/%s/stat" % (pid, thread)).read_text().rpartition(")")[2].split()[0]
    return found


def is_running(pid):
    """Whether a process runs: one that is dead and waits for its parent does not."""
    return bool(states(pid).strip("Z"))


def tool_environment(**more):
    """The environment for PCP's tools, without the settings of the system's PCP and without derived metrics."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PCP_", "PMCD_"))}
    kept["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    return dict(kept, PCP_DERIVED_CONFIG="", **more)
