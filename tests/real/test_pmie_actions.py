# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""pmieconf with our rules, and what pmie does when one fires."""

import json
import re
import subprocess

import pytest

from support.alerts import Pmie, Pmieconf, read_rules
from support.pmcd import Pmcd
from support.processes import free_port, tool_environment, wait_until
from support.server import FakeServer, answer

RULES = read_rules()
POST = """#!/usr/bin/python3
import json, sys, urllib.request
webhook = sys.argv[-1].startswith("http:")  # as PCP calls curl: the URL after the options, the text on standard input
text = sys.stdin.read() if webhook else json.dumps({"pcp": {"pmie": {"message": " ".join(sys.argv[1:])}}})
url = sys.argv[-1] if webhook else "%s"
urllib.request.urlopen(urllib.request.Request(url, text.encode()), timeout=5).close()
"""


@pytest.fixture
def pmieconf(directory):
    return Pmieconf(directory, printing=False)


def checked(pmieconf):
    """What pmie itself says of the configuration, which it reads and no more."""
    return subprocess.run(["pmie", "-C", "-c", str(pmieconf.config)], env=tool_environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, check=False).stdout


# ----------------------------------------------------------------- pmieconf


def test_list(pmieconf):
    listed = pmieconf.run("list", "etcd")
    words = " ".join(listed.split())
    for rule in RULES.values():
        assert "rule: etcd.%s [%s]" % (rule.name, rule.message) in words
        assert rule.help in words
    assert "threshold = 5000" in words and "send_failures = 0.01" in words


def test_all_are_on_as_shipped(pmieconf):
    assert set(pmieconf.enabled()) == set(RULES)


def test_disable_and_enable(pmieconf):
    pmieconf.run("disable", "etcd.silent")
    assert set(pmieconf.enabled()) == set(RULES) - {"silent"}
    pmieconf.run("disable", "etcd")
    assert pmieconf.enabled() == []
    pmieconf.run("enable", "etcd.silent")
    assert pmieconf.enabled() == ["silent"]


def test_modify(pmieconf):
    """Thresholds, windows, the period of quiet and the hosts to look at."""
    pmieconf.run("modify", "etcd.slow_fsync", "threshold", "0.3")
    pmieconf.run("modify", "etcd.no_leader", "samples", "4")
    pmieconf.run("modify", "etcd.no_leader", "delta", "30 sec")
    pmieconf.run("modify", "etcd.no_leader", "holdoff", "1 hour")
    pmieconf.run("modify", "etcd.silent", "hosts", "one two")
    text = pmieconf.config.read_text()
    assert "(0.3 - 0.256) / (0.512 - 0.256)" in text
    assert "delta = 30 sec;\netcd.no_leader =" in text and "@0..4 == 0" in text and "syslog 1 hour" in text
    assert re.search("etcd.up +:'?one'? :'?two'? +@0..2", text)


@pytest.mark.parametrize("value", ["101", "many"])
def test_percents_are_checked(pmieconf, value):
    with pytest.raises(AssertionError):
        pmieconf.run("modify", "etcd.quota_low", "threshold", value)
    assert "> 95 *" in pmieconf.config.read_text()


@pytest.mark.parametrize("name", sorted(set(RULES) - {"agent_config"}))
def test_syntax_without_a_pmcd(pmieconf, name):
    """No rule needs to see a metric first, but the one that compares a text."""
    pmieconf.run("disable", "etcd")
    pmieconf.run("enable", "etcd." + name)
    assert "syntax error" not in checked(pmieconf)


# ------------------------------------------------------------------ actions


def hook(pmieconf, url):
    """Has rules that fire tell it to a web server, by a webhook, or where PCP has none yet, by a command.

    Gives the program that does it, in place of curl.
    """
    program = pmieconf.directory / "post"
    program.write_text(POST % url)
    program.chmod(0o755)
    if "webhook_action" in (pmieconf.rules / "global" / "pcp_actions").read_text():
        pmieconf.run("modify", "global", "webhook_endpoint", url)
        pmieconf.run("modify", "global", "webhook_action", "yes")
    else:
        pmieconf.run("modify", "global", "user_command", "%s '$rule$^ $action_expand$'" % program)
        pmieconf.run("modify", "global", "user_action", "yes")
    pmieconf.run("modify", "global", "syslog_action", "no")
    return program


def test_web_server_is_told(directory):
    """That etcd is silent, in the JSON of a webhook."""
    bodies = []

    def take(_, request):
        bodies.append(json.loads(request.partition(b"\r\n\r\n")[2].decode()))
        return answer("{}")
    pmieconf = Pmieconf(directory / "pmieconf", printing=False)
    pmieconf.modify({"silent": {"delta": "0.2 sec"}})
    with FakeServer(take) as server, Pmcd(directory, url="http://127.0.0.1:%d" % free_port()) as pmcd:
        program = hook(pmieconf, server.url + "/hook")
        with Pmie(pmcd, pmieconf.config, CURL=str(program)):
            wait_until(lambda: bodies, "the web server to be told")
        assert server.requests[0] == "/hook"
    told = bodies[0]["pcp"]["pmie"]
    assert told.get("rule", told["message"]).startswith(RULES["silent"].message)
