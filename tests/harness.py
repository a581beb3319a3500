#
# Copyright (c) 2026 The etcd PMDA authors.
#
# This program is free software; you can redistribute it and/or modify it
# under the terms of the GNU General Public License as published by the
# Free Software Foundation; either version 2 of the License, or (at your
# option) any later version.
#
# This program is distributed in the hope that it will be useful, but
# WITHOUT ANY WARRANTY; without even the implied warranty of MERCHANTABILITY
# or FITNESS FOR A PARTICULAR PURPOSE.  See the GNU General Public License
# for more details.
#
"""Servers and PCP tools for the tests: real etcd, a private pmcd with the agent, and a server that misbehaves."""

import contextlib
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import NamedTuple

import cpmapi as c_api
from pcp.pmapi import pmContext

REPOSITORY = Path(__file__).resolve().parent.parent
AGENT = REPOSITORY / "pmdaetcd.python"
GOLDEN = REPOSITORY / "tests" / "golden"
PATIENCE = 30.0  # seconds to wait for what has no deadline of its own


def load_agent():
    """The agent as a module; its file name is none that import knows."""
    loader = SourceFileLoader("pmdaetcd", str(AGENT))
    module = module_from_spec(spec_from_loader("pmdaetcd", loader))
    loader.exec_module(module)
    return module


