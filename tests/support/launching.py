"""A root with real launch plans, without the daemon: a prefix made by venv, the launcher as it is installed, and
beside it a stand-in for roost-client that tells that it was asked."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

from roost.daemon.definitions.stamps import stamp
from roost.daemon.launch.folder import LaunchFolder, find_tools
from roost.daemon.launch.plan import LaunchPlan, config_path, plan_key
from roost.model.records import FileStamp, VariableChange
from roost.store.disk.file_ops import remove_tree

LAUNCHER = Path(__file__).parents[2] / "client" / "bin" / "roost"
ASKED = 99
STAND_IN = '#!/bin/sh\nprintf "asked"\nprintf " <%s>" "$@"\nprintf "\\n"\nprintf "%s\\n" "${MARK-}"\nexit 99\n'


def settled_identity(path: str | Path) -> FileStamp:
    """The identity of a file, once its last change is older than the clock's grain."""
    found = stamp(str(path))
    deadline = time.monotonic() + 5
    while found != "absent" and time.time() - os.stat(path).st_ctime < 0.06 and time.monotonic() < deadline:
        os.sched_yield()
    return FileStamp(path=str(path), identity=found)


class LaunchRoot:
    def __init__(self, base: Path, shell: str = "/bin/sh", *, locks: bool = False) -> None:
        """``locks``: as on a file system whose files can't be barred."""
        self.base = Path(os.path.realpath(base))
        self.root = self.base / "root"
        self.work = self.base / "work"
        self.bin = self.base / "bin"
        self.prefix = self.base / "prefix"
        self.lease = self.base / "prefix.lease"
        for folder in (self.root, self.work, self.bin):
            folder.mkdir()
        self._install(shell)
        self._make_prefix()
        tools = find_tools("/none" if locks else str(self.base))
        self.folder = LaunchFolder(str(self.root / "launch"), str(self.root / "trash"), tools)
        self.file = self.work / "requirements.txt"
        self.file.write_text("six\n")
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.base),
            "ROOST_HOME": str(self.root),
        }

    def _install(self, shell: str) -> None:
        text = LAUNCHER.read_text().replace("#!/bin/sh", f"#!{shell}", 1)
        for name, content in (("roost", text), ("roost-client", STAND_IN)):
            (self.bin / name).write_text(content)
            (self.bin / name).chmod(0o755)

    def _make_prefix(self) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.prefix], check=True)
        self.lease.touch()

    @property
    def python(self) -> Path:
        return self.prefix / "bin" / "python"

    def guards(self) -> tuple[FileStamp, ...]:
        packages = next(self.prefix.glob("lib/python*/site-packages"))
        return tuple(FileStamp(path=str(p), identity=stamp(str(p))) for p in (self.python, packages))

    def plan(
        self, command: list[str], *, file: str | None = None, environment: str | None = None, **changes
    ) -> LaunchPlan:
        key = plan_key(command=command, file=file, environment=environment)
        assert key is not None
        fields = {
            "cwd": str(self.work),
            "key": key,
            "config": config_path(self.environ),
            "inputs": (settled_identity(self.file), settled_identity(config_path(self.environ))),
            "absent": tuple(str(self.work / name) for name in ("roost.toml", "environment.yml", "environment.yaml")),
            "guards": self.guards(),
            "lease": str(self.lease),
            "prefix": str(self.prefix),
            "changes": (
                VariableChange(name="PATH", action="prepend", value=str(self.prefix / "bin")),
                VariableChange(name="CONDA_PREFIX", action="set", value=str(self.prefix)),
            ),
            "variables": {},
            "python": str(self.python),
        }
        return LaunchPlan(**{**fields, **changes})

    def leave(self, command: list[str], **changes) -> bool:
        return self.folder.write(self.plan(command, **changes), self.folder.token())

    def launch(self, *words: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.bin / "roost", *words],
            cwd=cwd or self.work,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def remove(self) -> None:
        for path in (self.prefix, self.work):
            if path.exists() and not os.access(path, os.W_OK):
                path.chmod(stat.S_IRWXU)
        remove_tree(str(self.base))
