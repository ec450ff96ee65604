"""roost as pip installs it (the launcher, and the client with its first line rewritten), on a root of its own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.forked_daemons import fork_daemon
from tests.support.prepared_interpreters import put_index, put_interpreters

from roost.store.disk.file_ops import remove_tree

REPOSITORY = Path(__file__).parents[2]
BIN = REPOSITORY / "client" / "bin"
SOURCES = ("client", "daemon", "store")


class Started(subprocess.Popen):
    """Does not outlive a test that failed."""

    def __exit__(self, kind, value, traceback):
        if kind is not None:
            self.kill()
        super().__exit__(kind, value, traceback)


class Installed:
    """A home, a root, a working folder with an environment that needs no network, and the commands.

    ``forks_daemon``: a daemon serves the root from the beginning (see ``tests.support.forked_daemons``).
    """

    def __init__(self, *, forks_daemon: bool = False) -> None:
        self.base = Path(os.path.realpath(tempfile.mkdtemp(prefix="r", dir="/tmp")))
        self.root = self.base / "root"
        self.work = self.base / "work"
        self.bin = self.base / "bin"
        for folder in (self.work, self.bin):
            folder.mkdir()
        for name in ("roost", "roost-client", "roostd"):
            text = (BIN / name).read_text().replace("#!python", f"#!{sys.executable}", 1)
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        # Where pip puts the packages: the launcher starts an interpreter that reads no .pth files.
        library = self.base / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages" / "roost"
        library.mkdir(parents=True)
        for package in (path for source in SOURCES for path in (REPOSITORY / source / "roost").iterdir()):
            if package.name != "__pycache__":
                (library / package.name).symlink_to(package)
        (self.work / "requirements.txt").write_text("# nothing\n")
        self.environ = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.base),
            "ROOST_HOME": str(self.root),
            "LANG": "C.UTF-8",
        }
        if forks_daemon:
            self.root.mkdir(mode=0o700)
            put_interpreters(self.root)
            put_index(self.root)
            fork_daemon(self.root, self.environ)

    def start(self, *words: str, program: str = "roost", cwd: Path | None = None, environ=None, **options):
        return Started(
            [self.bin / program, *words],
            cwd=cwd or self.work,
            env={**self.environ, **(environ or {})},
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                **options,
            },
        )

    def __call__(self, *words: str, input: str | None = None, **options) -> subprocess.CompletedProcess[str]:
        if input is not None:
            options["stdin"] = subprocess.PIPE
        with self.start(*words, **options) as process:
            out, err = process.communicate(input, timeout=60)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def json(self, *words: str, **options):
        done = self(*words, "--json", **options)
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)

    def on_terminal(self, *words: str, environ=None) -> str:
        """Everything that is shown on a terminal."""
        master, slave = pty.openpty()
        with self.start(*words, stdout=slave, stderr=slave, environ={"TERM": "xterm", **(environ or {})}) as process:
            os.close(slave)
            shown = b""
            while chunk := _read(master):
                shown += chunk
            process.wait(60)
        os.close(master)
        return shown.decode()

    def plans(self) -> list[Path]:
        return [path for path in (self.root / "launch").rglob("*") if path.is_file()]

    def remove(self) -> None:
        self("daemon", "stop")
        remove_tree(str(self.base))


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says so when the other end is closed
        return b""
