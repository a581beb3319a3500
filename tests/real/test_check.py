# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""pmdaetcd.python --check with real etcd servers: what it says of them, and the etcd.conf that it finds for them."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from pcp.pmapi import pmContext

from support.behaviours import silent
from support.cluster import Cluster
from support.etcd import Etcd, programs
from support.processes import PATIENCE, free_port, tool_environment
from support.repository import AGENT
from support.server import FakeServer, answer
from support.settings import as_root, configuration

# it asks nobody for a token, while later patches do
ETCD_35 = next(program for version, program in programs().items() if version.startswith("3.5."))
USERS = ["root", pmContext.pmGetConfig("PCP_USER")]
AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
PASSWORD = "hunter2 or so"
NOWHERE = "http://127.0.0.1:1"
KEYS = {"source", "user", "url", "setting", "result", "status", "status_code", "time", "bytes", "metrics", "values"}
SOURCES = {"self", "store", "leader", "version", "members", "metrics", "cluster"}

pytestmark = as_root  # the agent asks as user pcp what it has read as root


def run_check(config, *arguments, agent=AGENT, before=()):
    """The finished process of --check; it says nothing on its standard error, and no password anywhere."""
    done = subprocess.run([*before, "/usr/bin/python3", str(agent), "-c", str(config), "--check", *arguments],
                          env=tool_environment(), cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, timeout=PATIENCE, check=False)
    assert done.stderr == "" and PASSWORD not in done.stdout
    return done


@pytest.fixture
def check(directory):
    """check(**settings): (exit status, the lines) of --check with this etcd.conf."""
    def run(**settings):
        (directory / "etcd.conf").write_text(configuration(**settings))
        done = run_check(directory / "etcd.conf")
        return done.returncode, done.stdout.splitlines()
    return run


@pytest.fixture
def facts(directory):
    """facts(**settings): what --check --json says with this etcd.conf, as {(source, user): object}."""
    def run(**settings):
        (directory / "etcd.conf").write_text(configuration(**settings))
        done = run_check(directory / "etcd.conf", "--json")
        report = json.loads(done.stdout)
        assert done.returncode == report["status"]
        assert report["config"] == str(directory / "etcd.conf")
        assert report.keys() == {"status", "config", "sources", "members", "etcd"}
        assert all(each.keys() == KEYS for each in report["sources"])
        return {(each["source"], each["user"]): each for each in report["sources"]}
    return run


def assert_well(found, *not_there):
    """That all sources that the server has gave values, to root and to the agent's user."""
    assert found.keys() >= {(source, user) for source in SOURCES for user in USERS}
    for (source, _), each in found.items():
        assert each["result"] == ("not there" if source in not_there else "ok"), each
        assert (each["values"] > 0) == (source not in ("members", "password", *not_there)), each


def failures(lines):
    """{words: sources} of the lines about what failed."""
    failure = re.compile(r"([\w, ]+) \((?:url|metrics_url) of etcd.conf\)(?:, as \w+)?: (.*)")
    return {match.group(2): match.group(1).split(", ") for match in map(failure.fullmatch, lines) if match}


# ------------------------------------------------------------ servers that are well


@pytest.fixture(scope="module")
def modern():
    """An etcd 3.5 without the v2 API, which serves its metrics on a port of their own, too."""
    metrics = "http://127.0.0.1:%d" % free_port()
    with Etcd(ETCD_35, v2=False, arguments=["--listen-metrics-urls", metrics]) as server:
        server.metrics = metrics
        yield server


def ctl(etcd, *arguments):
    """Standard output of etcdctl, asked of a server."""
    return subprocess.run(["etcdctl", "--endpoints", etcd.url, *arguments], env=dict(os.environ, ETCDCTL_API="3"),
                          stdout=subprocess.PIPE, universal_newlines=True, check=True).stdout


def test_v2(facts, etcd):
    assert_well(facts(url=etcd.url))


