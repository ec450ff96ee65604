"""Hot path of ``roost exec`` of an environment that is ready: one request and one exec.

HTTP is written by hand over the C module below ``socket``, and JSON is read by the C module below ``json``: importing
their Python halves costs more than all the rest. Whatever is out of the ordinary is left to the command line.
"""

from __future__ import annotations

import os
import sys

from roost.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing itself costs as much as the request does
    from _socket import socket
    from collections.abc import Callable, Sequence
    from typing import Any

    from roost.client.launch.begun import BegunBuild

SILENCE_SECONDS = 3.0
"""The same as in ``transport.http``, which is not imported here."""
PROTOCOL = 1
"""The same as in ``roost.wire``, which is not imported here; a test compares them."""


def attempt_exec(arguments: Sequence[str]) -> BegunBuild | None:
    """Become the command that ``arguments`` (those after ``exec``) name.

    Return if the command line must do it, with the build that it has to wait for if that is known.
    """
    request = _parse_exec(arguments)
    if request is None:
        return None
    try:
        selector = _write_selector(*request)
    except FileNotFoundError:  # the working folder no longer exists; the command line reports it
        return None
    connection = send("POST", "/v1/exec", f'{{"what":{selector}}}')
    from roost.client.launch import activate  # noqa: F401  # while the daemon works

    reply = read_reply(connection)
    if reply is None:
        return None
    launch = reply.body.get("launch")
    if launch:
        if warnings := reply.body.get("warnings"):
            from roost.client.terminal.console import Console

            Console().note_warnings(warnings)
        _become_command(launch, request[2])
        return None
    from roost.client.launch.begun import begin_build

    return begin_build(send, reply.header("roost-version"), reply.body, selector, "local")


def _become_command(launch: dict[str, Any], command: Sequence[str]) -> None:
    """Replace this process, or exit with a shell's status. Return if the prefix was removed meanwhile."""
    from roost.client.launch import activate

    try:
        activate.hold_lease(launch["lease"])
        environ = activate.activated_environment(launch, os.environ)
        program = activate.resolve_command(command, launch["python"], environ)
        if program[0] != launch["python"]:
            sys.stderr.write(activate.foreign_program_note(command[0], program[0], launch["prefix"]))
            sys.stderr.flush()
        activate.replace_process(program, environ)
    except activate.LeaseGoneError:
        return
    except activate.CommandError as error:
        sys.stderr.write(error.format())
        sys.exit(error.status)


def _parse_exec(arguments: Sequence[str]) -> tuple[str, str, Sequence[str]] | None:
    """Parse ``[-f P | -e N | -n N] [--] COMMAND…`` as (field of the selector, value, command); else ``None``."""
    field, value, rest = "", "", arguments
    if len(rest) > 1 and rest[0] in ("-f", "-e", "-n"):
        field, value, rest = "file" if rest[0] == "-f" else "environment", rest[1], rest[2:]
    if rest and rest[0] == "--":
        rest = rest[1:]
    elif rest and rest[0].startswith("-"):
        return None
    return (field, value, rest) if rest and rest[0] else None


def _write_selector(field: str, value: str, command: Sequence[str]) -> str:
    """Return the ``wire.EnvironmentSelector`` as JSON. Raises: FileNotFoundError if there is no working folder."""
    from _json import encode_basestring_ascii as quote

    selector = f'"cwd":{quote(os.getcwd())},"command":[{",".join(map(quote, command))}]'
    if field:
        selector += f',"{field}":{quote(value)}'
    return "{" + selector + "}"


def send(method: str, target: str, body: str, *, more_headers: str = "", report_to: str = "") -> socket | None:
    """Send a request with JSON in ASCII, and return the connection that the answer comes over; ``None`` if the daemon
    is away.

    The caller's variables are left out, unless they are in ``more_headers``: what is ready needs none of them.
    ``report_to``: the socket of a daemon that need not get it. While too many wait to connect to it, it is as if away;
    other requests wait for their turn.
    """
    import _socket

    head = (
        f"{method} {target} HTTP/1.1\r\nHost: roost\r\nRoost-Protocol: {PROTOCOL}\r\nConnection: close\r\n"
        f"{more_headers}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = _socket.socket(1, 1)  # AF_UNIX, SOCK_STREAM: the same numbers on Linux and macOS
    try:
        if report_to:
            connection.settimeout(SILENCE_SECONDS)
        connection.connect(report_to or paths.socket_path())
        connection.settimeout(SILENCE_SECONDS)
        if paths.foreign_owner(connection) is None:  # else the command line says so
            connection.sendall((head + body).encode())
            return connection
    except OSError:
        pass
    connection.close()
    return None


class HotReply:
    """A JSON object that answers a request: what was requested (status 200), or that it has to be built (202)."""

    def __init__(self, head: bytes, body: dict[str, Any]) -> None:
        self._head = head
        self.body = body

    def header(self, name: str) -> str:
        """Return the value of the header ``name``, both in lower case; empty if there is none."""
        return _find_header(self._head, name)


def read_reply(connection: socket | None) -> HotReply | None:
    """Return the JSON object that answers what was sent; ``None`` if there is no connection, or no such answer with
    status 200 or 202."""
    if connection is None:
        return None
    try:
        reply = _read_parts(connection)
    except OSError:
        return None
    finally:
        connection.close()
    from _json import make_scanner

    body = decode_object(make_scanner, reply[1]) if reply else None
    return HotReply(reply[0], body) if reply and body is not None else None


def _read_parts(connection: socket) -> tuple[bytes, bytes] | None:
    """Return head and body of a 200 or 202 that states its length and is complete, else ``None``."""
    data = b""
    while chunk := _receive(connection):
        data += chunk
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator or not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 202 ")):
        return None
    return (head, body) if _find_header(head, "content-length") == str(len(body)) else None


def _find_header(head: bytes, name: str) -> str:
    """Return the value of a header, in lower case; empty if there is none."""
    return head.lower().partition(f"\r\n{name}:".encode())[2].partition(b"\r\n")[0].strip().decode("latin-1")


def _receive(connection: socket) -> bytes:
    """Return what arrives. If nothing does for a while, report a daemon that does not answer, and wait on."""
    try:
        return connection.recv(65536)
    except TimeoutError:
        from roost.client.terminal.console import Console
        from roost.client.transport.patience import Patience

        report_silence = Patience(paths.socket_path(), Console().note)
    while True:
        report_silence()
        try:
            return connection.recv(65536)
        except TimeoutError:
            pass


class _ScannerContext:
    """The attributes that the C scanner reads from its context, as ``json.JSONDecoder`` has them."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int

    def __init__(self) -> None:
        self.memo: dict[str, str] = {}


def decode_object(
    make_scanner: Callable[[Any], Callable[[str, int], tuple[Any, int]]], reply: bytes
) -> dict[str, Any] | None:
    """Decode a JSON object by the C module alone; ``None`` for any other value."""
    value, _ = make_scanner(_ScannerContext())(reply.decode(), 0)
    return value if isinstance(value, dict) else None
