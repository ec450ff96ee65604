"""A worker, from inside: ``python -I -m roost.daemon.workers.main FOLDER PARENT MEMORY PRIORITY [MODULE …]``.

Frames come on standard input and leave on the former standard output; native code that prints reaches the log. A worker
dies with the daemon: by PR_SET_PDEATHSIG (prctl(2)), and when its input ends.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import inspect
import logging
import os
import queue
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from roost.daemon.background.priority import lower_priority
from roost.daemon.workers.context import JobContext
from roost.daemon.workers.faults import describe_error
from roost.daemon.workers.frames import JOBS, Done, Failed, FrameWriter, Job, Started, encode_value, read_blocking
from roost.store.failpoints import failpoint

_PR_SET_PDEATHSIG = 1
_OOM_SCORE = "500"
"""Of -1000 to 1000: the kernel kills a worker before the daemon, and before most programs of the user."""


def main(arguments: list[str]) -> None:
    """Run jobs until the input ends."""
    folder, parent, memory, priority, *modules = arguments
    if priority == "lowest":
        lower_priority()
    frames, answers = _claim_streams()
    _bind_to_daemon(folder, int(parent))
    _limit_resources(int(memory))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(frames, jobs), daemon=True).start()
    for module in modules:
        importlib.import_module(module)
    failpoint("worker.started")
    while True:
        _run_job(jobs.get(), FrameWriter(answers))


def _claim_streams() -> tuple[int, int]:
    """Return descriptors for frames in and out. 0 becomes empty and 1 the log, so that nobody else reaches a frame."""
    frames, answers = (fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3) for number in (0, 1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return frames, answers


def _bind_to_daemon(folder: str, parent: int) -> None:
    """Die with the daemon, and hold ``folder`` locked until then, which the next daemon waits for."""
    fcntl.flock(os.open(folder, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has died before the signal was requested
        os._exit(1)


def _limit_resources(memory: int) -> None:
    _set_limit(resource.RLIMIT_CORE, 0)  # one of a crash may be as large as the memory, and contain credentials
    _set_limit(resource.RLIMIT_DATA, memory)
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:
            stream.write(_OOM_SCORE)
    except OSError:
        pass  # no such file on this system, or the score is higher already


def _set_limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _read_jobs(frames: int, jobs: queue.SimpleQueue[Job]) -> None:
    """Put every job into ``jobs``; at the end of the input, end the process with all that it has started."""
    try:
        while (body := read_blocking(frames)) is not None:
            jobs.put(JOBS.decode(body))
    finally:
        os.killpg(0, signal.SIGKILL)


def _run_job(job: Job, writer: FrameWriter) -> None:
    writer.write(Started())
    failpoint("worker.job")
    try:
        result = _call(job, JobContext(writer.write))
        answer: Done | Failed = Done(encode_value(result))
    except Exception as error:
        fault = describe_error(error)
        if fault.name == "WorkerFailedError":
            traceback.print_exc()
        answer = Failed(fault)
    except BaseException as error:  # a panic of native code that Python could catch
        answer = Failed(describe_error(error))
    failpoint("worker.answer")
    writer.write(answer)


def _call(job: Job, context: JobContext) -> object:
    module, _, name = job.target.partition(":")
    function: Callable[[Any, JobContext], Any] = getattr(importlib.import_module(module), name)
    payload_name = next(iter(inspect.signature(function).parameters))
    payload = msgspec.msgpack.decode(job.payload, type=get_type_hints(function)[payload_name])
    if not inspect.iscoroutinefunction(function):
        return function(payload, context)
    import asyncio

    return asyncio.run(function(payload, context))


if __name__ == "__main__":
    main(sys.argv[1:])
