"""Where launch plans lie (``plan.py`` says what they are), and what the daemon looks at to write one."""

from __future__ import annotations

import contextlib
import os
import posixpath
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator

from roost.daemon.definitions.stamps import STAT_FORMAT, is_stable, stamp
from roost.daemon.launch.plan import FORMAT, LaunchPlan, Tools, render

_REMEMBERED = 200
"""So many plans, of 2 kB each, are known by heart."""


def find_tools() -> Tools | None:
    """GNU stat and flock(1) of this machine, tried against what Python sees; ``None``: write no plans here. Blocks."""
    paths = [shutil.which(name, path="/usr/bin:/bin:" + os.environ.get("PATH", "")) for name in ("stat", "flock")]
    if None in paths:
        return None
    tools = Tools(stat=str(paths[0]), flock=str(paths[1]))
    with tempfile.NamedTemporaryFile(prefix="roost") as probe:
        seen = subprocess.run([tools.stat, "-L", "-c", STAT_FORMAT, "--", probe.name], capture_output=True, check=False)
        locked = subprocess.run([tools.flock, "-s", "-n", str(probe.fileno())], pass_fds=[probe.fileno()], check=False)
        same = seen.stdout.decode().strip() == stamp(probe.name)
    return tools if same and locked.returncode == 0 else None


class LaunchFolder:
    """``<root>/launch``. Methods block for some file operations; from the event loop, call them in a thread."""

    def __init__(self, folder: str, trash: str, tools: Tools | None) -> None:
        self._folder = folder
        self._trash = trash
        self._tools = tools
        self._lock = threading.Lock()
        self._age = 0
        self._movers = 0
        self._written: dict[str, str] = {}

    def token(self) -> int:
        """Take it before gathering the facts of a plan, and give it to ``write``."""
        with self._lock:
            return self._age

    def write(self, plan: LaunchPlan, token: int) -> bool:
        """Leave ``plan`` for the launcher, if it is certain, still true and sayable; else leave nothing."""
        text = render(plan, self._tools) if self._tools else None
        now = time.time()
        if text is None or not all(is_stable(g, now) and stamp(g.path) == g.identity for g in plan.inputs):
            return False
        with self._lock:
            if self._movers or token != self._age:
                return False
            return self._leave(f"{self._folder}/{FORMAT}{plan.cwd.rstrip('/')}/{plan.key}", text)

    def _leave(self, path: str, text: str) -> bool:
        """Not again, for those who ask without the launcher: writing costs more than all the rest of their answer."""
        if self._written.get(path) == text and os.path.exists(path):
            return True
        done = self._replace(path, text)
        if done:
            self._remember(path, text)
        return done

    def _remember(self, path: str, text: str) -> None:
        if len(self._written) >= _REMEMBERED:
            self._written.clear()
        self._written[path] = text

    def _replace(self, path: str, text: str) -> bool:
        """No sync: after a power loss the daemon wipes all plans before it serves, and a part is never a whole: the
        last lines are what starts the command."""
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
        """Forget all plans, at once: one rename."""
        with self._lock:
            self._age += 1
            self._written = {}
            aside = self._set_aside()
        if aside:
            shutil.rmtree(aside, ignore_errors=True)

    def _set_aside(self) -> str | None:
        os.makedirs(self._trash, mode=0o700, exist_ok=True)
        aside = f"{self._trash}/launch-{os.getpid()}-{self._age}-{time.time_ns()}"
        try:
            os.rename(self._folder, aside)
        except FileNotFoundError:
            return None
        return aside

    @contextlib.contextmanager
    def moving(self) -> Iterator[None]:
        """Hold this around every commit that moves something current (a generation, a label, a retired prefix)."""
        with self._lock:
            self._movers += 1
        try:
            self.wipe()
            yield
        finally:
            self.wipe()
            with self._lock:
                self._movers -= 1
