# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""etcd.conf and the files it names while the agent runs: a change that is good is taken, no other changes anything."""

import contextlib
import os
import pwd

import pytest

from support.certificates import DAY
from support.files import no_file
from support.settings import as_root, configuration

URL = "https://127.0.0.1:1"
PCP = pwd.getpwnam("pcp").pw_uid


class Watched:
    """A configuration in force, and what was logged about it."""

    def __init__(self, agent, path, text):
        self.path = path
        self.log = []
        path.write_text(text)
        self.file = agent.ConfigFile(str(path), self.log.append)
        self.file.read()

    @property
    def config(self):
        return self.file.config

    def write(self, text):
        """Replaces etcd.conf."""
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def takes(self):
        """The Config that the next fetch takes; no other is taken after it."""
        config = self.file.reread()
        assert config is self.config and config is not None
        assert self.file.reread() is None and self.config is config
        assert self.file.control()["config"] == "ok"
        return config

    def refuses(self):
        """What is said once about a change that changes nothing, in the log and in etcd.control.config."""
        config, known = self.config, len(self.log)
        for _ in range(5):
            assert self.file.reread() is None
        assert self.config is config
        line, = self.log[known:]
        problem = self.file.control()["config"]
        assert line == problem + "; what was read before stays in force" and problem.startswith("%s: " % self.path)
        return problem


@pytest.fixture
def watched(agent, directory):
    """A plain server in force."""
    return Watched(agent, directory / "etcd.conf", configuration(url="http://one:1", timeout=2))


@pytest.fixture
def pair(directory, pki):
    """(certificate, key, authority) in files of the test's own."""
    files = directory / "client.pem", directory / "client.key", directory / "ca.pem"
    for source, target in zip((pki.client.cert, pki.client.key, pki.ca.cert), files):
        target.write_bytes(source.read_bytes())
        target.chmod(0o600 if target.suffix == ".key" else 0o644)
    return files


@pytest.fixture
def secure(agent, directory, pair):
    """A TLS server in force."""
    return Watched(agent, directory / "etcd.conf", secure_configuration(pair))


def secure_configuration(pair, **more):
    cert, key, ca = pair
    return configuration(url=URL, ca_file=ca, cert_file=cert, key_file=key, **more)


# -------------------------------------------------------------------- etcd.conf


def test_nothing_is_read_where_nothing_changed(agent, watched, monkeypatch):
    monkeypatch.setattr(agent, "read_file", None)
    for _ in range(5):
        assert watched.file.reread() is None
    assert watched.log == [] and watched.file.control() == {"config": "ok", "certificate_time": None}


def test_change_is_taken(watched):
    watched.write(configuration(url="http://two:2"))
    assert (watched.takes().url, watched.config.timeout) == ("http://two:2", 1.0)
    assert watched.log == []


@pytest.mark.parametrize("text, words", [
    ("", "is missing or empty"), (None, "is missing or empty"), (b"\0" * 100, "holds NUL bytes"),
    ("[etcd]\ntimeout = 9\n", "timeout = 9: must be from 0.05 to 4 seconds"), ("x", "line 1: x: is not KEY = VALUE"),
    (b"\xff", "is not UTF-8"), ("[etcd]\nurl = https://x\nca_file = /none\n", "ca_file = /none: can't be read")])
def test_change_that_can_not_be_used_changes_nothing(watched, text, words):
    """An empty file means defaults at the start alone: here they would give another server's values."""
    if text is None:
        watched.path.unlink()
    else:
        watched.write(text)
    assert words in watched.refuses()
    watched.write("[etcd]\nurl = http://two:2\n")
    assert watched.takes().url == "http://two:2"


@pytest.mark.parametrize("case", ["pipe", "directory", "device"])
def test_file_that_becomes_none_changes_nothing(watched, case):
    watched.path.unlink()
    no_file(watched.path, case)
    watched.refuses()


def test_file_that_is_moved_away_and_back_is_read_again(watched):
    away = watched.path.rename(watched.path.parent / "away")
    watched.refuses()
    away.rename(watched.path)
    assert watched.takes().url == "http://one:1"


