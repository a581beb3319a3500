# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures of a cluster as a client of pmcd gets them, in words that are the same each time."""

import re

from support.repository import GOLDEN
from support.values import Failure, Query, metric_names

SUMS = ("size", "voters", "learners", "up", "quorum", "leader", "alarms.nospace", "alarms.corrupt", "versions")
NUMBERS = ("db_size", "db_in_use", "quota", "raft_term", "raft_index", "raft_applied_index", "time")


class Pictures:
    """Takes pictures of the cluster that an agent watches, each from one fetch.

    Ids and URLs get words in the order in which they appear: members their name, and a ' where another has had it.
    """

    def __init__(self, pmcd):
        context = pmcd.context()
        self.query = Query(context, metric_names(context, "etcd.cluster"))
        self.words = {}
        self.lines = []

    def text(self):
        """All pictures so far."""
        return "\n".join(self.lines)

    def values(self):
        """{name without etcd.cluster.: value} of one fetch; {} in place of a failure of all members."""
        values = {name.replace("etcd.cluster.", ""): value for name, value in self.query.fetch().items()}
        return {name: {} if name.startswith("member.") and isinstance(value, Failure) else value
                for name, value in values.items()}

    def take(self, title):
        """One fetch, noted under a title; gives its values."""
        values = self.values()
        names = values["member.name"]
        members = sorted(values["member.up"], key=lambda member: (names.get(member, ""), member in self.words, member))
        for member in sorted(members, key=lambda member: member not in self.words):
            self.word(member, names.get(member) or "unnamed")
        self.lines += ["", "== " + title, self.of_cluster(values)]
        self.lines += sorted(self.of_member(member, values) for member in members)
        return values

    def word(self, text, proposed):
        """The word for a text, which another text has not."""
        while text not in self.words and proposed in self.words.values():
            proposed += "'"
        return self.words.setdefault(text, proposed)

    def cluster_word(self, text):
        """The word for the id of a cluster."""
        known = sum(word.startswith("cluster-") for word in self.words.values())
        return self.word(text, "cluster-%d" % (known + 1))

    def of_cluster(self, values):
        """The line of a picture about the whole cluster."""
        ids = values["id"]
        ids = "-" if isinstance(ids, Failure) else " ".join(sorted(map(self.cluster_word, ids.split())))
        lag = "-" if isinstance(values["raft_lag"], Failure) else "#"
        return "%s: %s, raft_lag %s" % (ids, ", ".join("%s %s" % (name, self.said(values[name])) for name in SUMS), lag)

    def of_member(self, member, values):
        """The line of a picture about a member; numbers that differ from run to run are #, missing values -."""
        row = {name.replace("member.", ""): by_member[member]
               for name, by_member in values.items() if name.startswith("member.") and member in by_member}
        url = row["url"] and self.word(row["url"], "url-of-" + self.words[member])
        version = re.sub(r"(\d+\.\d+).*", r"\1", row.get("version", "-"))
        flags = " ".join("%s %s" % (name, row.get(name, "-")) for name in ("up", "is_leader", "is_learner"))
        numbers = "".join("#" if name in row else "-" for name in NUMBERS)
        texts = ", ".join("%s %s" % (name, self.said(row[name]) if name in row else "-")
                          for name in ("alarms", "errors"))
        return "%s: name %s, %s, %s, %s, %s, %s, %s" % (
            self.words[member], row.get("name", "-") or '""', row.get("role", "-"), url or "no url", flags, version,
            numbers, texts)

    def said(self, value):
        """A value in words; "" is an empty text, - a missing value, ? the id of a member that was never seen."""
        if isinstance(value, Failure):
            return "-"
        for text, word in self.words.items():
            value = str(value).replace(text, word)
        value = re.sub(r"(?<=of cluster )[0-9a-f]{12,16}", lambda found: self.cluster_word(found.group()), str(value))
        return re.sub(r"\b[0-9a-f]{12,16}\b", "?", value) or '""'


def golden(section):
    """The pictures of a section of the golden file."""
    sections = (GOLDEN / "cluster.txt").read_text().split("\n#### ")
    found, = [text for text in sections if text.startswith(section + "\n")]
    return found[len(section) + 1:].rstrip("\n")
