"""HTTP/1.1 as far as the daemon uses it on its Unix socket: one request per connection (RFC 9112).

The standard library's client would do, but importing it, with TLS and e-mail below it, costs a command more than all
the rest of its start.
"""

from __future__ import annotations

import io
from _socket import AF_UNIX, SOCK_STREAM, socket
from collections.abc import Callable
from typing import BinaryIO

from roost.client.errors import client_error
from roost.client.paths import foreign_owner

_READ_SIZE = 65536
_MAX_LINE = 65536
SILENCE_SECONDS = 3.0
"""How long a connection may be silent before ``on_silence`` is called, and between two calls."""
OnSilence = Callable[[], None]


class ResponseTruncatedError(Exception):
    """The response ended early or is not valid HTTP."""


def connect(path: str) -> socket:
    """Connect to the socket at ``path``.

    Raises: OSError; FileNotFoundError or ConnectionRefusedError if no daemon serves it; ClientError if it is another
    user's.
    """
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(path)
        _require_own_daemon(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _require_own_daemon(connection: socket, path: str) -> None:
    owner = foreign_owner(connection)
    if owner is not None:
        raise client_error(
            "daemon-foreign",
            f"The daemon at {path} belongs to uid {owner}: what it answers would be run as you",
            "Run the command as that user, or with a HOME or ROOST_HOME of your own (`sudo -H`).",
            5,
        )


def send(
    connection: socket,
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes | None,
    on_silence: OnSilence | None = None,
    silence_seconds: float = SILENCE_SECONDS,
) -> Response:
    """Send one request and return its response, which takes over the connection.

    ``on_silence`` is called whenever nothing has arrived for ``silence_seconds``, here and while the response is read.
    The wait goes on if it returns, and ends if it raises.
    Raises: OSError, ResponseTruncatedError, and whatever ``on_silence`` raises.
    """
    length = {} if body is None and method == "GET" else {"Content-Length": str(len(body or b""))}
    sent = {"Host": "roost", "Connection": "close", **headers, **length}
    lines = [f"{method} {_encode_target(target)} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii") + (body or b""))
    return receive(connection, on_silence, silence_seconds)


def receive(
    connection: socket, on_silence: OnSilence | None = None, silence_seconds: float = SILENCE_SECONDS
) -> Response:
    """Return the response to the request that was sent over ``connection``, which it takes over. Otherwise like
    ``send``."""
    if on_silence is None:
        return Response(open(connection.detach(), "rb"))
    patient = socket(fileno=connection.detach())
    patient.settimeout(silence_seconds)
    return Response(io.BufferedReader(_PatientStream(patient, on_silence)))


class _PatientStream(io.RawIOBase):
    """The bytes of a connection with a time-out, after which ``on_silence`` is called and the read goes on."""

    def __init__(self, connection: socket, on_silence: OnSilence) -> None:
        self._connection = connection
        self._on_silence = on_silence

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        while True:
            try:
                return self._connection.recv_into(buffer)  # type: ignore[arg-type]
            except TimeoutError:
                self._on_silence()

    def close(self) -> None:
        self._connection.close()
        super().close()


class Response:
    """Status, headers (names in lower case) and body of a response. Every read may raise OSError and
    ResponseTruncatedError."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._pending = b""
        """Bytes that were read and not returned yet."""
        self._is_complete = False
        try:
            self.status = _parse_status(self._read_line())
            self.headers = self._read_headers()
        except BaseException:
            stream.close()
            raise
        self._is_chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        length = self.headers.get("content-length")
        self._left = 0 if self._is_chunked else None if length is None else int(length)
        """Bytes left of the body, or of the chunk; ``None`` if the end of the connection ends the body."""

    def read(self) -> bytes:
        """Return the rest of the body."""
        pieces = []
        while piece := self.read1():
            pieces.append(piece)
        return b"".join(pieces)

    def read1(self) -> bytes:
        """Return the bytes that have arrived, waiting for some. Empty at the end."""
        piece, self._pending = self._pending, b""
        return piece or self._read_piece()

    def readline(self) -> bytes:
        """Return a line with its line end, which the last one may lack. Empty at the end."""
        gathered: list[bytes] = []
        while piece := self.read1():
            line, mark, rest = piece.partition(b"\n")
            gathered += [line, mark]
            if mark:
                self._pending = rest
                break
        return b"".join(gathered)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def _read_piece(self) -> bytes:
        if self._is_complete:
            return b""
        if self._is_chunked and self._left == 0:
            self._left = self._read_chunk_size()
        if self._left == 0:
            self._is_complete = True
            if self._is_chunked:
                self._read_headers()  # the trailer
            return b""
        left = self._left
        piece = self._stream.read1(_READ_SIZE if left is None else min(_READ_SIZE, left))  # type: ignore[attr-defined]
        if not piece and left is not None:
            raise ResponseTruncatedError("its answer was cut off")
        self._is_complete = not piece
        if left is not None:
            self._left = left - len(piece)
            if self._is_chunked and self._left == 0 and self._read_line():
                raise ResponseTruncatedError("a chunk of its answer does not end where it should")
        return bytes(piece)

    def _read_chunk_size(self) -> int:
        text = self._read_line().partition(b";")[0].strip()
        try:
            return int(text, 16)
        except ValueError:
            raise ResponseTruncatedError(f"a chunk of its answer has the size {text[:20]!r}") from None

    def _read_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        while line := self._read_line():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    def _read_line(self) -> bytes:
        line = self._stream.readline(_MAX_LINE)
        if not line.endswith(b"\n"):
            raise ResponseTruncatedError("its answer was cut off")
        return line.rstrip(b"\r\n")


def _encode_target(target: str) -> str:
    """Percent-encode the characters that a request line can't contain."""
    return "".join(c if "!" <= c <= "~" else "".join(f"%{byte:02X}" for byte in c.encode()) for c in target)


def _parse_status(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or not code.isdigit():
        raise ResponseTruncatedError(f"its answer begins with {line[:40]!r}")
    return int(code)
