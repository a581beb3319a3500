# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line, the modes that Install uses, and what is refused at the start."""

import os
import pty
import pwd
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from support.certificates import openssl
from support.pmcd import Pmcd
from support.processes import PATIENCE, tool_environment
from support.repository import AGENT, REPOSITORY
from support.server import FakeServer, answer
from support.settings import as_root, configuration

AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


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
def test_start_sends_no_request(nobody_listens, directory, mode):
    config, server = nobody_listens
    done = run_agent("-c", str(config), "-l", str(directory / "log"), **({mode: "root"} if mode else {}))
    assert done.returncode == 0, done
    assert server.connections == 0


def test_modes_of_install_say_what_it_needs(directory):
    assert run_agent("-c", str(directory / "none"), PCP_PYTHON_DOMAIN="1").stdout == "#define ETCD 400\n"
    namespace = run_agent("-c", str(directory / "none"), PCP_PYTHON_PMNS="root").stdout
    assert namespace.split() == ["root", "{", "etcd", "400:*:*", "}"]
    assert (REPOSITORY / "pmns-for-testing").read_text().split() == namespace.split()


def test_bad_configuration_does_not_keep_install_from_the_names(directory):
    (directory / "etcd.conf").write_text("[etcd]\nurl = nowhere\n")
    for mode in "PCP_PYTHON_DOMAIN", "PCP_PYTHON_PMNS":
        assert run_agent("-c", str(directory / "etcd.conf"), **{mode: "root"}).returncode == 0


def test_bad_configuration_is_refused_at_start(directory):
    """One line says why: in the agent's log, and on the standard error of the probe that Install makes."""
    config, log = directory / "etcd.conf", directory / "log"
    config.write_text("[etcd]\nurl = http://root:hunter2@127.0.0.1:2379\n")
    assert run_agent("-c", str(config), "-l", str(log)).returncode == 1
    lines = [line for line in log.read_text().splitlines() if "Error" in line]
    probe = run_agent("-c", str(config), PCP_PYTHON_PROBE="1")
    assert probe.returncode == 1 and probe.stdout == ""
    for line, in (lines, probe.stderr.splitlines()):
        assert "%s: url = http://***@127.0.0.1:2379: " % config in line and "hunter2" not in line
    assert "Traceback" not in log.read_text()


def test_key_with_a_password_asks_no_terminal(directory, pki):
    """OpenSSL would ask the terminal of the probe, and wait."""
    key, config = directory / "protected.key", directory / "etcd.conf"
    openssl("pkcs8", "-topk8", "-in", pki.client.key, "-out", key, "-passout", "pass:secret")
    key.chmod(0o600)
    config.write_text(configuration(url="https://127.0.0.1:1", cert_file=pki.client.cert, key_file=key))
    child, terminal = pty.fork()
    if child == 0:
        os.execve("/usr/bin/python3", ["python3", str(AGENT), "-c", str(config)],
                  tool_environment(PCP_PYTHON_PROBE="1"))
    said = b""
    while select.select([terminal], [], [], 10)[0]:
        try:
            said += os.read(terminal, 65536)
        except OSError:  # the end
            break
    else:
        os.kill(child, 9)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert b"protected by a password" in said and said.count(b"\n") == 1


@as_root
def test_unreadable_configuration_is_refused(directory):
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


def test_missing_configuration_means_defaults(directory):
    assert run_agent("-c", str(directory / "none"), PCP_PYTHON_PROBE="1").returncode == 0


def test_debugging_flags_of_pcp_are_taken(directory):
    for flags in (["-Dpdu,appl0"], ["-D", "pdu,appl0"]):
        log = directory / "log"
        done = run_agent("-c", str(directory / "none"), "-l", str(log), *flags)
        assert done.returncode == 0 and not done.stderr
        assert "pmXmitPDU" in log.read_text()
        log.unlink()


def test_wrong_command_line_is_refused():
    for arguments in ["-x"], ["-c"], ["surplus"]:
        done = run_agent(*arguments)
        assert done.returncode == 2 and "usage: pmdaetcd" in done.stderr


def test_help_option():
    assert "-c CONFIG" in run_agent("--help").stdout


def test_agent_starts_without_arguments(directory):
    """./pmdaetcd.python by itself waits for what pmcd would say on its standard input, and ends with that."""
    env = tool_environment(PCP_SYSCONF_DIR=str(directory))
    shutil.copy(AGENT, directory)
    process = subprocess.Popen(["./pmdaetcd.python"], cwd=directory, env=env, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    assert process.communicate(timeout=PATIENCE)[1] == b""
    assert process.returncode == 0


def test_agent_runs_as_the_user_pcp(directory):
    with Pmcd(directory) as pmcd:
        status = Path("/proc/%d/status" % pmcd.agent_pid()).read_text()
    users = set(status.partition("Uid:")[2].split()[:4])
    assert users == {str(pwd.getpwnam("pcp").pw_uid if os.getuid() == 0 else os.getuid())}
