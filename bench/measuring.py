# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the measurements have in common: a private pmcd with agents side by side, clients, turns and ratios."""

import os
import resource
import statistics
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))
from support.pmcd import Pmcd  # noqa: E402


def rival(name, url):
    """The command of an agent of rivals.python."""
    return [sys.executable, str(REPOSITORY / "bench" / "rivals.python"), name, url]


def prepare_pmcd(folder, url, domains, rivals):
    """A private pmcd, not started yet, that will run this agent and its rivals, and their commands by name.

    domains: numbers by name; rivals: commands by name. Each agent's metrics are below its name.
    """
    pmcd = Pmcd(folder, url=url)
    *lines, last = pmcd.pmcd_conf.read_text().splitlines()
    for name, command in rivals.items():
        ready = " notready" if name == "openmetrics" else ""  # it says so itself, later
        lines.append("%s %d pipe binary%s %s" % (name, domains[name], ready, " ".join(command)))
    pmcd.pmcd_conf.write_text("\n".join(lines + [last, ""]))
    names = "".join("\n    %s %d:*:*" % (name, domains[name]) for name in rivals)
    pmcd.namespace.write_text(pmcd.namespace.read_text().replace("root {", "root {" + names, 1))
    return pmcd, dict({"etcd": last.split()[4:]}, **rivals)


def agent_ids(pmcd, commands):
    """Process ids of the agents by name."""
    ids = {Path("/proc/%d/cmdline" % pid).read_text().rstrip("\0"): pid for pid in pmcd.children()}
    return {name: ids["\0".join(command)] for name, command in commands.items()}


class Client:
    """A client of pmcd, with a context of its own, that fetches the same metrics again and again."""

    def __init__(self, pmcd, names):
        self.context = pmcd.context()
        self.pmids = self.context.pmLookupName(names)
        self.values = 0  # that a fetch brings
        self.fetch()

    def fetch(self):
        """Seconds that a fetch took, which brought as many values as the others."""
        begun = time.perf_counter()
        result = self.context.pmFetch(self.pmids)
        took = time.perf_counter() - begun
        values = sum(max(0, result.contents.get_numval(index)) for index in range(len(self.pmids)))
        self.context.pmFreeResult(result)
        self.values = self.values or values
        if values != self.values or not values:
            sys.exit("bench: a fetch brought %d values instead of %d" % (values, self.values))
        return took


def in_turn(names, turn):
    """The names, each time beginning with another one."""
    turn %= len(names)
    return names[turn:] + names[:turn]


def take_turns(clients, ids, rounds, fetches):
    """Seconds of each fetch, a list for each round, and CPU seconds a fetch of the agents' processes, by agent."""
    before = {name: cpu_seconds(ids[name]) for name in clients}
    found = {name: [] for name in clients}
    for turn in range(rounds):
        for name in in_turn(list(clients), turn):
            found[name].append([clients[name].fetch() for _ in range(fetches)])
    return found, {name: (cpu_seconds(ids[name]) - before[name]) / (rounds * fetches) for name in clients}


def cpu_seconds(pid):
    """User and system time of a process."""
    fields = Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid):
    """Resident memory of a process in MB."""
    return int(Path("/proc/%d/statm" % pid).read_text().split()[1]) * resource.getpagesize() / 1e6


def medians(rounds):
    """The median of each round."""
    return [statistics.median(each) for each in rounds]


def ratio(mine, theirs):
    """Median over the rounds of the ratio of one list to another."""
    return statistics.median(a / b for a, b in zip(mine, theirs))


def print_agents(rounds, cpu, memory, base, start=None):
    """The table of what a fetch of each agent costs, and the ratios to one of them."""
    fetches = len(next(iter(rounds.values()))) * len(next(iter(rounds.values()))[0])
    print("One client, %d fetches of each agent\n%-11s%18s%18s%18s%18s%10s" % (
        fetches, "", "median", "p99", "CPU a fetch", "RSS", "start" if start else ""))
    everything = {name: [took for each in rounds[name] for took in each] for name in rounds}
    p99 = {name: statistics.quantiles(times, n=100)[98] for name, times in everything.items()}
    for name in rounds:
        print("%-11s%9.2f ms (%.2f)%9.2f ms (%.2f)%9.2f ms (%.2f)%9.1f MB (%.2f)%s" % (
            name, statistics.median(everything[name]) * 1e3, ratio(medians(rounds[name]), medians(rounds[base])),
            p99[name] * 1e3, p99[name] / p99[base], cpu[name] * 1e3, cpu[name] / cpu[base],
            memory[name], memory[name] / memory[base], "%7.2f s" % start[name] if start else ""))
