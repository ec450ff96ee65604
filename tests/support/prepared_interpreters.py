"""What uv knows of the interpreter of the tests, asked once for each process of a test run and copied into new roots.

uv asks an interpreter that it does not know about itself, with a program of a sixth of the processor time of a small
build, and keeps the answer in its cache, which is each root's own.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin


def put_interpreters(root: Path) -> None:
    """Put what is known into the cache of uv of a ``root`` that exists and has none."""
    cache = root / "wheels" / "uv"
    if root.is_dir() and not cache.exists():
        (root / "wheels").mkdir(mode=0o700, exist_ok=True)
        shutil.copytree(_asked(), cache)


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
