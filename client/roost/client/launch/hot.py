"""The hot path: ``roost exec`` of an environment that is ready, in one request and one exec.

It speaks HTTP by hand over the C module below ``socket`` and JSON by the one below ``json``: importing their Python
halves costs more than all the rest. Whatever is out of the ordinary goes the long way instead, from the start.
"""

from __future__ import annotations

import os
import sys

from roost.client import paths
from roost.client.launch import activate

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing itself costs as much as the request does
    from _socket import socket
    from collections.abc import Callable, Sequence
    from typing import Any

PROTOCOL = 1
"""As in ``wire``, which is not imported here; a test compares them."""


def attempt(arguments: Sequence[str]) -> None:
    """Become the command. Returns where the long way must be taken."""
    asked = _parse(arguments)
    try:
        answer = _ask(asked) if asked else None
    except FileNotFoundError:  # the working folder is gone: that is said on the long way
        return
    launch = answer.get("launch") if answer else None
    if asked and launch:
        _start(launch, asked[2])


def _start(launch: dict[str, Any], command: Sequence[str]) -> None:
    try:
        activate.hold(launch["lease"])
        environ = activate.environment(launch, os.environ)
        activate.replace(activate.resolve(command, launch["python"], environ), environ)
    except activate.LeaseGoneError:
        return
    except activate.CommandError as error:
        sys.stderr.write(f"roost: {error}\n  {error.hint}\n")
        sys.exit(error.status)


def _parse(arguments: Sequence[str]) -> tuple[str, str, Sequence[str]] | None:
    """``[-f P | -e N | -n N] [--] COMMAND…`` as (field, value, command); ``None`` for anything more."""
    field, value, rest = "", "", arguments
    if len(rest) > 1 and rest[0] in ("-f", "-e", "-n"):
        field, value, rest = "file" if rest[0] == "-f" else "environment", rest[1], rest[2:]
    if rest and rest[0] == "--":
        rest = rest[1:]
    elif rest and rest[0].startswith("-"):
        return None
    return (field, value, rest) if rest and rest[0] else None


def _ask(asked: tuple[str, str, Sequence[str]]) -> dict[str, Any] | None:
    import _json
    import _socket

    quote = _json.encode_basestring_ascii
    field, value, command = asked
    what = f'"cwd":{quote(os.getcwd())},"command":[{",".join(map(quote, command))}]'
    if field:
        what += f',"{field}":{quote(value)}'
    reply = exchange(_socket.socket, "/v1/exec", ('{"what":{' + what + "}}").encode())
    return decode(_json.make_scanner, reply) if reply else None


def exchange(make_socket: Callable[[int, int], socket], target: str, body: bytes) -> bytes | None:
    """POST; the body that answers with 200, ``None`` for anything else."""
    head = (
        f"POST {target} HTTP/1.1\r\nHost: roost\r\nRoost-Protocol: {PROTOCOL}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = make_socket(1, 1)  # AF_UNIX, SOCK_STREAM: the same numbers on Linux and macOS
    try:
        connection.connect(paths.socket_path())
        connection.sendall(head.encode() + body)
        return _read(connection)
    except OSError:
        return None
    finally:
        connection.close()


def _read(connection: socket) -> bytes | None:
    """The body of a 200 whose length was told and has come in full."""
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    head, found, body = data.partition(b"\r\n\r\n")
    if not found or not head.startswith(b"HTTP/1.1 200 "):
        return None
    length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0].strip()
    return body if length == str(len(body)).encode() else None


class _Scanner:
    """What the C scanner asks of its context; ``json.JSONDecoder`` has the same."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int

    def __init__(self) -> None:
        self.memo: dict[str, str] = {}


def decode(make_scanner: Callable[[Any], Callable[[str, int], tuple[Any, int]]], reply: bytes) -> dict[str, Any] | None:
    """JSON, by the C module alone."""
    value, _ = make_scanner(_Scanner())(reply.decode(), 0)
    return value if isinstance(value, dict) else None
