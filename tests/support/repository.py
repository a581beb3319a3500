# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of the repository, and the agent as a module."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
AGENT = REPOSITORY / "pmdaetcd.python"
GOLDEN = REPOSITORY / "tests" / "golden"


def load_agent():
    """The agent as a module; import does not know its file name."""
    loader = SourceFileLoader("pmdaetcd", str(AGENT))
    module = module_from_spec(spec_from_loader("pmdaetcd", loader))
    loader.exec_module(module)
    return module