def test_without_v2(facts, modern):
    found = facts(url=modern.url, metrics_url=modern.metrics)
    assert_well(found, "store")
    assert found["metrics", "root"]["url"] == modern.metrics + "/metrics"
    assert found["metrics", "root"]["values"] > 60 and found["metrics", "root"]["bytes"] > 50000
    assert found["version", "root"]["status_code"] == 200 and 0 < found["version", "root"]["time"] < 1


def test_follower(facts, cluster):
    assert_well(facts(url=cluster[cluster.followers()[0]].url))


def test_learner(facts, modern):
    """It is refused the list of members, which is no fault of anybody."""
    peer = "http://127.0.0.1:%d" % free_port()
    identity = ctl(modern, "member", "add", "learner", "--learner", "--peer-urls", peer).split()[1]
    try:
        with Etcd(ETCD_35, v2=False, name="learner", peer=peer,
                  arguments=["--initial-cluster-state", "existing"],
                  cluster="%s=%s,learner=%s" % (modern.name, modern.peer, peer)) as learner:
            assert_well(facts(url=learner.url), "store", "members")
    finally:
        ctl(modern, "member", "remove", identity)


def test_mutual_tls_with_a_key_of_root(facts, pki, mutual):
    assert pki.client.key.stat().st_uid == 0 and pki.client.key.stat().st_mode & 0o077 == 0
    assert_well(facts(**pki.client_settings(mutual.url)))


def test_table_of_lines(check, directory, modern):
    """One line a source and member, and one for what is not there; they fit a terminal."""
    status, lines = check(url=modern.url)
    assert status == 0
    assert lines[0] == str(directory / "etcd.conf")
    assert lines[1].split() == ["SOURCE", "USER", "URL", "HTTP", "RESULT", "TIME", "BYTES", "VALUES"]
    assert [line.split()[:3] for line in lines[2:9]] == [
        [source, "root,", USERS[1]]
        for source in ("self", "store", "leader", "version", "members", "metrics", "cluster")]
    assert re.fullmatch(r"version  root, pcp +%s/version +200   ok +\d+\.\d ms +\d+ +3 of 4" % modern.url, lines[5])
    assert re.fullmatch(r"%s +%s +m0 .* true +false .* -" % (modern.url, modern.id()), lines[10])
    assert list(failures(lines).values()) == [["store"]] and len(lines) == 12
    assert max(map(len, lines)) <= 120


# ------------------------------------------------------------------ the cluster


@pytest.fixture(scope="module")
def trio():
    """Three members of a cluster, of whom m2 is down."""
    with Cluster("m0", "m1", "m2", binary=ETCD_35, v2=False) as members:
        members.agree()
        members.lead("m0")
        members["m2"].down = members.id("m2")
        members["m2"].stop()
        members.agree("m0", "m1")
        yield members


def test_members_are_those_of_etcdctl(check, trio):
    """One line each; one that is down is no failure."""
    status, lines = check(url=trio["m1"].url)
    assert status == 0 and list(failures(lines).values()) == [["store"]]
    head, = (number for number, line in enumerate(lines) if line.startswith("ENDPOINT"))
    found = {row[2]: row for row in (re.split("  +", line) for line in lines[head + 1:head + 4])}
    urls = ",".join(trio[name].url for name in ("m0", "m1"))
    table = ctl(trio["m0"], "--endpoints", urls, "endpoint", "status", "-w", "table")
    for endpoint, identity, version, size, leads, learns, term, *indexes in (
            re.findall(r"[^ |][^|]*[^ |]|[^ |]", line) for line in table.splitlines()[3:-1]):
        row = found["m0" if endpoint == trio["m0"].url else "m1"]
        assert row == [endpoint, identity, row[2], version, size, row[5], leads, learns, term, *indexes, "-"]
    assert found["m2"] == [trio["m2"].url, trio["m2"].down, "m2"] + ["-"] * 4 + ["false"] + ["-"] * 3 + ["down"]
    assert max(map(len, lines)) <= 120


