# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""etcd.conf: what is accepted, and what the message says about the rest."""

import re
import types

import pytest

from support.repository import REPOSITORY
from support.settings import configuration


@pytest.fixture
def read(agent, tmp_path):
    """Reads a configuration that is given as text or bytes."""
    def read_text(content):
        path = tmp_path / "etcd.conf"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return agent.read_config(str(path))
    return read_text


def test_a_missing_file_means_defaults(agent, tmp_path):
    assert agent.read_config(str(tmp_path / "none.conf")) == agent.Config()
    assert agent.Config().url == "http://127.0.0.1:2379"
    assert agent.Config().timeout == 1.0


@pytest.mark.parametrize("content", ["", "# nothing\n", "[etcd]\n", "[etcd]\n# url = x\n;timeout = 9\n"])
def test_what_is_not_set_has_its_default(agent, read, content):
    assert read(content) == agent.Config()


@pytest.mark.parametrize("key, value, expected", [
    ("url", "http://127.0.0.1:2379", "http://127.0.0.1:2379"),
    ("url", "http://127.0.0.1:2379/", "http://127.0.0.1:2379"),
    ("url", "https://etcd.example.org:2379", "https://etcd.example.org:2379"),
    ("url", "http://[::1]:2379", "http://[::1]:2379"),
    ("timeout", "0.05", 0.05), ("timeout", "4", 4.0), ("timeout", "4.0", 4.0), ("timeout", "1e0", 1.0),
])
def test_good_settings(read, key, value, expected):
    assert getattr(read("[etcd]\n%s = %s\n" % (key, value)), key) == expected


BAD_SETTINGS = [
    ("timeout", "0.049"), ("timeout", "4.01"), ("timeout", "0"), ("timeout", "-1"),
    ("timeout", "nan"), ("timeout", "inf"),
    ("timeout", "1s"), ("timeout", "1,5"), ("timeout", "fast"), ("timeout", "0x1"), ("timeout", "1 2"), ("timeout", ""),
    ("url", ""), ("url", "127.0.0.1:2379"), ("url", "localhost"), ("url", "ftp://127.0.0.1:2379"), ("url", "http://"),
    ("url", "http://:2379"), ("url", "http://127.0.0.1:0"), ("url", "http://127.0.0.1:65536"),
    ("url", "http://127.0.0.1:http"), ("url", "http://127.0.0.1:-1"), ("url", "http://[::1"),
    ("url", "http://127.0.0.1:2379/v2"), ("url", "http://127.0.0.1:2379/?a=b"), ("url", "http://127.0.0.1:2379#a"),
    ("url", "http://a b:2379"), ("url", "http://127.0.0.1:2379,http://127.0.0.1:2380"), ("url", "http://*:2379"),
    ("url", "http://.:2379"), ("url", "http://" + "a" * 64 + ":2379"), ("url", "http://127.0.0.1:2379/?"),
    ("urls", "http://127.0.0.1:2379"), ("hurl", "x"),
]


@pytest.mark.parametrize("key, value", BAD_SETTINGS)
def test_a_bad_setting_is_named_in_one_line(agent, read, tmp_path, key, value):
    with pytest.raises(agent.ConfigError) as caught:
        read("[etcd]\n%s = %s\n" % (key, value))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("%s: %s = %s: " % (tmp_path / "etcd.conf", key, value))
    assert len(message) > len("%s: %s = %s: " % (tmp_path / "etcd.conf", key, value)), "the message gives no reason"


@pytest.mark.parametrize("content", [
    "[etcd]\nurl = http://root:hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl = http://hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl = http://root:hunter2@\n",
    "[etcd]\nurl = http://root:hunt@er2@hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl = http://root:hunter2/x@127.0.0.1:2379\n",
    "[etcd]\nurl = root:hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl = http:root:hunter2@127.0.0.1:2379\n",
    "[etcd]\nurl =\n  http://root:hunter2\n  @127.0.0.1:2379\n",
    "[etcd]\nurll = http://root:hunter2@127.0.0.1:2379\n",
    "[etcd]\ntimeout = http://root:hunter2@127.0.0.1:2379\n",
    "[etcd]\nhttp://root:hunter2@127.0.0.1:2379 = url\n",
    "[etcd]\nhttp://root:hunter2@127.0.0.1:2379\n",
    "url = http://root:hunter2@127.0.0.1:2379\n",
    "[http://root:hunter2@127.0.0.1:2379]\n",
    "[etcd]\npassword = hunter2\n",
    "[etcd]\nauth_token = hunter2\n",
])
def test_no_secret_in_the_message(agent, read, content):
    with pytest.raises(agent.ConfigError) as caught:
        read(content)
    message = str(caught.value)
    assert "hunter2" not in message and "er2@" not in message
    assert "etcd.conf" in message and "\n" not in message


@pytest.mark.parametrize("content, word", [
    ("[etcd]\n[other]\n", "other"), ("[DEFAULT]\ntimeout = 1\n", "DEFAULT"), ("[ETCD]\n", "ETCD"),
    ("timeout = 1\n", "timeout"), ("[etcd]\ntimeout\n", "timeout"), ("[etcd]\ntimeout = 1\ntimeout = 2\n", "timeout"),
    ("[etcd]\n[etcd]\n", "etcd"), (b"[etcd]\n# \xff\n", "utf-8"), ("[etcd]\n\0\n", "etcd.conf"), ("[etcd\n", "etcd"),
    ("[etcd]\nurl = http://127.0.0.1:2379\n  timeout = 1\n", "url"),
])
def test_a_file_of_another_form_is_refused_in_one_line(agent, read, content, word):
    with pytest.raises(agent.ConfigError) as caught:
        read(content)
    message = str(caught.value)
    assert "etcd.conf" in message and word in message and "\n" not in message


def test_a_directory_is_no_configuration(agent, tmp_path):
    with pytest.raises(agent.ConfigError, match="is a directory|Is a directory"):
        agent.read_config(str(tmp_path))


def test_the_delivered_configuration_shows_every_key_with_its_default(agent, read):
    content = (REPOSITORY / "etcd.conf").read_text()
    assert read(content) == agent.Config()
    shown = dict(re.findall(r"^#(\w+) =[ ]*(.*)$", content, re.MULTILINE))
    assert shown.keys() == agent.SETTINGS.keys()
    switched_on = "[etcd]\n" + "".join("%s = %s\n" % setting for setting in shown.items() if setting[1])
    assert read(switched_on) == agent.Config()
    for key, value in shown.items():
        assert value or not getattr(agent.Config(), key), "%s has a default that etcd.conf does not show" % key


def test_change_while_it_is_read_is_not_missed(directory, agent, monkeypatch):
    path = directory / "etcd.conf"
    path.write_text(configuration(timeout=1))
    watch = agent.ConfigWatch(str(path), agent.read_config(str(path)))
    read, read_config = [], agent.read_config

    def read_and_change(name):
        read.append(read_config(name))
        if len(read) == 1:
            path.write_text(configuration(timeout=3.25))
        return read[-1]

    monkeypatch.setattr(agent, "read_config", read_and_change)
    sampler = agent.Sampler(agent.Config(), print)
    pmda = types.SimpleNamespace(config_watch=watch, sampler=sampler, log=print)
    pmda.reload = lambda: agent.EtcdPMDA.reload(pmda)
    path.write_text(configuration(timeout=2))
    for _ in range(3):
        agent.EtcdPMDA.begin(pmda)
    assert [config.timeout for config in read] == [2, 3.25]
    assert sampler.config.timeout == 3.25
