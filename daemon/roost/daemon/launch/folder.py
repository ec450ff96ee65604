"""The folder of launch plans (see ``plan``), the tools that plans call, and the link to the launcher."""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator

import msgspec

from roost.daemon.definitions.stamps import STAT_FORMAT, is_stable, stamp
from roost.daemon.launch.plan import FORMAT, LaunchPlan, Tools, render
from roost.store.cancellation import finish_despite_cancel, finish_thread_despite_cancel
from roost.store.disk.lease_files import can_bar
from roost.wire import installation

_CACHED_PLANS = 200
"""Plans whose text is kept in memory, 2 kB each."""


def find_tools(prefixes: str) -> Tools | None:
    """Return GNU stat and flock(1) of this machine, after a trial against what Python sees; ``None`` if one is missing
    or does not agree: then no plans are written on this machine. flock is left out if the folder ``prefixes`` is on a
    file system where no lock is needed. Blocking."""
    paths = [shutil.which(name, path="/usr/bin:/bin:" + os.environ.get("PATH", "")) for name in ("stat", "flock")]
    if None in paths:
        return None
    tools = Tools(stat=str(paths[0]), flock=str(paths[1]))
    with tempfile.NamedTemporaryFile(prefix="roost") as probe:
        printed = subprocess.run(
            [tools.stat, "-L", "-c", STAT_FORMAT, "--", probe.name], capture_output=True, check=False
        )
        locked = subprocess.run(
            [str(tools.flock), "-s", "-n", str(probe.fileno())], pass_fds=[probe.fileno()], check=False
        )
        agrees = printed.stdout.decode().strip() == stamp(probe.name)
    if not agrees or locked.returncode != 0:
        return None
    return msgspec.structs.replace(tools, flock=None) if can_bar(prefixes) else tools


def link_launcher(folder: str) -> None:
    """Make ``folder``/roost a link to the launcher of this installation; without one, or on a full disk, do nothing.

    ``folder`` takes the place of a virtual environment's bin folder in the PATH of commands, so that ``roost`` stays
    reachable, and nothing else of that environment. Blocking.
    """
    packages = os.path.dirname(os.path.dirname(os.path.dirname(installation.__file__)))
    places = (
        os.path.dirname(sys.executable),
        os.path.join(packages, "bin"),  # pip install --target
        os.path.join(packages, "..", "..", "..", "bin"),  # --user, --prefix
    )
    launchers = (os.path.abspath(os.path.join(place, "roost")) for place in places)
    launcher = next((path for path in launchers if os.access(path, os.X_OK)), None)
    link, temporary = os.path.join(folder, "roost"), os.path.join(folder, f"roost.{os.getpid()}.new")
    with contextlib.suppress(OSError):
        if launcher is not None and not (os.path.islink(link) and os.readlink(link) == launcher):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            os.symlink(launcher, temporary)
            os.replace(temporary, link)


class LaunchFolder:
    """``<root>/launch``. Methods block for some file operations; from the event loop, call them in a thread."""

    def __init__(self, folder: str, trash: str, tools: Tools | None) -> None:
        self._folder = folder
        self._trash = trash
        self._tools = tools
        self._lock = threading.Lock()
        self._age = 0
        """Number of times that all plans were deleted."""
        self._suspensions = 0
        """Number of ``suspend`` blocks that are open: no plans are written meanwhile."""
        self._written: dict[str, str] = {}
        """Path to text of plans that were written since the last deletion."""

    def token(self) -> int:
        """Return a token for ``write``. Call this before the facts of a plan are gathered."""
        with self._lock:
            return self._age

    def write(self, plan: LaunchPlan, token: int) -> bool:
        """Write ``plan`` for the launcher, and return whether that was done.

        Nothing is written if the plan can't be expressed in sh, if an input file changed or may change unseen, or if
        plans were deleted since ``token`` was taken.
        """
        text = render(plan, self._tools) if self._tools else None
        now = time.time()
        if text is None or not all(is_stable(g, now) and stamp(g.path) == g.identity for g in plan.inputs):
            return False
        with self._lock:
            if self._suspensions or token != self._age:
                return False
            path = f"{self._folder}/{FORMAT}{plan.cwd.rstrip('/')}/{plan.key}"
            # Clients that ask without the launcher get the same plan again and again: writing it each time would cost
            # more than all the rest of the answer.
            if self._written.get(path) == text and os.path.exists(path):
                return True
            if not self._write_file(path, text):
                return False
            if len(self._written) >= _CACHED_PLANS:
                self._written.clear()
            self._written[path] = text
            return True

    def _write_file(self, path: str, text: str) -> bool:
        """Replace the file. There is no sync: after a power loss the daemon deletes all plans before it serves, and a
        truncated plan does nothing, since its last lines are what starts the command."""
        temporary = f"{path}.{os.getpid()}.new"
        try:
            os.makedirs(posixpath.dirname(path), mode=0o700, exist_ok=True)
            with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            return False
        return True

    def wipe(self) -> None:
        """Delete all plans at once: one rename, then the files at leisure."""
        with self._lock:
            self._age += 1
            self._written = {}
            os.makedirs(self._trash, mode=0o700, exist_ok=True)
            aside = f"{self._trash}/launch-{os.getpid()}-{self._age}-{time.time_ns()}"
            try:
                os.rename(self._folder, aside)
            except FileNotFoundError:
                return
        shutil.rmtree(aside, ignore_errors=True)

    @contextlib.contextmanager
    def suspend(self) -> Iterator[None]:
        """Delete all plans, and write none until the block ends."""
        with self._lock:
            self._suspensions += 1
        try:
            self.wipe()
            yield
        finally:
            self.wipe()
            with self._lock:
                self._suspensions -= 1


@contextlib.asynccontextmanager
async def invalidate_launch_plans(folder: LaunchFolder) -> AsyncIterator[None]:
    """Hold this around every commit that changes what is current: a generation, a label, a retired prefix.

    All plans are deleted before and after, and none is written meanwhile. The file operations happen in a thread.
    """
    suspension = folder.suspend()
    entering = asyncio.create_task(asyncio.to_thread(suspension.__enter__))
    try:
        # A thread can't be cancelled: if this task is, the suspension is still entered, and must be left.
        await finish_despite_cancel(entering)
        yield
    finally:
        if not entering.exception():
            await finish_thread_despite_cancel(suspension.__exit__, None, None, None)
