# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""etcd.conf at the start: what is accepted, and what the message says about the rest."""

import re
import time

import pytest

from support.files import no_file
from support.naming import short
from support.repository import REPOSITORY
from support.settings import config_of


@pytest.fixture
def path(tmp_path):
    return tmp_path / "etcd.conf"


@pytest.fixture
def read(agent, path):
    """Reads a configuration that is given as text or bytes: the Config, whatever files it was made from."""
    def read_text(content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        file = agent.ConfigFile(str(path), print)
        file.read()
        return file.config._replace(origin=None)
    return read_text


@pytest.fixture
def refused(agent, path, read):
    """The message about a configuration that is refused, without the name of the file: one short line for people."""
    def message_about(content):
        with pytest.raises(agent.ConfigError) as caught:
            read(content)
        message = str(caught.value)
        start = "%s: " % path
        assert message.startswith(start) and message.isprintable() and len(message) - len(start) <= 300
        assert not re.search("codec|Errno|Error|literal|parsing|File contains|None", message[len(start):])
        return message[len(start):]
    return message_about


@pytest.fixture
def defaults(agent):
    """The Config of an empty file."""
    return config_of(agent)


# ------------------------------------------------------------- what is accepted


def test_missing_file_means_defaults(agent, path, defaults):
    file = agent.ConfigFile(str(path), print)
    file.read()
    assert file.config._replace(origin=None) == defaults and file.control()["config"] == "ok"
    assert (defaults.url, defaults.timeout) == ("http://127.0.0.1:2379", 1.0)


@pytest.mark.parametrize("content", ["", "# nothing\n", "[etcd]\n", "[etcd]\n# url = x\n;timeout = 9\n",
                                     "\ufeff[etcd]\n", "\r\n[etcd]\r\n"], ids=short)
def test_what_is_not_set_has_its_default(defaults, read, content):
    assert read(content) == defaults


def test_key_without_a_value_has_its_default(agent, defaults, read):
    assert read("[etcd]\n" + "".join("%s =\n" % key for key in agent.DEFAULTS)) == defaults


@pytest.mark.parametrize("key, value, expected", [
    ("url", "http://127.0.0.1:2379", "http://127.0.0.1:2379"),
    ("url", "http://127.0.0.1:2379/", "http://127.0.0.1:2379"),
    ("url", "https://etcd-0.example.org:2379", "https://etcd-0.example.org:2379"),
    ("url", "HTTP://localhost:2379", "http://localhost:2379"), ("url", "HTTPS://x:1", "https://x:1"),
    ("url", "http://x", "http://x:80"), ("url", "https://x/", "https://x:443"), ("url", "http://[::1]", "http://[::1]:80"),
    ("url", "http://[::1]:2379", "http://[::1]:2379"), ("url", "http://[::ffff:10.0.0.1]:1", "http://[::ffff:10.0.0.1]:1"),
    ("url", "http://[fe80::1%25eth0]", "http://[fe80::1%25eth0]:80"),
    ("url", "http://[fe80::1%eth0]:1", "http://[fe80::1%eth0]:1"),
    ("url", "http://[fe80::1%25br-lan.7]:1", "http://[fe80::1%25br-lan.7]:1"),
    ("url", "unix:/run/etcd.sock", "unix:/run/etcd.sock"), ("url", "unix:///run/etcd.sock", "unix:/run/etcd.sock"),
    ("timeout", "0.05", 0.05), ("timeout", "4", 4.0), ("timeout", "4.0", 4.0), ("timeout", "1e0", 1.0),
    ("insecure_skip_verify", "no", False), ("insecure_skip_verify", "Off", False),
])
def test_good_setting_is_taken(read, key, value, expected):
    assert getattr(read("[etcd]\n%s = %s\n" % (key, value)), key) == expected


@pytest.mark.parametrize("line", [
    "timeout=2", "timeout\t=\t2", "timeout : 2", "TimeOut = 2", "  timeout = 2", "timeout = 2\r",
    "timeout = 2\n\n# a comment\n  # another\n; a third"], ids=short)
def test_line_may_have_any_form_of_an_ini_file(read, line):
    assert read("[etcd]\n%s\n" % line).timeout == 2


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "HTTPS://127.0.0.1:1", "Https://127.0.0.1:1"])
def test_https_is_tls_in_capitals_too(agent, read, url):
    config = read("[etcd]\nurl = %s\n" % url)
    assert agent.Client(config.url, config.tls).session.adapters["http://"].tls is config.tls
    assert config.tls


