# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The etcd.conf that --check finds for an etcd by what its options say, and the command line of --check."""

import contextlib
import subprocess
import sys
import time

import pytest

from support.processes import running, tool_environment
from support.repository import AGENT
from support.settings import configuration

KUBEADM = """\
apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/etcd.advertise-client-urls: https://192.0.2.4:2379
  labels:
    component: etcd
    tier: control-plane
  name: etcd
  namespace: kube-system
spec:
  containers:
  - command:
    - etcd
    - --advertise-client-urls=https://192.0.2.4:2379
    - --cert-file={0}/server.crt
    - --client-cert-auth=true
    - --data-dir=/var/lib/etcd
    - --experimental-initial-corrupt-check=true
    - --experimental-watch-progress-notify-interval=5s
    - --initial-advertise-peer-urls=https://192.0.2.4:2380
    - --initial-cluster=node1=https://192.0.2.4:2380
    - --key-file={0}/server.key
    - --listen-client-urls=https://127.0.0.1:2379,https://192.0.2.4:2379
    - --listen-metrics-urls=http://127.0.0.1:2381
    - --listen-peer-urls=https://192.0.2.4:2380
    - --name=node1
    - --peer-cert-file={0}/peer.crt
    - --peer-client-cert-auth=true
    - --peer-key-file={0}/peer.key
    - --peer-trusted-ca-file={0}/ca.crt
    - --snapshot-count=10000
    - --trusted-ca-file={0}/ca.crt
    image: registry.k8s.io/etcd:3.5.15-0
    imagePullPolicy: IfNotPresent
    livenessProbe:
      failureThreshold: 8
      httpGet:
        host: 127.0.0.1
        path: /health?exclude=NOSPACE&serializable=true
        port: 2381
        scheme: HTTP
      initialDelaySeconds: 10
    name: etcd
    resources:
      requests:
        cpu: 100m
        memory: 100Mi
    volumeMounts:
    - mountPath: /var/lib/etcd
      name: etcd-data
    - mountPath: {0}
      name: etcd-certs
  hostNetwork: true
  priorityClassName: system-node-critical
  securityContext:
    seccompProfile:
      type: RuntimeDefault
  volumes:
  - hostPath:
      path: {0}
      type: DirectoryOrCreate
    name: etcd-certs
  - hostPath:
      path: /var/lib/etcd
      type: DirectoryOrCreate
    name: etcd-data
status: {{}}
"""
DEFAULT = """\
## etcd(1) daemon options
# ETCD_LISTEN_CLIENT_URLS="http://192.0.2.9:1"
##### -listen-client-urls
ETCD_NAME="it's me"
export ETCD_DATA_DIR='/var/lib/etcd/my data'
%s
ETCD_LISTEN_PEER_URLS=http://192.0.2.1:2380  # --listen-client-urls=http://192.0.2.9:2
"""
YAML = """\
# listen-client-urls: http://192.0.2.9:1
name: 'default'
listen-client-urls: "https://127.0.0.1:2379"  # --listen-client-urls=http://192.0.2.9:2
listen-metrics-urls: http://192.0.2.1:2381,http://127.0.0.1:2381
client-transport-security:
  # Path to the client server TLS cert file.
  cert-file: server.pem
  key-file: server.key
  client-cert-auth: true
  trusted-ca-file: ca.pem
  auto-tls: false

peer-transport-security:
  cert-file: peer.pem
  key-file: peer.key
  trusted-ca-file: peer-ca.pem
log-level: info
"""


@pytest.fixture
def no_processes(agent, monkeypatch):
    """No etcd runs on this host."""
    monkeypatch.setattr(agent, "etcd_processes", list)


@pytest.fixture
def config(agent, directory):
    """config(**settings): the Config of an etcd.conf."""
    def make(**settings):
        (directory / "etcd.conf").write_text(configuration(**settings))
        file = agent.ConfigFile(str(directory / "etcd.conf"), print)
        file.read()
        return file.config
    return make


