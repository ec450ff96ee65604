"""Whether a working tree differs from its commit, by `git status`, and what only git knows of a repository.

git takes no locks, runs no hook and no file monitor, and makes no connection. It ends in time: what is not known then
is unknown. All functions block.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

DEADLINE_SECONDS = 10.0
"""For one invocation of git."""
_PASSED = ("HOME", "USER", "LOGNAME", "XDG_CONFIG_HOME", "TZ")
"""Variables of the daemon that git sees: where the user's own configuration is. Nothing that begins with `GIT_`."""
_OWN = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
}
"""No locks that somebody else's git would have to wait for; in a partial clone, no connection for what is not here."""
_CHUNK = 2**16
_running: set[subprocess.Popen[bytes]] = set()
"""Processes of git that threads wait for: a daemon that stops waits for no thread, but leaves no process."""


class TreeState(NamedTuple):
    """How many tracked files differ from the commit, and how many files and folders git neither tracks nor ignores;
    ``None`` if that is unknown, with the reason."""

    changed: int | None = None
    untracked: int | None = None
    reason: str | None = None


class GitUnknownError(Exception):
    """git can't say it, for the reason that the error has."""


def find_git(search_path: str) -> str | None:
    """Return the path of git on ``search_path``, of which only absolute folders count."""
    folders = [folder for folder in search_path.split(os.pathsep) if os.path.isabs(folder)]
    return shutil.which("git", path=os.pathsep.join(folders)) if folders else None


def read_tree_state(git: str, root: str, deadline: float = DEADLINE_SECONDS) -> TreeState:
    """Return the state of the working tree at ``root``. Changes inside of submodules do not count: git would run in
    each of them, by their own configuration."""
    words = ["status", "--porcelain=v1", "-z", "--untracked-files=normal", "--ignore-submodules=dirty", "--no-renames"]
    changed = untracked = 0
    rest = b""
    try:
        for chunk in _run(git, root, words, deadline):
            *entries, rest = (rest + chunk).split(b"\0")
            new = sum(entry.startswith(b"?? ") for entry in entries)
            changed, untracked = changed + len(entries) - new, untracked + new
    except GitUnknownError as error:
        return TreeState(reason=str(error))
    return TreeState(changed, untracked)


def read_commit(git: str, root: str, deadline: float = DEADLINE_SECONDS) -> str | None:
    """Return the commit that is checked out at ``root``; ``None`` if there is none yet. Raises: GitUnknownError."""
    try:
        output = b"".join(_run(git, root, ["rev-parse", "--verify", "--quiet", "HEAD"], deadline)).strip()
    except _FailedError as error:
        if error.is_silent:  # as `--quiet` answers if HEAD leads to nothing
            return None
        raise
    if not re.fullmatch(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?", output):
        raise GitUnknownError("git names no commit")
    return output.decode()


class _FailedError(GitUnknownError):
    """git ended with a status other than 0."""

    def __init__(self, message: str) -> None:
        super().__init__(message or "git failed")
        self.is_silent = not message


def _run(git: str, root: str, words: Sequence[str], deadline: float) -> list[bytes]:
    """Run git at ``root`` and return its output. Raises: GitUnknownError with the reason."""
    options = ["-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "-c", "core.pager=cat"]
    try:
        process = subprocess.Popen(
            [git, *options, "-C", root, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(os.environ, git),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise GitUnknownError(f"git can't be started: {error}") from error
    with process:
        _running.add(process)
        try:
            output, errors = _read_all(process, time.monotonic() + deadline, deadline)
        finally:
            _running.discard(process)
            _kill(process)
    if process.returncode != 0:
        raise _FailedError(_first_line(errors))
    return output


def _read_all(process: subprocess.Popen[bytes], end: float, deadline: float) -> tuple[list[bytes], bytes]:
    """Return what git prints until it ends. Raises: GitUnknownError after ``end``."""
    assert process.stdout is not None
    assert process.stderr is not None
    texts: dict[int, list[bytes]] = {process.stdout.fileno(): [], process.stderr.fileno(): []}
    left, poller = set(texts), select.poll()
    for descriptor in texts:
        poller.register(descriptor, select.POLLIN)
    while left:
        for descriptor, _ in poller.poll(max(0.0, end - time.monotonic()) * 1000):
            if chunk := os.read(descriptor, _CHUNK):
                texts[descriptor].append(chunk)
            else:
                poller.unregister(descriptor)
                left.discard(descriptor)
        if left and time.monotonic() >= end:
            raise GitUnknownError(f"git took longer than {deadline:g} s")
    try:
        process.wait(max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise GitUnknownError(f"git took longer than {deadline:g} s") from error
    return texts[process.stdout.fileno()], b"".join(texts[process.stderr.fileno()])


def end_all() -> None:
    """End every git that runs: it may be waiting for a file that nobody writes, or for a file system that is away."""
    for process in tuple(_running):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End git and what it started, if it goes on."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment(variables: Mapping[str, str], git: str) -> dict[str, str]:
    passed = {name: variables[name] for name in _PASSED if name in variables}
    return {**passed, **_OWN, "PATH": os.pathsep.join((os.path.dirname(git), os.defpath))}


def _first_line(errors: bytes) -> str:
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    return lines[0].removeprefix("fatal: ").removeprefix("error: ")[:300] if lines else ""