def test_members_for_programs(directory, trio):
    (directory / "etcd.conf").write_text(configuration(url=trio["m0"].url))
    report = json.loads(run_check(directory / "etcd.conf", "--json").stdout)
    members = {each["name"]: each for each in report["members"]}
    assert {name: each["up"] for name, each in members.items()} == {"m0": 1, "m1": 1, "m2": 0}
    assert (members["m0"]["role"], members["m1"]["is_leader"], members["m2"]["role"]) == ("leader", 0, None)
    assert members["m1"]["id"] == trio.id("m1") and members["m1"]["raft_term"] == members["m0"]["raft_term"] > 1


def test_no_member_is_asked_where_none_is_wanted(check, trio):
    status, lines = check(url=trio["m0"].url, members="none")
    assert status == 0 and not [line for line in lines if line.startswith(("cluster", "ENDPOINT", trio["m1"].url))]


# --------------------------------------------------------------- users of etcd


@pytest.fixture(scope="module")
def rbac(modern):
    """The modern server with a user root who has a password."""
    ctl(modern, "user", "add", "root:" + PASSWORD)
    ctl(modern, "user", "grant-role", "root", "root")
    ctl(modern, "auth", "enable")
    yield modern
    ctl(modern, "--user", "root:" + PASSWORD, "auth", "disable")
    ctl(modern, "user", "delete", "root")


@pytest.fixture
def password_file(directory):
    path = directory / "password"
    path.touch(0o600)
    path.write_text(PASSWORD + "\n")
    return path


def test_user_where_there_are_none(check, modern, password_file):
    status, lines = check(url=modern.url, username="root", password_file=password_file)
    assert status == 0
    assert failures(lines)["HTTP status 400: RBAC is off: no username is needed"] == ["password"]


def test_right_password(facts, rbac, password_file):
    found = facts(url=rbac.url, username="root", password_file=password_file)
    assert_well(found, "store")
    assert found["password", "root"]["status_code"] == found["password", USERS[1]]["status_code"] == 200


def test_wrong_password(check, rbac, password_file):
    """It is found even where this version tells all to everybody."""
    password_file.write_text("another\n")
    status, lines = check(url=rbac.url, username="root", password_file=password_file)
    assert status == 1
    assert failures(lines)["HTTP status 400: username or password_file is wrong"] == ["password"]
    assert "another" not in "".join(lines)


def test_certificate_with_a_name(check, pki, mutual, password_file):
    """etcd takes no user's name from a certificate through its gateway, and refuses what has one."""
    tls = ["--cacert", str(pki.ca.cert), "--cert", str(pki.client.cert), "--key", str(pki.client.key)]
    for name in "root", "client":
        ctl(mutual, *tls, "user", "add", "%s:%s" % (name, PASSWORD))
        ctl(mutual, *tls, "user", "grant-role", name, "root")
    ctl(mutual, *tls, "auth", "enable")
    try:
        status, lines = check(username="root", password_file=password_file, **pki.client_settings(mutual.url))
    finally:
        for command in "auth disable", "user delete client", "user delete root":
            ctl(mutual, *tls, *command.split())
    assert status == 1
    words, = failures(lines)
    assert "certificate with a CN" in words and failures(lines)[words] == ["cluster", "password"]


# -------------------------------------------------------------------- failures


def test_metrics_url_does_not_answer(check, modern):
    status, lines = check(url=modern.url, metrics_url=NOWHERE)
    assert status == 1
    line, = (line for line in lines if line.startswith("metrics ("))
    assert line == "metrics (metrics_url of etcd.conf): Connection refused: start etcd, or correct the URL"
    assert etcd_confs(lines) == {"process %d" % modern.pid: configuration(url=modern.url, metrics_url=modern.metrics)}


