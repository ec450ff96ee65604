"""The client's end of a run in a container: standard streams, signals and the terminal, over one connection.

The daemon starts the container when this attaches. Frames both ways are one byte of kind, three zeros, four bytes of
length (big-endian), data; ``wire.Frame`` lists the kinds, and a test compares them with those here. Nothing is imported
that takes long to load.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Iterator
    from typing import Any

PROTOCOL = 1
STDIN, STDOUT, STDERR, STDIN_END, RESIZE, SIGNAL, EXIT, ERROR, STDIN_TAKEN = 0, 1, 2, 16, 17, 18, 19, 20, 21
PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
CHUNK = 65536
PIECE = 4096
"""Bytes that a pipe takes without waiting once it is ready (POSIX, ``PIPE_BUF``, on Linux)."""
WINDOW = 4
"""Chunks of input on their way at once. More, of a command that does not read, would keep signals from it."""
_TRIES = 10
"""Half a second apart: so long a daemon may take to be gone."""


class AttachmentLostError(Exception):
    """The daemon went away; the container may still run."""


class Refused(Exception):
    """The daemon says why not; ``data`` is an error body as JSON."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


def terminal() -> dict[str, Any] | None:
    """``wire.Terminal``, where all three standard streams are one, and this process is not in its background."""
    try:
        if not (os.isatty(0) and os.isatty(1) and os.isatty(2)) or _in_background():
            return None
        size = os.get_terminal_size(0)
    except OSError:
        return None
    return {"kind": os.environ.get("TERM", "xterm"), "rows": size.lines, "columns": size.columns}


def _in_background() -> bool:
    try:
        return os.tcgetpgrp(0) != os.getpgrp()
    except OSError:  # not the terminal that controls this process: there is no background to it
        return False


def attach(path: str, run_id: str, *, at_terminal: bool) -> int:
    """Be the standard streams of run ``run_id`` until it ends, and return its exit status.

    Raises ``Refused`` where the command could not be started, ``AttachmentLostError``.
    """
    connection, early = _upgrade(path, run_id)
    try:
        with _Signals() as signals, _Terminal(at_terminal):
            return _Bridge(connection, signals, early, at_terminal=at_terminal).run()
    finally:
        connection.close()


def _upgrade(path: str, run_id: str) -> tuple[socket, bytes]:
    """The connection, and what came on it behind the answer's head."""
    import _socket

    connection = _socket.socket(1, 1)  # AF_UNIX, SOCK_STREAM
    try:
        return connection, _asked(connection, path, run_id)
    except OSError as error:
        raise AttachmentLostError from error


