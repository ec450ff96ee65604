"""The body of a request: bounded in memory, whatever the request says about its size and its encoding.

aiohttp passes on the bytes as they are sent (``connections``). They are decoded here, so that no more than the bound is
ever decoded of a body that grows beyond it.
"""

from __future__ import annotations

import zlib

from aiohttp import web

from roost.model.errors import InvalidRequestError

BODY_LIMIT = 64 * 2**20
"""Largest request in bytes, decoded. A request carries the text of a definition or a client's variables, never a
file."""

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""``wbits`` of zlib for each content coding (RFC 9110, 8.4.1): gzip's format (RFC 1952), and zlib's (RFC 1950)."""


class BodyTooLargeError(InvalidRequestError):
    """The body of a request is larger than the bound, as it is sent or decoded."""

    code = "request-too-large"
    http_status = 413


class BodyEncodingError(InvalidRequestError):
    """The body of a request is encoded in a way that roost does not decode."""

    code = "request-encoding"
    http_status = 415


class BodyMalformedError(InvalidRequestError):
    """The body of a request is not encoded or sent as its headers say."""

    code = "request-invalid"


async def read_bounded(request: web.Request, limit: int = BODY_LIMIT) -> bytes:
    """Return the body of ``request``, decoded.

    Raises:
        BodyTooLargeError: if it has more than ``limit`` bytes; no more of it than that is kept or decoded.
        BodyEncodingError: if its coding is none of gzip and deflate.
        BodyMalformedError: if it is not in its coding, or its chunks are not valid.
    """
    decoder = _create_decoder(request, limit)
    if (request.content_length or 0) > limit:
        raise _too_large_error(limit)
    body, sent = bytearray(), 0
    try:
        async for chunk in request.content.iter_any():
            sent += len(chunk)
            body += chunk if decoder is None else decoder.decode(chunk, limit - len(body))
            if sent > limit or len(body) > limit:
                raise _too_large_error(limit)
    except web.RequestPayloadError as error:
        raise BodyMalformedError(
            "The body of the request is not sent as HTTP/1.1 prescribes", hint="Send its Content-Length, or chunks."
        ) from error
    if decoder is not None and sent:
        decoder.require_end()
    return bytes(body)


def _create_decoder(request: web.Request, limit: int) -> _Decoder | None:
    """Return what decodes the body of ``request``; ``None`` if it is not encoded."""
    header = ",".join(request.headers.getall("Content-Encoding", ()))
    codings = [each for part in header.split(",") if (each := part.strip().lower()) not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in _WINDOW_BITS:
        raise BodyEncodingError(
            "The body of the request has a Content-Encoding that roost does not decode",
            hint="Send it as it is, or in gzip or deflate.",
        )
    return _Decoder(codings[0])


class _Decoder:
    """Decodes one stream of zlib, no further than requested."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream = zlib.decompressobj(_WINDOW_BITS[coding])

    def decode(self, chunk: bytes, room: int) -> bytes:
        """Return what ``chunk`` decodes to, or the first ``room + 1`` bytes of it."""
        try:
            decoded = self._stream.decompress(chunk, room + 1)
        except zlib.error as error:
            raise self._malformed_error("it is no such stream") from error
        if self._stream.unused_data:
            raise self._malformed_error("bytes follow its end")
        return decoded

    def require_end(self) -> None:
        """Raise BodyMalformedError if the stream is not complete."""
        if not self._stream.eof:
            raise self._malformed_error("it ends too early")

    def _malformed_error(self, fault: str) -> BodyMalformedError:
        return BodyMalformedError(
            f"The body of the request is not valid {self._coding}, as its Content-Encoding says: {fault}",
            hint="Leave out the header if the body is not encoded.",
        )


def _too_large_error(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"The body of the request is larger than {limit:,} bytes",
        hint="Send a path instead of the content of a file.",
        fields={"bound": limit},
    )
