# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""username and password_file: what is read, what is refused, and that no message shows it."""

import os

import pytest

from support.files import no_file
from support.naming import short
from support.settings import as_root, configuration

SECRET = "hunter2"


@pytest.fixture
def password(directory):
    """The path of a password file."""
    path = directory / "password"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def file(agent, directory, password):
    """The ConfigFile, not read yet, of a configuration with a user; what it logs is in file.lines."""
    path = directory / "etcd.conf"
    path.write_text(configuration(username="monitor", password_file=password))
    lines = []
    made = agent.ConfigFile(str(path), lines.append)
    made.lines = lines
    return made


def refused(agent, file):
    """What is said of a configuration that is refused; never the password."""
    with pytest.raises(agent.ConfigError) as caught:
        file.read()
    assert SECRET not in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("content, expected", [
    (b"hunter2", "hunter2"), (b"hunter2\n", "hunter2"), (b"hunter2\r\n", "hunter2"), (b"hunter2\n\n\n", "hunter2"),
    (b"hunter2\nsecond line\n", "hunter2"), (b" hunter2 \n", " hunter2 "), (b"a b\tc", "a b\tc"), (b"#;='\"", "#;='\""),
    ("пароль ü 🍣\n".encode(), "пароль ü 🍣"), (b"x" * 5000, "x" * 5000),
    ("a\u2028b\x85\x0c".encode(), "a\u2028b\x85\x0c")], ids=short)
def test_password_is_the_first_line(file, password, content, expected):
    """As editors and echo write it; blanks are part of it."""
    password.write_bytes(content)
    file.read()
    assert file.config.password == expected and file.config.username == "monitor"
    assert repr(file.config.password) == "***" and "hunter2" not in repr(file.config)


@pytest.mark.parametrize("content, words", [
    (b"", "holds no password in its first line"), (b"\n", "holds no password in its first line"),
    (b"\r\n", "no password"), (b"\nhunter2\n", "holds no password in its first line"),
    (b"hunter2\xff\n", "is not UTF-8"), ("hunter2".encode("utf-16"), "is not UTF-8"), (b"hunter2\0\n", "NUL"),
    (b"\0" * 100, "NUL"), (b"x" * ((1 << 20) + 1), "is larger than")], ids=short)
def test_content_that_is_no_password_is_refused(agent, file, password, content, words):
    password.write_bytes(content)
    message = refused(agent, file)
    assert words in message and "password_file = ***" in message
    words_of_python = message.replace(str(password.parent), "")
    assert not any(word in words_of_python for word in ("codec", "position", "0x", "byte 0"))


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o660, 0o620, 0o666])
def test_file_that_others_can_read_is_refused(agent, file, password, mode):
    password.chmod(mode)
    message = refused(agent, file)
    assert "is open to other users: chmod g-w,o-rwx %s" % password in message
    password.chmod(0o640)
    file.read()
    assert file.config.password == SECRET


@pytest.mark.parametrize("case", ["pipe", "directory", "device", "loop"])
def test_what_is_no_regular_file_is_refused_at_once(agent, file, password, case):
    password.unlink()
    no_file(password, case)
    assert "regular file" in refused(agent, file) or case in ("directory", "loop")


def test_missing_file_is_refused(agent, file, password):
    password.unlink()
    assert "can't be read: No such file or directory" in refused(agent, file)


@pytest.mark.parametrize("settings, words", [({"username": "monitor"}, "username = monitor: needs a password_file"),
                                             ({"password_file": "/x"}, "needs a username")], ids=str)
def test_user_and_password_need_each_other(agent, file, directory, settings, words):
    (directory / "etcd.conf").write_text(configuration(**settings))
    assert words in refused(agent, file)


def test_without_a_user_there_is_no_password(agent, file, directory):
    (directory / "etcd.conf").write_text("[etcd]\n")
    file.read()
    assert file.config.password is None and file.config.username == ""


def test_password_in_etcd_conf_is_not_shown(agent, file, directory):
    """A key that people may try."""
    (directory / "etcd.conf").write_text(configuration(username="monitor", password=SECRET))
    assert "unknown key" in refused(agent, file)


# ------------------------------------------------------------ while it runs


def test_changed_password_is_taken(file, password):
    file.read()
    assert file.reread() is None
    password.write_text("changed\n")
    assert file.reread().password == "changed"
    assert file.reread() is None and file.lines == []


def test_password_that_becomes_unusable_changes_nothing(file, password):
    file.read()
    for content in b"", b"\xff":
        password.write_bytes(content)
        for _ in range(3):
            assert file.reread() is None
        assert file.config.password == SECRET
    assert len(file.lines) == 2 and SECRET not in str(file.lines)
    assert file.control()["config"] != "ok"
    password.write_text("good again")
    assert file.reread().password == "good again" and file.control()["config"] == "ok"


def test_password_stays_where_another_key_changes(agent, file, directory, password, monkeypatch):
    """The file may be one that only root could read, at the start."""
    file.read()
    monkeypatch.setattr(agent, "read_password", None)
    (directory / "etcd.conf").write_text(configuration(username="monitor", password_file=password, timeout=2))
    config = file.reread()
    assert (config.timeout, config.password) == (2, SECRET)


@pytest.mark.parametrize("change", [{"username": "", "password_file": ""}, {"password_file": "other"}], ids=str)
def test_password_changes_with_its_key(file, directory, password, change):
    file.read()
    other = directory / "other"
    other.write_text("of another file")
    other.chmod(0o600)
    settings = dict({"username": "monitor", "password_file": password}, **change)
    if change["password_file"]:
        settings["password_file"] = other
    (directory / "etcd.conf").write_text(configuration(**settings))
    assert file.reread().password == ("of another file" if change["password_file"] else None)


def test_user_that_changes_needs_no_new_password(file, directory, password):
    file.read()
    (directory / "etcd.conf").write_text(configuration(username="other", password_file=password))
    config = file.reread()
    assert (config.username, config.password) == ("other", SECRET)


def test_user_without_a_password_is_refused_while_it_runs(file, directory):
    """Where no secret has changed."""
    (directory / "etcd.conf").write_text("[etcd]\n")
    file.read()
    (directory / "etcd.conf").write_text(configuration(username="monitor"))
    assert file.reread() is None and "needs a password_file" in file.lines[0]


@pytest.mark.parametrize("missing", ["username", "password_file"])
def test_half_a_user_is_refused_while_it_runs(file, directory, password, missing):
    """As at the start."""
    file.read()
    settings = {"username": "monitor", "password_file": password}
    del settings[missing]
    (directory / "etcd.conf").write_text(configuration(**settings))
    assert file.reread() is None and len(file.lines) == 1 and "needs a %s" % missing in file.lines[0]
    assert (file.config.username, file.config.password) == ("monitor", SECRET)


@as_root
def test_file_of_root_is_read_at_the_start_alone(agent, file, directory, password, monkeypatch):
    """The agent is user pcp after that."""
    file.read()
    pid = os.fork()
    if not pid:
        os.setgid(65534)
        os.setuid(65534)
        try:
            file.look_as_user()
            os._exit(0 if file.config.password == SECRET and file.reread() is None else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
