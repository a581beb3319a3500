# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""pmie with our rules, live: their windows are made short by their tunables, everything else is as shipped."""

import base64
import contextlib
import itertools
import json
import os
import random
import threading
import time

import pytest

from support.alerts import Pmie, Pmieconf, read_rules
from support.cluster import Cluster
from support.etcd import Etcd, programs
from support.pmcd import Pmcd
from support.processes import free_port, states, wait_until
from support.replay import VERSIONS, Replay
from support.server import FakeServer
from support.versions import NEWEST

OLDEST = next(iter(programs()))
TIMEOUT = 2.0  # seconds, so that a busy machine takes no member for one that is down
PRE_VOTE = ["--pre-vote"]
QUOTA = 1 << 22
KEY = base64.b64encode(b"key").decode()


def tuned(delta, samples, **rules):
    """Tunables with which each rule looks every delta seconds and agrees after so many samples."""
    found = {}
    for name, rule in read_rules().items():
        found[name] = {"delta": "%g sec" % delta}
        if "samples" in rule.tunables:
            found[name]["samples"] = samples
        found[name].update(rules.get(name, {}))
    return found


@contextlib.contextmanager
def alerted(directory, tunables, **settings):
    """(pmcd, pmie) with the rules tuned; settings are those of the agent."""
    config = Pmieconf(directory / "pmieconf").modify(tunables).config
    with Pmcd(directory, timeout=TIMEOUT, **settings) as pmcd, Pmie(pmcd, config) as pmie:
        yield pmcd, pmie
        assert pmie.complaints() == []
        assert "Traceback" not in pmcd.agent_log()


def put(etcd, size=1, timeout=None):
    """The HTTP status of a write; 0 if it was given up after `timeout` seconds."""
    body = json.dumps({"key": KEY, "value": base64.b64encode(os.urandom(size)).decode()})
    try:
        return etcd.request("POST", "/v3/kv/put", body, **{"timeout": timeout} if timeout else {})[0]
    except OSError:
        return 0


@contextlib.contextmanager
def repeated(*actions, pause=0.0):
    """Does things again and again, each beside the others and what the test does."""
    ended = threading.Event()

    def work(action):
        while not ended.is_set():
            action()
            time.sleep(pause)
    threads = [threading.Thread(target=work, args=[action]) for action in actions]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


# ---------------------------------------------------------- faults, one after the other


def has_many_leaders(cluster, pmie):
    names = itertools.cycle(("m1", "m0"))
    with repeated(lambda: cluster.lead(next(names))):
        pmie.wait("leader_changes")


def switch_alarm(cluster, action):
    """ACTIVATE or DEACTIVATE the alarm that m2 has other data than the others."""
    member = str(int(cluster.id("m2"), 16))
    cluster["m0"].v3("/maintenance/alarm", action=action, alarm="CORRUPT", memberID=member)


def is_corrupt(cluster, pmie):
    """One member alone has the alarm."""
    switch_alarm(cluster, "ACTIVATE")
    pmie.wait("alarm_corrupt")
    switch_alarm(cluster, "DEACTIVATE")


def fills_up(cluster, pmie):
    """The database grows to its quota; then writes fail, which are not the only calls."""
    assert wait_until(lambda: put(cluster["m0"], 1 << 16) != 200, "the alarm")
    with repeated(lambda: put(cluster["m0"]), pause=0.05):
        pmie.wait("alarm_nospace", "quota_low", "grpc_failures", "many_grpc_failures")
    guilty = {each.what.partition("@")[0] for each in pmie.output()[0] if each.rule == "grpc_failures"}
    assert guilty == {"KV/Put"}


def grows(cluster, pmie):
    with repeated(lambda: put(cluster["m0"], 1 << 16), pause=0.2):
        pmie.wait("fast_growth")


def is_compacted(cluster, pmie):
    """Nearly all of the database is free, and not given back."""
    assert put(cluster["m0"], 5000) == 200
    cluster.ctl("compact", cluster.status("m0")["header"]["revision"], "--physical")
    with repeated(lambda: put(cluster["m0"]), pause=0.1):
        pmie.wait("fragmentation")


def loses_members(cluster, pmie):
    cluster["m2"].kill()
    pmie.wait("members_down")
    cluster["m1"].kill()
    with repeated(lambda: put(cluster["m0"], timeout=0.1)):
        pmie.wait("insufficient_members", "no_leader", "failed_proposals")
    begun = time.time()
    cluster["m0"].kill()
    pmie.wait("silent", since=begun + 1)


