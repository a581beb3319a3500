# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers of members that can't be kept for the next start of the agent: it says so once."""

import pytest

from support.followers import FollowerClient, follower, leading
from support.pmcd import Pmcd
from support.server import FakeServer
from support.settings import as_root

IDS = ["a", "b", "c"]


def leading_ids(ids):
    return leading({each: follower() for each in ids})


@pytest.fixture
def server():
    with FakeServer(leading_ids(IDS)) as fake:
        yield fake


@as_root
@pytest.mark.parametrize("case", ["folder of another user", "no folder"])
def test_numbers_that_can_not_be_kept_are_said_once(directory, server, case):
    pmcd = Pmcd(directory, url=server.url)
    folder = directory / "config" / "pmda"
    if case == "no folder":
        folder.rmdir()
    else:
        folder.chmod(0o755)
    with pmcd:
        client = FollowerClient(pmcd)
        for ids in IDS, IDS[:1], [*IDS, "d"], IDS, ["e"]:
            server.behaviour = leading_ids(ids)
            assert set(client.values()) == set(ids) == set(client.instances())
        line, = pmcd.messages()
        assert "followers can't be kept" in line and "config/pmda" in line
        assert "Error: " + line in pmcd.agent_log()
