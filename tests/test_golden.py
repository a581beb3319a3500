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
"""What the agent tells of its metrics, to pmcd and to dbpmda, and the ways to start it.

Where metrics were added, REMAKE=1 pytest tests/test_golden.py writes the golden file anew: see what git diff says then.
"""

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from behaviours import OPERATIONS
from harness import AGENT, GOLDEN, PATIENCE, REPOSITORY, FakeServer, Pmcd, answer, configuration, tool_environment
from settings import BAD_CONFIGURATIONS, as_root

AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def test_pminfo_of_everything(directory):
    with Pmcd(directory) as pmcd:
        shown = pmcd.pminfo("-dmtT", "etcd")
    golden = GOLDEN / "pminfo-dmtT.txt"
    if os.environ.get("REMAKE"):
        golden.write_text(shown)
    assert shown == golden.read_text()


# ------------------------------------------------------------------- dbpmda


class Bench:
    """A directory with the agent and a name space as the tutorial has them, whose etcd.conf names our etcd."""

    def __init__(self, directory, url, user):
        self.directory = directory
        self.command = AS_NOBODY if user == "nobody" else []
        self.env = tool_environment(PCP_SYSCONF_DIR=str(directory / "sysconf"), PCP_VAR_DIR=str(directory))
        for name in ("pmdaetcd.python", "pmns-for-testing"):
            shutil.copy(REPOSITORY / name, directory)
        (directory / "sysconf" / "etcd").mkdir(parents=True)
        (directory / "sysconf" / "etcd" / "etcd.conf").write_text(configuration(url=url))
        (directory / "config" / "pmda").mkdir(parents=True)
        (directory / "config" / "pmda").chmod(0o777)

    def sh(self, script, **more):
        """(standard output, standard error) of a shell script in the directory."""
        done = subprocess.run(self.command + ["sh", "-c", script], cwd=self.directory, env=dict(self.env, **more),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done
        return done.stdout, done.stderr

    def dbpmda(self, *commands):
        """What dbpmda prints for commands to the agent."""
        script = "\n".join(("open pipe ./pmdaetcd.python",) + commands)
        out, errors = self.sh("printf '%%s\n' '%s' | dbpmda -n pmns-for-testing" % script)
        assert not errors
        return out


@pytest.fixture(params=["root", "nobody"])
def bench(request, directory, etcd):
    """As root and as an ordinary user; who is no root himself is the ordinary user."""
    if request.param == "root" and os.getuid() != 0:
        pytest.skip("not root")
    if request.param == "nobody" and os.getuid() == 0:
        shutil.chown(directory, "nobody")
    return Bench(directory, etcd.url, request.param if os.getuid() == 0 else "")


def test_the_tutorials_line(bench):
    out, errors = bench.sh(r"printf 'open pipe ./pmdaetcd.python\nfetch etcd.name\n' | dbpmda -n pmns-for-testing")
    assert not errors
    assert 'value "m0"' in out


@pytest.mark.parametrize("kind", ["--symlinks", "--copies"])
def test_the_tutorials_line_with_another_python_first_in_path(bench, kind):
    """A virtual environment without PCP's module, as of pyenv or conda."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", kind, str(bench.directory / "venv")], check=True)
    path = "%s/venv/bin:%s" % (bench.directory, bench.env["PATH"])
    out, _ = bench.sh("python3 -c 'import sys; print(sys.prefix)'; ! python3 -c 'import pcp' 2>/dev/null", PATH=path)
    assert out.strip() == str(bench.directory / "venv")
    script = r"printf 'open pipe ./pmdaetcd.python\nfetch etcd.name\n' | dbpmda -n pmns-for-testing"
    for python in ({}, {"PCP_PYTHON_PROG": "python3"}):
        out, errors = bench.sh(script, PATH=path, **python)
        assert not errors
        assert 'value "m0"' in out


def test_instances(bench):
    out = bench.dbpmda("instance 400.0")
    assert re.findall(r'inst: (\d+) name: "(\w+)"', out) == [
        (str(number), name) for number, name in enumerate(OPERATIONS)]


def test_descriptions(bench):
    assert bench.dbpmda("desc etcd.store.success", "desc etcd.leader.uptime").partition("\n")[2] == """\
PMID: 400.1.0
    Data Type: 64-bit unsigned int  InDom: 400.0 0x64000000
    Semantics: counter  Units: count
PMID: 400.0.7
    Data Type: double  InDom: PM_INDOM_NULL 0xffffffff
    Semantics: instant  Units: sec
"""


def test_help(bench, agent):
    for cluster in agent.CATALOGUE:
        out = bench.dbpmda(*["text %s" % metric.name for metric in cluster.metrics])
        for metric in cluster.metrics:
            assert "PMID: 400.%d.%d\n[%s]\n%s\n" % (cluster.number, metric.item, metric.oneline, metric.help) in out
    out = bench.dbpmda("text indom 400.0")
    assert "[%s]\n%s\n" % (agent.OPERATIONS.oneline, agent.OPERATIONS.help) in out


def test_a_fetch_of_everything_alone_and_together(bench, agent, etcd):
    names = [metric.name for cluster in agent.CATALOGUE if cluster.number in (0, 1, 3) for metric in cluster.metrics]
    store = etcd.json("/v2/stats/store")
    for out in (bench.dbpmda(*["fetch %s" % name for name in names]), bench.dbpmda("fetch " + " ".join(names))):
        assert re.findall(r"^  (400\S+) \(<noname>\): (numval: \d+|.*)", out, re.MULTILINE) == [
            ("400.%d.%d" % (cluster.number, metric.item), values(metric))
            for cluster in agent.CATALOGUE if cluster.number in (0, 1, 3) for metric in cluster.metrics]
        for number, operation in enumerate(OPERATIONS):
            assert "inst [%d or ???] value %d\n" % (number, store[operation + "Success"]) in out


def values(metric):
    """The number of values that dbpmda shows of a metric of etcd 3.4, or an error."""
    if metric.name == "etcd.version.storage":
        return "Metric not supported by this version of monitored application"
    return "numval: 1" if metric.indom is None else "numval: %d" % len(OPERATIONS)


# ------------------------------------------------------------- command line


@pytest.fixture
def nobody_listens(directory):
    """A configuration with a server that must not be asked, and that server."""
    with FakeServer(answer("{}")) as server:
        (directory / "etcd.conf").write_text(configuration(url=server.url))
        yield directory / "etcd.conf", server


def run_agent(*arguments, **env):
    """The agent with no pmcd at the other end, so that it ends by itself."""
    return subprocess.run(["/usr/bin/python3", str(AGENT)] + list(arguments), env=tool_environment(**env),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="latin-1",
                          timeout=PATIENCE, check=False)


@pytest.mark.parametrize("mode", ["PCP_PYTHON_DOMAIN", "PCP_PYTHON_PMNS", "PCP_PYTHON_PROBE", ""])
def test_starting_asks_nobody(nobody_listens, directory, mode):
    config, server = nobody_listens
    done = run_agent("-c", str(config), "-l", str(directory / "log"), **({mode: "root"} if mode else {}))
    assert done.returncode == 0, done
    assert server.connections == 0


def test_the_set_up_modes_say_what_install_needs(directory):
    assert run_agent("-c", str(directory / "none"), PCP_PYTHON_DOMAIN="1").stdout == "#define ETCD 400\n"
    namespace = run_agent("-c", str(directory / "none"), PCP_PYTHON_PMNS="root").stdout
    assert namespace.split() == ["root", "{", "etcd", "400:*:*", "}"]
    assert (REPOSITORY / "pmns-for-testing").read_text().split() == namespace.split()


@pytest.mark.parametrize("mode", ["PCP_PYTHON_DOMAIN", "PCP_PYTHON_PMNS"])
def test_a_bad_configuration_does_not_keep_install_from_the_names(directory, mode):
    (directory / "etcd.conf").write_text("[etcd]\nurl = nowhere\n")
    assert run_agent("-c", str(directory / "etcd.conf"), **{mode: "root"}).returncode == 0


@pytest.mark.parametrize("case", BAD_CONFIGURATIONS)
def test_a_bad_configuration_is_refused_at_start(directory, case):
    """With one line: in the agent's log, and on the standard error of the probe that Install makes."""
    content, words = BAD_CONFIGURATIONS[case]
    config = directory / "etcd.conf"
    config.write_bytes(content)
    log = directory / "log"
    assert run_agent("-c", str(config), "-l", str(log)).returncode == 1
    lines = [line for line in log.read_text().splitlines() if "Error" in line]
    probe = run_agent("-c", str(config), PCP_PYTHON_PROBE="1")
    assert probe.returncode == 1 and probe.stdout == ""
    for line, in (lines, probe.stderr.splitlines()):
        assert str(config) in line and words in line and "hunter2" not in line
    assert "Traceback" not in log.read_text()


@as_root
def test_an_unreadable_configuration_is_refused(directory):
    config = directory / "etcd.conf"
    config.write_text("[etcd]\n")
    config.chmod(0)
    agent = shutil.copy(AGENT, directory)  # nobody may not look where the repository is
    done = subprocess.run(AS_NOBODY + ["/usr/bin/python3", agent, "-c", str(config)], cwd="/",
                          env=tool_environment(PCP_PYTHON_PROBE="1"), stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    line, = done.stderr.splitlines()
    assert str(config) in line and "Permission denied" in line


def test_a_missing_configuration_means_defaults(directory):
    assert run_agent("-c", str(directory / "none"), PCP_PYTHON_PROBE="1").returncode == 0


def test_debugging_flags_of_pcp_are_taken(directory):
    for flags in (["-Dpdu,appl0"], ["-D", "pdu,appl0"]):
        log = directory / "log"
        done = run_agent("-c", str(directory / "none"), "-l", str(log), *flags)
        assert done.returncode == 0 and not done.stderr
        assert "pmXmitPDU" in log.read_text()
        log.unlink()


@pytest.mark.parametrize("arguments", [["-x"], ["-c"], ["surplus"]], ids=str)
def test_a_wrong_command_line_is_refused(arguments):
    done = run_agent(*arguments)
    assert done.returncode == 2 and "usage: pmdaetcd" in done.stderr


def test_help_option():
    assert "-c CONFIG" in run_agent("--help").stdout


def test_alone_it_starts(directory):
    """./pmdaetcd.python by itself waits for what pmcd would say on its standard input, and ends with that."""
    env = tool_environment(PCP_SYSCONF_DIR=str(directory))
    shutil.copy(AGENT, directory)
    process = subprocess.Popen(["./pmdaetcd.python"], cwd=directory, env=env, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    assert process.communicate(timeout=PATIENCE)[1] == b""
    assert process.returncode == 0


def test_it_runs_as_the_user_pcp(directory):
    with Pmcd(directory) as pmcd:
        status = Path("/proc/%d/status" % pmcd.agent_pid()).read_text()
    users = set(status.partition("Uid:")[2].split()[:4])
    assert users == {str(pwd.getpwnam("pcp").pw_uid if os.getuid() == 0 else os.getuid())}