def _asked(connection: socket, path: str, run_id: str) -> bytes:
    connection.connect(path)
    head = f"POST /v1/runs/{run_id}/attach HTTP/1.1\r\nHost: roost\r\nRoost-Protocol: {PROTOCOL}\r\n"
    connection.sendall(f"{head}Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(CHUNK)
        if not chunk:
            raise AttachmentLostError
        data += chunk
    head_bytes, _, rest = data.partition(b"\r\n\r\n")
    if not head_bytes.startswith(b"HTTP/1.1 101"):
        raise _refusal(connection, rest)
    return rest


def _refusal(connection: socket, data: bytes) -> Refused:
    connection.settimeout(2.0)
    try:
        while chunk := connection.recv(CHUNK):
            data += chunk
    except OSError:  # the server may keep the connection open behind its answer
        pass
    return Refused(data)


class _Signals:
    """Notes signals in a pipe instead of acting on them; one that was ignored stays ignored. The one by which a
    terminal stops who reads from its background is ignored: reading fails then, which is the end of the input."""

    def __init__(self) -> None:
        import _signal  # type: ignore[import-not-found]  # the C module: `signal` costs its enums

        self._signal = _signal
        self.reader, self._writer = os.pipe()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        for descriptor in (self.reader, self._writer):
            os.set_blocking(descriptor, False)
        self._wakeup = self._signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for name in (*PASSED_ON, "SIGWINCH"):
            number = getattr(self._signal, name)
            if self._signal.getsignal(number) is not self._signal.SIG_IGN:
                self._before[number] = self._signal.signal(number, lambda number, frame: None)
        number = self._signal.SIGTTIN
        self._before[number] = self._signal.signal(number, self._signal.SIG_IGN)
        return self

    def __exit__(self, *ignored: object) -> None:
        for number, handler in self._before.items():
            self._signal.signal(number, handler if handler is not None else self._signal.SIG_DFL)
        self._signal.set_wakeup_fd(self._wakeup)
        os.close(self.reader)
        os.close(self._writer)

    def taken(self) -> Iterator[str]:
        """The names of those that came."""
        names = {getattr(self._signal, name): name for name in (*PASSED_ON, "SIGWINCH")}
        try:
            data = os.read(self.reader, CHUNK)
        except BlockingIOError:
            return
        yield from (names[number] for number in data if number in names)


class _Terminal:
    """Raw while the command runs: the container has a terminal of its own, which does all that one does."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._before: list[Any] | None = None

    def __enter__(self) -> None:
        if self._wanted:
            import termios
            import tty

            self._before = termios.tcgetattr(0)
            tty.setraw(0)

    def __exit__(self, *ignored: object) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._before)


class _Bridge:
    """Passes bytes between this process's streams and the daemon, never waiting for one side alone."""

    def __init__(self, connection: socket, signals: _Signals, early: bytes, *, at_terminal: bool) -> None:
        import select

        self._select = select
        self._connection = connection
        self._signals = signals
        self._at_terminal = at_terminal
        self._received = early
        self._pending = b""
        self._status: int | None = None
        self._input_open = True
        self._on_the_way = 0
        """Chunks of input that the engine has not taken yet."""

    def run(self) -> int:
        """The command's exit status."""
        self._connection.setblocking(False)
        self._take_frames()
        while self._status is None:
            for descriptor, events in self._ready():
                if descriptor == self._signals.reader:
                    self._tell_signals()
                elif descriptor == 0:
                    self._read_input()
                else:
                    self._exchange(events)
        return self._status

    def _ready(self) -> list[tuple[int, int]]:
        """Input is read only while little of it is on its way: a command that does not read holds it back, and nothing
        else."""
        select = self._select
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN | (select.POLLOUT if self._pending else 0))
        poll.register(self._signals.reader, select.POLLIN)
        if self._input_open and self._on_the_way < WINDOW:
            poll.register(0, select.POLLIN)
        ready: list[tuple[int, int]] = poll.poll()
        return ready

    def _read_input(self) -> None:
        try:
            data = os.read(0, CHUNK)
        except BlockingIOError:
            return
        except OSError:  # no standard input, or a terminal that is not ours to read
            data = b""
        self._input_open = bool(data)
        self._on_the_way += 1
        self._queue(STDIN if data else STDIN_END, data)

    def _tell_signals(self) -> None:
        for name in self._signals.taken():
            if name != "SIGWINCH":
                self._queue(SIGNAL, name.encode())
            elif self._at_terminal:
                size = os.get_terminal_size(0)
                self._queue(RESIZE, f"{size.lines} {size.columns}".encode())

    def _queue(self, kind: int, data: bytes) -> None:
        self._pending += bytes((kind, 0, 0, 0)) + len(data).to_bytes(4, "big") + data

    def _exchange(self, events: int) -> None:
        if events & self._select.POLLOUT:
            self._send()
        if events & ~self._select.POLLOUT:
            self._receive()

    def _send(self) -> None:
        try:
            self._pending = self._pending[self._connection.send(self._pending) :]
        except BlockingIOError:
            return
        except OSError:  # it went; what it said before that is still to be read
            self._pending, self._input_open = b"", False

    def _receive(self) -> None:
        try:
            chunk = self._connection.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            raise AttachmentLostError from error
        if not chunk:
            raise AttachmentLostError
        self._received += chunk
        self._take_frames()

    def _take_frames(self) -> None:
        while len(self._received) >= 8:
            end = 8 + int.from_bytes(self._received[4:8], "big")
            if len(self._received) < end:
                return
            kind, data = self._received[0], self._received[8:end]
            self._received = self._received[end:]
            self._take(kind, data)

    def _take(self, kind: int, data: bytes) -> None:
        if kind in (STDOUT, STDERR):
            self._put(kind, data)
        elif kind == STDIN_TAKEN:
            self._on_the_way -= 1
        elif kind == EXIT:
            self._status = int(data)
        elif kind == ERROR:
            raise Refused(data)

    def _put(self, descriptor: int, data: bytes) -> None:
        """All of it, past Python's buffers, which are empty. Whoever reads it may take their time: signals go on."""
        select = self._select
        while data:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.register(self._signals.reader, select.POLLIN)
            if self._pending:
                poll.register(self._connection.fileno(), select.POLLOUT)
            for ready, _ in poll.poll():
                if ready == self._signals.reader:
                    self._tell_signals()
                elif ready == descriptor:
                    data = data[_written(descriptor, data[:PIECE]) :]
                else:
                    self._send()


def _written(descriptor: int, data: bytes) -> int:
    try:
        return os.write(descriptor, data)
    except BlockingIOError:  # somebody made our output non-blocking, and there is not room for as much
        return 0


def explained(context: Any, run_id: str, error: AttachmentLostError | Refused) -> int | None:  # noqa: ANN401 - as light as that
    """What the command line makes of a failure: the exit status; ``None`` where the image went away since the plan, and
    planning again helps. Raises ``ClientError``."""
    import json

    from roost.client.errors import ClientError

    if isinstance(error, AttachmentLostError):
        return _wait_for_end(context, run_id)
    refusal = ClientError(json.loads(error.data))
    if refusal.code == "image-missing":
        return None
    if refusal.code != "command-not-started":
        raise refusal
    context.report(refusal)
    return int(refusal.body["fields"]["status"])


def _wait_for_end(context: Any, run_id: str) -> int:  # noqa: ANN401 - as above
    """The exit status, once a new daemon knows it. The output meanwhile is lost."""
    import time

    context.note("the daemon went away; waiting for the end of the run, without its output")
    while True:
        run = _asked_again(context, run_id)
        if run["state"] not in ("queued", "preparing", "running"):
            return int(run["exit_status"]) if run["exit_status"] is not None else 125
        time.sleep(0.5)


def _asked_again(context: Any, run_id: str) -> Any:  # noqa: ANN401 - as above
    """The run. A daemon that is being killed may still take a connection, and then resets it."""
    import time

    from roost.client.errors import ClientError

    for left in range(_TRIES, -1, -1):
        try:
            return context.request("GET", f"/v1/runs/{run_id}")
        except ClientError as error:
            if error.code != "daemon-unreachable" or not left:
                raise
        time.sleep(0.5)
    raise AssertionError("the last try returns or raises")
