"""Run uv with a sanitized environment in an empty working folder, and leave no process behind.

Each invocation is a process group of its own, so that cancelling it ends uv, a build backend and a compiler alike.
Secrets reach uv through a netrc in memory and git's environment variables, never through arguments; they are redacted
in every line that uv prints.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from typing import BinaryIO, NamedTuple

import msgspec
from uv import find_uv_bin

from roost.daemon.background.priority import niced_command
from roost.daemon.background.work import is_background
from roost.daemon.caller.current import network_variables
from roost.daemon.engines.uv.errors import UvCrashedError
from roost.daemon.engines.uv.secrets import Secrets
from roost.daemon.engines.uv.terminal import (
    TerminalLines,
    connect_reader,
    is_drawing,
    open_terminal,
    read_available,
)
from roost.daemon.engines.uv.unpacked.cache import list_unfinished
from roost.daemon.jobs.unpacking import UNPACKED_BYTES, run_with_bound
from roost.store.cancellation import finish_despite_cancel

_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_PASSED = ("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ")
"""The variables of the daemon's environment that uv sees, beside the caller's by which servers are reached: nothing
that affects what it chooses."""

_LINE_LIMIT = 1 << 24
_GRACE_SECONDS = 1.0
_FRAME = re.compile(r"^[^\w'`(]+")
"""What uv draws before the lines of an error."""


class ProcessResult(msgspec.Struct, frozen=True, kw_only=True):
    """Exit status and output of an invocation. Secrets are redacted in ``stderr`` only: never show ``stdout``."""

    status: int
    stdout: str
    stderr: str


class UvProcess:
    """The uv binary with the options that all invocations share.

    ``timeout`` in seconds is how long a download may stall; ``scratch`` is the folder for temporary folders.
    ``unpacked_bytes`` is the largest size of one package that uv unpacks into its cache.
    """

    def __init__(self, binary: str, cache_dir: str, scratch: str, *, timeout: int = 30, retries: int = 3) -> None:
        self._binary = binary
        self._cache_dir = cache_dir
        self._scratch = scratch
        self.timeout = timeout
        self.retries = retries
        self.unpacked_bytes = UNPACKED_BYTES

    @contextlib.asynccontextmanager
    async def temporary_folder(self) -> AsyncIterator[str]:
        """Create a temporary folder of mode 0700 below ``scratch``; it is deleted afterwards."""
        path = await asyncio.to_thread(self._make_folder)
        try:
            yield path
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, path, True))

    def with_private_cache(self, folder: str) -> UvProcess:
        """Return a copy whose cache is in ``folder``: uv writes the URLs that it requests into its cache."""
        cache = os.path.join(folder, "cache")
        private = UvProcess(self._binary, cache, self._scratch, timeout=self.timeout, retries=self.retries)
        private.unpacked_bytes = self.unpacked_bytes
        return private

    def _make_folder(self) -> str:
        os.makedirs(self._scratch, mode=0o700, exist_ok=True)
        return tempfile.mkdtemp(dir=self._scratch)

    async def run(
        self,
        arguments: Sequence[str],
        folder: str,
        *,
        secrets: Secrets,
        on_line: Callable[[str], None] | None = None,
        program: str | None = None,
        on_frame: Callable[[str], None] | None = None,
        config: str | None = None,
    ) -> ProcessResult:
        """Run uv (or ``program``) with ``arguments`` in an empty folder below ``folder``.

        ``config`` is the path of the only configuration that uv reads. ``on_line`` gets each line of stderr. With
        ``on_frame`` uv writes to a terminal, and ``on_frame`` gets its progress bars. A cancellation ends the whole
        process group before it is raised.

        Raises:
            UvCrashedError: if the program can't be started.
            UnpackedTooLargeError: if uv unpacks a package that is too large.
        """
        environ = await asyncio.to_thread(self._make_environment, folder, secrets)
        environ |= {"TERM": "xterm"} if on_frame is not None else {}
        command = [program, *arguments] if program else [self._binary, *arguments, *self._common_options(config)]
        started = niced_command(command) if is_background() else command
        try:
            async with _open_inherited(folder, secrets, drawing=on_frame is not None) as (netrc, terminal):
                process = await asyncio.create_subprocess_exec(
                    *started,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=terminal[1] if terminal else asyncio.subprocess.PIPE,
                    cwd=os.path.join(folder, "cwd"),
                    env={**environ, "NETRC": netrc.path},
                    start_new_session=True,
                    limit=_LINE_LIMIT,
                    pass_fds=(netrc.memory.fileno(),) if netrc.memory else (),
                )
        except OSError as error:
            raise UvCrashedError(
                f"{command[0]} can't be started: {error.strerror}",
                hint="Reinstall roost: `pip install --force-reinstall uv`.",
            ) from error
        has_ended = False

        async def read() -> ProcessResult:
            nonlocal has_ended
            try:
                if terminal and on_frame:
                    return await _read_terminal(process, terminal[0], secrets, on_line, on_frame)
                return await _read_pipes(process, secrets, on_line)
            except BaseException:
                await asyncio.shield(_end_group(process))
                has_ended = True
                raise

        try:
            return await run_with_bound(read(), lambda: list_unfinished(self._cache_dir), self.unpacked_bytes)
        except BaseException:
            if not has_ended:  # cancelled before the reading began
                await asyncio.shield(_end_group(process))
            raise

    def _common_options(self, config: str | None) -> list[str]:
        sources = ["--config-file", config] if config else ["--no-config"]
        return [*sources, "--cache-dir", self._cache_dir, "--no-python-downloads", "--color", "never"]

    def _make_environment(self, folder: str, secrets: Secrets) -> dict[str, str]:
        os.makedirs(os.path.join(folder, "cwd"), exist_ok=True)
        os.makedirs(os.path.join(folder, "tmp"), exist_ok=True)
        environ = {name: os.environ[name] for name in _PASSED if name in os.environ} | network_variables()
        environ |= {"PATH": _PATH, "TMPDIR": os.path.join(folder, "tmp"), "GIT_TERMINAL_PROMPT": "0"}
        environ |= {"UV_HTTP_TIMEOUT": str(self.timeout), "UV_HTTP_RETRIES": str(self.retries)}
        environ |= {"UV_SYSTEM_CERTS": "1"} if _has_system_certificates() else {}
        return environ | secrets.git_variables()


async def ask_default_index(project: str, seconds: float, scratch: str) -> str | None:
    """Let uv look for ``project`` on the index that it uses by default; return why that failed, ``None`` if it did not.

    Without any cache, since that would answer for an index that is down.
    """
    binary, folder = await asyncio.to_thread(lambda: (os.fsdecode(find_uv_bin()), tempfile.mkdtemp(dir=scratch)))
    environ = {**network_variables(), "PATH": _PATH, "HOME": folder, "UV_HTTP_RETRIES": "0"}
    environ |= {"UV_SYSTEM_CERTS": "1"} if await asyncio.to_thread(_has_system_certificates) else {}
    arguments = ["pip", "compile", "-", "--no-deps", "--no-cache", "--no-config", "--quiet", "--color", "never"]
    process = await asyncio.create_subprocess_exec(
        binary,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env=environ,
        start_new_session=True,
    )
    try:
        _, stderr = await asyncio.wait_for(process.communicate(project.encode()), seconds)
    except asyncio.TimeoutError:
        return f"no answer within {seconds:.0f} s"
    finally:
        if process.returncode is None:
            await asyncio.shield(_end_group(process))
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, True))
    if process.returncode == 0:
        return None
    bare = [_FRAME.sub("", line).strip() for line in stderr.decode("utf-8", "replace").splitlines()]
    lines = [line for line in bare if line]
    return lines[-1].removeprefix("Caused by: ") if lines else f"uv ended with status {process.returncode}"


def _has_system_certificates() -> bool:
    """Whether the system has certificates; uv then trusts them, and so a company's own authority too.

    Elsewhere (in a bare container) uv uses a list of its own.
    """
    paths = ssl.get_default_verify_paths()
    return paths.cafile is not None or (paths.capath is not None and bool(os.listdir(paths.capath)))


class _Netrc(NamedTuple):
    """The netrc file of an invocation, and the memory behind it that uv must inherit, if it is in memory."""

    path: str
    memory: BinaryIO | None = None


_Terminal = tuple[int, int]
"""The two ends of a pseudo-terminal: the daemon's, the child's."""


@contextlib.asynccontextmanager
async def _open_inherited(
    folder: str, secrets: Secrets, *, drawing: bool
) -> AsyncIterator[tuple[_Netrc, _Terminal | None]]:
    """Open what uv inherits, in a thread, and close it after uv was started, or if the caller is cancelled meanwhile.

    The daemon's end of the terminal stays open, unless the block fails.
    """

    def open_all() -> tuple[_Netrc, _Terminal | None]:
        return _open_netrc(folder, secrets), open_terminal() if drawing else None

    opening = asyncio.create_task(asyncio.to_thread(open_all))
    try:
        yield await asyncio.shield(opening)
    except BaseException:
        _, terminal = await finish_despite_cancel(opening)
        if terminal:
            os.close(terminal[0])
        raise
    finally:
        netrc, terminal = await finish_despite_cancel(opening)
        if netrc.memory:
            netrc.memory.close()
        if terminal:
            os.close(terminal[1])


def _open_netrc(folder: str, secrets: Secrets) -> _Netrc:
    """Write the netrc file, in memory if the system can, so that a killed daemon leaves nothing of it behind.

    It is written even if it is empty: otherwise uv would read the user's own, whose credentials are part of
    ``secrets`` as far as they apply.
    """
    content = secrets.netrc().encode()
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        memory = open(os.memfd_create("netrc"), "wb", buffering=0)  # noqa: SIM115 - until uv has inherited it
        memory.write(content)
        return _Netrc(f"/proc/self/fd/{memory.fileno()}", memory)
    path = os.path.join(folder, "netrc")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    return _Netrc(path)


async def _read_pipes(
    process: asyncio.subprocess.Process, secrets: Secrets, on_line: Callable[[str], None] | None
) -> ProcessResult:
    assert process.stdout is not None
    assert process.stderr is not None
    stdout, stderr = await asyncio.gather(process.stdout.read(), _read_lines(process.stderr, secrets, on_line))
    status = await process.wait()
    return ProcessResult(status=status, stdout=stdout.decode("utf-8", "replace"), stderr=stderr)


async def _read_terminal(
    process: asyncio.subprocess.Process,
    parent_end: int,
    secrets: Secrets,
    on_line: Callable[[str], None] | None,
    on_frame: Callable[[str], None],
) -> ProcessResult:
    assert process.stdout is not None
    lines: list[str] = []

    def handle_line(line: str) -> None:
        if is_drawing(line):
            on_frame(line)
            return
        lines.append(secrets.redact(line))
        if on_line is not None:
            on_line(lines[-1])

    reader, transport = await connect_reader(parent_end)
    try:
        stdout, _ = await asyncio.gather(process.stdout.read(), _split_frames(reader, handle_line))
        status = await process.wait()
    finally:
        transport.close()
    return ProcessResult(status=status, stdout=stdout.decode("utf-8", "replace"), stderr="\n".join(lines))


async def _split_frames(reader: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
    frames = TerminalLines()
    while data := await read_available(reader):
        for line in frames.feed(data):
            on_line(line)
    on_line(frames.flush())


async def _read_lines(stream: asyncio.StreamReader, secrets: Secrets, on_line: Callable[[str], None] | None) -> str:
    lines = []
    while raw := await stream.readline():
        line = secrets.redact(raw.decode("utf-8", "replace").rstrip())
        lines.append(line)
        if on_line is not None and line:
            on_line(line)
    return "\n".join(lines)


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """Send SIGTERM to the group, give uv a moment to release its locks, then send SIGKILL to whatever is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(process.wait()), _GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
