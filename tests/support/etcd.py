# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""A real etcd server."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from support.processes import PATIENCE, free_port, states, wait_until


class Etcd:
    """One etcd process on free loopback ports; `with Etcd() as etcd` waits until it serves.

    binary: the program, one of programs(); with v2 it serves the v2 API, which 3.6 and later can't.
    cluster: name=peer URL of all members, for clusters; start(wait=False) each, then wait().
    arguments: further options; tls: the ssl.SSLContext with which to ask an https server.
    """

    def __init__(self, binary="etcd", v2=True, data=None, port=None, peer=None, name="m0", cluster=None,
                 arguments=(), scheme="http", tls=None):
        self.temporary = None if data else tempfile.mkdtemp(prefix="etcd-test-")
        self.data = Path(data or self.temporary)
        self.port = port or free_port()
        self.url = "%s://127.0.0.1:%d" % (scheme, self.port)
        self.peer = peer or "http://127.0.0.1:%d" % free_port()
        self.name = name
        self.tls = tls
        self.process = None
        self.command = [
            binary, "--name", name, "--data-dir", str(self.data / name),
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer,
            "--initial-cluster", cluster or "%s=%s" % (name, self.peer),
            "--logger", "zap", "--log-outputs", str(self.data / (name + ".log"))]
        self.command += ["--enable-v2"] * v2 + list(arguments)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.kill()
        if self.temporary:
            shutil.rmtree(self.temporary)

    @property
    def pid(self):
        return self.process.pid

    def start(self, wait=True):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if wait:
            self.wait()

    def wait(self):
        """Waits until it serves and has a leader."""
        wait_until(self.healthy, "etcd at " + self.url)

    def healthy(self):
        if self.process.poll() is not None:
            raise RuntimeError("etcd ended, see its log:\n" + (self.data / (self.name + ".log")).read_text()[-2000:])
        try:
            return self.request("GET", "/health")[0] == 200
        except OSError:
            return False

    def stop(self):
        """Ends it in good order; start() starts it again on the same data and ports."""
        self.end(signal.SIGTERM)

    def kill(self):
        self.end(signal.SIGKILL)

    def end(self, number):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE)

    def pause(self):
        """Suspends it, and waits until all its threads are: a signal takes its time on a busy machine."""
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: set(states(self.pid)) == {"T"}, "the suspension of etcd")

    def resume(self):
        """Lets it go on."""
        self.process.send_signal(signal.SIGCONT)

    def request(self, method, path, body=None, token="", url=None, timeout=5):
        """(status, text) of a request to the server, or to another listener of it."""
        request = urllib.request.Request((url or self.url) + path, method=method, data=body and body.encode(),
                                         headers={"Authorization": token} if token else {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=self.tls))
        try:
            with opener.open(request, timeout=timeout) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def json(self, path):
        """The document that an endpoint holds."""
        status, text = self.request("GET", path)
        assert status == 200, "%s: %d %s" % (path, status, text)
        return json.loads(text)

    def v3(self, path, token="", **document):
        """The document with which the v3 gateway answers."""
        status, text = self.request("POST", "/v3" + path, json.dumps(document), token)
        assert status == 200, "%s: %d %s" % (path, status, text)
        return json.loads(text)

    def id(self, token=""):
        """Its member id in hexadecimal."""
        return format(int(self.v3("/maintenance/status", token)["header"]["member_id"]), "x")


@functools.lru_cache(maxsize=None)
def programs():
    """{version: program} of every etcd there is, the oldest first: the one that is installed, and those of qa/check."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("ETCDS") or Path(cache, "pmdaetcd-qa", "etcds"))
    found = {path.parent.name: str(path) for path in folder.glob("*/etcd")}
    said = subprocess.run(["etcd", "--version"], stdout=subprocess.PIPE, universal_newlines=True, check=True).stdout
    found[re.search("etcd Version: (.*)", said).group(1)] = "etcd"
    return dict(sorted(found.items(), key=lambda each: version_tuple(each[0])))


def version_tuple(version):
    """3.5.16 -> (3, 5, 16)."""
    return tuple(map(int, version.split(".")))
