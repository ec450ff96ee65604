"""Translation of aiohttp's errors, and of HTTP statuses, to the errors of registries."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import aiohttp
import msgspec

from roost.daemon.caller.network import describe_failure
from roost.daemon.engines.registry.errors import (
    BlobMissingError,
    NotRegistryError,
    RegistryBrokenError,
    RegistryBusyError,
    RegistryDeniedError,
    RegistryError,
    RegistryTimeoutError,
    RegistryTlsError,
    RepositoryMissingError,
)
from roost.model.errors import MALFORMED_JSON

_ERROR_BODY_LIMIT = 64 * 1024
_BLOB_ERROR_CODES = frozenset({"BLOB_UNKNOWN", "BLOB_UPLOAD_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"})


@contextmanager
def translate_errors(host: str) -> Iterator[None]:
    """Translate aiohttp's errors in the block to errors about ``host``.

    Other ``OSError`` pass: the disk that a body is written to may be full.
    """
    try:
        yield
    except asyncio.TimeoutError as error:
        raise RegistryTimeoutError(
            f"Registry {host} did not respond in time", hint="Try again; see `roost registry test`."
        ) from error
    except (aiohttp.ClientSSLError, ssl.SSLError) as error:
        raise RegistryTlsError(
            f"Registry {host} has no trusted certificate: {describe_failure(error)}",
            hint="Fix its certificate, or set SSL_CERT_FILE; `insecure` in [registries] is for plain http.",
        ) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise RegistryError(
            f"Registry {host} can't be reached: {describe_failure(error)}",
            hint="Check the name and the network; see `roost registry test`.",
        ) from error


class _ErrorEntry(msgspec.Struct):
    code: str = ""
    message: str | None = None


class _ErrorBody(msgspec.Struct):
    errors: list[_ErrorEntry]


async def read_error_codes(response: aiohttp.ClientResponse) -> list[str] | None:
    """Return the codes in an error body of the distribution specification; ``None`` if the body is not one."""
    try:
        data = await response.content.read(_ERROR_BODY_LIMIT)
        return [entry.code for entry in msgspec.json.decode(data, type=_ErrorBody).errors]
    except MALFORMED_JSON:
        return None


async def raise_for_write_status(host: str, repository: str, response: aiohttp.ClientResponse, doing: str) -> NoReturn:
    """Raise the error for an unexpected response to a write into ``repository``.

    404 means that the repository does not exist, unless the error codes are about a blob.
    """
    if response.status == 404 and _BLOB_ERROR_CODES.isdisjoint(await read_error_codes(response) or ()):
        raise RepositoryMissingError(
            f"Registry {host} has no repository {repository}, or does not allow writing to it (HTTP 404), while "
            f"{doing}",
            hint="In some registries it (ECR) or its project (Harbor) must be created first; or fix the prefix in "
            "`workspace` under [registries] in roost's config.",
            fields={"repository": repository},
        )
    raise_for_status(host, response.status, doing)


def raise_for_status(host: str, status: int, doing: str) -> NoReturn:
    """Raise the error for an unexpected status while ``doing``."""
    if status in (401, 403):
        raise RegistryDeniedError(
            f"Registry {host} denies access (HTTP {status}) while {doing}", hint=f"Run `docker login {host}`."
        )
    if status == 429:
        raise RegistryBusyError(f"Registry {host} limits requests (HTTP 429) while {doing}", hint="Try again later.")
    if status >= 500:
        raise RegistryBrokenError(f"Registry {host} failed (HTTP {status}) while {doing}", hint="Try again later.")
    if status == 404:
        raise BlobMissingError(f"Registry {host} found nothing (HTTP 404) while {doing}")
    raise NotRegistryError(f"Registry {host} answers HTTP {status} while {doing}, which is unexpected")
