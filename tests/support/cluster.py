# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""A real etcd cluster of several members, for the tests."""

import json
import os
import re
import subprocess

from support.etcd import Etcd
from support.processes import free_port, wait_until


class Cluster:
    """Members of one etcd cluster, by name; `with Cluster("m0", "m1", "m2") as cluster` waits until all serve.

    arguments: further options of all; options: further ones for Etcd().
    """

    HASTY = ("--strict-reconfig-check=false",)  # members may come and go in the first five seconds, too

    def __init__(self, *names, arguments=(), **options):
        peers = {name: "http://127.0.0.1:%d" % free_port() for name in names}
        self.initial = ",".join("%s=%s" % each for each in peers.items())
        self.arguments = [*self.HASTY, *arguments]
        self.options = options
        self.members = {name: Etcd(name=name, peer=peers[name], cluster=self.initial, arguments=self.arguments,
                                   **options) for name in names}

    def __enter__(self):
        try:
            for member in self.members.values():
                member.start(wait=False)
            for member in self.members.values():
                member.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for member in self.members.values():
            member.__exit__()

    def __getitem__(self, name):
        return self.members[name]

    def leader(self):
        """The name of the member that leads, once the cluster has one."""
        return wait_until(lambda: next(filter(self.leads, self.members), None), "a leader")

    def leads(self, name):
        member = self.members[name]
        try:
            if not member.process:
                return False
            if self.options.get("v2", True):
                return member.request("GET", "/v2/stats/leader")[0] == 200
            status = member.v3("/maintenance/status")
            return status.get("leader") == status["header"]["member_id"]
        except OSError:
            return False

    def followers(self):
        """The names of all members but the leader."""
        leader = self.leader()
        return [name for name in self.members if name != leader]

    def id(self, name):
        """The hexadecimal id of a member that runs."""
        return self.members[name].id()

    def status(self, name):
        """What a member says of itself."""
        return json.loads(self.members[name].request("POST", "/v3/maintenance/status", "{}")[1])

    def agree(self, *names):
        """Waits until these members, all without names, know the same leader."""
        def leaders():
            statuses = [self.status(name) for name in names or self.members]
            return len({each.get("leader", id(each)) for each in statuses}) == 1 and "leader" in statuses[0]
        wait_until(leaders, "one leader")

    def is_listed(self, name):
        """Waits until all members that run know the name and the URL of one of them."""
        member = self.members[name]
        running = [each for each in self.members.values() if each.process and each.process.poll() is None]

        def listed():
            lists = [json.loads(each.request("POST", "/v3/cluster/member/list", "{}")[1]) for each in running]
            return all(any((each.get("name"), each.get("clientURLs")) == (name, [member.url])
                           for each in found.get("members", [{"name": name, "clientURLs": [member.url]}]))
                       for found in lists)  # a learner tells nothing
        wait_until(listed, "%s in the lists of members" % name)

    def others(self, name):
        """The ids of the members beside one."""
        return {self.id(each) for each in self.members if each != name}

    def ctl(self, *arguments):
        """Standard output of etcdctl, asked of the leader; asked again where only time is missing."""
        return wait_until(lambda: self.try_ctl(arguments), "etcdctl " + " ".join(arguments))

    def try_ctl(self, arguments):
        """Standard output of etcdctl; None where the cluster or a learner is too young for this."""
        command = ["etcdctl", "--endpoints", self.members[self.leader()].url, *arguments]
        done = subprocess.run(command, env=dict(os.environ, ETCDCTL_API="3"), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True, check=False)
        if done.returncode == 0:
            return done.stdout
        if not re.search("unhealthy cluster|in sync with leader|not leader", done.stderr):
            raise RuntimeError("etcdctl %s: %s" % (" ".join(arguments), done.stderr))
        return None

    def lead(self, name):
        """Moves the leadership to a member."""
        if self.leader() != name:
            self.ctl("move-leader", self.id(name))
            wait_until(lambda: self.leads(name), "the leadership of " + name)

    def add(self, name, *options):
        """Adds a member that does not run yet; start() it. Gives its id."""
        peer = "http://127.0.0.1:%d" % free_port()
        identity = self.ctl("member", "add", name, "--peer-urls", peer, *options).split()[1]
        self.initial += ",%s=%s" % (name, peer)
        self.members[name] = Etcd(name=name, peer=peer, cluster=self.initial, **self.options,
                                  arguments=[*self.arguments, "--initial-cluster-state", "existing"])
        return identity

    def promote(self, name):
        """Makes a learner a voting member, as soon as it has caught up."""
        self.ctl("member", "promote", self.id(name))

    def rename(self, name, new):
        """Starts a member again under another --name, of which its data directory knows nothing."""
        member = self.members[new] = self.members.pop(name)
        member.stop()
        member.command[member.command.index("--name") + 1] = new
        member.start()

    def move(self, name):
        """Starts a member again at another client URL."""
        member = self.members[name]
        member.stop()
        old, member.port = member.url, free_port()
        member.url = old.rpartition(":")[0] + ":%d" % member.port
        member.command = [member.url if each == old else each for each in member.command]
        member.start()

    def upgrade(self, name, binary):
        """Starts a member again with another program."""
        member = self.members[name]
        member.stop()
        member.command[0] = self.options["binary"] = binary
        member.start()

    def remove(self, name):
        """Removes a member from the cluster, and ends it."""
        self.ctl("member", "remove", self.id(name))
        member = self.members.pop(name)
        self.initial = ",".join(each for each in self.initial.split(",") if not each.startswith(name + "="))
        member.__exit__()