WAITS = "print(flush=True); input()"


@contextlib.contextmanager
def posing(*options, name="etcd", begin=("-c", WAITS), cwd="/", **environment):
    """A process that was started like an etcd, by the name that --check has for it."""
    with running([name, *begin, *options], executable=sys.executable, env=environment, cwd=cwd, stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE) as process, process.stdin, process.stdout:
        assert process.stdout.readline() == b"\n"
        yield "process %d" % process.pid


def empty_files(directory, *names):
    """The paths of new files in a directory."""
    for name in names:
        (directory / name).touch()
    return ["%s/%s" % (directory, name) for name in names]


# -------------------------------------------------------- processes of this host


ONE, OTHER = "http://127.0.0.1:1", "http://127.0.0.1:2"


@pytest.mark.parametrize("options, environment, url", [
    (["--listen-client-urls", ONE], {}, ONE),
    (["--listen-client-urls=" + ONE], {}, ONE),
    (["-listen-client-urls", ONE], {}, ONE),
    (["-listen-client-urls=" + ONE], {}, ONE),
    (["--enable-v2", "--listen-client-urls", ONE, "--client-cert-auth"], {}, ONE),
    (["--listen-client-urls", OTHER, "--listen-client-urls", ONE], {}, ONE),
    ([], {"ETCD_LISTEN_CLIENT_URLS": ONE, "LISTEN_CLIENT_URLS": OTHER, "ETCDCTL_LISTEN_CLIENT_URLS": OTHER}, ONE),
    (["--listen-client-urls", ONE], {"ETCD_LISTEN_CLIENT_URLS": OTHER}, ONE),
    ([], {"ETCD_LISTEN_CLIENT_URLS": ""}, "http://127.0.0.1:2379"),
    ([], {"ETCD_NAME": "m0"}, "http://127.0.0.1:2379"),
    (["--listen-client-urls", "http://0.0.0.0:1"], {}, ONE),
    (["--listen-client-urls", "http://[::]:1"], {}, ONE),
    (["--listen-client-urls", "http://:1"], {}, ONE),
    (["--listen-client-urls", "http://192.0.2.1:3, http://127.0.0.1:1"], {}, ONE),
    (["--listen-client-urls", "http://192.0.2.1:3,http://192.0.2.1:4"], {}, "http://192.0.2.1:3"),
    (["--listen-client-urls", "unixs://a:1,http://[::1]:3"], {}, "http://[::1]:3"),
    (["--listen-client-urls", "https://0.0.0.0:1", "--advertise-client-urls", "https://e1.example:1"], {},
     "https://e1.example:1"),
    (["--listen-client-urls", "https://[::]:1", "--advertise-client-urls", "https://[fd00::1]:1"], {},
     "https://[fd00::1]:1"),
    (["--listen-client-urls", "https://0.0.0.0:1"], {}, "https://127.0.0.1:1"),
    (["--listen-client-urls", "unix://etcd.sock:1"], {"ETCD_NAME": "m0"}, "unix:/etcd.sock:1"),
    (["--listen-client-urls", OTHER, "--listen-client-http-urls", ONE], {}, ONE),
])
def test_processes(agent, config, options, environment, url):
    with posing(*options, **environment) as name:
        found = {each["what"]: each["settings"] for each in agent.etcd_servers(config(url="http://127.0.0.1:9"))}
    assert found[name] == {"url": url}


@pytest.mark.parametrize("options", [["--listen-client-urls", "not a URL"], ["--config-file", "/nonexistent"]])
def test_options_that_say_nothing(agent, config, options):
    with posing(*options) as name:
        assert name not in [each["what"] for each in agent.etcd_servers(config(url="http://127.0.0.1:9"))]


@pytest.mark.parametrize("program", ["etcdctl", "/usr/bin/etcd gateway", "etcd grpc-proxy"])
def test_other_programs(agent, config, directory, program):
    """A gateway and a proxy are no members."""
    name, *begin = program.split()
    for each in begin:
        (directory / each).write_text(WAITS)
    with posing("--listen-client-urls=" + ONE, name=name, begin=begin or ["-c", WAITS], cwd=str(directory)) as process:
        assert process not in [each["what"] for each in agent.etcd_servers(config(url="http://127.0.0.1:9"))]


