# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of pmie, and pmie itself."""

import calendar
import contextlib
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from pcp.pmapi import pmContext

from support.processes import running, tool_environment, wait_until
from support.repository import REPOSITORY

RULES = REPOSITORY / "config" / "pmieconf" / "etcd"
PRINTING = '#pmieconf-rules 1\nprint\tglobal.print_action\n\tenabled\t= yes\n\tdefault\t= "$rule$^ $action_expand$";\n'


class Rule(NamedTuple):
    """A rule as its file has it; tunables: {name: default}, in the order of the file."""
    name: str
    message: str
    predicate: str
    help: str
    tunables: dict
    explained: dict  # {tunable: its help}
    enabled: bool


def parse_rule(text):
    """The Rule of a file of pmieconf(5)."""
    name = re.search(r"^rule\s+etcd\.(\S+)$", text, re.M).group(1)
    objects = re.findall(r"^(string|double|unsigned|percent)\s+(\S+)\s*$(.*?);\n\n", text, re.M | re.S)
    defaults = {each: re.search(r"default\s*=\s*(.*)", body).group(1).strip('"') for _, each, body in objects}
    hidden = {each for _, each, body in objects if re.search(r"display\s*=\s*no", body)}
    head = text[:text.index("\nstring")]
    return Rule(name, defaults["rule"], re.search(r'predicate\s*=\s*"(.*?)(?<!\\)"', head, re.S).group(1),
                " ".join(re.search(r'help\s*=\s*"(.*?)";', head, re.S).group(1).split()),
                {each: value for each, value in defaults.items() if each not in hidden},
                {each: " ".join(re.search(r'help\s*=\s*"(.*?)"', body, re.S).group(1).split())
                 for _, each, body in objects if each not in hidden},
                bool(re.search(r"enabled\s*=\s*yes", head)))


def read_rules():
    """{name: Rule} of all that are shipped."""
    return {path.name: parse_rule(path.read_text()) for path in sorted(RULES.iterdir())}


class Pmieconf:
    """Rules of ours beside PCP's global settings, and a configuration made of them, in a directory.

    With printing, what fires is printed and nothing else is done.
    """

    def __init__(self, directory, printing=True):
        self.directory = Path(directory)
        self.rules = self.directory / "rules"
        self.config = self.directory / "config.pmie"
        shutil.copytree(str(RULES), str(self.rules / "etcd"))
        shutil.copytree(str(Path(pmContext.pmGetConfig("PCP_VAR_DIR"), "config", "pmieconf", "global")),
                        str(self.rules / "global"))
        self.run("-F")
        if printing:
            (self.rules / "global" / "printing").write_text(PRINTING)
            self.run("modify", "global", "syslog_action", "no")
            self.run("modify", "global", "holdoff", "0")

    def run(self, *command):
        """What pmieconf prints."""
        done = subprocess.run(["pmieconf", "-r", str(self.rules), "-f", str(self.config), *command],
                              env=tool_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True, check=False)
        assert "pmieconf: error" not in done.stdout, done.stdout
        return done.stdout

    def modify(self, tunables):
        """Sets {rule: {tunable: value}}, in one go."""
        commands = ["modify etcd.%s %s %s" % (rule, name, quoted(value))
                    for rule, settings in tunables.items() for name, value in settings.items()]
        done = subprocess.run(["pmieconf", "-r", str(self.rules), "-f", str(self.config)], env=tool_environment(),
                              input="\n".join(commands) + "\nquit\n", stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True, check=False)
        assert "pmieconf: error" not in done.stdout, done.stdout
        return self

    def enabled(self):
        """The names of the rules that are on."""
        return re.findall(r"^etcd\.(\w+) = *$", self.config.read_text(), re.M)


SECONDS = {"sec": 1, "min": 60, "hour": 3600}


def seconds(text):
    """An interval as rules have it: 5 min."""
    number, unit = text.split()
    return float(number) * SECONDS[unit]


def quoted(value):
    """A value as pmieconf takes it: words in quotes."""
    return '"%s"' % value if re.search("[ a-z]", str(value)) else str(value)


class Fired(NamedTuple):
    """A line of a rule that fired: seconds since the epoch, name of the rule, the values or instances that did it."""
    time: float
    rule: str
    what: str


def parse_output(text):
    """([Fired], [other lines]) of what pmie printed."""
    names = {rule.message: rule.name for rule in read_rules().values()}
    fired, others = [], []
    for line in text.splitlines():
        stamped = re.match(r"(?:print )?\w+ (\w+ +\d+ [\d:]+ \d+): (.*)", line)
        message = stamped and next((each for each in sorted(names, key=len, reverse=True)
                                    if stamped.group(2).startswith(each)), None)
        if message:
            fired.append(Fired(calendar.timegm(time.strptime(stamped.group(1), "%b %d %H:%M:%S %Y")), names[message],
                               stamped.group(2)[len(message):].strip()))
        elif line.strip():
            others.append(line)
    return fired, others


def replay(config, archive):
    """[Fired] of the rules over an archive; pmie has nothing else to say."""
    done = subprocess.run(["pmie", "-z", "-a", str(archive), "-c", str(config)], env=tool_environment(TZ="UTC"),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=True)
    fired, others = parse_output(done.stdout)
    assert not [line for line in others if not re.search("timezone set to|evaluator exiting", line)], others
    return fired


class Pmie:
    """A pmie that watches a pmcd, for `with`."""

    def __init__(self, pmcd, config, **environment):
        self.log = pmcd.directory / "pmie.out"
        self.command = ["pmie", "-h", pmcd.host, "-c", str(config)]
        self.env = dict(pmcd.env, TZ="UTC", **environment)
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        stream = self.stack.enter_context(self.log.open("w"))
        self.stack.enter_context(running(self.command, env=self.env, stdout=stream, stderr=subprocess.STDOUT))
        return self

    def __exit__(self, *_):
        self.stack.close()

    def output(self):
        """([Fired], [other lines]) so far."""
        return parse_output(self.log.read_text())

    def complaints(self):
        """What it says of its rules; of instances that etcd has not shown yet it may."""
        return [line for line in self.output()[1] if re.search("(?i)error|warning|unknown", line)
                and "does not (currently) have instance" not in line]

    def fired(self, since=0.0):
        """The names of the rules that have fired since a time."""
        return {each.rule for each in self.output()[0] if each.time >= since}

    def wait(self, *rules, since=0.0):
        """Waits until all these rules have fired."""
        try:
            wait_until(lambda: set(rules) <= self.fired(since), "rules")
        except TimeoutError as error:
            raise TimeoutError("%s: %s" % (error, " ".join(sorted(set(rules) - self.fired(since))))) from None
        return self
