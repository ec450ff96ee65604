"""`roost` commands for tests, as forks of a process that has imported the client already.

Starting an interpreter and importing is three quarters of what a command costs that only asks the daemon, and the tests
run thousands of these. A fork runs the entry point of ``roost-client`` with the words, variables, working folder and
standard streams of the command. Commands that start another one go through the launcher as always, and so does whatever
a test starts without waiting for its end (``Roost.start``).

This file is also the program of that process: isolated, as the client is, and so without the package ``tests``.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import gc
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import NoReturn

MOST_BYTES = 60_000
"""Commands with more words and variables are not forked: an order is one message."""
_LOCK = threading.Lock()
_server: tuple[subprocess.Popen[bytes], socket.socket] | None = None


def run_forked(
    words: Sequence[str],
    cwd: os.PathLike[str] | os.PathLike[bytes] | bytes,
    environ: Mapping[str, str],
    timeout: float,
    daemons: Sequence[str] = (),
) -> subprocess.CompletedProcess[str] | None:
    """Run ``roost-client``, the first of ``words``, to its end, with the others, as ``subprocess.run`` would. A
    daemon that it starts is a fork of the process at ``daemons`` (see ``tests.support.forked_daemons``), if that is
    given. Return ``None`` if the order is too long. Raises subprocess.TimeoutExpired."""
    order = json.dumps(
        {"words": list(words), "cwd": os.fsdecode(cwd), "environ": dict(environ), "daemons": daemons}
    ).encode()
    if len(order) > MOST_BYTES:
        return None
    pipes = [os.pipe() for _ in range(3)]
    readers = [reader for reader, _ in pipes]
    try:
        try:
            _send(order, [writer for _, writer in pipes])
        finally:
            for _, writer in pipes:
                os.close(writer)
        output, errors, told = _read_all(readers, words, time.monotonic() + timeout)
    finally:
        for reader in readers:
            os.close(reader)
    status = os.waitstatus_to_exitcode(int(told.split()[1]))
    return subprocess.CompletedProcess(list(words), status, _as_text(output), _as_text(errors))


def _as_text(data: bytes) -> str:
    return data.decode().replace("\r\n", "\n").replace("\r", "\n")


def _send(order: bytes, writers: Sequence[int]) -> None:
    global _server
    with _LOCK:
        if _server is None:
            from roost.wire.installation import OPTIONS

            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            command = [sys.executable, *OPTIONS, __file__]
            with theirs:
                _server = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.PIPE), ours
            atexit.register(_end)
        socket.send_fds(_server[1], [order], list(writers))


def _end() -> None:
    assert _server is not None
    _server[1].close()
    _server[0].communicate()


def _read_all(readers: Sequence[int], words: Sequence[str], deadline: float) -> list[bytes]:
    """Read output, errors and what the last of ``readers`` tells, to their ends: the process, then its status. Whoever
    inherited the output holds it open, as with a pipe of ``subprocess``."""
    found = {reader: bytearray() for reader in readers}
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline - time.monotonic())
            if not ready:
                os.kill(int(found[readers[-1]].split()[0]), 9)
                raise subprocess.TimeoutExpired(list(words), 0, *(bytes(found[each]) for each in readers[:2]))
            for key, _ in ready:
                if chunk := os.read(key.fd, 1 << 16):
                    found[key.fd] += chunk
                else:
                    selector.unregister(key.fd)
    return [bytes(found[reader]) for reader in readers]


def main() -> None:
    """Fork a client for each order, and tell what it ended with."""
    gc.disable()
    _import_client()
    sys.path.append(os.path.dirname(__file__))
    global forked_daemons
    import forked_daemons

    del sys.path[-1]
    gc.freeze()
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    selector = selectors.DefaultSelector()
    selector.register(channel, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not channel:
                pid, teller = key.data
                selector.unregister(key.fd)
                os.close(key.fd)
                status = os.waitpid(pid, 0)[1]
                with contextlib.suppress(BrokenPipeError):  # nobody waits for a command that took too long
                    os.write(teller, b"%d" % status)
                os.close(teller)
                continue
            order, descriptors = _receive(channel)
            if not order:
                return
            output, errors, teller = descriptors
            pid = os.fork()
            if not pid:
                _become_client((0, output, errors), **json.loads(order))
            os.close(output)
            os.close(errors)
            os.write(teller, b"%d " % pid)
            selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, teller))


def _receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """As ``socket.recv_fds``, which lets other processes inherit the descriptors."""
    space = socket.CMSG_SPACE(3 * array.array("i").itemsize)
    order, extra, _, _ = channel.recvmsg(MOST_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for _, _, data in extra:
        descriptors.frombytes(data)
    return order, list(descriptors)


def _import_client() -> None:
    """Import what commands import when they run."""
    import importlib
    import pkgutil

    import roost.client.cli
    import roost.client.export_files
    import roost.client.main
    import roost.client.transport

    for package in (roost.client.cli, roost.client.transport):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)


def _become_client(
    streams: Sequence[int], words: list[str], cwd: str, environ: dict[str, str], daemons: list[str]
) -> NoReturn:
    status = 1
    try:
        for target, source in enumerate(streams):
            os.dup2(source, target)
        os.closerange(3, 1024)  # an end of a pipe of another command that runs now would keep its reader waiting
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environ)
        time.tzset()
        sys.argv = words
        if daemons:
            forked_daemons.use_forked_daemons(daemons)
        from roost.client.main import main

        try:
            main()
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
