# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a client of pmcd gets: values, or the error in their place."""

from typing import NamedTuple

import cpmapi as c_api
from pcp.pmapi import pmContext


class Failure(NamedTuple):
    """What a fetch gives for a metric that has no value."""
    code: int

    def __repr__(self):
        return pmContext.pmErrStr(self.code)


AGAIN = Failure(c_api.PM_ERR_AGAIN)
PERMISSION = Failure(c_api.PM_ERR_PERMISSION)
APPVERSION = Failure(c_api.PM_ERR_APPVERSION)
VALUE = Failure(c_api.PM_ERR_VALUE)


def metric_names(context, root="etcd"):
    """All names of metrics below a node of the name space, sorted."""
    names = []
    context.pmTraversePMNS(root, names.append)
    return sorted(name.decode() if isinstance(name, bytes) else name for name in names)


class Query:
    """A set of metrics of one context, looked up once and fetched often."""

    def __init__(self, context, names):
        self.context = context
        self.names = list(names)
        self.pmids = context.pmLookupName(self.names)
        self.descs = context.pmLookupDescs(self.pmids)

    def fetch(self):
        """{name: value, or {instance: value}, or Failure}, in one pmFetch."""
        result = self.context.pmFetch(self.pmids)
        try:
            return {name: self.values(result, position) for position, name in enumerate(self.names)}
        finally:
            self.context.pmFreeResult(result)

    def values(self, result, position):
        count = result.contents.get_numval(position)
        if count < 0:
            return Failure(count)
        desc = self.descs[position].contents
        numbers = [self.value(result, position, desc, each) for each in range(count)]
        if desc.indom == c_api.PM_INDOM_NULL:
            return numbers[0]
        return {self.context.pmNameInDom(self.descs[position], result.contents.get_inst(position, each)): number
                for each, number in enumerate(numbers)}

    @staticmethod
    def value(result, position, desc, each):
        atom = pmContext.pmExtractValue(result.contents.get_valfmt(position),
                                        result.contents.get_vlist(position, each), desc.type, desc.type)
        return atom.dref(desc.type)