def test_other_networks(agent, config, monkeypatch):
    """What listens in another network namespace is not to be reached from here."""
    with posing("--listen-client-urls=" + ONE) as name:
        network = "/proc/%s/ns/net" % name.split()[1]
        stamp = agent.file_stamp
        monkeypatch.setattr(agent, "file_stamp", lambda path: (0, 0) if path == network else stamp(path))
        assert name not in [each["what"] for each in agent.etcd_servers(config(url="http://127.0.0.1:9"))]


def test_unseen_environment(agent, config, monkeypatch):
    """A process that may be configured by its environment is not said to have the defaults."""
    readable = agent.readable
    monkeypatch.setattr(agent, "readable", lambda path: "" if path.endswith("environ") else readable(path))
    with posing(ETCD_LISTEN_CLIENT_URLS=ONE) as name, posing("--listen-client-urls", OTHER) as other:
        found = {each["what"]: each["settings"] for each in agent.etcd_servers(config(url="http://127.0.0.1:9"))}
    assert name not in found and found[other] == {"url": OTHER}


# ------------------------------------------------------------------------- files


def found_in(agent, config, path, text):
    """The settings for an etcd whose options are in a file."""
    path.write_text(text)
    agent.OPTION_FILES, before = (str(path), "/nonexistent"), agent.OPTION_FILES
    try:
        return [each["settings"] for each in agent.etcd_servers(config) if each["what"] == str(path)]
    finally:
        agent.OPTION_FILES = before


def test_files_that_count(agent):
    assert agent.OPTION_FILES == ("/etc/kubernetes/manifests/etcd.yaml", "/etc/default/etcd")


@pytest.mark.parametrize("client", ["server", "healthcheck-client"])
def test_manifest_of_kubeadm(agent, no_processes, config, directory, client):
    """kubeadm has made a certificate for such as us."""
    ca, cert, key, *_ = empty_files(directory, "ca.crt", client + ".crt", client + ".key", "server.crt", "server.key")
    settings, = found_in(agent, config(url=ONE), directory / "etcd.yaml", KUBEADM.format(directory))
    assert settings == {"url": "https://127.0.0.1:2379", "metrics_url": "http://127.0.0.1:2381",
                        "ca_file": ca, "cert_file": cert, "key_file": key}


def test_files_that_are_not_here(agent, no_processes, config, directory):
    """They are in a container."""
    settings, = found_in(agent, config(url=ONE), directory / "etcd.yaml", KUBEADM.format("/nonexistent"))
    assert settings == {"url": "https://127.0.0.1:2379", "metrics_url": "http://127.0.0.1:2381"}


@pytest.mark.parametrize("line", [
    'ETCD_LISTEN_CLIENT_URLS="http://192.0.2.1:2379,http://127.0.0.1:2379"',
    "ETCD_LISTEN_CLIENT_URLS='http://192.0.2.1:2379, http://127.0.0.1:2379'",
    "ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:2379",
    'export ETCD_LISTEN_CLIENT_URLS="http://localhost:2380"\nETCD_LISTEN_CLIENT_URLS="http://127.0.0.1:2379"'])
def test_default_file(agent, no_processes, config, directory, line):
    assert found_in(agent, config(url=ONE), directory / "etcd", DEFAULT % line) == [{"url": "http://127.0.0.1:2379"}]


def test_default_file_that_says_nothing(agent, no_processes, config, directory):
    assert found_in(agent, config(url=ONE), directory / "etcd", DEFAULT % "") == []


