"""The client's end of a run in a container: standard streams, signals and the terminal over one connection.

The daemon starts the container when this attaches. Each frame, in both directions, is one byte of kind, three zeros,
four bytes of length (big-endian), and data; ``wire.Frame`` lists the kinds, and a test compares them with those here.
Part of the hot path: nothing is imported that takes long to load.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable, Iterator
    from typing import Any

PROTOCOL = 1
STDIN, STDOUT, STDERR, STDIN_END, RESIZE, SIGNAL, EXIT, ERROR, STDIN_TAKEN = 0, 1, 2, 16, 17, 18, 19, 20, 21
FORWARDED_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
CHUNK = 65536
PIPE_CHUNK = 4096
"""Bytes that a pipe accepts without waiting once it is writable (POSIX, ``PIPE_BUF``, on Linux)."""
INPUT_WINDOW = 4
"""Chunks of input in flight at once. If the command does not read, signals would have to wait behind any more."""


class AttachmentLostError(Exception):
    """The daemon went away; the container may still run."""


class AttachRefusedError(Exception):
    """The daemon refused to attach or to start; ``data`` is an error body as JSON."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


def attach(path: str, run_id: str, *, at_terminal: bool, store: Callable[[bytes], None] | None = None) -> int:
    """Connect this process's standard streams to run ``run_id`` until it ends, and return its exit status.

    ``path``: the daemon's socket. ``store`` gets the output as well. Raises: AttachRefusedError if the command could
    not be started; AttachmentLostError.
    """
    connection, early = _upgrade(path, run_id)
    try:
        with _SignalPipe() as signals, _RawTerminal(at_terminal):
            return _Bridge(connection, signals, early, at_terminal=at_terminal, store=store).run()
    finally:
        connection.close()


def _upgrade(path: str, run_id: str) -> tuple[socket, bytes]:
    """Return the upgraded connection, and the bytes that followed the answer's head."""
    import _socket

    connection = _socket.socket(1, 1)  # AF_UNIX, SOCK_STREAM
    try:
        return connection, _send_upgrade(connection, path, run_id)
    except OSError as error:
        raise AttachmentLostError from error


def _send_upgrade(connection: socket, path: str, run_id: str) -> bytes:
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
        raise _read_refusal(connection, rest)
    return rest


def _read_refusal(connection: socket, data: bytes) -> AttachRefusedError:
    connection.settimeout(2.0)
    try:
        while chunk := connection.recv(CHUNK):
            data += chunk
    except OSError:  # the server may keep the connection open behind its answer
        pass
    return AttachRefusedError(data)


class _SignalPipe:
    """Writes signals to a pipe instead of acting on them. A signal that was ignored stays ignored.

    SIGTTIN, by which a terminal stops a process that reads in its background, is ignored meanwhile: the read fails
    then, which counts as the end of the input.
    """

    def __init__(self) -> None:
        import _signal  # type: ignore[import-not-found]  # the C module: `signal` costs its enums

        self._signal = _signal
        self.reader, self._writer = os.pipe()
        self._former_handlers: dict[int, Any] = {}

    def __enter__(self) -> _SignalPipe:
        for descriptor in (self.reader, self._writer):
            os.set_blocking(descriptor, False)
        self._former_wakeup = self._signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for name in (*FORWARDED_SIGNALS, "SIGWINCH"):
            number = getattr(self._signal, name)
            if self._signal.getsignal(number) is not self._signal.SIG_IGN:
                self._former_handlers[number] = self._signal.signal(number, lambda number, frame: None)
        number = self._signal.SIGTTIN
        self._former_handlers[number] = self._signal.signal(number, self._signal.SIG_IGN)
        return self

    def __exit__(self, *ignored: object) -> None:
        for number, handler in self._former_handlers.items():
            self._signal.signal(number, handler if handler is not None else self._signal.SIG_DFL)
        self._signal.set_wakeup_fd(self._former_wakeup)
        os.close(self.reader)
        os.close(self._writer)

    def read_names(self) -> Iterator[str]:
        """Yield the names of the signals that arrived."""
        names = {getattr(self._signal, name): name for name in (*FORWARDED_SIGNALS, "SIGWINCH")}
        try:
            data = os.read(self.reader, CHUNK)
        except BlockingIOError:
            return
        yield from (names[number] for number in data if number in names)


