"""The code of runs that begin, observed and recorded while nobody waits.

The files of the repository are read at once, so the commit is that of the begin. The tree is compared as soon as git
has started, some milliseconds later, in most cases before the command runs its first line; ``CodeState.delay`` says
when that was known. Runs of one repository that begin while it is compared share the next comparison, so that a hundred
of them cost two.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple, TypeVar

from roost.daemon.caller.current import search_path
from roost.daemon.jobs.lifecycle import BackgroundTasks, Lifecycle
from roost.daemon.source_control.repository import (
    Head,
    Repository,
    find_foreign_code,
    find_other_owner,
    find_repository,
    read_head,
)
from roost.daemon.source_control.status import (
    GitUnknownError,
    TreeState,
    end_all,
    find_git,
    read_commit,
    read_tree_state,
)
from roost.model.errors import CodedError
from roost.model.history import CodeState

log = logging.getLogger(__name__)
T = TypeVar("T")
Record = Callable[[CodeState], Awaitable[None]]
_DEFER_SECONDS = 0.001
"""The answer to the client comes first: its interpreter is started meanwhile."""
_THREADS = 2
_NO_GIT = "git is not installed"


class _Checkout(NamedTuple):
    """A repository, git if it is installed, and what is checked out, or why that is unknown."""

    repository: Repository
    git: str | None
    head: Head
    fault: str | None = None


class CodeObserver:
    """Observes the repositories of runs. ``hold``: as long as something is not recorded yet, the daemon stays."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._background = BackgroundTasks()
        self._pending: dict[str, asyncio.Task[None]] = {}
        self._comparisons: dict[str, asyncio.Task[TreeState]] = {}
        """By working tree: the comparison that has not begun yet, which whoever comes now may share."""
        self._turns: dict[str, asyncio.Lock] = {}
        self._executor: ThreadPoolExecutor | None = None

    def observe(self, run_id: str, folders: Sequence[str], record: Record) -> None:
        """Find out in the background what the first of ``folders`` that is in a repository has, and ``record`` it."""
        begun = time.monotonic()
        task = self._pending[run_id] = self._background.spawn(self._observe(folders, record, begun))
        task.add_done_callback(lambda _task: self._pending.pop(run_id, None))

    def is_pending(self, run_id: str) -> bool:
        """Whether something of the run is being found out."""
        return run_id in self._pending

    async def settle(self, run_id: str, seconds: float) -> None:
        """Wait until what is found out of a run is recorded, ``seconds`` at most."""
        if (task := self._pending.get(run_id)) is not None:
            await asyncio.wait([task], timeout=seconds)

    async def stop(self) -> None:
        """Give up what is not known yet: it stays unknown."""
        await self._background.cancel()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            end_all()

    async def _observe(self, folders: Sequence[str], record: Record, begun: float) -> None:
        await asyncio.sleep(_DEFER_SECONDS)
        with self._lifecycle.hold("code of a run"):
            try:
                code = await self._find_code(folders, begun)
                if code is not None:
                    await record(code)
            except CodedError as error:
                log.warning("The code of a run is not recorded: %s", error.message)
            except Exception:
                log.exception("The code of a run can't be found out")

    async def _find_code(self, folders: Sequence[str], begun: float) -> CodeState | None:
        path = search_path()
        found = await self._in_thread(lambda: _find_checkout(folders, path))
        if found is None:
            return None
        if found.fault is not None:
            return CodeState(root=found.repository.root, branch=found.head.branch, reason=found.fault)
        tree = await self._compare(found.git, found.repository) if found.git else TreeState(reason=_NO_GIT)
        is_known = tree.changed is not None
        return CodeState(
            root=found.repository.root,
            commit=found.head.commit,
            branch=found.head.branch,
            dirty=bool(tree.changed or tree.untracked) if is_known else None,
            changed=tree.changed,
            untracked=tree.untracked,
            delay=round(time.monotonic() - begun, 3) if is_known else None,
            reason=tree.reason or (None if found.head.commit else "it has no commit yet"),
        )

    async def _compare(self, git: str, repository: Repository) -> TreeState:
        """Return the state of the working tree at a moment after this call."""
        root = repository.root
        task = self._comparisons.get(root)
        if task is None:
            task = self._comparisons[root] = asyncio.create_task(self._compare_in_turn(git, repository))
        return await asyncio.shield(task)

    async def _compare_in_turn(self, git: str, repository: Repository) -> TreeState:
        root = repository.root
        turn = self._turns.setdefault(root, asyncio.Lock())
        try:
            async with turn:
                self._comparisons.pop(root, None)  # whoever comes from now on needs the next one
                return await self._in_thread(lambda: _read_safely(git, repository))
        finally:
            if not turn.locked() and root not in self._comparisons:
                self._turns.pop(root, None)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        """Run ``function`` in a thread of its own kind: git may take seconds, and nobody else's work waits for that."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(_THREADS, "code of runs")
        with suppress(RuntimeError):
            return await asyncio.get_running_loop().run_in_executor(self._executor, function)
        raise asyncio.CancelledError  # the daemon stops


def find_code_folders(cwd: str, command: Sequence[str]) -> list[str]:
    """Return the folders whose repository may be that of a run: the working folder, then those of the scripts that its
    command names. Pure."""
    scripts = [os.path.dirname(os.path.join(cwd, word)) for word in command[:4] if word.endswith(".py")]
    return list(dict.fromkeys([cwd, *map(os.path.normpath, scripts)]))


def _find_checkout(folders: Sequence[str], search_path: str) -> _Checkout | None:
    """Return the repository of the first folder that has one, and its commit: by its files, or by git for another
    format, and for a repository of somebody else, which the user may have allowed (`safe.directory`)."""
    repository = next((found for folder in folders if (found := find_repository(folder)) is not None), None)
    if repository is None:
        return None
    git = find_git(search_path)
    head = Head(None, None, is_unreadable=True)
    try:
        owner = find_other_owner(repository, os.geteuid())
        head = head if owner is not None else read_head(repository)
    except OSError as error:
        return _Checkout(repository, git, head, f"{repository.git_folder} can't be read: {error.strerror}")
    if not head.is_unreadable:
        return _Checkout(repository, git, head)
    if git is None:
        return _Checkout(repository, git, head, f"{owner} belongs to another user" if owner else _NO_GIT)
    try:
        return _Checkout(repository, git, Head(read_commit(git, repository.root), head.branch))
    except GitUnknownError as error:
        return _Checkout(repository, git, head, f"{owner} belongs to another user: {error}" if owner else str(error))


def _read_safely(git: str, repository: Repository) -> TreeState:
    if reason := find_foreign_code(repository):
        return TreeState(reason=reason)
    return read_tree_state(git, repository.root)