NO_ETCD = {
    "a page": (answer("<html></html>"), "is this the URL of an etcd member?"),
    "not found": (answer("", "404 Not Found"), "is this the URL of an etcd member?"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2p1\r\n", "answer is not HTTP"),
    "no token": (answer('{"message": "etcdserver: user name is empty"}', "400 Bad Request"),
                 "RBAC is on: set username and password_file"),
}


@pytest.mark.parametrize("case", NO_ETCD)
def test_other_servers(check, modern, case):
    """Where etcd is instead is said, too."""
    behaviour, words = NO_ETCD[case]
    with FakeServer(behaviour) as server:
        status, lines = check(url=server.url)
    assert status == 1
    assert any(words in each for each in failures(lines))
    assert "process %d" % modern.pid in etcd_confs(lines)


def test_server_that_hangs(check):
    """Each of the two users waits for it once."""
    with FakeServer(silent) as server:
        begun = time.monotonic()
        status, lines = check(url=server.url, timeout=0.5)
        assert 1 <= time.monotonic() - begun < 3
    assert status == 1
    assert [line.split()[4:8] for line in lines[2:9]] == [["-", "failed", "-", "0"]] * 7
    (words, sources), = failures(lines).items()
    assert words.startswith("no answer within 0.5 s: ") and set(sources) == SOURCES


def test_socket_that_only_root_may_use(directory, check, monkeypatch):
    """The lines name the user who is refused."""
    monkeypatch.chdir(directory)
    port = free_port()
    with Etcd(port=port, arguments=["--listen-client-urls", "http://127.0.0.1:%d,unix://etcd.sock:2379" % port]):
        path = directory / "etcd.sock:2379"
        path.chmod(0o700)
        status, lines = check(url="unix:%s" % path)
        assert status == 1
        assert [line.split()[1] for line in lines[2:16]] == ["root"] * 7 + [USERS[1]] * 7
        assert any(", as %s: Permission denied: let user pcp write to the socket" % USERS[1] in line for line in lines)
        path.chmod(0o777)
        assert check(url="unix:%s" % path)[0] == 0


def test_bad_configuration(directory, check):
    status, (line,) = check(url="http://root:%s@127.0.0.1" % PASSWORD.split()[0])
    assert status == 2
    assert line.startswith("%s: url = http://***@127.0.0.1: " % (directory / "etcd.conf"))
    done = run_check(directory / "etcd.conf", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout) == {"status": 2, "config": line, "sources": [], "members": [], "etcd": []}


def test_no_configuration(directory):
    done = run_check(directory / "none")
    assert done.returncode in (0, 1)  # whatever is at the default url
    assert done.stdout.splitlines()[0] == "%s is not there: defaults" % (directory / "none")


def test_reader_that_goes_away(directory, etcd):
    (directory / "etcd.conf").write_text(configuration(url=etcd.url))
    process = subprocess.Popen(["/usr/bin/python3", str(AGENT), "-c", str(directory / "etcd.conf"), "--check"],
                               env=tool_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(PATIENCE) == -signal.SIGPIPE


# ------------------------------------------------------ the etcd.conf that fits


def etcd_confs(lines):
    """{process or file: text of the etcd.conf for it}."""
    found = {}
    for line in lines:
        match = re.fullmatch("An etcd.conf for (.*) of this host:", line)
        if match:
            what = found[match.group(1)] = []
        elif found:
            what.append(line)
    return {each: "".join(line + "\n" for line in found[each]) for each in found}


def respell(etcd, way, directory):
    """Has an etcd get its options in another way; gives the environment for them."""
    names, values = etcd.command[1::2], etcd.command[2::2]
    if way == "environment":
        etcd.command[1:] = []
        return {"ETCD_" + name[2:].upper().replace("-", "_"): value for name, value in zip(names, values)}
    if way == "file":
        (directory / "etcd.yaml").write_text("".join("%s: '%s'\n" % (name[2:], value) for name, value in
                                                     zip(names, values) if name != "--log-outputs"))  # a list
        etcd.command[1:] = ["--config-file", "etcd.yaml"]
    else:
        etcd.command[1:] = [way % (name[2:], value) for name, value in zip(names, values)]
    return {}


@pytest.mark.parametrize("way, listen", [
    ("-%s=%s", "http://0.0.0.0:%d"), ("environment", "http://[::]:%d"), ("file", "http://127.0.0.1:%d")])
def test_etcd_elsewhere(directory, check, monkeypatch, way, listen):
    """The printed etcd.conf works, and is that of this server; once it is in force nothing more is said."""
    port, metrics = free_port(), "http://127.0.0.1:%d" % free_port()
    etcd = Etcd(port=port, v2=False, arguments=["--listen-metrics-urls", metrics])
    etcd.command[etcd.command.index("--listen-client-urls") + 1] = listen % port
    monkeypatch.chdir(directory)
    for name, value in respell(etcd, way, directory).items():
        monkeypatch.setenv(name, value)
    with etcd:
        status, lines = check(url=NOWHERE, timeout=2)
        assert status == 1
        text = etcd_confs(lines)["process %d" % etcd.pid]
        assert text == configuration(url="http://127.0.0.1:%d" % port, metrics_url=metrics, timeout=2.0)
        (directory / "etcd.conf").write_text(text)
        done = run_check(directory / "etcd.conf")
        assert done.returncode == 0 and etcd_confs(done.stdout.splitlines()) == {}


def test_etcd_elsewhere_with_client_certificates(directory, check, pki, mutual):
    """To be asked by http, it is the same server all the same."""
    for url in NOWHERE, mutual.url.replace("https", "http"):
        status, lines = check(url=url)
        assert status == 1
        text = etcd_confs(lines)["process %d" % mutual.pid]
        assert text == configuration(**pki.client_settings(mutual.url, pki.server))
    assert len(etcd_confs(lines)) == 1
    (directory / "etcd.conf").write_text(text)
    assert run_check(directory / "etcd.conf").returncode == 0


def test_etcd_elsewhere_on_every_address(directory, check, pki, monkeypatch):
    """The URL has the name that the certificate is good for, and files are named in full."""
    monkeypatch.chdir(pki.directory)
    etcd = pki.etcd(pki.ca.issue("named", names="DNS:localhost"), mutual=True)
    etcd.url = "https://localhost:%d" % etcd.port
    etcd.command = [word.replace("%s/" % pki.directory, "") for word in etcd.command]
    etcd.command += ["--advertise-client-urls", etcd.url, "--listen-client-urls", "https://0.0.0.0:%d" % etcd.port]
    with etcd:
        text = etcd_confs(check(url=NOWHERE)[1])["process %d" % etcd.pid]
        (directory / "etcd.conf").write_text(text)
        assert "url = %s\n" % etcd.url in text and "ca_file = %s\n" % pki.ca.cert in text
        assert run_check(directory / "etcd.conf").returncode == 0


def test_ordinary_user(directory, modern):
    """It finds what it may look at: the command line, not the environment."""
    agent = shutil.copy(AGENT, directory)  # nobody may not look where the repository is
    config = directory / "etcd.conf"
    config.write_text(configuration(url=NOWHERE))
    done = run_check(config, agent=agent, before=AS_NOBODY)
    assert done.returncode == 1
    config.write_text(etcd_confs(done.stdout.splitlines())["process %d" % modern.pid])
    done = run_check(config, agent=agent, before=AS_NOBODY)
    assert done.returncode == 0
    assert [line.split()[1] for line in done.stdout.splitlines()[2:9]] == ["uid"] * 7


def test_ordinary_user_who_may_not_read_the_key(directory, pki, mutual):
    agent = shutil.copy(AGENT, directory)
    (directory / "etcd.conf").write_text(configuration(**pki.client_settings(mutual.url)))
    done = run_check(directory / "etcd.conf", agent=agent, before=AS_NOBODY)
    assert done.returncode == 2
    line, = done.stdout.splitlines()
    assert "key_file = %s" % pki.client.key in line and line.endswith("; run --check as root")
