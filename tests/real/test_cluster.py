# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture of real clusters, whatever happens to their members: it is right at the next fetch.

golden/cluster.txt has the sequences of pictures, with words in place of ids and URLs, # in place of numbers.
"""

import base64
import contextlib
import ctypes
import json
import os
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor

from support.cluster import Cluster
from support.etcd import Etcd, programs
from support.picture import Pictures, golden
from support.pmcd import Pmcd
from support.processes import wait_until
from support.settings import as_root
from support.values import AGAIN, APPVERSION, VALUE

OLDEST, *_, NEWEST = [program for version, program in programs().items() if version.startswith("3.5.")]
PRE_VOTE = ["--pre-vote"]  # a member that comes back does not depose the leader
TIMEOUT = 2.0  # seconds, so that a busy machine takes no member for one that is down


@contextlib.contextmanager
def pictures(directory, url, **settings):
    """Pictures as an agent sees them that watches a URL."""
    with Pmcd(directory, url=url, timeout=TIMEOUT, **settings) as pmcd:
        taken = Pictures(pmcd)
        taken.pmcd = pmcd
        yield taken
        assert "Traceback" not in pmcd.agent_log()


def take_trusted(taken, title):
    """A picture after a member has hung: until it has answered once, a fetch waits for it 50 ms and no longer."""
    wait_until(lambda: taken.values()["up"] == 3, "all members", TIMEOUT)
    taken.take(title)


def restored(cluster, name, snapshot, data, *options):
    """A cluster of one, made of a snapshot, at the URLs of a member, which must not run."""
    member = cluster[name]
    subprocess.run(["etcdctl", "snapshot", "restore", str(snapshot), "--name", name, "--data-dir", str(data / name),
                    "--initial-cluster", "%s=%s" % (name, member.peer), "--initial-advertise-peer-urls", member.peer,
                    *options], env=dict(os.environ, ETCDCTL_API="3"), check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return Etcd(binary=member.command[0], data=data, port=member.port, peer=member.peer, name=name)


# ------------------------------------------------------------ the life of a cluster


def comes_and_goes(cluster, taken, version):
    """A follower is killed, suspended and moved."""
    taken.take("three members of " + version)
    cluster["m2"].kill()
    taken.take("m2 killed")
    cluster["m2"].start()
    cluster.agree()
    taken.take("m2 started")
    cluster["m2"].pause()
    taken.take("m2 suspended")
    cluster["m2"].resume()
    cluster["m2"].wait()
    cluster.agree()
    take_trusted(taken, "m2 goes on")
    cluster.move("m2")
    cluster.is_listed("m2")
    cluster.agree()
    taken.take("m2 at another URL")


def grows(cluster, taken):
    """A learner is added and promoted, and removed."""
    cluster.add("m3", "--learner")
    taken.take("learner m3 added, which does not run")
    cluster["m3"].start(wait=False)
    wait_until(lambda: says_something(cluster, "m3"), "the learner")
    cluster.is_listed("m3")
    cluster.agree()
    taken.take("m3 started")
    cluster.promote("m3")
    cluster["m3"].wait()
    cluster.agree()
    taken.take("m3 promoted")
    cluster.remove("m3")
    cluster.agree()
    taken.take("m3 removed")


def says_something(cluster, name):
    """Whether a member, a learner perhaps, serves."""
    with contextlib.suppress(OSError, ValueError):
        return "leader" in cluster.status(name)
    return False


def fills_up(cluster, taken):
    """The quota of m2 is used up; then there is room again."""
    key, value = (base64.b64encode(each).decode() for each in (b"k", os.urandom(1 << 18)))
    put = json.dumps({"key": key, "value": value})

    def alarms(number):
        return all(len(cluster.status(name).get("errors", ())) == number for name in cluster.members)
    wait_until(lambda: cluster["m0"].request("POST", "/v3/kv/put", put) and alarms(1), "the alarm")
    taken.take("m2 has no space")
    revision = cluster.status("m0")["header"]["revision"]
    cluster.ctl("compact", revision, "--physical")
    for member in cluster.members.values():
        member.request("POST", "/v3/maintenance/defragment", "{}")
    cluster.ctl("alarm", "disarm")
    wait_until(lambda: alarms(0), "the end of the alarm")
    taken.take("alarm disarmed")


def loses_a_member_to_another_cluster(cluster, taken, directory, snapshot):
    """A snapshot is restored on m2 alone: it keeps its id, and is of another cluster."""
    cluster["m2"].stop()
    with restored(cluster, "m2", snapshot, directory):
        taken.take("m2 restored as a cluster of its own")
    cluster["m2"].start()
    cluster.agree()
    taken.take("m2 is back")


def is_upgraded(cluster, taken):
    """A member at a time."""
    for name in ("m2", "m1"):
        cluster.upgrade(name, NEWEST)
        cluster.agree()
        taken.take("%s upgraded" % name)
    cluster.lead("m1")
    cluster.upgrade("m0", NEWEST)
    cluster.lead("m0")
    cluster.agree()
    taken.take("m0 upgraded")


def is_readded(cluster, taken):
    """m2 comes again, with another id."""
    cluster.remove("m2")
    cluster.agree()
    taken.take("m2 removed")
    cluster.add("m2")
    cluster["m2"].start()
    cluster.is_listed("m2")
    cluster.agree()
    taken.take("m2 added again")


def dies(cluster, taken, directory, snapshot):
    """The quorum is lost, and m0 goes on alone."""
    cluster["m1"].kill()
    cluster["m2"].kill()
    wait_until(lambda: "leader" not in cluster.status("m0"), "the loss of the leader")
    taken.take("m1 and m2 killed")
    cluster["m0"].kill()
    cluster["m0"].command.append("--force-new-cluster")
    cluster["m0"].start()
    taken.take("m0 with --force-new-cluster")
    cluster["m0"].stop()
    with restored(cluster, "m0", snapshot, directory, "--initial-cluster-token", "other"):
        taken.take("m0 restored from a snapshot")


def test_life_of_a_cluster(directory):
    snapshot = directory / "snapshot"
    cluster = Cluster("m0", "m1", "m2", arguments=PRE_VOTE)
    cluster["m2"].command += ["--quota-backend-bytes", str(1 << 22)]
    with cluster:
        cluster.lead("m0")
        cluster.agree()
        cluster.ctl("snapshot", "save", str(snapshot))
        with pictures(directory, cluster["m0"].url) as taken:
            comes_and_goes(cluster, taken, "3.4")
            grows(cluster, taken)
            fills_up(cluster, taken)
            loses_a_member_to_another_cluster(cluster, taken, directory / "m2", snapshot)
            is_upgraded(cluster, taken)
            comes_and_goes(cluster, taken, "3.5")
            grows(cluster, taken)
            is_readded(cluster, taken)
            dies(cluster, taken, directory / "m0", snapshot)
        assert taken.text() == golden("the life of a cluster")


def test_five_members(directory):
    """Two may go; learners and those that are down do not count for the quorum."""
    with Cluster("m0", "m1", "m2", "m3", "m4", binary=NEWEST, v2=False) as cluster:
        cluster.agree()
        leader = wait_until(lambda: next((name for name in cluster.members if is_leader(cluster, name)), None), "it")
        victims = [name for name in cluster.members if name != leader][:3]
        with pictures(directory, cluster[leader].url) as taken:
            values = [taken.values()]
            for name in victims:
                cluster[name].kill()
                values.append(taken.values())
            cluster[leader].kill()
            assert taken.values()["size"] == AGAIN
        assert [[each[name] for name in ("size", "voters", "up", "quorum", "versions")] for each in values] == [
            [5, 5, 5, 1, 1], [5, 5, 4, 1, 1], [5, 5, 3, 1, 1], [5, 5, 2, 0, 1]]
        down = {identity for identity, up in values[-1]["member.up"].items() if not up}
        assert {values[-1]["member.name"][identity] for identity in down} == set(victims)
        assert set(values[-1]["member.role"].values()) <= {"leader", "follower"}


def is_leader(cluster, name):
    """Whether a member says that it leads."""
    status = cluster.status(name)
    return status.get("leader") == status["header"]["member_id"]


# ------------------------------------------------------------------ the network


class Cut:
    """A network of this thread's own, and another one at the far end of a link, for a member that is to be cut off.

    Both end with the thread and with the process that holds the other one.
    """

    NEAR, FAR = "10.77.0.1", "10.77.0.2"
    CLONE_NEWNET = 0x40000000

    def __enter__(self):
        libc = ctypes.CDLL(None, use_errno=True)
        assert not libc.unshare(self.CLONE_NEWNET), os.strerror(ctypes.get_errno())
        mine = os.stat("/proc/thread-self/ns/net").st_ino
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "600"])
        wait_until(lambda: os.stat("/proc/%d/ns/net" % self.holder.pid).st_ino != mine, "the other network")
        for command in ("link set lo up", "link add near type veth peer name far netns %d" % self.holder.pid,
                        "addr add %s/24 dev near" % self.NEAR, "link set near up"):
            subprocess.run(["ip", *command.split()], check=True)
        for command in "link set lo up", "addr add %s/24 dev far" % self.FAR, "link set far up":
            self.there("ip", *command.split())
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()

    def command(self, *command):
        """A command, so that it runs in the other network."""
        return ["nsenter", "-t", str(self.holder.pid), "-n", *command]

    def there(self, *command):
        """Runs a command in the other network."""
        subprocess.run(self.command(*command), check=True)


def life_on_a_link(directory):
    """The pictures of a cluster whose member m2 is beyond a link."""
    with Cut() as cut:
        cluster = Cluster("m0", "m1", "m2", arguments=PRE_VOTE)
        for name, member in cluster.members.items():
            host = cut.FAR if name == "m2" else cut.NEAR
            member.url = member.url.replace("127.0.0.1", host)
            peers = {each.peer: each.peer.replace("127.0.0.1", cut.FAR if other == "m2" else cut.NEAR)
                     for other, each in cluster.members.items()}
            for old, new in [("127.0.0.1:%d" % member.port, "%s:%d" % (host, member.port)), *peers.items()]:
                member.command = [each.replace(old, new) for each in member.command]
        cluster["m2"].command = cut.command(*cluster["m2"].command)
        with cluster:
            cluster.lead("m0")
            cluster.agree()
            return pictures_of_a_link(directory, cluster, cut)


def pictures_of_a_link(directory, cluster, cut):
    with pictures(directory, cluster["m0"].url) as taken:
        taken.take("a member beyond a link")
        cut.there("ip", "link", "set", "far", "down")
        taken.take("link down")
        taken.take("link still down")
        cut.there("ip", "link", "set", "far", "up")
        cluster.agree()
        take_trusted(taken, "link up")
        return taken.text()


@as_root
def test_member_that_is_cut_off(directory):
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(life_on_a_link, directory).result() == golden("a link that goes down")


# -------------------------------------------------------- users and certificates


def test_https_with_client_certificates(directory, pki):
    """Members are asked with the settings of url."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.load_verify_locations(str(pki.ca.cert))
    tls.load_cert_chain(str(pki.client.cert), str(pki.client.key))
    options = ["--cert-file", str(pki.server.cert), "--key-file", str(pki.server.key), "--client-cert-auth",
               "--trusted-ca-file", str(pki.ca.cert)]
    with Cluster("m0", "m1", "m2", scheme="https", tls=tls, arguments=options) as cluster:
        cluster.agree()
        victim = next(name for name in ("m1", "m2") if not is_leader(cluster, name))
        with pictures(directory, **pki.client_settings(cluster["m0"].url)) as taken:
            up = [taken.values()["up"]]
            cluster[victim].kill()
            values = taken.values()
        assert (up + [values["up"]], values["quorum"]) == ([3, 2], 1)
        assert {values["member.name"][identity]: url for identity, url in values["member.url"].items()} == {
            name: member.url for name, member in cluster.members.items()}


