# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The reports of pmrep, from a folder as it is on a host with the agent."""

import configparser
import shutil
import subprocess
from pathlib import Path

from pcp.pmapi import pmContext

from support.processes import PATIENCE, tool_environment
from support.repository import REPOSITORY

REPORTS = REPOSITORY / "config" / "pmrep" / "etcd.conf"
MISSING = ("N/A", "~")  # in place of a value: none from the agent, none that counts


def sections():
    """The reports as {name: {key: value}}."""
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str
    parser.read(str(REPORTS))
    return {name: dict(parser[name]) for name in parser.sections()}


def folder(directory):
    """A folder with the reports of PCP and ours, as Install leaves it."""
    made = directory / "pmrep"
    if not made.exists():
        shutil.copytree(str(Path(pmContext.pmGetConfig("PCP_SYSCONF_DIR"), "pmrep")), str(made))
        shutil.copy(str(REPORTS), str(made))
    return made


def pmrep(directory, *arguments, status=0):
    """The lines that pmrep prints, from the first sample that has rates on."""
    done = subprocess.run(["pmrep", "-c", str(folder(directory)), *arguments], env=tool_environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                          timeout=PATIENCE, check=False)
    assert done.returncode == status, done.stdout
    return done.stdout.splitlines()


def rows(lines):
    """(labels, rows): of each row after the header its words; labels have blanks, words none."""
    head, *rest = [line for line in lines if line.strip()]
    return head.strip(), [line.split() for line in rest if line.strip() != head.strip()]