class _RawTerminal:
    """Puts the terminal in raw mode if ``enabled``: the container's own terminal handles lines, echo and keys."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._former_attributes: list[Any] | None = None

    def __enter__(self) -> None:
        if self._enabled:
            import termios
            import tty

            self._former_attributes = termios.tcgetattr(0)
            tty.setraw(0)

    def __exit__(self, *ignored: object) -> None:
        if self._former_attributes is not None:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._former_attributes)


class _Bridge:
    """Passes bytes between this process's streams and the daemon without blocking on either side alone."""

    def __init__(
        self,
        connection: socket,
        signals: _SignalPipe,
        early: bytes,
        *,
        at_terminal: bool,
        store: Callable[[bytes], None] | None,
    ) -> None:
        import select

        self._store = store

        self._select = select
        self._connection = connection
        self._signals = signals
        self._at_terminal = at_terminal
        self._received = early
        self._pending = b""
        self._status: int | None = None
        self._input_open = True
        self._input_in_flight = 0
        """Chunks of input that the engine has not accepted yet."""

    def run(self) -> int:
        """Pass bytes until the command ends, and return its exit status."""
        self._connection.setblocking(False)
        self._handle_frames()
        while self._status is None:
            for descriptor, events in self._wait_ready():
                if descriptor == self._signals.reader:
                    self._forward_signals()
                elif descriptor == 0:
                    self._read_input()
                else:
                    self._exchange(events)
        return self._status

    def _wait_ready(self) -> list[tuple[int, int]]:
        """Wait and return the ready descriptors with their events.

        Input is polled only while little of it is in flight: a command that does not read delays input and nothing
        else.
        """
        select = self._select
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN | (select.POLLOUT if self._pending else 0))
        poll.register(self._signals.reader, select.POLLIN)
        if self._input_open and self._input_in_flight < INPUT_WINDOW:
            poll.register(0, select.POLLIN)
        ready: list[tuple[int, int]] = poll.poll()
        return ready

    def _read_input(self) -> None:
        try:
            data = os.read(0, CHUNK)
        except BlockingIOError:
            return
        except OSError:  # no standard input, or a terminal that this process may not read
            data = b""
        self._input_open = bool(data)
        self._input_in_flight += 1
        self._queue(STDIN if data else STDIN_END, data)

    def _forward_signals(self) -> None:
        for name in self._signals.read_names():
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
        except OSError:  # the daemon went away; what it sent before is still to be read
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
        self._handle_frames()

    def _handle_frames(self) -> None:
        while len(self._received) >= 8:
            end = 8 + int.from_bytes(self._received[4:8], "big")
            if len(self._received) < end:
                return
            kind, data = self._received[0], self._received[8:end]
            self._received = self._received[end:]
            self._handle_frame(kind, data)

    def _handle_frame(self, kind: int, data: bytes) -> None:
        if kind in (STDOUT, STDERR):
            if self._store is not None:
                self._store(data)
            self._write_output(kind, data)
        elif kind == STDIN_TAKEN:
            self._input_in_flight -= 1
        elif kind == EXIT:
            self._status = int(data)
        elif kind == ERROR:
            raise AttachRefusedError(data)

    def _write_output(self, descriptor: int, data: bytes) -> None:
        """Write all of ``data``, past Python's buffers, which are empty. Forward signals while the reader is slow."""
        select = self._select
        while data:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.register(self._signals.reader, select.POLLIN)
            if self._pending:
                poll.register(self._connection.fileno(), select.POLLOUT)
            for ready, _ in poll.poll():
                if ready == self._signals.reader:
                    self._forward_signals()
                elif ready == descriptor:
                    data = data[_write_some(descriptor, data[:PIPE_CHUNK]) :]
                else:
                    self._send()


def _write_some(descriptor: int, data: bytes) -> int:
    """Write and return the number of bytes written."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:  # the output was made non-blocking by another process and has less room
        return 0
