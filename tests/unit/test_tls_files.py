# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of certificates and keys: what is refused, and what the message says."""

import subprocess

import pytest

from support.settings import configuration


def refused(agent, directory, text):
    """The message about a configuration, None if it is accepted."""
    config = directory / "etcd.conf"
    config.write_text(text)
    try:
        agent.ConfigFile(str(config), print).read()
    except agent.ConfigError as error:
        return str(error)
    return None


def assert_refused(agent, directory, settings, key, words):
    """One line names file, key and value, and holds these words."""
    said = refused(agent, directory, configuration(**settings))
    assert said.startswith("%s/etcd.conf: %s = %s: " % (directory, key, settings[key])) and "\n" not in said
    assert words in said


def test_good_configuration_passes(agent, directory, pki):
    assert refused(agent, directory, configuration(**pki.client_settings("https://127.0.0.1:1"))) is None


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o660, 0o620])
@pytest.mark.parametrize("key", ["key_file", "cert_file"])
def test_key_open_to_others(agent, directory, pki, mode, key):
    """A key of its own, or one in the file of the certificate."""
    both = directory / "both.pem"
    both.write_text(pki.client.key.read_text() + pki.client.cert.read_text())
    both.chmod(mode)
    settings = {"url": "https://127.0.0.1:1", "cert_file": pki.client.cert, key: both}
    assert_refused(agent, directory, settings, key, "chmod g-w,o-rwx %s" % both)
    do_as_told(both)
    assert refused(agent, directory, configuration(**settings)) is None


def do_as_told(path):
    """The chmod that the message names."""
    subprocess.run(["chmod", "g-w,o-rwx", path], check=True)


def test_key_of_another_certificate(agent, directory, pki):
    settings = dict(pki.client_settings("https://127.0.0.1:1"), key_file=pki.stranger.key)
    assert_refused(agent, directory, settings, "cert_file", "does not belong to the key")


def test_certificate_without_key(agent, directory, pki):
    assert_refused(agent, directory, {"url": "https://127.0.0.1:1", "cert_file": pki.client.cert}, "cert_file",
                   "without a key")


def test_key_without_certificate(agent, directory, pki):
    assert_refused(agent, directory, {"url": "https://127.0.0.1:1", "key_file": pki.client.key}, "key_file",
                   "needs a cert_file")


@pytest.mark.parametrize("key", ["ca_file", "cert_file"])
@pytest.mark.parametrize("text", ["", "junk", "-----BEGIN CERTIFICATE-----\njunk\n"])
def test_not_a_certificate(agent, directory, pki, key, text):
    junk = directory / "junk.pem"
    junk.write_text(text)
    assert_refused(agent, directory, dict(pki.client_settings("https://127.0.0.1:1"), **{key: junk}), key,
                   "no PEM")


@pytest.mark.parametrize("key", ["ca_file", "cert_file", "key_file"])
def test_missing_file(agent, directory, pki, key):
    settings = dict(pki.client_settings("https://127.0.0.1:1"), **{key: directory / "missing.pem"})
    assert_refused(agent, directory, settings, key, "can't be read: No such file or directory")


@pytest.mark.parametrize("key", ["ca_file", "cert_file", "key_file"])
def test_tls_settings_need_https(agent, directory, pki, key):
    settings = {"url": "http://127.0.0.1:1", key: pki.client_settings("")[key]}
    assert_refused(agent, directory, settings, key, "needs an https url")


def test_configuration_that_others_may_write(agent, directory):
    config = directory / "etcd.conf"
    config.touch()
    config.chmod(0o646)
    said = refused(agent, directory, configuration())
    assert "chmod o-w %s" % config in said and "\n" not in said
