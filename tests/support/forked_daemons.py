"""Daemons for tests, as forks of a process that has imported the daemon already.

The imports are nine tenths of a daemon's start, and hundreds of tests need a daemon of their own whose start is not
their subject. A fork knows certificates and roost's own Python already, as a daemon does after its first build, and
runs `roostd` from its first statement on, with the words, variables, session, working folder and output that a daemon
of a client has. So a test's first command finds a daemon, and so does each forked command that would start one, after a
crash as well (see ``tests.support.forked_commands``). A test whose subject is the start itself lets the client start
its daemons (the marker ``starts_daemon``). A forked daemon watches only what ``roost watch add`` names.

This file is also the program of that process: isolated, as daemons are, and so without the package ``tests``.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import gc
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

SECONDS = 60
MOST_BYTES = 60_000
_LOCK = threading.Lock()
_servers: dict[str, subprocess.Popen[bytes]] = {}


class ForkedDaemon:
    """What tests and clients use of the ``Popen`` of a daemon."""

    def __init__(self, pid: int, channel: socket.socket, stdout: IO[str] | None = None, stderr: IO[str] | None = None):
        self.pid = pid
        self.returncode: int | None = None
        self.stdout, self.stderr = stdout, stderr
        self._channel = channel

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._channel], [], [], 0)[0]:
            self._read_end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._channel], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(["roostd"], timeout or 0)
            self._read_end()
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read what it says until it ends; for the few lines that a pipe holds."""
        self.wait(timeout)
        said = [stream.read() if stream and not stream.closed else "" for stream in (self.stdout, self.stderr)]
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        return said[0], said[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def leave(self) -> None:
        """Wait for its end no more."""
        self._channel.close()

    def _read_end(self) -> None:
        with self._channel:
            self.returncode = os.waitstatus_to_exitcode(int(self._channel.recv(100) or b"9"))


def request_daemon(
    addresses: Sequence[str], words: Sequence[str], environ: Mapping[str, str], stdout: int, stderr: int
) -> tuple[int, socket.socket]:
    """Have a daemon forked at the addresses that ``start_servers`` gave; its process, and what tells its end."""
    daemons, workers = addresses
    order = json.dumps({"words": list(words), "environ": dict(environ), "workers": workers}).encode()
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.connect(daemons)
    socket.send_fds(channel, [order], [stdout, stderr])
    return int(channel.recv(100)), channel


def use_forked_daemons(addresses: Sequence[str]) -> None:
    """Have this process, a client, fork its daemons."""
    from roost.client.transport import daemon_process

    def spawn(output: IO[bytes]) -> ForkedDaemon:
        environ, target = daemon_process.daemon_environ(), output.fileno()
        return ForkedDaemon(*request_daemon(addresses, ["--start"], environ, target, target))

    daemon_process.spawn = spawn  # type: ignore[assignment]


def fork_daemon(root: Path, environ: dict[str, str]) -> None:
    """Have a daemon serve ``root``, as if a client with these variables had started it; return when it listens or has
    ended."""
    log = root / "logs" / "daemon.log"
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        daemon = ForkedDaemon(*request_daemon(start_servers(), ["--start"], environ, output, output))
    finally:
        os.close(output)
    deadline = time.monotonic() + SECONDS
    while not _is_listening(root / "roost.sock") and daemon.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    daemon.leave()


def spawn_daemon(words: Sequence[str], environ: Mapping[str, str]) -> ForkedDaemon:
    """Fork a daemon whose output and errors are pipes; what ``subprocess.Popen`` gives of one that is started."""
    (stdout, theirs_out), (stderr, theirs_err) = os.pipe(), os.pipe()
    try:
        pid, channel = request_daemon(start_servers(), words, environ, theirs_out, theirs_err)
    finally:
        os.close(theirs_out)
        os.close(theirs_err)
    return ForkedDaemon(pid, channel, os.fdopen(stdout), os.fdopen(stderr))


def start_servers() -> tuple[str, str]:
    """Start what forks daemons and what forks their workers, once; return their addresses."""
    workers = start_workers()
    return _start_server("daemons", os.path.abspath(__file__)), workers


def start_workers() -> str:
    """Start what forks workers (see ``tests.support.forked_workers``), once; return its address."""
    return _start_server("workers", os.path.join(os.path.dirname(__file__), "forked_workers.py"))


def _start_server(kind: str, program: str) -> str:
    address = f"\0roost-tests-{kind}-{os.getpid()}"
    with _LOCK:
        if kind not in _servers:
            from roost.wire.installation import OPTIONS

            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                listener.bind(address)
                listener.listen(100)
                _servers[kind] = subprocess.Popen([sys.executable, *OPTIONS, program], stdin=listener.fileno())
            atexit.register(_end, _servers[kind])
    return address


def _end(server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.wait()


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def main() -> None:
    """Fork a daemon for each connection to the socket on standard input, tell its process, and what it ended with."""
    gc.disable()
    sys.path.append(os.path.dirname(__file__))
    global forked_workers
    import forked_workers

    del sys.path[-1]
    # What a daemon imports when an engine is first used: none of these starts a thread.
    import roost.daemon.engines.conda.engine
    import roost.daemon.engines.docker.engine
    import roost.daemon.engines.registry.engine
    import roost.daemon.engines.uv.engine
    import roost.daemon.main
    import roost.daemon.serve
    import roost.daemon.server.logs  # noqa: F401
    from roost.daemon.caller.current import use_caller
    from roost.daemon.caller.network import create_tls_context
    from roost.daemon.engines.host_python.engine import choose_interpreter

    with use_caller(os.environ):
        create_tls_context()
    choose_interpreter(None)
    gc.freeze()
    listener = socket.socket(fileno=os.dup(0))
    parent = os.getppid()
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while os.getppid() == parent:
        for key, _ in selector.select(60):
            if key.fileobj is not listener:
                pid, channel = key.data
                selector.unregister(key.fd)
                os.close(key.fd)
                status = os.waitpid(pid, 0)[1]
                with channel, contextlib.suppress(OSError):  # nobody waits for most daemons
                    channel.send(b"%d" % status)
                continue
            channel, _ = listener.accept()
            order, descriptors = _receive(channel)
            pid = os.fork()
            if not pid:
                _become_daemon(descriptors, **json.loads(order))
            for descriptor in descriptors:
                os.close(descriptor)
            selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, channel))
            with contextlib.suppress(OSError):
                channel.send(b"%d" % pid)


def _receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """As ``socket.recv_fds``, which lets other processes inherit the descriptors."""
    space = socket.CMSG_SPACE(2 * array.array("i").itemsize)
    order, extra, _, _ = channel.recvmsg(MOST_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for _, _, data in extra:
        descriptors.frombytes(data)
    return order, list(descriptors)


def _become_daemon(streams: Sequence[int], words: list[str], environ: dict[str, str], workers: str) -> NoReturn:
    try:
        os.setsid()
        os.chdir("/")
        for target, source in enumerate((os.open(os.devnull, os.O_RDONLY), *streams)):
            os.dup2(source, target)
        os.closerange(3, 1024)
        os.environ.clear()
        os.environ.update(environ)
        time.tzset()
        sys.argv = ["roostd", *words]
        from roost.daemon.main import main
        from roost.daemon.watch.uses import UseNotes

        # Tests of other subjects change files that a command has used: prebuilding them would race with the test.
        UseNotes.note = lambda *_, **__: None  # type: ignore[method-assign]
        forked_workers.use_forked_workers(workers)

        main()
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
