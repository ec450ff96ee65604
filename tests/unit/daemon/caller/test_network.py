"""Proxy and certificates of the caller for the daemon's own connections."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from roost.daemon.caller.current import use_caller
from roost.daemon.caller.network import create_tls_context, find_proxy


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "https://h/x", None),
        ({"https_proxy": "http://p:1"}, "https://h/x", "http://p:1"),
        ({"https_proxy": "http://p:1"}, "http://h/x", None),
        ({"HTTPS_PROXY": "http://q:1", "https_proxy": "http://p:1"}, "https://h/x", "http://p:1"),
        ({"HTTPS_PROXY": "p:1"}, "https://h/x", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "https://h/x", "http://p:1"),
        ({"all_proxy": "socks5://p:1"}, "https://h/x", None),
        ({"https_proxy": "http://u:s@p:1"}, "https://h/x", "http://u:s@p:1"),
        ({"https_proxy": "http://p:1", "NO_PROXY": "h"}, "https://h:8/x", None),
        ({"https_proxy": "http://p:1", "no_proxy": ".h"}, "https://a.h/x", None),
        ({"https_proxy": "http://p:1", "no_proxy": "h"}, "https://other/x", "http://p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "*"}, "https://h/x", None),
    ],
)
def test_the_proxy_of_a_url(variables: dict[str, str], url: str, proxy: str | None):
    with use_caller(variables):
        assert find_proxy(url) == proxy


def test_certificates_are_those_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    authority = tmp_path / "ca.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tests", "-days", "2"]
    subprocess.run([*make, "-keyout", tmp_path / "key", "-out", authority], check=True, capture_output=True)
    with use_caller({"SSL_CERT_FILE": str(authority)}):
        found = create_tls_context().get_ca_certs()
    assert [dict(field[0] for field in each["subject"]) for each in found] == [{"commonName": "tests"}]
    with use_caller({}):
        assert len(create_tls_context().get_ca_certs()) == len(ssl.create_default_context().get_ca_certs())
