"""Redaction of credentials in text before it is stored or logged."""

from __future__ import annotations

import logging
import re
from typing import TypeVar, cast

import msgspec

from roost.daemon.credentials.values import mask_remembered, mask_values
from roost.wire.visible import make_lines_visible

T = TypeVar("T")

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # scheme://user:password@host, also a token alone before the @ (RFC 3986 3.2.1)
    (re.compile(r"(?<=[a-zA-Z0-9+.-]://)[^/\s\"'<>]+@"), "***@"),
    # anaconda.org's token in a path: /t/TOKEN/
    (re.compile(r"/t/[^/\s\"'<>]+(?=/)"), "/t/***"),
    # header values (RFC 9110 11.6.2)
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?)(?:(?:basic|bearer|digest|token)\s+)?[^\s\"',;]+"
        ),
        r"\1***",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), r"\1 ***"),
    # tokens that say by themselves what they are
    (
        re.compile(
            r"(?<![A-Za-z0-9_-])(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
            r"|pypi-[\w-]{40,}|sk-[\w-]{20,}|xox[abprs]-[\w-]{10,}|AKIA[A-Z0-9]{16}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+)"
        ),
        "***",
    ),
    # query parameters
    (re.compile(r"(?i)([?&](?:token|access_token|api_key|password|secret|sig|signature)=)[^&\s\"']+"), r"\1***"),
)


_URL = re.compile(r"(?<=://)[^\s\"'<>]+")
_LAST_TOKEN = re.compile(r"(?<=/t/)[^/,;]+")


def redact(text: str) -> str:
    """Return ``text`` with ``${NAME}`` in place of values that the current request has brought, and then ``***`` in
    place of everything that looks like a credential.

    The text may be anything: each character is looked at a fixed number of times.
    """
    return redact_forms(mask_values(text))


def redact_forms(text: str) -> str:
    """Return ``text`` with ``***`` in place of everything that looks like a credential, whatever a request has brought:
    the value of some variable may be in a text by chance."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return _URL.sub(lambda url: _LAST_TOKEN.sub("***", url.group()), text)


def redact_value(value: T) -> T:
    """Return ``value``, plain JSON, with every string redacted; the same object if nothing changes."""
    text = msgspec.json.encode(value).decode()
    clean = redact(text)  # a value in JSON's own escapes is one of its encoded forms
    return value if clean == text else cast("T", msgspec.json.decode(clean))


class RedactingFormatter(logging.Formatter):
    """Formatter that redacts complete records, tracebacks included, so that no caller can forget to.

    Nothing in the text acts on a terminal that shows the log, and no line of a message passes for another record.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = "\n  | ".join(record.message.split("\n"))
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(make_lines_visible(redact(mask_remembered(super().format(record)))))
