"""The daemon's imports read no certificates, and what comes after them does."""

from __future__ import annotations

import ssl
from pathlib import Path

from roost.daemon.main import without_default_certificates


def test_contexts_of_the_imports_trust_nobody_and_later_ones_are_as_always() -> None:
    load = ssl.SSLContext.load_default_certs
    with without_default_certificates():
        meanwhile, other = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        other.set_default_verify_paths()
    assert meanwhile.cert_store_stats() == other.cert_store_stats() == {"x509": 0, "crl": 0, "x509_ca": 0}
    assert (meanwhile.verify_mode, meanwhile.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert ssl.SSLContext.load_default_certs is load
    assert "set_default_verify_paths" not in vars(ssl.SSLContext)


def test_every_session_of_the_daemon_brings_its_own_context() -> None:
    """The one that aiohttp made when it was imported would trust nobody."""
    sessions = 0
    for path in (Path(__file__).parents[3] / "daemon" / "roost").rglob("*.py"):
        text = path.read_text()
        sessions += text.count("ClientSession(")
        assert text.count("ClientSession(") == text.count("TCPConnector(ssl=context"), path
    assert sessions == 4
