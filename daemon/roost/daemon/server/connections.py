"""One HTTP connection: aiohttp's, with roost's error bodies for what is refused before there is a request.

Separate from ``app``: no middleware sees a request that is not valid HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from roost.daemon.server.app import error_response, internal_error_response
from roost.model.errors import CodedError, InvalidRequestError

log = logging.getLogger(__name__)
HEADER_BYTES = 2**20
"""Longest header of a request: one has the caller's PATH."""


class RequestMalformedError(InvalidRequestError):
    """The bytes of a request are not HTTP/1.1, or its first line or a header is too long."""

    code = "request-malformed"


class Connection(RequestHandler):
    """One connection of a client."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the error body for what the middlewares did not see, and close the connection after it.

        Nothing of the request is repeated: a header may contain a secret.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("The response has begun")
        response = _describe_failure(status, exc)
        response.force_close()
        return response


def _describe_failure(status: int, error: BaseException | None) -> web.Response:
    if isinstance(error, CodedError):
        return error_response(error)
    if status >= 500 or not isinstance(error, HttpProcessingError):
        log.error("A request failed outside of its handler", exc_info=error)
        return internal_error_response()
    log.warning("Refused a request that is not valid HTTP: %s", type(error).__name__)
    return error_response(
        RequestMalformedError(
            f"The request is not valid HTTP/1.1, or too long ({type(error).__name__})",
            hint="The first line may have 8,190 bytes, and each header 1 MiB.",
        )
    )


def create_connections(server: web.Server) -> Callable[[], Connection]:
    """Return a function that returns a new connection of ``server``.

    Bodies arrive as they are sent: ``bodies`` decodes them.
    """
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {"access_log": None, "max_field_size": HEADER_BYTES, "auto_decompress": False}
    return lambda: Connection(server, loop=loop, **options)