# -------------------------------------------------------------- what is refused


BAD_SETTINGS = [
    ("timeout", "0.049"), ("timeout", "4.01"), ("timeout", "0"), ("timeout", "-1"),
    ("timeout", "nan"), ("timeout", "inf"),
    ("timeout", "1s"), ("timeout", "1,5"), ("timeout", "fast"), ("timeout", "0x1"), ("timeout", "1 2"),
    ("url", "127.0.0.1:2379"), ("url", "localhost"), ("url", "ftp://127.0.0.1:2379"), ("url", "http://"),
    ("url", "http://:2379"), ("url", "http://127.0.0.1:0"), ("url", "http://127.0.0.1:65536"),
    ("url", "http://127.0.0.1:http"), ("url", "http://127.0.0.1:-1"), ("url", "http://[::1"),
    ("url", "http://127.0.0.1:2379/v2"), ("url", "http://127.0.0.1:2379/?a=b"), ("url", "http://127.0.0.1:2379#a"),
    ("url", "http://a b:2379"), ("url", "http://127.0.0.1:2379,http://127.0.0.1:2380"), ("url", "http://*:2379"),
    ("url", "http://.:2379"), ("url", "http://" + "a" * 64 + ":2379"), ("url", "http://127.0.0.1:2379/?"),
    ("url", "http://[1.2.3.4]:2379"), ("url", "http://[:::]:2379"), ("url", "http://[12345::]:2379"),
    ("url", "http://[::1%]:2379"), ("url", "http://ａ:2379"), ("url", "http://²:2379"), ("url", "http://a:٣"),
    ("url", "unix:"), ("url", "unix:etcd.sock"), ("url", "unix://run/etcd.sock"),
    ("insecure_skip_verify", "maybe"), ("insecure_skip_verify", "2"),
    ("urls", "http://127.0.0.1:2379"), ("hurl", "x"),
]


@pytest.mark.parametrize("key, value", BAD_SETTINGS)
def test_bad_setting_is_named(refused, key, value):
    message = refused("[etcd]\n%s = %s\n" % (key, value))
    assert re.fullmatch(re.escape("%s = %s: " % (key, value)) + ".+", message)


@pytest.mark.parametrize("url", [value for key, value in BAD_SETTINGS if key == "url"] + [
    "http://_x:1", "http://xn--a:1", "http://a..b:1", "http://1.2.3.400:1", "http://x.:1", "http://1:1", "http://x:00080",
    "http://[fe80::1%25eth0]:1", "http://[fe80::1%eth0]:1", "unix:/a?b#c%d", "unix:/\u00e9", "https://x"])
def test_url_that_is_accepted_can_be_asked(agent, url):
    """Whatever a check lets through must not raise anything else, later and at each fetch."""
    try:
        accepted = agent.server_url(url)
    except ValueError:
        return
    agent.Client(accepted).prepare("GET", "/version")