def test_each_fault_of_a_cluster(directory):
    """pmie runs before etcd has ever answered, and every rule wakes up with it."""
    tunables = tuned(0.25, 6, leader_changes={"samples": 12}, failed_proposals={"delta": "1 sec", "samples": 1},
                     grpc_failures={"delta": "1 sec", "samples": 1}, many_grpc_failures={"delta": "1 sec"},
                     fast_growth={"horizon": "1 min"}, fragmentation={"smallest": "1 Kbyte"})
    cluster = Cluster("m0", "m1", "m2", binary=programs()[OLDEST],
                      arguments=[*PRE_VOTE, "--quota-backend-bytes", str(QUOTA)])
    with alerted(directory, tunables, url=cluster["m0"].url) as (_, pmie):
        pmie.wait("silent")
        with cluster:
            cluster.agree()
            time.sleep(1)
            begun = time.time()
            has_many_leaders(cluster, pmie)
            assert pmie.fired(begun) <= {"leader_changes", "silent"}  # the latter in the same second at most
            is_corrupt(cluster, pmie)
            grows(cluster, pmie)
            is_compacted(cluster, pmie)
            fills_up(cluster, pmie)
            loses_members(cluster, pmie)


# ---------------------------------------------------------- a disk that stalls


def stall(etcd):
    """Suspends a server for more than half a second as soon as it waits for its disk, and lets it go on.

    The log comes first, and the database at times that nobody knows.
    """
    time.sleep(random.choice((0, 0.005, 0.02)))
    begun = time.monotonic()
    while "D" not in states(etcd.pid) and time.monotonic() < begun + 0.2:
        pass
    etcd.pause()
    time.sleep(0.6)
    etcd.resume()


def test_slow_disk(directory):
    """The times of round trips are no matter of seconds: etcd looks at them twice a minute."""
    tunables = tuned(2, 60, slow_fsync={"samples": 0}, slow_commit={"samples": 0})
    with Etcd() as etcd, alerted(directory, tunables, url=etcd.url) as (_, pmie):
        with repeated(*[lambda: put(etcd)] * 4), repeated(lambda: stall(etcd)):
            pmie.wait("slow_fsync", "slow_commit")
        assert pmie.fired() == {"slow_fsync", "slow_commit"}


# ---------------------------------------------------------- the agent's own


def test_agent_troubles(directory, mutual, pki):
    """A certificate near its end, a listener that does not answer, a file that is wrong."""
    tunables = tuned(0.25, 4, certificate={"threshold": "48 hour"})
    settings = pki.client_settings(mutual.url)
    with alerted(directory, tunables, metrics_url="https://127.0.0.1:%d" % free_port(), **settings) as (pmcd, pmie):
        pmie.wait("certificate", "agent_failures")
        sources = {each.what.partition("@")[0] for each in pmie.output()[0] if each.rule == "agent_failures"}
        assert sources == {"metrics"}
        assert pmie.fired() == {"certificate", "agent_failures"}
        pmcd.config.write_text("[etcd]\nurl = nonsense\n")
        pmie.wait("agent_config")


# ---------------------------------------------------------- normal life


def waits_for_quorum(cluster):
    """m0 runs alone for a while."""
    cluster["m0"].start(wait=False)
    time.sleep(2)
    for name in ("m1", "m2"):
        cluster[name].start(wait=False)
    for member in cluster.members.values():
        member.wait()
    cluster.agree()


def is_restarted(cluster):
    """Each member in turn, in good order."""
    for member in cluster.members.values():
        member.stop()
        member.start()
        cluster.agree()


def test_is_silent_in_normal_life(directory):
    """A member that waited for its quorum, a rolling restart, a member that is removed."""
    port = free_port()
    cluster = Cluster("m0", "m1", "m2", binary=programs()[NEWEST], v2=False, arguments=PRE_VOTE)
    cluster["m0"].command += ["--listen-metrics-urls", "http://127.0.0.1:%d" % port]
    window = 6  # seconds: longer than a member takes to start
    tunables = tuned(0.5, 2 * window, agent_failures={"samples": 2 * window})
    with contextlib.ExitStack() as stack:
        stack.callback(cluster.__exit__)
        pmie = stack.enter_context(alerted(directory, tunables, url=cluster["m0"].url,
                                           metrics_url="http://127.0.0.1:%d" % port))[1]
        waits_for_quorum(cluster)
        with repeated(lambda: put(cluster["m0"]), pause=0.1):
            is_restarted(cluster)
            cluster.remove("m1")
            time.sleep(window + 1)
        assert pmie.fired() == set()
        switch_alarm(cluster, "ACTIVATE")
        pmie.wait("alarm_corrupt")  # all the while it was awake


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_of_today(directory, version):
    """A leader, and what it says after it has lost its quorum."""
    with FakeServer(Replay(version, "cluster_leader")) as server:
        with alerted(directory, tuned(0.25, 3), url=server.url, members="none") as (_, pmie):
            time.sleep(1.5)  # their windows are over
            assert pmie.output()[0] == []
            server.behaviour = Replay(version, "noquorum_exleader")
            pmie.wait("no_leader")
            assert pmie.fired() == {"no_leader"}
