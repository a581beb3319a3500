# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Archives of PCP, read back and checked."""

import contextlib
import subprocess

import cpmapi as c_api
from pcp import pmapi

from support.processes import tool_environment, wait_until
from support.values import Failure, Query

FOLLOWER_METRICS = ["etcd.follower.latency.maximum", "etcd.follower.success"]
LOGGED = "etcd.follower etcd.is_leader etcd.store"


class Archive:
    """Reads an archive of one PCP format or the other through PCP's library."""

    def __init__(self, path):
        self.path = path
        self.context = pmapi.pmContext(c_api.PM_CONTEXT_ARCHIVE, str(path))
        self.descs = self.context.pmLookupDescs(self.context.pmLookupName(FOLLOWER_METRICS))

    def instances(self):
        """{name: number} of all followers ever."""
        numbers, names = self.context.pmGetInDomArchive(self.descs[0])
        return dict(zip(names, numbers))

    def samples(self, metric):
        """What each record holds: {instance number: value}, or a Failure."""
        pmids = self.context.pmLookupName([metric])
        desc = self.context.pmLookupDescs(pmids)[0]
        self.context.pmSetMode(c_api.PM_MODE_FORW, self.context.pmGetArchiveLabel().start, 0)
        found = []
        with contextlib.suppress(EOFError):
            while True:
                found.append(self.sample(self.next(), pmids[0], desc))
        return [sample for sample in found if sample is not None]

    def next(self):
        try:
            return self.context.pmFetchArchive()
        except pmapi.pmErr as error:
            if error.errno() == c_api.PM_ERR_EOL:
                raise EOFError
            raise

    def sample(self, result, pmid, desc):
        """Values of a metric in one record, None where it has none of it."""
        try:
            for position in range(result.contents.numpmid):
                if result.contents.get_pmid(position) == pmid:
                    count = result.contents.get_numval(position)
                    if count < 0:
                        return Failure(count)
                    return {result.contents.get_inst(position, each): Query.value(result, position,
                                                                                         desc.contents, each)
                            for each in range(count)}
            return None
        finally:
            self.context.pmFreeResult(result)


def check(path):
    """PCP's own checks of an archive: any line of pmlogcheck is a complaint."""
    environment = tool_environment()
    assert subprocess.run(["pmlogcheck", str(path)], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, check=True).stdout == ""
    return Archive(path)


def reached(archive, condition):
    """Waits until the records so far, of which the last may be half written, meet a condition."""
    def met():
        try:
            return condition(Archive(archive))
        except (pmapi.pmErr, IndexError):
            return False
    return wait_until(met, "records in " + archive.name)
