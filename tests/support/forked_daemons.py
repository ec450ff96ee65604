"""Daemons for tests, as forks of a process that has imported the daemon already.

The imports are nine tenths of a daemon's start, and hundreds of tests need a daemon of their own whose start is not
their subject. A fork knows certificates and roost's own Python already, as a daemon does after its first build, and
runs `roostd --start` from its first statement on, with the variables, session, working folder and output that a
client's daemon has. A test whose subject is the start itself lets the client start its daemon (the marker
``starts_daemon``), and so does each test after the daemon of a root ended in another way than by ``roost daemon
stop``. A forked daemon watches only what ``roost watch add`` names.

This file is also the program of that process: isolated, as daemons are, and so without the package ``tests``.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

SECONDS = 60
_LOCK = threading.Lock()
_server: subprocess.Popen[str] | None = None
_workers: subprocess.Popen[bytes] | None = None


def fork_daemon(root: Path, environ: dict[str, str]) -> None:
    """Have a daemon serve ``root``, as if a client with these variables had started it; return when it listens or has
    ended."""
    with _LOCK:
        pid = _request({"environ": environ, "log": str(root / "logs" / "daemon.log"), "workers": start_workers()})
    deadline = time.monotonic() + SECONDS
    while not _is_listening(root / "roost.sock") and _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.005)


def _request(order: dict[str, object]) -> int:
    global _server
    if _server is None:
        from roost.wire.installation import OPTIONS

        _server = subprocess.Popen(
            [sys.executable, *OPTIONS, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(_end)
    assert _server.stdin is not None
    assert _server.stdout is not None
    _server.stdin.write(json.dumps(order) + "\n")
    _server.stdin.flush()
    return int(_server.stdout.readline())


def start_workers() -> str:
    """Start what forks workers (see ``tests.support.forked_workers``), once; return its address."""
    global _workers
    address = f"\0roost-tests-{os.getpid()}"
    if _workers is None:
        from roost.wire.installation import OPTIONS

        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(address)
            listener.listen(100)
            program = os.path.join(os.path.dirname(__file__), "forked_workers.py")
            _workers = subprocess.Popen([sys.executable, *OPTIONS, program], stdin=listener.fileno())
        atexit.register(_end_workers)
    return address


def _end() -> None:
    assert _server is not None
    _server.communicate()


def _end_workers() -> None:
    assert _workers is not None
    _workers.kill()
    _workers.wait()


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Fork a daemon for each line of JSON, and answer with its process."""
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
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # daemons that ended are reaped at once, as by a good init
    while line := _read_line():
        pid = os.fork()
        if not pid:
            _become_daemon(**json.loads(line))
        os.write(1, b"%d\n" % pid)


def _read_line() -> bytes:
    """A line without what is behind it: a fork shares no buffer with the next."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def _become_daemon(environ: dict[str, str], log: str, workers: str) -> NoReturn:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.chdir("/")
        os.makedirs(os.path.dirname(log), mode=0o700, exist_ok=True)
        nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.close(nothing)
        os.close(output)
        os.environ.clear()
        os.environ.update(environ)
        time.tzset()
        sys.argv = ["roostd", "--start"]
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
