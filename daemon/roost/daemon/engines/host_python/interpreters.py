"""Which Python interpreters exist on this machine, and what each one is.

Shims (of pyenv, asdf) are never listed: a shim may start another interpreter tomorrow. Every interpreter is run once,
with ``-I -S`` so that neither a site hook nor an environment variable affects the answer, and the answer is cached
until its file changes.
"""

from __future__ import annotations

import glob
import os
import subprocess
import sys
from collections.abc import Iterator

import msgspec

_PROBE_SCRIPT = (
    "import sys, platform, json; v = sys.version_info; "
    "print(json.dumps(['%d.%d.%d' % v[:3], v[3], sys.implementation.name, ' '.join(platform.libc_ver()), "
    "__import__('sysconfig').get_config_var('Py_GIL_DISABLED') in (1, '1')]))"
)
_FOLDER_PATTERNS = (
    "~/.pyenv/versions/*/bin",
    "~/.local/share/uv/python/*/bin",
    "~/.asdf/installs/python/*/bin",
    "/usr/bin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/opt/python/*/bin",
)
_PROBE_SECONDS = 20


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """What an interpreter reports about itself."""

    version: str
    """``X.Y.Z``, without the suffix of a pre-release."""
    executable: str
    """Path with symbolic links resolved."""
    implementation: str = "cpython"
    libc: str = ""
    """``glibc 2.36``; empty if it is not linked against glibc."""
    final: bool = True
    """Whether it is a final release: no alpha, beta or release candidate."""
    free_threaded: bool = False

    @property
    def is_usable(self) -> bool:
        """Whether roost supports it: a final CPython with the GIL."""
        return self.final and self.implementation == "cpython" and not self.free_threaded


_probed: dict[tuple[str, int, int, int], Interpreter | None] = {}
"""Real path, inode, mtime and size of an executable to its answer."""


def probe_interpreter(path: str) -> Interpreter | None:
    """Return what the interpreter at ``path`` is; ``None`` if it is not a Python or does not answer.

    Blocks: up to 20 seconds the first time.
    """
    try:
        real = os.path.realpath(path)
        stat = os.stat(real)
    except OSError:
        return None
    key = (real, stat.st_ino, stat.st_mtime_ns, stat.st_size)
    if key not in _probed:
        _probed[key] = _run_probe(real)
    return _probed[key]


def _run_probe(path: str) -> Interpreter | None:
    try:
        answer = subprocess.run(
            [path, "-I", "-S", "-c", _PROBE_SCRIPT],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=True,
            cwd="/",
            env={"HOME": os.path.expanduser("~"), "PATH": "/usr/bin:/bin"},
        ).stdout
        version, level, implementation, libc, free_threaded = msgspec.json.decode(answer)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError, ValueError):
        return None
    return Interpreter(
        version=version,
        executable=path,
        implementation=implementation,
        libc=libc if libc.startswith("glibc") else "",
        final=level == "final",
        free_threaded=bool(free_threaded),
    )


def own_interpreter() -> str:
    """Return the path of the Python that roost itself runs on, below its virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def list_interpreters() -> Iterator[str]:
    """Yield the real paths of the interpreters of this machine, each once, roost's own first; shims are left out.

    They are looked for on the daemon's ``PATH`` and in the folders of common installers. Blocks.
    """
    folders = [folder for pattern in _FOLDER_PATTERNS for folder in sorted(glob.glob(os.path.expanduser(pattern)))]
    paths = [own_interpreter()]
    for folder in [*os.environ.get("PATH", "").split(os.pathsep), *folders]:
        if os.path.isabs(folder) and not _is_environment(os.path.dirname(folder)):
            paths += sorted(_find_pythons(folder))
    seen: set[str] = set()
    for path in paths:
        real = os.path.realpath(path)
        if real not in seen and os.access(real, os.X_OK) and not is_shim(path, real):
            seen.add(real)
            yield real


def _find_pythons(folder: str) -> list[str]:
    """Paths of ``python3`` and ``python3.N`` in ``folder``."""
    return [
        path
        for path in glob.glob(os.path.join(glob.escape(folder), "python3*"))
        if os.path.basename(path).removeprefix("python3").lstrip(".").isdigit() or path.endswith("python3")
    ]


def _is_environment(folder: str) -> bool:
    """Whether ``folder`` is a virtual environment or a conda prefix.

    Its interpreter may be deleted at any time, and its packages would be taken for the host's.
    """
    return any(os.path.exists(os.path.join(folder, mark)) for mark in ("pyvenv.cfg", "conda-meta"))


def is_shim(path: str, real: str) -> bool:
    """Return whether ``path``, which resolves to ``real``, is a script or lies in a folder of shims."""
    if "/shims/" in path or "/shims/" in real:
        return True
    try:
        with open(real, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return True
