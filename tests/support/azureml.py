"""A Python with Azure's own SDK, installed once from the package index of this machine and cached."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from tests.support.images.debian import missing

from roost.store.disk.file_ops import remove_tree

AZUREML = "azureml-core==1.61.0.post4"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "roost-tests")


def python_with_azureml() -> Path:
    """The interpreter; installing takes about a minute. Skips the test if there is no Python 3.10 to install under."""
    folder = CACHE / AZUREML.replace("==", "-")
    python = folder / "bin/python"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "azureml-core.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            remove_tree(str(folder))
            _install(folder, python)
            (folder / "complete").touch()
    return python


def _install(folder: Path, python: Path) -> None:
    base = _python310()
    if base is None:
        missing("no Python 3.10 is here, under which azureml-core installs")
    subprocess.run([str(base), "-m", "venv", folder], check=True, capture_output=True)
    words = [python, "-m", "pip", "install", "-q", "setuptools<81", AZUREML]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing(f"azureml-core can't be installed: {done.stderr.strip()[-500:]}")


def _python310() -> str | None:
    places = [shutil.which("python3.10"), *sorted(map(str, Path.home().glob(".pyenv/versions/3.10.*/bin/python3.10")))]
    for place in filter(None, places):  # a pyenv shim of another version is on the path and does not start
        if subprocess.run([place, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0:
            return place
    return None
