"""As much of HTTP/1.1 as the daemon speaks over its Unix socket, for one request on one connection (RFC 9112).

The standard library's client would do; importing it, with TLS and e-mail below it, costs a command more than all the
rest of its start.
"""

from __future__ import annotations

from _socket import AF_UNIX, SOCK_STREAM, socket
from typing import BinaryIO

_PIECE = 65536
_LONGEST_LINE = 65536


class BrokenOffError(Exception):
    """The answer ended before its end, or is none."""


def connect(path: str) -> socket:
    """A connection to the socket at ``path``. Raises ``OSError``; ``FileNotFoundError`` and ``ConnectionRefusedError``
    where nobody serves."""
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def send(connection: socket, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Response:
    """One request on a connection of its own, which the response takes over. Raises ``OSError``, BrokenOffError."""
    length = {} if body is None and method == "GET" else {"Content-Length": str(len(body or b""))}
    said = {"Host": "roost", "Connection": "close", **headers, **length}
    lines = [f"{method} {_printable(target)} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items()), "", ""]
    connection.sendall("\r\n".join(lines).encode("ascii") + (body or b""))
    return Response(open(connection.detach(), "rb"))


class Response:
    """The status and headers, and the body as it comes. Any reading may raise ``OSError`` or BrokenOffError."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._pending = b""
        self._over = False
        try:
            self.status = _status(self._line())
            self.headers = self._headers()
        except BaseException:
            stream.close()
            raise
        self._chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        length = self.headers.get("content-length")
        self._left = 0 if self._chunked else None if length is None else int(length)

    def read(self) -> bytes:
        """All that is left of the body."""
        pieces = []
        while piece := self.read1():
            pieces.append(piece)
        return b"".join(pieces)

    def read1(self) -> bytes:
        """What has come; waits for something; empty at the end."""
        piece, self._pending = self._pending, b""
        return piece or self._next()

    def readline(self) -> bytes:
        """A line with its end; the last may lack it; empty at the end."""
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

    def _next(self) -> bytes:
        if self._over:
            return b""
        if self._chunked and self._left == 0:
            self._left = self._chunk_size()
        if self._left == 0:
            self._over = True
            if self._chunked:
                self._headers()  # the trailer
            return b""
        return self._some()

    def _some(self) -> bytes:
        left = self._left
        piece = self._stream.read1(_PIECE if left is None else min(_PIECE, left))  # type: ignore[attr-defined]
        if not piece and left is not None:
            raise BrokenOffError("its answer broke off")
        self._over = not piece
        if left is not None:
            self._left = left - len(piece)
            if self._chunked and self._left == 0 and self._line():
                raise BrokenOffError("a chunk of its answer does not end where it should")
        return bytes(piece)

    def _chunk_size(self) -> int:
        text = self._line().partition(b";")[0].strip()
        try:
            return int(text, 16)
        except ValueError:
            raise BrokenOffError(f"a chunk of its answer has the size {text[:20]!r}") from None

    def _headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            found[name.strip().lower()] = value.strip()
        return found

    def _line(self) -> bytes:
        line = self._stream.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise BrokenOffError("its answer broke off")
        return line.rstrip(b"\r\n")


def _printable(target: str) -> str:
    """What can't stand in a request line, as its bytes in percents."""
    return "".join(c if "!" <= c <= "~" else "".join(f"%{byte:02X}" for byte in c.encode()) for c in target)


def _status(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or not code.isdigit():
        raise BrokenOffError(f"its answer begins with {line[:40]!r}")
    return int(code)