def test_other_reason_is_said_anew(watched):
    watched.write("[etcd]\ntimeout = 9\n")
    assert "9" in watched.refuses()
    watched.write("[etcd]\ntimeout = 10\n")
    assert "10" in watched.refuses()


def test_file_that_comes_later_is_taken(agent, directory):
    file = agent.ConfigFile(str(directory / "etcd.conf"), print)
    file.read()
    assert file.reread() is None
    (directory / "etcd.conf").write_text(configuration(timeout=2))
    assert file.reread().timeout == 2


def test_change_while_it_is_read_is_not_missed(agent, watched, monkeypatch):
    read_items = agent.read_items

    def read_and_change(path):
        items = read_items(path)
        if dict(items)["timeout"] == "3":
            watched.write(configuration(timeout=3.5))
        return items

    monkeypatch.setattr(agent, "read_items", read_and_change)
    watched.write(configuration(timeout=3))
    assert watched.file.reread().timeout == 3
    assert watched.takes().timeout == 3.5


def test_change_while_the_agent_becomes_user_pcp_is_not_missed(watched):
    watched.write(configuration(timeout=3))
    watched.file.look_as_user()
    assert watched.takes().timeout == 3


def test_new_certificate_while_the_agent_becomes_user_pcp_is_not_missed(secure, pki, pair):
    before = secure.config.tls
    pair[2].write_bytes(pki.other.cert.read_bytes())
    secure.file.look_as_user()
    assert secure.takes().tls is not before


# ------------------------------------------------------------- files that it names


@pytest.mark.parametrize("form", ["ca_file = {}", "ca_file={}", "ca_file\t=\t{}", "ca_file : {}", "CA_FILE = {}",
                                  "Ca_File={}  "])
@pytest.mark.parametrize("text", ["[etcd]\nurl = %s\n%s\n", "[etcd]\n  url = %s\n  %s\n"], ids=["", "indented"])
def test_named_file_is_watched_however_it_is_written(agent, directory, pki, pair, form, text):
    ca = pair[2]
    watched = Watched(agent, directory / "etcd.conf", text % (URL, form.format(ca)))
    before = watched.config.tls
    ca.write_bytes(pki.other.cert.read_bytes())
    assert watched.takes().tls is not before
    ca.write_text("junk")
    assert "ca_file = %s: " % ca in watched.refuses()


@pytest.mark.parametrize("number, key", enumerate(["cert_file", "key_file", "ca_file"]))
def test_named_file_that_can_not_be_used_changes_nothing(secure, pair, number, key):
    good = pair[number].read_bytes()
    pair[number].unlink()
    assert "%s = %s: can't be read: No such file or directory" % (key, pair[number]) in secure.refuses()
    os.mkfifo(pair[number])
    assert "is not a regular file" in secure.refuses()
    pair[number].unlink()
    pair[number].write_bytes(good)
    pair[number].chmod(0o600)
    assert secure.takes().tls


def test_change_of_a_named_file_while_it_is_read_is_not_missed(agent, secure, pki, pair, monkeypatch):
    make_tls, made = agent.make_tls, []

    def make_and_change(*arguments):
        made.append(make_tls(*arguments))
        if len(made) == 1:
            pair[2].write_bytes(pki.ca.cert.read_bytes())
        return made[-1]

    monkeypatch.setattr(agent, "make_tls", make_and_change)
    pair[2].write_bytes(pki.other.cert.read_bytes())
    assert secure.file.reread().tls is made[0]
    assert secure.takes().tls is made[1]


def test_tls_is_kept_where_only_other_keys_change(agent, secure, pair, monkeypatch):
    """A key that only root may read can't be read again."""
    before = secure.config
    monkeypatch.setattr(agent, "make_tls", None)
    for timeout, url in (2, URL), (3, "https://127.0.0.1:2"):
        secure.write(secure_configuration(pair, timeout=timeout).replace(URL, url))
        config = secure.takes()
        assert (config.timeout, config.url) == (timeout, url)
        assert config.tls is before.tls and config.expires == before.expires


@pytest.mark.parametrize("key", ["url", "metrics_url"])
def test_tls_is_made_where_a_url_becomes_https(watched, key):
    """Though no file has changed."""
    assert watched.config.tls is None
    watched.write(configuration(**dict({"url": "http://one:1"}, **{key: "https://one:1"})))
    assert watched.takes().tls is not None
    watched.write(configuration(url="http://one:1"))
    assert watched.takes().tls is None