def free_port():
    """A TCP port of the loopback interface that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_until(condition, what, patience=PATIENCE):
    """The first true value of condition(). Raises TimeoutError, saying what was waited for."""
    until = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise TimeoutError("waited %g s for %s" % (patience, what))
        time.sleep(0.02)


# --------------------------------------------------------------------- etcd


class Etcd:
    """One etcd process on free loopback ports; `with Etcd() as etcd` waits until it serves.

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
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def request(self, method, path, body=None):
        """(status, text) of a request to the server."""
        request = urllib.request.Request(self.url + path, method=method, data=body and body.encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=self.tls))
        try:
            with opener.open(request, timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def json(self, path):
        """The document that an endpoint holds."""
        status, text = self.request("GET", path)
        assert status == 200, "%s: %d %s" % (path, status, text)
        return json.loads(text)


def etcd_3_5():
    """The program of an etcd 3.5.1, which qa/check installs and names in ETCD_35."""
    program = os.environ.get("ETCD_35")
    assert program, "set ETCD_35 to the program of an etcd 3.5.1, as qa/check does"
    return program


# --------------------------------------------------------------------- pmcd


class Failure(NamedTuple):
    """What a fetch gives for a metric that has no value."""
    code: int

    def __repr__(self):
        return pmContext.pmErrStr(self.code)


AGAIN = Failure(c_api.PM_ERR_AGAIN)
PERMISSION = Failure(c_api.PM_ERR_PERMISSION)
APPVERSION = Failure(c_api.PM_ERR_APPVERSION)
VALUE = Failure(c_api.PM_ERR_VALUE)


@contextlib.contextmanager
def running(command, **options):
    """A process, which is ended in good order; options are those of subprocess.Popen."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def tool_environment(**more):
    """The environment for PCP's tools, in which no metric of the system's PCP and no proxy comes in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PCP_", "PMCD_"))}
    kept["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    return dict(kept, PCP_DERIVED_CONFIG="", **more)


def configuration(**settings):
    """Text of an etcd.conf."""
    return "[etcd]\n" + "".join("%s = %s\n" % each for each in settings.items())


class Pmcd:
    """A private pmcd that serves pmcd's own metrics and those of an agent with these settings.

    All its files are in `directory`.
    """

    def __init__(self, directory, **settings):
        self.directory = Path(directory)
        self.port = free_port()
        self.host = "127.0.0.1:%d" % self.port
        self.env = tool_environment(PMCD_ROOT_AGENT="0", PCP_LOG_DIR=str(self.directory),
                                    PCP_RUN_DIR=str(self.directory), PCP_VAR_DIR=str(self.directory))
        caches = self.directory / "config" / "pmda"  # of instance numbers, written by the agent as user pcp
        caches.mkdir(parents=True, exist_ok=True)
        caches.chmod(0o777)
        self.log = self.directory / "agent.log"
        self.config = self.directory / "etcd.conf"
        self.config.write_text(configuration(**settings))
        self.namespace = self.directory / "pmns"
        self.namespace.write_text(self.pmcd_namespace().replace("pmcd", "pmcd\n    etcd 400:*:*", 1))
        self.pmcd_conf = self.directory / "pmcd.conf"
        self.pmcd_conf.write_text(
            "pmcd 2 dso pmcd_init %s/pmcd/pmda_pmcd.so\n" % pmContext.pmGetConfig("PCP_PMDAS_DIR")
            + "etcd 400 pipe binary /usr/bin/python3 %s -c %s -l %s\n" % (AGENT, self.config, self.log))
        self.process = None

    @staticmethod
    def pmcd_namespace():
        """PCP's own names of pmcd's metrics, from the word root on: pmcd is the first name below."""
        lines = Path(pmContext.pmGetConfig("PCP_VAR_DIR"), "pmns", "root_pmcd").read_text()
        return lines[lines.index("root {"):]

    def __enter__(self):
        self.process = subprocess.Popen(
            [pmContext.pmGetConfig("PCP_BINADM_DIR") + "/pmcd", "-f", "-A", "-U", pwd.getpwuid(os.getuid()).pw_name,
             "-i", "127.0.0.1", "-p", str(self.port), "-s", str(self.directory / "pmcd.socket"),
             "-c", str(self.pmcd_conf), "-n", str(self.namespace), "-l", str(self.directory / "pmcd.log")],
            env=self.env, cwd=self.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(self.answers, "pmcd")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        agents = self.children()
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        wait_until(lambda: not any(map(is_running, agents)), "the end of the agent")

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError("pmcd ended, its log says:\n" + (self.directory / "pmcd.log").read_text())
        return subprocess.run(["pminfo", "-h", self.host, "-f", "pmcd.pid"], env=self.env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode == 0

    def children(self):
        """Process ids of the agents that pmcd has started and that still run."""
        pid = self.process.pid
        return [int(child) for child in Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()]

    def agent_pid(self):
        """Process id of the one agent."""
        child, = self.children()
        return child

    def agent_log(self):
        return self.log.read_text()

    def run(self, *command):
        """Standard output of a PCP tool."""
        return subprocess.run(command, env=self.env, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True).stdout

    def pminfo(self, *arguments):
        return self.run("pminfo", "-h", self.host, *arguments)

    def context(self):
        """A PMAPI context of this thread's own."""
        return pmContext(c_api.PM_CONTEXT_HOST, self.host)


def is_running(pid):
    """Whether the process runs: one that is dead and waits for its parent does not."""
    try:
        return Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def metric_names(context, root="etcd"):
    """All names of metrics below a node of the name space, sorted."""
    names = []
    context.pmTraversePMNS(root, names.append)
    return sorted(name.decode() if isinstance(name, bytes) else name for name in names)


def logging(pmcd, archive, metrics):
    """For `with`: a pmlogger that samples the metrics ten times a second, and writes each record at once."""
    config = pmcd.directory / "pmlogger.conf"
    config.write_text("log mandatory on 100 msec { %s }\n" % metrics)
    return running(["pmlogger", "-u", "-c", str(config), "-h", pmcd.host,
                    "-l", str(pmcd.directory / "pmlogger.log"), str(archive)], env=pmcd.env)


class Query:
    """A set of metrics of one context, looked up once and fetched often."""

    def __init__(self, context, names):
        self.context = context
        self.names = list(names)
        self.pmids = context.pmLookupName(self.names)
        self.descs = context.pmLookupDescs(self.pmids)

    def fetch(self):
        """{name: value, or {instance: value}, or Failure}, in one pmFetch."""
        result = self.context.pmFetch(self.pmids)
        try:
            return {name: self.values(result, position) for position, name in enumerate(self.names)}
        finally:
            self.context.pmFreeResult(result)

    def values(self, result, position):
        count = result.contents.get_numval(position)
        if count < 0:
            return Failure(count)
        desc = self.descs[position].contents
        numbers = [self.value(result, position, desc, each) for each in range(count)]
        if desc.indom == c_api.PM_INDOM_NULL:
            return numbers[0]
        return {self.context.pmNameInDom(self.descs[position], result.contents.get_inst(position, each)): number
                for each, number in enumerate(numbers)}

    @staticmethod
    def value(result, position, desc, each):
        atom = pmContext.pmExtractValue(result.contents.get_valfmt(position),
                                        result.contents.get_vlist(position, each), desc.type, desc.type)
        return atom.dref(desc.type)


# --------------------------------------------------- a server that misbehaves


def answer(body=b"", status="200 OK", headers=()):
    """The bytes of a complete HTTP response."""
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    lines = ["HTTP/1.1 " + status, "Content-Length: %d" % len(body)] + list(headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def relay(url):
    """A behaviour that hands each request on to a real server."""
    def behaviour(_, request):
        upstream = http.client.HTTPConnection(url.partition("//")[2], timeout=PATIENCE)
        method, path = request.split()[:2]
        upstream.request(method.decode(), path.decode())
        response = upstream.getresponse()
        body = response.read()
        upstream.close()
        return answer(body, "%d %s" % (response.status, response.reason))
    return behaviour


class FakeServer:
    """A server on a loopback port that does to each request what its behaviour says.

    behaviour: bytes to send to everyone, or a function of (connection, request bytes) that returns the bytes
    to send, or None after which the connection is closed. It can be changed at any time.
    requests: the paths asked for; connections: the number of connections accepted.
    """

    def __init__(self, behaviour, port=None):
        self.behaviour = behaviour
        self.port = port or free_port()
        self.url = "http://127.0.0.1:%d" % self.port
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
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self.open.add(connection)
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        """Answers the requests of one connection."""
        with connection:
            try:
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
        self.open.discard(connection)


def read_request(connection):
    """The bytes of one request without a body; b"" at the end of the connection."""
    request = b""
    while b"\r\n\r\n" not in request:
        received = connection.recv(65536)
        if not received:
            return b""
        request += received
    return request


def shut_down(connection):
    """Ends what other threads wait for on a socket."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # not connected any more
