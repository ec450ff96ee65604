"""Random changes of a small tree, made by another process: ``python -m tests.support.churn FOLDER`` reads lines of a
seed and a number of operations, and answers each with a line when they are done."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

NAMES = ("a", "b", "environment.yml")
PLACES = [f"{one}/{two}/{name}" for one in ("p", "q") for two in ("s", "t") for name in NAMES]
"""Paths of files below the folder, two folders deep; links lead between the folders."""
LINKS = ("p/link", "link", "q/s/link")
_EXCHANGE = 2


def watched_paths(folder: str) -> list[str]:
    """Paths that the operations change: directly, through links to files and folders, and through ``..``."""
    through = [f"{link}/{name}" for link in LINKS for name in ("environment.yml", "s/a")]
    return [f"{folder}/{place}" for place in [*PLACES, *LINKS, *through, "p/s", "p/../q/t/a", "deep/er/still/b"]]


def read_state(path: str) -> tuple[str, bytes]:
    """What a path has: the content of a file, the names of a folder, or that there is neither."""
    try:
        if os.path.isdir(path):
            return "folder", "/".join(sorted(os.listdir(path))).encode()
        return "file", Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return "missing", b""
    except OSError as error:
        return "error", str(error.errno).encode()


class Churn:
    """Operations in one folder, in an order that the seed decides."""

    def __init__(self, folder: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.actions = [
            *([self.write, self.replace, self.truncate] * 3),
            *(self.append, self.write_mapped, self.unlink, self.link, self.hard_link, self.touch, self.make),
            *(self.remove_folder, self.move_folder, self.exchange, self.make_deep, self.remove_deep, self.fill),
        ]

    def run(self, count: int) -> None:
        for _ in range(count):
            with contextlib.suppress(OSError, ValueError):
                self.random.choice(self.actions)()
            if self.random.random() < 0.1:
                time.sleep(self.random.random() * 0.01)

    def text(self) -> str:
        return str(self.random.randrange(4)) * self.random.randrange(1, 3)

    def place(self) -> str:
        return f"{self.folder}/{self.random.choice(PLACES)}"

    def some_folder(self) -> str:
        return f"{self.folder}/{self.random.choice(('p', 'q', 'p/s', 'p/t', 'q/s', 'q/t', 'spare'))}"

    def write(self) -> None:
        Path(self.place()).write_text(self.text())

    def replace(self) -> None:
        path = self.place()
        Path(f"{path}~").write_text(self.text())
        os.rename(f"{path}~", path)

    def truncate(self) -> None:
        path = self.place()
        with open(path, "r+") as file:
            file.truncate(0)
            file.write(self.text())

    def append(self) -> None:
        with open(self.place(), "a") as file:
            file.write(self.text())

    def write_mapped(self) -> None:
        with open(self.place(), "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
            view[0:1] = self.text()[:1].encode()

    def unlink(self) -> None:
        os.unlink(self.place())

    def link(self) -> None:
        path = f"{self.folder}/{self.random.choice(LINKS)}"
        target = self.random.choice(("p", "q", "q/s", "p/s", "link", "p/link", "../p/t", "none", "q/../p"))
        os.symlink(self.random.choice((target, f"{self.folder}/{target}")), f"{path}~")
        os.rename(f"{path}~", path)

    def hard_link(self) -> None:
        path = self.place()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        source = self.place()
        os.link(source, path)
        os.utime(source)  # a name that is added is no event where the file was: the next event of the file tells

    def touch(self) -> None:
        path = self.place()
        os.utime(path)
        os.chmod(path, self.random.choice((0o644, 0o600)))

    def make(self) -> None:
        os.makedirs(os.path.dirname(self.place()), exist_ok=True)

    def remove_folder(self) -> None:
        shutil.rmtree(self.some_folder())

    def move_folder(self) -> None:
        os.rename(self.some_folder(), self.some_folder())

    def exchange(self) -> None:
        one, two = os.fsencode(self.some_folder()), os.fsencode(self.some_folder())
        ctypes.CDLL(None).renameat2(-100, one, -100, two, _EXCHANGE)

    def make_deep(self) -> None:
        os.makedirs(f"{self.folder}/deep/er/still", exist_ok=True)
        Path(f"{self.folder}/deep/er/still/b").write_text(self.text())

    def remove_deep(self) -> None:
        shutil.rmtree(f"{self.folder}/{self.random.choice(('deep', 'deep/er', 'deep/er/still'))}")

    def fill(self) -> None:
        folder = self.some_folder()
        os.makedirs(folder, exist_ok=True)
        for name in NAMES:
            Path(folder, name).write_text(self.text())


@contextlib.contextmanager
def churning(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that changes ``folder``."""
    command = [sys.executable, "-m", "tests.support.churn", str(folder)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    for line in sys.stdin:
        seed, count = line.split()
        Churn(sys.argv[1], int(seed)).run(int(count))
        print("done", flush=True)


if __name__ == "__main__":
    main()
