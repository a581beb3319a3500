# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""An archive over changes of the followers."""

from support.archive import LOGGED, check, reached
from support.documents import FOLLOWING
from support.followers import follower, leading
from support.pmcd import Pmcd, logging
from support.server import FakeServer


def test_archive_of_members_that_come_and_go_names_them_all(directory):
    with FakeServer(leading({})) as server, \
            Pmcd(directory, url=server.url) as pmcd:
        path = directory / "archive"
        expected = set()
        with logging(pmcd, path, LOGGED):
            for step in range(12):
                present = {format(id, "x"): follower(10 * step + id) for id in range(1, 7) if (step + id * id) % 3}
                server.behaviour = leading(present) if step % 4 else FOLLOWING
                values = sorted(10 * step + int(id, 16) for id in present) if step % 4 else []
                expected |= set(present) if step % 4 else set()
                reached(path, lambda archive, values=values:
                        sorted(archive.samples("etcd.follower.success")[-1].values()) == values)
        archive = check(path)
        assert set(archive.instances()) == expected
        for sample in archive.samples("etcd.follower.success"):
            assert {format(value % 10, "x"): number for number, value in sample.items()}.items() \
                <= archive.instances().items()
