"""Credentials never reach the log."""

from __future__ import annotations

import io
import logging

import pytest

from roost.daemon.credentials.redaction import RedactingFormatter, redact, redact_value

SECRETS = [
    ("https://me:SECRET@host/x", "https://***@host/x"),
    ("https://SECRET@host/x", "https://***@host/x"),
    ("git+ssh://u:SECRET@host:22/r.git", "git+ssh://***@host:22/r.git"),
    ("https://host/t/tk-SECRET/main/noarch", "https://host/t/***/main/noarch"),
    ("Authorization: Bearer SECRET.abc", "Authorization: ***"),
    ("'Authorization': 'Basic SECRETSECRET='", "'Authorization': '***'"),
    ("authorization=SECRET", "authorization=***"),
    ("Proxy-Authorization: Digest SECRET", "Proxy-Authorization: ***"),
    ("sent bearer SECRETSECRET", "sent bearer ***"),
    ("https://host/x?a=1&token=SECRET&b=2", "https://host/x?a=1&token=***&b=2"),
    ("two https://a:SECRET@h and https://b:SECRET@h", "two https://***@h and https://***@h"),
    ("https://user:p@SECRET@host/x", "https://***@host/x"),
]
PLAIN = [
    "https://conda.anaconda.org/conda-forge/linux-64/x.conda",
    "mail me@example.org",
    "torch @ https://host/t.whl",
    "/home/t/x",
    "a basic set of packages",
    "https://host/a b@c",
]


@pytest.mark.parametrize(("text", "wanted"), SECRETS)
def test_credentials_go_and_the_rest_stays(text: str, wanted: str) -> None:
    assert redact(text) == wanted
    assert redact(wanted) == wanted


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_credential_stays(text: str) -> None:
    assert redact(text) == text


def test_arguments_and_tracebacks_of_a_record_are_redacted() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter("%(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        int("https://me:SECRET@host/")
    except ValueError:
        logger.exception("fetching %s", "https://host/t/SECRET/x")
    assert "SECRET" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_values_are_redacted_wherever_a_string_lies() -> None:
    value = {"urls": ["https://a:SECRET@h/x", 3], "inner": {"line": 'quoted "https://h/t/SECRET/x"'}}
    assert redact_value(value) == {"urls": ["https://***@h/x", 3], "inner": {"line": 'quoted "https://h/t/***/x"'}}


def test_a_value_without_credentials_is_the_same_object() -> None:
    value = {"a": [1, "b"]}
    assert redact_value(value) is value