def test_tls_is_made_anew_where_one_of_its_keys_changes(secure, pair, pki):
    cert, key, ca = pair
    for change in {"ca_file": pki.other.cert}, {"cert_file": pki.client.cert}, {"insecure_skip_verify": "yes"}:
        before = secure.config.tls
        secure.write(configuration(**dict({"url": URL, "ca_file": ca, "cert_file": cert, "key_file": key}, **change)))
        assert secure.takes().tls is not before
    secure.write(configuration(url="http://one:1"))
    assert secure.takes().tls is None
    secure.write(secure_configuration(pair))
    assert secure.takes().tls


def test_time_until_the_certificate_expires_counts_down(secure, pair, pki):
    before = secure.file.control()["certificate_time"]
    assert 0 < before <= DAY + 1
    assert DAY / 2 < before
    assert secure.file.control()["certificate_time"] < before
    renewed = pki.ca.issue("renewed", end=10 * DAY)
    pair[0].write_bytes(renewed.cert.read_bytes())
    pair[1].write_bytes(renewed.key.read_bytes())
    secure.takes()
    assert 9 * DAY < secure.file.control()["certificate_time"] <= 10 * DAY + 1


def test_time_of_a_certificate_that_has_expired_is_negative(agent, directory, pki):
    old = pki.ca.issue("old", begin=-3 * DAY, end=-2 * DAY)
    watched = Watched(agent, directory / "etcd.conf", configuration(url=URL, cert_file=old.cert, key_file=old.key))
    assert -3 * DAY < watched.file.control()["certificate_time"] < -DAY


def test_no_certificate_has_no_time(agent, directory, pki):
    for settings in {"url": URL, "ca_file": pki.ca.cert}, {"url": "http://x"}:
        watched = Watched(agent, directory / "etcd.conf", configuration(**settings))
        assert watched.file.control()["certificate_time"] is None


# ---------------------------------------------------------------- files of root


@contextlib.contextmanager
def as_pcp():
    """Meanwhile files are those that the user pcp may see, as they are for the agent after its start."""
    os.seteuid(PCP)
    try:
        yield
    finally:
        os.seteuid(0)


@as_root
def test_timeout_changes_with_a_key_that_only_root_may_read(secure, pair):
    with as_pcp():
        secure.file.look_as_user()
    secure.write(secure_configuration(pair, timeout=3))
    with as_pcp():
        assert secure.takes().timeout == 3
    assert secure.log == []


@as_root
def test_changed_key_that_only_root_may_read_wants_a_restart(secure, pair):
    with as_pcp():
        secure.file.look_as_user()
    os.utime(pair[1])
    with as_pcp():
        problem = secure.refuses()
    assert "key_file = %s: can't be read: Permission denied" % pair[1] in problem and "restart" in problem


@as_root
def test_changed_certificate_in_a_directory_that_becomes_closed_wants_a_restart(agent, directory, pair):
    closed = directory / "closed"
    closed.mkdir()
    os.chown(pair[1], PCP, -1)
    cert = pair[0].rename(closed / "client.pem")
    secure = Watched(agent, directory / "etcd.conf", secure_configuration((cert, pair[1], pair[2])))
    with as_pcp():
        secure.file.look_as_user()
        assert secure.file.reread() is None and secure.log == []
    os.utime(cert)
    closed.chmod(0o700)
    with as_pcp():
        problem = secure.refuses()
    assert "cert_file = %s: can't be read: Permission denied" % cert in problem and "restart" in problem


@as_root
def test_certificate_that_can_not_be_watched_is_told_of_at_the_start(agent, directory, pair):
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    cert = pair[0].rename(closed / "client.pem")
    secure = Watched(agent, directory / "etcd.conf", secure_configuration((cert, pair[1], pair[2])))
    with as_pcp():
        secure.file.look_as_user()
    line, = secure.log
    assert str(cert) in line and "restart" in line and "expires" in line
    secure.write(secure_configuration((cert, pair[1], pair[2]), timeout=3))
    with as_pcp():
        assert secure.takes().timeout == 3