@pytest.mark.parametrize("content, expected", [
    ("[etcd]\nurl = http://a:1 # the first\n", "url = http://a:1 # the first: a comment must"),
    ("[etcd]\ntimeout = 2 # seconds\n", "timeout = 2 # seconds: a comment must stand on a line of its own"),
    ("[etcd]\ntimeout = 2\t; seconds\n", "timeout = 2 ; seconds: a comment must stand on a line of its own"),
    ("[etcd]\ntimeout = ; seconds\n", "timeout = ; seconds: a comment must stand on a line of its own"),
    ("[etcd]\nurl = http://a:1 http://b:1\n", "url = http://a:1 http://b:1: must be one URL: an agent"),
    ("[etcd]\nurl = http://a:1,http://b:1\n", "url = http://a:1,http://b:1: must be one URL: an agent"),
    ("[etcd]\nurl = http://a:1\n  timeout = 2\n",
     "url = http://a:1 timeout = 2: goes on in a further line: begin each key in the first column"),
    ("[etcd]\nurl = \"http://a:1\"\n", "url = \"http://a:1\": must be written without quotes"),
    ("[etcd]\ntimeout = '2'\n", "timeout = '2': must be written without quotes"),
    ("[etcd]\nca_file = '/a b'\n", "ca_file = '/a b': must be written without quotes"),
    ("[etcd]\nca_file = ca.pem\n", "ca_file = ca.pem: needs an https url"),
    ("[etcd]\n[other]\n", "[other]: unknown section, only [etcd] is known"),
    ("[DEFAULT]\ntimeout = 1\n", "[DEFAULT]: unknown section, only [etcd] is known"),
    ("[ETCD]\n", "[ETCD]: unknown section, only [etcd] is known"),
    ("timeout = 1\n", "line 1: timeout = 1: is not KEY = VALUE in a section [etcd]"),
    ("\ufefftimeout = 1\n", "line 1: timeout = 1: is not KEY = VALUE in a section [etcd]"),
    ("[etcd]\n\ntimeout\n", "line 3: timeout: is not KEY = VALUE in a section [etcd]"),
    ("[etcd\n", "line 1: [etcd: is not KEY = VALUE in a section [etcd]"),
    ("[etcd]\n= 1\n", "line 2: = 1: is not KEY = VALUE in a section [etcd]"),
    ("[etcd]\ntimeout = 1\nTimeout = 2\n", "line 3: Timeout = 2: is there twice"),
    ("[etcd]\n[etcd]\n", "line 2: [etcd]: is there twice"),
    ("[etcd]\n# Zürich\n".encode("latin-1"), "line 2: is not UTF-8: save the file as UTF-8"),
    ("[etcd]\n".encode("utf-16"), "line 1: is not UTF-8: save the file as UTF-8"),
    ("[etcd]\n\0\n", "holds NUL bytes, as after a crash: write it again"), (b"\0" * 4096, "holds NUL bytes"),
], ids=short)
def test_message_says_what_is_wrong(refused, content, expected):
    assert refused(content).startswith(expected)


@pytest.mark.parametrize("content", [
    "[etcd]\nurl = \x1b]0;x\x07\x1b[31m\u202e\n", "[etcd]\n\x1b[2J\x9b = 1\n", "\x7f\x85\u2028\n", "[\x1b[2J]\n",
    "[etcd]\nurl = http://a\u200b:1\n"], ids=short)
def test_message_is_printable_in_the_log_whatever_the_file_holds(agent, read, content):
    with pytest.raises(agent.ConfigError) as caught:
        read(content)
    assert agent.printable(str(caught.value)).isprintable()


# ---------------------------------------------------------------------- secrets


@pytest.mark.parametrize("content", [
    "[etcd]\nurl = http://root:hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl = http://hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl = http://root:hunter2@\n",
    "[etcd]\nurl = http://root:hunt@er2@hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl = http://root:hunter2/x@127.0.0.1:2379\n",
    "[etcd]\nurl = root:hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl = http:root:hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl = http://root:hunter2%s@127.0.0.1:2379\n" % ("x" * 1000),
    "[etcd]\nurl =\n  http://root:hunter2\n  @127.0.0.1:2379\n",
    "[etcd]\nurll = http://root:hunter2@127.0.0.1:2379\n",
    "[etcd]\ntimeout = http://root:hunter2@127.0.0.1:2379\n",
    "[etcd]\nhttp://root:hunter2@127.0.0.1:2379 = url\n",
    "[etcd]\nhttp://root:hunter2@127.0.0.1:2379\n",
    "url = http://root:hunter2@127.0.0.1:2379\n",
    "[http://root:hunter2@127.0.0.1:2379]\n",
    "[etcd]\npassword = hunter2\n",
    "[etcd]\npassword hunter2\n",
    "[etcd]\nauth_token = hunter2\n",
])
def test_message_has_no_password(refused, content):
    message = refused(content)
    assert "hunter2" not in message and "er2@" not in message


PEM = {"a value": "[etcd]\nkey_file = {0}\n", "an indented value": "[etcd]\nkey_file =\n  {0}\n",
       "lines": "[etcd]\n{0}\n", "all of the file": "{0}\n", "a section": "[{0}]\n", "a key": "[etcd]\n{0} = 1\n"}


