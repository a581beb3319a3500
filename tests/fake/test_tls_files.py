# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of certificates and keys that are refused at the start."""

import os
import pty
import select
import subprocess

import pytest

from support.certificates import openssl
from support.processes import tool_environment
from support.repository import AGENT
from support.settings import configuration


def probe(directory, text):
    """What the agent says of a configuration, run on a terminal, where OpenSSL could ask for a password."""
    config = directory / "etcd.conf"
    config.write_text(text)
    child, terminal = pty.fork()
    if child == 0:
        environment = tool_environment(PCP_PYTHON_PROBE="1")
        os.execve("/usr/bin/python3", ["python3", str(AGENT), "-c", str(config)], environment)
    said = b""
    while select.select([terminal], [], [], 10)[0]:
        try:
            said += os.read(terminal, 65536)
        except OSError:  # the end
            break
    else:
        os.kill(child, 9)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode().replace("\r\n", "\n")


def assert_refused(directory, settings, key, *words):
    """That one line names file, key and value, and holds these words."""
    status, said = probe(directory, configuration(**settings))
    assert status == 1
    start = "pmdaetcd: %s/etcd.conf: %s = %s: " % (directory, key, settings[key])
    assert said.startswith(start) and said.count("\n") == 1
    for word in words:
        assert word in said


def test_good_configuration_passes(directory, pki):
    assert probe(directory, configuration(**pki.client_settings("https://127.0.0.1:1"))) == (0, "")


@pytest.mark.parametrize("encrypt", [["pkcs8", "-topk8"], ["ec", "-aes128"]])
def test_key_with_password(directory, pki, encrypt):
    key = directory / "protected.key"
    openssl(*encrypt, "-in", pki.client.key, "-out", key, "-passout", "pass:secret")
    key.chmod(0o600)
    settings = dict(pki.client_settings("https://127.0.0.1:1"), key_file=key)
    assert_refused(directory, settings, "cert_file", "key in %s is protected by a password" % key)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o660, 0o620])
@pytest.mark.parametrize("key", ["key_file", "cert_file"])
def test_key_open_to_others(directory, pki, mode, key):
    """A key of its own, or one in the file of the certificate."""
    both = directory / "both.pem"
    both.write_text(pki.client.key.read_text() + pki.client.cert.read_text())
    both.chmod(mode)
    settings = {"url": "https://127.0.0.1:1", "cert_file": pki.client.cert, key: both}
    assert_refused(directory, settings, key, "chmod g-w,o-rwx %s" % both)
    do_as_told(both)
    assert probe(directory, configuration(**settings)) == (0, "")


def do_as_told(path):
    """The chmod that the message names."""
    subprocess.run(["chmod", "g-w,o-rwx", path], check=True)


def test_key_of_another_certificate(directory, pki):
    settings = dict(pki.client_settings("https://127.0.0.1:1"), key_file=pki.stranger.key)
    assert_refused(directory, settings, "cert_file", "does not belong to the key in %s" % pki.stranger.key)


def test_certificate_without_key(directory, pki):
    assert_refused(directory, {"url": "https://127.0.0.1:1", "cert_file": pki.client.cert}, "cert_file",
                   "no PEM key for it in %s" % pki.client.cert)


def test_key_without_certificate(directory, pki):
    assert_refused(directory, {"url": "https://127.0.0.1:1", "key_file": pki.client.key}, "key_file",
                   "needs a cert_file")


@pytest.mark.parametrize("key", ["ca_file", "cert_file"])
@pytest.mark.parametrize("text", ["", "junk", "-----BEGIN CERTIFICATE-----\njunk\n"])
def test_not_a_certificate(directory, pki, key, text):
    junk = directory / "junk.pem"
    junk.write_text(text)
    assert_refused(directory, dict(pki.client_settings("https://127.0.0.1:1"), **{key: junk}), key,
                   "no PEM certificate in it")


@pytest.mark.parametrize("key", ["ca_file", "cert_file", "key_file"])
def test_missing_file(directory, pki, key):
    settings = dict(pki.client_settings("https://127.0.0.1:1"), **{key: directory / "missing.pem"})
    assert_refused(directory, settings, key, "can't be read: No such file or directory")


@pytest.mark.parametrize("key", ["ca_file", "cert_file", "key_file"])
def test_tls_settings_need_https(directory, pki, key):
    settings = {"url": "http://127.0.0.1:1", key: pki.client_settings("")[key]}
    assert_refused(directory, settings, key, "needs an https url")


def test_configuration_that_others_may_write(directory):
    config = directory / "etcd.conf"
    config.touch()
    config.chmod(0o646)
    status, said = probe(directory, configuration())
    assert status == 1
    assert "chmod o-w %s" % config in said and said.count("\n") == 1