def test_paths_with_blanks(agent, no_processes, config, directory):
    (directory / "my certs").mkdir()
    ca, cert, key = empty_files(directory / "my certs", "ca.pem", "server.pem", "server.key")
    line = "\n".join(["ETCD_LISTEN_CLIENT_URLS=https://127.0.0.1:1", 'ETCD_TRUSTED_CA_FILE="%s"' % ca,
                      "ETCD_CERT_FILE='%s'" % cert, "export ETCD_KEY_FILE='%s'" % key])
    settings, = found_in(agent, config(url=ONE), directory / "etcd", DEFAULT % line)
    assert settings == {"url": "https://127.0.0.1:1", "ca_file": ca, "cert_file": cert, "key_file": key}


def test_lines_of_other_users_stay_lines(agent):
    """Whoever starts a process called etcd chooses what is shown of it."""
    report = {"status": 1, "config": "etcd.conf", "sources": [],
              "members": [], "etcd": [{"what": "process 1", "settings": {"url": ONE, "ca_file": "/a\nurl = http://evil\x1b[2J"}}]}
    assert "\n".join(agent.report_lines(report)).splitlines() == [
        "etcd.conf", "An etcd.conf for process 1 of this host:", "[etcd]", "url = " + ONE,
        "ca_file = /a\\nurl = http://evil\\x1b[2J"]


def test_large_files_take_no_time(agent, directory):
    (directory / "etcd.yaml").write_text("\n" * 1000000)
    begun = time.monotonic()
    assert agent.settings_for(["etcd", "--config-file", "etcd.yaml", ""], str(directory)) == {}
    assert time.monotonic() - begun < 1


def test_processes_count_more_than_files(agent, config, directory):
    with posing("--listen-client-urls", OTHER):
        assert found_in(agent, config(url=ONE), directory / "etcd", DEFAULT % "ETCD_LISTEN_CLIENT_URLS=" + ONE) == []


def test_config_file(agent, config, directory):
    """Nothing else counts then, and the files for peers are others."""
    ca, cert, key, *_ = empty_files(directory, "ca.pem", "server.pem", "server.key", "peer-ca.pem", "peer.pem")
    (directory / "etcd.yaml").write_text(YAML)
    for value in "%s/etcd.yaml" % directory, "etcd.yaml":
        words = ["etcd", "--listen-client-urls", OTHER, "--config-file", value, ""]
        assert agent.settings_for(words, str(directory)) == {
            "url": "https://127.0.0.1:2379", "metrics_url": "http://127.0.0.1:2381",
            "ca_file": ca, "cert_file": cert, "key_file": key}


# ------------------------------------------------------- what is configured already


def test_what_fits_is_not_said(agent, config):
    with posing("--listen-client-urls", "http://127.0.0.1:1/", "--listen-metrics-urls", OTHER) as name:
        fitting = agent.etcd_servers(config(url=ONE, metrics_url=OTHER, timeout=2))
        assert name not in [each["what"] for each in fitting]
        found = agent.etcd_servers(config(url=ONE, metrics_url="http://127.0.0.1:3"))
        assert {"what": name, "settings": {"url": ONE, "metrics_url": OTHER}} in found


def test_other_settings_stay(agent, config, directory, pki):
    """Those of TLS, where the url is to be https."""
    password, = empty_files(directory, "password")
    (directory / "password").write_text("secret")
    (directory / "password").chmod(0o600)
    before = config(timeout=2, username="root", password_file=password, **pki.client_settings("https://127.0.0.1:9"))
    kept = {"timeout": 2.0, "username": "root", "password_file": password}
    for url in "http://127.0.0.1:1", "https://127.0.0.1:1":
        with posing("--listen-client-urls", url) as name:
            found = {each["what"]: each["settings"] for each in agent.etcd_servers(before)}
        files = {key: str(value) for key, value in pki.client_settings(url).items()}
        assert found[name] == dict(kept, **(files if url.startswith("https") else {"url": url}))


# ----------------------------------------------------------------- command line


def test_json_needs_check():
    done = subprocess.run(["/usr/bin/python3", str(AGENT), "--json"], env=tool_environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, check=False)
    assert done.returncode == 2 and "--json goes with --check" in done.stderr and done.stdout == ""