@pytest.mark.parametrize("case", PEM)
@pytest.mark.parametrize("separator", ["\n", "\n  ", " ", "\\n", ""], ids=repr)
def test_message_has_nothing_of_a_private_key(refused, pki, case, separator):
    lines = pki.client.key.read_text().splitlines()
    message = refused(PEM[case].format(separator.join(lines)))
    assert "private key" in message and "key_file" in message
    assert not any(line[:8] in message for line in lines)


# ------------------------------------------------------------------------ sizes


LONG = {"a value": "[etcd]\nurl = %s\n" % ("x" * 100000), "a URL": "[etcd]\nurl = http://%s\n" % ("a." * 50000),
        "signs": "[etcd]\nurl = %s\n" % ("@" * 100000), "slashes": "[etcd]\nurl = %s@\n" % ("http://" * 15000),
        "comments": "[etcd]\ntimeout = %s\n" % ("x#" * 50000), "a key": "[etcd]\n%s = 1\n" % ("k" * 100000),
        "a section": "[%s]\n" % ("x" * 100000), "brackets": "[" * 100000, "a line": "[etcd]\n%s\n" % ("x" * 100000),
        "blanks": "[etcd]\nx%sx\n" % (" " * 100000), "blanks and tabs": "[etcd]\nx%sx\n" % (" \t" * 50000),
        "blanks before a sign": "[etcd]\nx%sx = 1\n" % (" " * 100000),
        "a path": "[etcd]\nurl = https://x\nca_file = %s\n" % ("/a" * 50000),
        "lines": "[etcd]\nurl = a\n" + " a\n" * 50000,
        "keys": "[etcd]\n" + "".join("k%d = 1\n" % each for each in range(20000)),
        "more than 1 MiB": "[etcd]\n" + "# comment\n" * 110000}


@pytest.mark.parametrize("case", LONG)
def test_long_content_is_refused_at_once(refused, case):
    """pmcd gives up on an agent that takes 5 seconds. What is measured is work, which is the same on a busy machine."""
    begun = time.process_time()
    refused(LONG[case])
    assert time.process_time() - begun < 2


def test_many_lines_of_blanks_are_refused_at_once(refused):
    begun = time.process_time()
    refused("[etcd]\n" + ("x" + " " * 900 + "x\n") * 1000)
    assert time.process_time() - begun < 2


# --------------------------------------------------------------- what is no file


@pytest.mark.parametrize("key", ["etcd.conf", "ca_file", "cert_file", "key_file"])
@pytest.mark.parametrize("case", ["pipe", "directory", "device"])
def test_what_is_no_regular_file_is_refused_at_once(agent, path, pki, case, key):
    named = path.parent / "named"
    if key == "etcd.conf":
        no_file(path, case)
    else:
        no_file(named, case)
        files = dict(pki.client_settings("https://x"), **{key: named})
        path.write_text("[etcd]\n" + "".join("%s = %s\n" % each for each in files.items()))
    with pytest.raises(agent.ConfigError) as caught:
        agent.ConfigFile(str(path), print).read()
    message = str(caught.value)
    assert message.startswith("%s: " % path)
    assert message.endswith("can't be read: Is a directory" if case == "directory" else "is not a regular file")
    assert key == "etcd.conf" or "%s = %s: " % (key, named) in message


def test_what_can_not_be_opened_is_refused(agent, path):
    no_file(path, "loop")
    with pytest.raises(agent.ConfigError, match="can't be read: Too many levels of symbolic links"):
        agent.ConfigFile(str(path), print).read()


# ------------------------------------------------------------------ the delivered


def test_delivered_configuration_shows_every_key_with_its_default(agent, read, defaults):
    content = (REPOSITORY / "etcd.conf").read_text()
    assert read(content) == defaults
    shown = dict(re.findall(r"^#(\w+) =[ ]*(.*)$", content, re.MULTILINE))
    assert list(shown) == [setting.key for setting in agent.SETTINGS]
    assert read("[etcd]\n" + "".join("%s = %s\n" % setting for setting in shown.items())) == defaults
    for key, value in shown.items():
        assert value or not agent.DEFAULTS[key], "%s has a default that etcd.conf does not show" % key
