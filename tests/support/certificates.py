# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates for the tests, made with the openssl command, and etcd servers that use them."""

import shutil
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from support.etcd import Etcd

DAY = 86400


class Pair(NamedTuple):
    """A certificate and its key, both PEM files."""
    cert: Path
    key: Path


def openssl(*arguments):
    """What the openssl command prints. Raises CalledProcessError."""
    return subprocess.run(["openssl", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True).stdout


def new_key(path):
    """A fresh private key that only its owner may read."""
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    path.chmod(0o600)
    return path


def self_signed(directory, name, names="IP:127.0.0.1,DNS:localhost"):
    """A Pair whose certificate nobody but itself has signed."""
    pair = Pair(directory / (name + ".pem"), new_key(directory / (name + ".key")))
    openssl("req", "-new", "-x509", "-key", pair.key, "-out", pair.cert, "-subj", "/CN=" + name,
            "-addext", "subjectAltName=" + names)
    return pair


class Authority:
    """A certificate authority that keeps its files in a directory of its own below `directory`."""

    CONFIG = ("[ca]\ndefault_ca = this\n[this]\nnew_certs_dir = {0}\ndatabase = {0}/index\nserial = {0}/serial\n"
              "policy = any\ndefault_md = sha256\nunique_subject = no\n[any]\ncommonName = optional\n"
              "organizationName = optional\n")

    def __init__(self, directory, name):
        self.directory = directory / name
        self.directory.mkdir()
        self.pair = self_signed(self.directory, name, "DNS:" + name)
        (self.directory / "index").touch()
        (self.directory / "serial").write_text("01\n")
        (self.directory / "conf").write_text(self.CONFIG.format(self.directory))

    @property
    def cert(self):
        return self.pair.cert

    def issue(self, name, names="IP:127.0.0.1,DNS:localhost", begin=-DAY, end=DAY, subject="CN"):
        """A Pair that this authority has signed, valid from `begin` to `end`, seconds from now."""
        pair = Pair(self.directory / (name + ".pem"), new_key(self.directory / (name + ".key")))
        request, extensions = self.directory / "request", self.directory / "extensions"
        openssl("req", "-new", "-key", pair.key, "-out", request, "-subj", "/%s=%s" % (subject, name))
        extensions.write_text("extendedKeyUsage = serverAuth, clientAuth\nsubjectAltName = %s\n" % names)
        openssl("ca", "-batch", "-notext", "-config", self.directory / "conf", "-cert", self.pair.cert,
                "-keyfile", self.pair.key, "-in", request, "-out", pair.cert, "-extfile", extensions,
                "-startdate", openssl_time(begin), "-enddate", openssl_time(end))
        return pair


def openssl_time(offset):
    """The time `offset` seconds from now, as openssl ca takes it."""
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + offset))


class Pki:
    """Two authorities, of which etcd and the agent are to trust `ca`; the files are gone at the end of `with Pki()`."""

    def __enter__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="pmdaetcd-pki-"))
        self.directory.chmod(0o755)
        self.ca = Authority(self.directory, "ca")
        self.other = Authority(self.directory, "other")
        self.server = self.ca.issue("server")
        self.client = self.ca.issue("client")
        self.nameless = self.ca.issue("nameless", subject="O")
        self.stranger = self.other.issue("stranger")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory)

    def etcd(self, pair, mutual=False, arguments=(), **options):
        """A real etcd with this certificate; mutual: it wants one of its clients. The rest is for Etcd."""
        arguments = [*arguments, "--cert-file", pair.cert, "--key-file", pair.key]
        if mutual:
            arguments += ["--client-cert-auth", "--trusted-ca-file", self.ca.cert]
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
        tls.load_cert_chain(self.nameless.cert, self.nameless.key)  # one with a CN is refused where RBAC is on
        return Etcd(scheme="https", tls=tls, arguments=map(str, arguments), **options)

    def client_settings(self, url, pair=None):
        """The settings with which to watch an etcd, as a client with this certificate."""
        pair = pair or self.client
        return {"url": url, "ca_file": self.ca.cert, "cert_file": pair.cert, "key_file": pair.key}
