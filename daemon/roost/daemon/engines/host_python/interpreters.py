"""Which Python interpreters exist on this machine, and what each one is.

Shims (of pyenv, asdf) are never listed: a shim may start another interpreter tomorrow. Every interpreter is run once,
with ``-I -S`` so that neither a site hook nor an environment variable affects the answer, and the answer is cached
until its file changes.
"""

from __future__ import annotations

import glob
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from roost.daemon.caller.current import search_path
from roost.model.errors import MALFORMED_JSON
from roost.model.locks.lock import Threading
from roost.store.disk.regular_files import open_regular

_PROBE_SCRIPT = """
import json, os, platform, sys, sysconfig
v, i = sys.version_info, sys.implementation.version
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION")
except (AttributeError, OSError, ValueError):
    libc = None
print(json.dumps({
    "version": "%d.%d.%d" % v[:3],
    "level": v[3],
    "implementation": sys.implementation.name,
    "libc": libc or " ".join(platform.libc_ver()),
    "free_threaded": sysconfig.get_config_var("Py_GIL_DISABLED") in (1, "1"),
    "soabi": sysconfig.get_config_var("SOABI") or "",
    "platform": sysconfig.get_platform(),
    "bits": 64 if sys.maxsize > 2**32 else 32,
    "markers": {
        "os_name": os.name,
        "sys_platform": sys.platform,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "python_full_version": platform.python_version(),
        "implementation_name": sys.implementation.name,
        "implementation_version": "%d.%d.%d" % i[:3] + ("" if i[3] == "final" else i[3][0] + str(i[4])),
    },
}))
"""
_FOLDER_PATTERNS = (
    "~/.pyenv/versions/*/bin",
    "~/.local/share/uv/python/*/bin",
    "~/.asdf/installs/python/*/bin",
    "/usr/bin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/opt/python/*/bin",
)
_NAME = re.compile(r"(?:python|pypy)3(?:\.?\d+t?)?")
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
    soabi: str = ""
    """Tag of its extension modules: ``cpython-311-x86_64-linux-gnu``, ``pypy39-pp73-x86_64-linux-gnu``."""
    platform: str = ""
    """``sysconfig.get_platform()``: ``linux-x86_64``."""
    bits: int = 64
    """Size of its pointers."""
    markers: Mapping[str, str] = {}
    """The variables of markers (PEP 508), ``extra`` apart."""

    @property
    def is_usable(self) -> bool:
        """Whether roost chooses it for new locks: a final CPython with the GIL."""
        return self.final and self.implementation == "cpython" and not self.free_threaded

    @property
    def minor(self) -> str:
        """``X.Y``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def threading(self) -> Threading:
        """Whether threads share the GIL."""
        return "free-threaded" if self.free_threaded else "gil"


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the probe prints."""

    version: str
    level: str
    implementation: str
    libc: str
    free_threaded: bool
    soabi: str
    platform: str
    bits: int
    markers: dict[str, str]


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
        found = msgspec.json.decode(answer, type=_Answer)
    except (OSError, subprocess.SubprocessError, *MALFORMED_JSON):
        return None
    return Interpreter(
        version=found.version,
        executable=path,
        implementation=found.implementation,
        libc=found.libc if found.libc.startswith("glibc") else "",
        final=found.level == "final",
        free_threaded=found.free_threaded,
        soabi=found.soabi,
        platform=found.platform,
        bits=found.bits,
        markers=found.markers,
    )


def own_interpreter() -> str:
    """Return the path of the Python that roost itself runs on, below its virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


class FoundPython(NamedTuple):
    """A path that looks like a Python. ``rule``: why it was looked at."""

    path: str
    """As it was found, with its links."""
    rule: str


def list_interpreters() -> Iterator[str]:
    """Yield the real paths of the interpreters of this machine, each once, roost's own first; shims are left out.

    They are looked for on the caller's ``PATH`` and in the folders of common installers. Blocks.
    """
    for found in survey_interpreters():
        real = os.path.realpath(found.path)
        if os.access(real, os.X_OK):
            yield real


def survey_interpreters() -> Iterator[FoundPython]:
    """Yield what looks like an interpreter, in the order of ``list_interpreters``, those that can't be executed too:
    each real path once, by the first rule that finds it. Shims are left out. Blocks."""
    seen: set[str] = set()
    for found in _find_all():
        real = os.path.realpath(found.path)
        if real not in seen and not (os.path.exists(real) and is_shim(found.path, real)):
            seen.add(real)
            yield found


def _find_all() -> Iterator[FoundPython]:
    yield FoundPython(own_interpreter(), "roost's own")
    folders = [(folder, "PATH") for folder in search_path().split(os.pathsep)]
    folders += [
        (folder, pattern) for pattern in _FOLDER_PATTERNS for folder in sorted(glob.glob(os.path.expanduser(pattern)))
    ]
    for folder, rule in folders:
        if os.path.isabs(folder) and not _is_environment(os.path.dirname(folder)):
            yield from (FoundPython(path, rule) for path in sorted(_find_pythons(folder)))


def _find_pythons(folder: str) -> list[str]:
    """Paths of ``python3``, ``python3.N``, ``python3.Nt`` (free-threaded) and their likes of PyPy in ``folder``."""
    patterns = (os.path.join(glob.escape(folder), name) for name in ("python3*", "pypy3*"))
    paths = [path for pattern in patterns for path in glob.glob(pattern)]
    return [path for path in paths if _NAME.fullmatch(os.path.basename(path))]


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
        with open_regular(real) as file:
            return file.read(2) == b"#!"
    except OSError:
        return True
