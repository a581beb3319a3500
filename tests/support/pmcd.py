# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""A private pmcd with the agent."""

import os
import pwd
import re
import subprocess
from pathlib import Path

import cpmapi as c_api
from pcp.pmapi import pmContext

from support.processes import PATIENCE, free_port, is_running, running, tool_environment, wait_until
from support.repository import AGENT
from support.settings import configuration
from support.values import Query


class Pmcd:
    """A private pmcd that serves pmcd's own metrics and those of an agent with these settings.

    All its files are in `directory`. agent: the program, if it is another one.
    """

    def __init__(self, directory, agent=AGENT, **settings):
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
            + "etcd 400 pipe binary /usr/bin/python3 %s -c %s -l %s\n" % (agent, self.config, self.log))
        self.process = None

    @staticmethod
    def pmcd_namespace():
        """PCP's own names of pmcd's metrics, from the word root on: pmcd is the first name below."""
        lines = Path(pmContext.pmGetConfig("PCP_VAR_DIR"), "pmns", "root_pmcd").read_text()
        return lines[lines.index("root {"):]

    def __enter__(self):
        # Install of any agent sends SIGHUP to all processes called pmcd, which would spoil a fetch
        self.process = subprocess.Popen(
            ["private-daemon", "-f", "-A", "-U", pwd.getpwuid(os.getuid()).pw_name,
             "-i", "127.0.0.1", "-p", str(self.port), "-s", str(self.directory / "pmcd.socket"),
             "-c", str(self.pmcd_conf), "-n", str(self.namespace), "-l", str(self.directory / "pmcd.log")],
            executable=pmContext.pmGetConfig("PCP_BINADM_DIR") + "/pmcd",
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
        """All that the agent logged."""
        return self.log.read_text()

    def messages(self):
        """The lines that the agent logged, without time and process."""
        log = self.agent_log()
        assert "Traceback" not in log, log
        return re.findall(r"pmdaetcd\(\d+\) \w+: (.*)", log)

    def held(self, what):
        """The number of the agent's threads (task) or open files (fd)."""
        return len(os.listdir("/proc/%d/%s" % (self.agent_pid(), what)))

    def run(self, *command):
        """Standard output of a PCP tool."""
        return subprocess.run(command, env=self.env, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True).stdout

    def pminfo(self, *arguments):
        return self.run("pminfo", "-h", self.host, *arguments)

    def context(self):
        """A PMAPI context of this thread's own."""
        return pmContext(c_api.PM_CONTEXT_HOST, self.host)

    def query(self, *names):
        """A Query of metrics in a context of its own."""
        return Query(self.context(), names)

    def fetch(self, *names):
        """The values of metrics, as Query.fetch() gives them."""
        return self.query(*names).fetch()


def logging(pmcd, archive, metrics):
    """For `with`: a pmlogger that samples the metrics ten times a second, and writes each record at once."""
    config = pmcd.directory / "pmlogger.conf"
    config.write_text("log mandatory on 100 msec { %s }\n" % metrics)
    return running(["pmlogger", "-u", "-c", str(config), "-h", pmcd.host,
                    "-l", str(pmcd.directory / "pmlogger.log"), str(archive)], env=pmcd.env)
