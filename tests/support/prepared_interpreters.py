"""What uv knows of the interpreter of the tests, asked once for each process of a test run and copied into new roots.

uv asks an interpreter that it does not know about itself, with a program of a sixth of the processor time of a small
build, and keeps the answer in its cache, which is each root's own.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from uv import find_uv_bin

from roost.store.store import Store


def put_interpreters(root: Path) -> None:
    """Put what is known into the cache of uv of a ``root`` that exists and has none."""
    cache = root / "wheels" / "uv"
    if root.is_dir() and not cache.exists():
        (root / "wheels").mkdir(mode=0o700, exist_ok=True)
        shutil.copytree(_asked(), cache)


def put_index(root: Path) -> None:
    """Put an empty index into a ``root`` that exists and has none: making its tables is a fifth of a daemon's start."""
    if root.is_dir() and not any((root / name).exists() for name in ("format", "index.db")):
        for path in _made().iterdir():
            shutil.copy2(path, root / path.name)


@functools.cache
def _made() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ri", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    async def make() -> None:
        await (await Store.open(str(folder / "root"))).close()

    thread = threading.Thread(target=lambda: asyncio.run(make()))  # a test may have a loop of its own
    thread.start()
    thread.join()
    kept = folder / "kept"
    kept.mkdir()
    for name in ("format", "index.db"):
        shutil.copy2(folder / "root" / name, kept)
    return kept


@functools.cache
def _asked() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ruv", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    python = os.path.realpath(sys.executable)
    words = [find_uv_bin(), "python", "find", "--no-config", "--no-project", "--cache-dir", str(folder / "all"), python]
    environ = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    subprocess.run(words, check=True, capture_output=True, env=environ)
    kept = folder / "kept"
    kept.mkdir()
    for path in (folder / "all").glob("interpreter-*"):
        shutil.copytree(path, kept / path.name)
    return kept
