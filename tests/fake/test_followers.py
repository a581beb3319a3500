# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Followers are instances: of every form in which a leader may list them."""

import cpmapi as c_api
import pytest

from support.documents import FOLLOWING
from support.followers import METRICS, FollowerClient, follower, leading, many, watching_followers
from support.pmcd import Pmcd
from support.processes import open_directory, wait_until
from support.server import FakeServer, answer
from support.values import AGAIN, APPVERSION, PERMISSION


@pytest.fixture(scope="module")
def running():
    with FakeServer(leading({})) as server, open_directory() as directory:
        with watching_followers(directory, server.url) as client:
            yield server, client


@pytest.fixture
def watched(running):
    """A client of an agent whose server leads nobody so far."""
    server, client = running
    server.behaviour = leading({})
    assert client.values() == {} and client.is_leader() == 1
    server.requests.clear()
    return client


def test_member_id_that_comes_back_has_its_old_number(watched, server):
    numbers = {}
    for step in range(60):
        present = {format(id, "x"): follower() for id in range(1, 9) if (step * 37 + id * id) % 5 < 2}
        server.behaviour = leading(present) if step % 7 else FOLLOWING
        assert set(watched.values()) == (set(present) if step % 7 else set())
        instances = watched.instances()
        assert set(instances) == (set(present) if step % 7 else set())
        for name, number in instances.items():
            assert numbers.setdefault(name, number) == number
    assert len(set(numbers.values())) == len(numbers) == 8


def test_instances_after_a_fetch_are_those_of_the_fetch(watched, server):
    server.behaviour = leading({"a": follower(), "b": follower()})
    result = watched.context.pmFetch(watched.query.pmids)
    server.behaviour = FOLLOWING  # between the fetch and the names of what it brought
    names = [watched.context.pmNameInDom(watched.query.descs[0], result.contents.get_inst(0, each)) for each in (0, 1)]
    watched.context.pmFreeResult(result)
    assert names == ["a", "b"] and set(watched.instances()) == {"a", "b"}
    assert server.requests.count("/v2/stats/leader") == 1
    wait_until(lambda: watched.instances() == {}, "the instances of now")


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b"9 9 9\n", b"2 0 2147483647\n0 1700000000 a\n7 17", None],
                         ids=["empty", "zeros", "future", "cut short", "unwritable"])
def test_damaged_file_of_numbers_does_no_harm(directory, server, content):
    server.behaviour = leading({"a": follower(), "b": follower()})
    pmcd = Pmcd(directory, url=server.url)
    numbers = directory / "config" / "pmda" / "400.1"
    if content is None:
        numbers.mkdir()
    else:
        numbers.write_bytes(content)
        numbers.chmod(0o666)
    with pmcd:
        watched = FollowerClient(pmcd)
        assert watched.values() == {"a": 1, "b": 1}
        assert len(set(watched.instances().values())) == 2


def test_follower_that_was_never_reached_has_no_minimum(watched, server):
    server.behaviour = leading({"a": follower(0, minimum=9223372036854776000), "b": follower(3, minimum=0.25)})
    fetched = watched.fetch()
    assert fetched["etcd.follower.latency.minimum"] == {"b": 0.25}
    assert fetched["etcd.follower.success"] == {"a": 0, "b": 3}


def test_follower_without_statistics_lacks_values_and_no_other_does(watched, server):
    for broken in None, 1, "x", [], {}, {"latency": None, "counts": None}, {"latency": [], "counts": 7}:
        server.behaviour = leading({"a": follower(), "b": broken})
        fetched = watched.fetch()
        assert all(fetched[name].keys() == {"a"} for name in METRICS if name != "etcd.is_leader"), broken
        assert set(watched.instances()) == {"a"}, broken


def test_wrong_count_is_no_number(watched, server):
    for wrong in True, "1", None, [1], -1, 1.5, 2 ** 64, 10 ** 400:
        server.behaviour = leading({"a": follower(), "b": follower(wrong)})
        assert watched.values() == {"a": 1}, str(wrong)[:20]


def test_answer_that_is_not_that_of_a_leader_is_an_error(watched, server):
    server.behaviour = leading({"a": follower()})
    assert watched.is_leader() == 1
    server.behaviour = leading(["a"])
    assert watched.fetch() == dict.fromkeys(METRICS, AGAIN)
    assert "answer is not that of a leader" in watched.pmcd.messages()[-1]


@pytest.mark.parametrize("status, body, expected", [
    ("403 Forbidden", '{"message":"not current leader"}', 0),
    ("403 Forbidden", "go away", PERMISSION),
    ("401 Unauthorized", "{}", PERMISSION),
    ("404 Not Found", "404 page not found", APPVERSION),
    ("503 Service Unavailable", '{"message":"not current leader"}', AGAIN),
    ("200 OK", '{"leader":"1","followers":{}}', 1)])
def test_leader_says_so(watched, server, status, body, expected):
    server.behaviour = answer(body, status)
    assert watched.is_leader() == expected


# --------------------------------------------------------------------- scale


def fetch_raw(watched):
    """The number of values of each metric."""
    result = watched.context.pmFetch(watched.query.pmids)
    try:
        return [result.contents.get_numval(position) for position in range(len(METRICS))]
    finally:
        watched.context.pmFreeResult(result)


def test_thousand_followers_are_a_cluster_and_more_are_not(watched, server):
    agent = watched.pmcd.agent_pid()
    server.behaviour = many(1000)
    assert set(fetch_raw(watched)) == {1000, 1}
    server.behaviour = many(1001)
    assert set(fetch_raw(watched)) == {c_api.PM_ERR_AGAIN}
    server.behaviour = many(10000)  # more bytes than an answer may have
    assert set(fetch_raw(watched)) == {c_api.PM_ERR_AGAIN}
    server.behaviour = many(3)
    assert set(watched.values().values()) == {1, 2, 3}
    assert watched.pmcd.agent_pid() == agent


def test_ten_thousand_ids_get_a_number_and_no_more(directory):
    """Numbers are kept in a file, so a server that makes up members must not let it grow."""
    with FakeServer(leading({})) as server, watching_followers(directory, server.url) as watched:
        for group in range(12):
            server.behaviour = leading({"%x" % (group * 1000 + each): follower() for each in range(1000)})
            assert fetch_raw(watched)[5] == (1000 if group < 10 else 0)
        server.behaviour = leading({"0": follower(), "fffff": follower()})
        assert watched.values() == {"0": 1}, "who has a number keeps it"
        assert (directory / "config" / "pmda" / "400.1").stat().st_size < 1 << 20
        line, = watched.pmcd.messages()
        assert "10000" in line and "followers" in line
