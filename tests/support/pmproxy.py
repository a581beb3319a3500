# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""A private pmproxy, and a private Redis for its series."""

import contextlib
import getpass
import http.client
import json
import re
import subprocess

from pcp import pmapi

from support.labels import METRIC
from support.processes import PATIENCE, free_port, running, wait_until


class Pmproxy:
    """A private pmproxy beside a private pmcd, on a port of the loopback interface."""

    CONFIG = ("[pmproxy]\npcp.enabled = true\nhttp.enabled = true\nredis.enabled = false\n"
              "[redis]\nenabled = %s\nservers = 127.0.0.1:%d\n[discover]\nenabled = %s\n"
              "[pmseries]\nenabled = %s\n[pmsearch]\nenabled = false\n")

    def __init__(self, pmcd, redis=None):
        self.pmcd = pmcd
        self.port = free_port()
        enabled = str(redis is not None).lower()
        config = pmcd.directory / "pmproxy.conf"
        config.write_text(self.CONFIG % (enabled, redis or 1, enabled, enabled))
        self.archives = pmcd.directory / "archives"
        self.archives.mkdir(exist_ok=True)
        binary = pmapi.pmContext.pmGetConfig("PCP_BINADM_DIR") + "/pmproxy"
        self.command = [binary, "-f", "-c", str(config), "-i", "127.0.0.1", "-p", str(self.port),
                        "-U", getpass.getuser(), "-s", str(pmcd.directory / "pmproxy.socket"),
                        "-l", str(pmcd.directory / "pmproxy.log")]

    def get(self, path):
        """Body of an answer; pmproxy 6.0 cuts long ones short where asked to close the connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    def answers(self):
        try:
            return self.get("/pmapi/ping") is not None
        except OSError:
            return False

    def metrics(self):
        """What Prometheus would get of the followers."""
        return self.get("/metrics?names=%s&hostspec=%s" % (METRIC, self.pmcd.host))


@contextlib.contextmanager
def pmproxy(pmcd, redis=None):
    proxy = Pmproxy(pmcd, redis)
    with running(proxy.command, env=dict(pmcd.env, PCP_ARCHIVE_DIR=str(proxy.archives)), cwd=pmcd.directory):
        wait_until(proxy.answers, "pmproxy")
        yield proxy


@contextlib.contextmanager
def redis(directory):
    """The port of a private Redis server without files.

    The package redis-server would start one of the system, so the program is taken by its other name, of redis-tools.
    """
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
               "--dir", str(directory)]
    with running(command, executable="/usr/bin/redis-check-rdb", stdout=subprocess.DEVNULL):
        wait_until(lambda: subprocess.run(
            ["redis-cli", "-p", str(port), "ping"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=False).returncode == 0, "Redis")
        yield port


def unescaped(value):
    """The text that pmproxy has escaped."""
    pairs = re.findall(r"\\x([0-9a-f]{2})|\\(.)|([^\\])", value)
    return b"".join(bytes.fromhex(byte) or (escaped or plain).encode() for byte, escaped, plain in pairs).decode()


def series_labels(text):
    """{instance name: its member labels} of an answer in the format of Prometheus.

    pmproxy takes the text between the quotes of JSON for the value of a label, so JSON's escapes come escaped again.
    What is not ASCII it writes byte by byte as \\xc3, which is no escape of that format.
    """
    found = {}
    for line in text.split("\n"):  # not splitlines(), which takes some odd characters of names for an end
        if not line or line.startswith("#"):
            continue
        assert re.fullmatch(r'\w+\{(\w+="([ !#-[\]-~]|\\["\\n]|\\x[0-9a-f]{2})*",?)+\} \d+', line), line[:200]
        labels = {key: json.loads('"%s"' % unescaped(value))
                  for key, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', line)}
        assert labels["indom_name"] == "followers"
        found[labels["instname"]] = {key: value for key, value in labels.items() if key.startswith("member_")}
    return found