def test_users_and_the_v2_api(directory):
    with Cluster("m0", "m1", "m2", binary=OLDEST) as cluster:
        cluster.lead("m0")
        for command in ("user add root:secret", "user grant-role root root", "auth enable"):
            cluster.ctl(*command.split())
        cluster.agree()
        password = directory / "password"
        password.touch(0o600)
        password.write_text("secret\n")
        has_users(cluster, directory / "without")
        has_users(cluster, directory / "with", username="root", password_file=password)
        has_no_gateway(cluster, directory / "v2")


def has_users(cluster, directory, **settings):
    """3.5.1 tells everyone: no token is asked for, which would be a raft entry."""
    directory.mkdir(mode=0o755)
    before = cluster.status("m0")["raftIndex"]
    with pictures(directory, cluster["m0"].url, **settings) as taken:
        taken.take("users")
        assert taken.text() == golden("users")
    assert cluster.status("m0")["raftIndex"] == before


def has_no_gateway(cluster, directory):
    """Members tell of themselves through the v2 API alone."""
    for member in cluster.members.values():
        member.stop()
        member.command.append("--enable-grpc-gateway=false")
    for member in cluster.members.values():
        member.start(wait=False)
    for member in cluster.members.values():
        member.wait()
    directory.mkdir(mode=0o755)
    leader = cluster.leader()
    leader_id = cluster[leader].json("/v2/stats/self")["id"]
    victim = next(name for name in cluster.members if name not in ("m0", leader))
    wait_until(lambda: {cluster[name].json("/v2/stats/self")["leaderInfo"]["leader"] for name in cluster.members}
               == {leader_id}, "one leader")
    with pictures(directory, cluster["m0"].url) as taken:
        assert set(taken.values()["member.up"].values()) == {1}
        cluster[victim].kill()
        values = taken.values()
    assert [values[name] for name in ("size", "up", "quorum", "leader")] == [3, 2, 1, leader_id]
    assert [values[name] for name in ("id", "versions", "alarms.nospace", "raft_lag")] == [VALUE] * 4
    assert sorted(values["member.role"].values()) == ["follower", "leader"]
    assert sorted(values["member.name"].values()) == ["m0", "m1", "m2"]


def test_learner_knows_itself_alone(directory):
    with Cluster("m0") as cluster:
        cluster.add("m1", "--learner")
        cluster["m1"].start(wait=False)
        wait_until(lambda: says_something(cluster, "m1"), "the learner")
        cluster.agree()
        with pictures(directory, cluster["m1"].url) as taken:
            taken.take("a learner")
            cluster.promote("m1")
            cluster["m1"].wait()
            cluster.agree()
            taken.take("promoted")
            assert taken.text() == golden("a learner")


def test_server_without_any_api_that_lists_members(directory):
    with Etcd(binary=NEWEST, v2=False, arguments=["--enable-grpc-gateway=false"]) as etcd, \
            Pmcd(directory, url=etcd.url) as pmcd:
        assert pmcd.fetch("etcd.cluster.size") == {"etcd.cluster.size": APPVERSION}
        assert "no v2 API, and no v3 gateway" in pmcd.agent_log()
