"""Workers of the daemons that tests fork, as forks of a process that has imported rattler already.

Importing it is most of what a worker costs in a test, and every daemon that solves or links conda packages starts one.
A fork has the variables, session, folder, limits and pipes of a worker that is started by exec, and runs its ``main``.
It dies with the pipe from the daemon, and not by a signal of the kernel. Workers whose variables name a fail point are
started by exec, and so are those of daemons that are no forks. Tests that have an engine in their own process get forks
as well, unless workers are their subject (``tests.support.conda_tools``).

This file is the program of that process, and is imported by forked daemons, both without the package ``tests``.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import gc
import json
import os
import selectors
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from roost.store.cancellation import finish_thread_despite_cancel

MOST_BYTES = 60_000


class ForkedProcess:
    """What ``roost.daemon.workers.process.Worker`` uses of ``asyncio.subprocess.Process``."""

    def __init__(self, pid: int, channel: socket.socket, stdin: Any, stdout: Any, stderr: Any) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self._channel = channel
        self._has_ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(channel, self._note_end)

    async def wait(self) -> int | None:
        await self._has_ended.wait()
        return self.returncode

    def _note_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._channel)
        with self._channel:
            self.returncode = os.waitstatus_to_exitcode(int(self._channel.recv(100) or b"9"))
        self._has_ended.set()


async def fork_worker(address: str, words: Sequence[str], environ: Mapping[str, str]) -> ForkedProcess:
    """Have a worker forked whose ``main`` gets ``words``. Raises: OSError."""
    loop = asyncio.get_running_loop()
    order = json.dumps({"words": list(words), "environ": dict(environ)}).encode()
    (stdin, our_stdin), (our_stdout, stdout), (our_stderr, stderr) = os.pipe(), os.pipe(), os.pipe()
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        pid = await finish_thread_despite_cancel(_request, channel, address, order, [stdin, stdout, stderr])
    except BaseException:  # a worker that was forked in spite of it ends with its input
        for descriptor in (our_stdin, our_stdout, our_stderr):
            os.close(descriptor)
        channel.close()
        raise
    finally:
        for descriptor in (stdin, stdout, stderr):
            os.close(descriptor)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(our_stdin, "wb", 0))
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    readers = []
    for descriptor in (our_stdout, our_stderr):
        reader = asyncio.StreamReader()
        pipe = os.fdopen(descriptor, "rb", 0)
        await loop.connect_read_pipe(lambda reader=reader: asyncio.StreamReaderProtocol(reader), pipe)
        readers.append(reader)
    return ForkedProcess(pid, channel, writer, *readers)


def _request(channel: socket.socket, address: str, order: bytes, descriptors: list[int]) -> int:
    channel.connect(address)
    socket.send_fds(channel, [order], descriptors)
    pid = int(channel.recv(100) or b"0")
    if not pid:
        raise OSError("no worker was forked")
    return pid


def use_forked_workers(address: str) -> Callable[[], None]:
    """Have this process fork its workers at ``address``. Return what has it start them again."""
    from roost.daemon.workers import pool, process

    class Worker(process.Worker):
        @classmethod
        async def start(cls, kind: Any, folder: str, environ: Mapping[str, str], *, is_lowered: bool) -> process.Worker:
            if any(name.startswith("ROOST_FAILPOINT") for name in environ):
                return await process.Worker.start(kind, folder, environ, is_lowered=is_lowered)
            priority = "lowest" if is_lowered else "normal"
            words = [folder, str(process._memory_limit(kind)), priority, *kind.modules]
            forked = await fork_worker(address, words, {**environ, "TMPDIR": folder})
            return process.Worker(kind, folder, forked)  # type: ignore[arg-type]

    pool.Worker = Worker  # type: ignore[misc]
    return lambda: setattr(pool, "Worker", process.Worker)


def main() -> None:
    """Fork a worker for each connection to the socket on standard input, tell its process, and what it ended with."""
    gc.disable()
    _import_jobs()
    listener = socket.socket(fileno=os.dup(0))
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not listener:
                pid, channel = key.data
                selector.unregister(key.fd)
                os.close(key.fd)
                status = os.waitpid(pid, 0)[1]
                with channel, contextlib.suppress(OSError):  # the daemon has ended before its worker
                    channel.send(b"%d" % status)
                continue
            channel, _ = listener.accept()
            order, descriptors = _receive(channel)
            if not order:
                channel.close()
                continue
            pid = os.fork()
            if not pid:
                _become_worker(channel, descriptors, **json.loads(order))
            for descriptor in descriptors:
                os.close(descriptor)
            selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, channel))


def _receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    space = socket.CMSG_SPACE(3 * array.array("i").itemsize)
    order, extra, _, _ = channel.recvmsg(MOST_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for _, _, data in extra:
        descriptors.frombytes(data)
    return order, list(descriptors)


def _import_jobs() -> None:
    import importlib
    import pkgutil

    import rattler  # noqa: F401

    import roost.daemon.definitions.resolve
    import roost.daemon.engines.conda.native
    import roost.daemon.workers.main

    package = roost.daemon.engines.conda.native
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    gc.freeze()


def _become_worker(
    channel: socket.socket, streams: Sequence[int], words: list[str], environ: dict[str, str]
) -> NoReturn:
    try:
        os.setsid()
        channel.send(b"%d" % os.getpid())  # not before its group can be killed
        for target, source in enumerate(streams):
            os.dup2(source, target)
        os.closerange(3, 1024)
        os.chdir("/")
        os.environ.clear()
        os.environ.update(environ)
        gc.enable()
        from roost.daemon.workers.main import main

        folder, *others = words
        main([folder, str(os.getppid()), *others])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main()
