"""Proxy and certificates of the caller for the daemon's own connections."""

from __future__ import annotations

import errno
import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import ClientConnectorCertificateError, ClientConnectorError
from aiohttp.client_reqrep import ConnectionKey

from roost.daemon.caller.current import use_caller
from roost.daemon.caller.network import create_tls_context, describe_failure, find_proxy


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


def make_authority(path: Path, name: str) -> None:
    """Write a certificate of an authority of its own to ``path``."""
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run(
        [*make, "-subj", f"/CN={name}", "-keyout", "/dev/null", "-out", path], check=True, capture_output=True
    )


def list_authorities() -> list[str]:
    """The names of the certificates that a new connection would trust."""
    found = create_tls_context().get_ca_certs()
    return [dict(field[0] for field in each["subject"])["commonName"] for each in found]


def test_certificates_are_those_of_the_caller(tmp_path: Path):
    make_authority(tmp_path / "ca.pem", "tests")
    with use_caller({"SSL_CERT_FILE": str(tmp_path / "ca.pem")}):
        assert list_authorities() == ["tests"]
    with use_caller({}):
        assert len(create_tls_context().get_ca_certs()) == len(ssl.create_default_context().get_ca_certs())


def test_certificates_are_read_again_only_when_they_change(tmp_path: Path):
    authority = tmp_path / "ca.pem"
    make_authority(authority, "one")
    with use_caller({"SSL_CERT_FILE": str(authority)}):
        first = create_tls_context()
        with use_caller({}):
            assert create_tls_context() is create_tls_context()
            assert create_tls_context() is not first
        assert create_tls_context() is first
        make_authority(tmp_path / "other.pem", "two")
        authority.write_bytes((tmp_path / "other.pem").read_bytes())
        assert list_authorities() == ["two"]
        authority.unlink()
        with pytest.raises(OSError, match=r"ca\.pem"):
            create_tls_context()


def test_certificates_of_a_folder_are_noticed_when_one_changes(tmp_path: Path):
    folders = [tmp_path / name for name in ("absent", "there")]
    folders[1].mkdir()
    (folders[1] / "5ed36f99.0").write_text("one")
    with use_caller({"SSL_CERT_DIR": ":".join(map(str, folders))}):
        first = create_tls_context()
        assert create_tls_context() is first
        (folders[1] / "5ed36f99.0").write_text("another")
        second = create_tls_context()
        folders[0].mkdir()
        (folders[0] / "6b99d060.0").write_text("one")
        assert len({first, second, create_tls_context()}) == 3


def test_a_failure_is_described_without_addresses_of_objects():
    key = ConnectionKey("h", 443, True, None, None, None, None)
    refused = ClientConnectorError(key, OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 443)"))
    assert describe_failure(refused) == "Connection refused"
    unknown = ClientConnectorError(key, OSError(-2, "Name or service not known"))
    assert describe_failure(unknown) == "Name or service not known"
    assert describe_failure(TypeError()) == "TypeError"
    strange = ssl.SSLCertVerificationError(
        1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)"
    )
    strange.verify_message = "self-signed certificate"
    assert describe_failure(ClientConnectorCertificateError(key, strange)) == "self-signed certificate"
    text = "Cannot connect to host h:443 ssl:<ssl.SSLContext object at 0x7f09b94170b0> [bad]\nmore"
    assert describe_failure(ValueError(text)) == "Cannot connect to host h:443 [bad]"
