"""One worker, as the daemon sees it: a process group that is started by exec and ended by SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from roost.daemon.credentials.redaction import redact
from roost.daemon.jobs.progress import Progress
from roost.daemon.workers.errors import WorkerCrashedError, WorkerTimeoutError, describe_end
from roost.daemon.workers.faults import rebuild_error
from roost.daemon.workers.frames import (
    ANSWERS,
    Doing,
    Done,
    Failed,
    Job,
    Report,
    Started,
    encode_frame,
    encode_value,
    read_frame,
)
from roost.daemon.workers.jobs import WorkerJob, WorkerKind
from roost.model.errors import CodedError
from roost.store.cancellation import finish_despite_cancel
from roost.wire.installation import isolated_command

P = TypeVar("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

_START = isolated_command("roost.daemon.workers.main")
_LOG_SECONDS = 1.0
"""The longest wait for the last lines of a worker that has ended: a process that it started may hold its log open."""
_CRASH_SECONDS = 0.25
"""How long a worker that has failed may take to crash."""
_LOG_BYTES = 1 << 16
_MEMORY_MINIMUM = 2 << 30
_SHOWN_SUBJECTS = 4


class NotStartedError(Exception):
    """The worker had ended before it read the job: another one can run it."""


class Worker:
    """A process that runs one job at a time. ``folder`` is its own: for temporary files, and a lock while it lives."""

    def __init__(self, kind: WorkerKind, folder: str, process: asyncio.subprocess.Process) -> None:
        self.kind = kind
        self.folder = folder
        self._process = process
        self._doing: dict[str, None] = {}
        self._lines: deque[str] = deque(maxlen=20)
        self._logging = asyncio.ensure_future(self._pass_on_log())

    @classmethod
    async def start(cls, kind: WorkerKind, folder: str, environ: Mapping[str, str], *, is_lowered: bool) -> Worker:
        """Start a worker, with the lowest priority if it ``is_lowered``. Raises ``OSError`` if the system can't."""
        priority = "lowest" if is_lowered else "normal"
        process = await asyncio.create_subprocess_exec(
            *_START, folder, str(os.getpid()), str(_memory_limit(kind)), priority, *kind.modules,
            cwd="/", env={**environ, "TMPDIR": folder}, start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return cls(kind, folder, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    async def run(self, job: WorkerJob[P, R], payload: P, progress: Progress) -> R:
        """Run ``job``. Whatever else than a result or an error of the job happens, the worker has ended afterwards.

        Raises:
            WorkerCrashedError: if the worker ends.
            WorkerTimeoutError: if the job takes longer than its timeout.
            NotStartedError: if the worker ended before it read the job.
        """
        try:
            async with asyncio.timeout(job.timeout):
                return await self._run(job, payload, progress)
        except TimeoutError:
            await self.end()
            raise WorkerTimeoutError(
                f"The {self.kind.name} worker has not ended {self._describe_work(job)} within {job.timeout:g} s",
                hint="Try again; if the error persists, report it.",
                fields={"seconds": job.timeout},
            ) from None
        except (CodedError, NotStartedError):
            raise
        except BaseException:
            await self.end()
            raise

    async def _run(self, job: WorkerJob[P, R], payload: P, progress: Progress) -> R:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._doing.clear()
        has_started = False
        with contextlib.suppress(ConnectionError):  # its end is noticed when it is read from
            self._process.stdin.write(encode_frame(Job(job.target, encode_value(payload))))
            await self._process.stdin.drain()
        while (body := await read_frame(self._process.stdout)) is not None:
            match ANSWERS.decode(body):
                case Started():
                    has_started = True
                case Report() as report:
                    _pass_report(report, progress)
                case Doing(subject, True):
                    self._doing[subject] = None
                case Doing(subject):
                    self._doing.pop(subject, None)
                case Done(result):
                    return msgspec.msgpack.decode(result, type=job.result)
                case Failed(fault):
                    if job.retires_on_error and await self._is_crashing():
                        break
                    raise rebuild_error(fault)
        await self.end()
        if not has_started:
            raise NotStartedError
        for line in self._lines:
            progress.log(f"{self.kind.name} worker: {line}")
        raise self._crash(job)

    async def _is_crashing(self) -> bool:
        """End the worker after a failure; return whether it was about to end by itself.

        A panic in one thread of native code fails the work of the others before it ends the process.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _CRASH_SECONDS)
        await self.end()
        return self._process.returncode != -signal.SIGKILL

    def _crash(self, job: WorkerJob[P, R]) -> WorkerCrashedError:
        status = self._process.returncode or 0
        what = f"The {self.kind.name} worker {describe_end(status)} while {self._describe_work(job)}"
        log.error("%s (process %d)", what, self.pid)
        memory = " The kernel may have ended it because memory ran out." if status == -signal.SIGKILL else ""
        return WorkerCrashedError(
            what + "; see the log",
            hint=f"`roost daemon logs` shows what it printed.{memory} If the error persists, report it.",
            fields={"status": status, "doing": [*self._doing], "output": [*self._lines]},
        )

    def _describe_work(self, job: WorkerJob[P, R]) -> str:
        subjects = [*self._doing]
        more = len(subjects) - _SHOWN_SUBJECTS
        return " and ".join(subjects[:_SHOWN_SUBJECTS]) + (f" and {more} more" if more > 0 else "") or job.doing

    async def end(self) -> None:
        """Kill the worker with all that it has started, and wait for its end; completed even if it is cancelled."""
        await finish_despite_cancel(asyncio.create_task(self._end()))

    async def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.wait([self._logging], timeout=_LOG_SECONDS)
        self._logging.cancel()

    async def _pass_on_log(self) -> None:
        """Log what the worker prints. It is no longer than :data:`_LOG_BYTES` a line."""
        assert self._process.stderr is not None
        rest = b""
        while part := await self._process.stderr.read(_LOG_BYTES):
            *lines, rest = (rest + part).split(b"\n")
            if len(rest) > _LOG_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._log_line(line)
        self._log_line(rest)

    def _log_line(self, line: bytes) -> None:
        if text := line.decode(errors="replace").strip():
            self._lines.append(redact(text[:1000]))
            log.warning("%s worker %d: %s", self.kind.name, self.pid, text)


def _memory_limit(kind: WorkerKind) -> int:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(_MEMORY_MINIMUM, int(total * kind.memory_share))


def _pass_report(report: Report, progress: Progress) -> None:
    calls: dict[str, Callable[[], None]] = {
        "start": lambda: progress.start(report.subject, report.total),  # type: ignore[arg-type]
        "advance": lambda: progress.advance(report.subject, report.done, report.total),  # type: ignore[arg-type]
        "finish": lambda: progress.finish(report.subject),  # type: ignore[arg-type]
        "log": lambda: progress.log(report.subject),
        "note": lambda: progress.note(report.subject),
    }
    calls[report.call]()
