"""Texts that rattler really printed, and what they become."""

from __future__ import annotations

import pytest

from roost.daemon.engines.conda.errors import (
    ChannelMissingError,
    ChannelRefusedError,
    ChannelUnreachableError,
    LinkError,
    PackageDigestMismatchError,
    PackageMissingError,
    SolveError,
)
from roost.daemon.engines.conda.translation import translate_error, translate_errors
from roost.model.errors import BuildError, CodedError, StoreFullError


def raised(kind: str, text: str) -> Exception:
    return type(kind, (Exception,), {})(text)


FETCH = "failed to fetch a-1-0.conda\nCaused by: failed to interact with the package cache layer.\nCaused by: "
URL = "url (http://h/a/noarch/repodata.json)"
CASES = [
    ("SolverError", "Cannot solve the request because of: No candidates were found for nosuch *.\n", SolveError),
    (
        "GatewayError",
        "Request failed after 1 retries\nConnection refused (os error 111)",
        ChannelUnreachableError,
    ),
    (
        "GatewayError",
        f"could not find subdir 'noarch' in channel 'http://h/a/'\n404 for {URL}",
        ChannelMissingError,
    ),
    ("GatewayError", f"HTTP status client error (403 Forbidden) for {URL}", ChannelRefusedError),
    ("InstallerError", FETCH + "an io error occurred: Invalid checksum", PackageDigestMismatchError),
    (
        "InstallerError",
        FETCH + "hash mismatch when extracting x to /c: expected 02, got 23",
        PackageDigestMismatchError,
    ),
    ("InstallerError", FETCH + "error decoding response body\nend of file before message", ChannelUnreachableError),
    ("InstallerError", FETCH + "HTTP status client error (404 Not Found) for url", PackageMissingError),
    ("InstallerError", FETCH + "No space left on device (os error 28)", StoreFullError),
    ("InstallerError", "failed to link a-1-0.conda\nCaused by: failed to copy file to destination", LinkError),
]


@pytest.mark.parametrize(("kind", "text", "expected"), CASES)
def test_translation(kind: str, text: str, expected: type[CodedError]) -> None:
    error = translate_error(raised(kind, text), "linking 3 packages")
    assert type(error) is expected
    assert error.hint or error.is_logged  # then its build says where the log is
    assert error.message


def test_the_url_of_the_channel_is_named_without_its_brackets() -> None:
    text = "error sending request for url (http://h/a/noarch/repodata.json): connection refused"
    error = translate_error(raised("GatewayError", text), "solving")
    assert error.message.startswith("http://h/a/noarch/repodata.json can't be read while solving: ")


def test_secrets_in_rattlers_texts_are_taken_out() -> None:
    text = "error sending request for url (https://me:secret@host/t/tok-secret/a/noarch/repodata.json)"
    error = translate_error(raised("GatewayError", text), "solving")
    assert "secret" not in error.message + str(error.fields)
    assert "host" in error.message


def test_only_exceptions_are_translated() -> None:
    with pytest.raises(KeyboardInterrupt), translate_errors("solving"):
        raise KeyboardInterrupt
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(BuildError, match="solving"), translate_errors("solving"):
        raise panic("index out of bounds")


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        (
            "wants-cuda 1.0 would require\n   └─ __cuda >=12, for which no candidates were found",
            "cuda =",
        ),
        ("dated 1.0 is excluded because the package is uploaded after the cutoff date of 2020", "--as-of"),
        ("a and b conflict", "Loosen"),
    ],
)
def test_a_failed_solve_says_what_to_do(reason: str, hint: str) -> None:
    error = translate_error(raised("SolverError", f"Cannot solve the request because of: {reason}"), "solving")
    assert hint in error.hint
    assert "Cannot solve the request" not in error.message
