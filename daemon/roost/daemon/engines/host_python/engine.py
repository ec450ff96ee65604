"""The Pythons of this machine: which there are, which one fits, and whether one is still what it was.

A shim (pyenv's, asdf's) is never used: it answers with another interpreter tomorrow. Every candidate is run once
(``-I -S``, so that no site hook and no variable has a say) and remembered until its file changes.
"""

from __future__ import annotations

import asyncio
import glob
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from roost.model.errors import BuildError, InvalidDefinitionError, LookupFailedError
from roost.model.locks.lock import HostPython

_PROBE = (
    "import sys, platform, json; v = sys.version_info; "
    "print(json.dumps(['%d.%d.%d' % v[:3], v[3], sys.implementation.name, ' '.join(platform.libc_ver()), "
    "__import__('sysconfig').get_config_var('Py_GIL_DISABLED') in (1, '1')]))"
)
_PATTERNS = (
    "~/.pyenv/versions/*/bin",
    "~/.local/share/uv/python/*/bin",
    "~/.asdf/installs/python/*/bin",
    "/usr/bin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/opt/python/*/bin",
)
_TIMEOUT = 20


class NoInterpreterError(LookupFailedError):
    """No Python of this machine fits."""

    code = "no-interpreter"
    exit_status = 4


class InterpreterMissingError(LookupFailedError):
    """The interpreter that was named is not there, or is no Python."""

    code = "interpreter-missing"


class InterpreterChangedError(BuildError):
    """The Python that a lock was made for is gone or is another version now."""

    code = "interpreter-changed"


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """What an interpreter says of itself."""

    version: str
    executable: str
    implementation: str = "cpython"
    libc: str = ""
    """``glibc 2.36``; empty where there is no glibc."""
    final: bool = True
    """Not an alpha, beta or candidate."""
    free_threaded: bool = False


_probed: dict[tuple[str, int, int, int], Probed | None] = {}


def probe(path: str) -> Probed | None:
    """What the interpreter at ``path`` is; ``None`` where it is none or does not answer. Blocks: up to 20 seconds."""
    try:
        real = os.path.realpath(path)
        stat = os.stat(real)
    except OSError:
        return None
    key = (real, stat.st_ino, stat.st_mtime_ns, stat.st_size)
    if key not in _probed:
        _probed[key] = _ask(real)
    return _probed[key]


def _ask(path: str) -> Probed | None:
    try:
        answer = subprocess.run(
            [path, "-I", "-S", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=True,
            cwd="/",
            env={"HOME": os.path.expanduser("~"), "PATH": "/usr/bin:/bin"},
        ).stdout
        version, level, implementation, libc, free = msgspec.json.decode(answer)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError, ValueError):
        return None
    return Probed(
        version=version,
        executable=path,
        implementation=implementation,
        libc=libc if libc.startswith("glibc") else "",
        final=level == "final",
        free_threaded=bool(free),
    )


def candidates() -> Iterator[str]:
    """Paths of interpreters, roost's own first, without shims and without repeats (by what they resolve to)."""
    seen: set[str] = set()
    for path in _listed():
        real = os.path.realpath(path)
        if real not in seen and os.access(real, os.X_OK) and not _is_shim(path, real):
            seen.add(real)
            yield real


def _listed() -> Iterator[str]:
    yield own_interpreter()
    folders = [folder for pattern in _PATTERNS for folder in sorted(glob.glob(os.path.expanduser(pattern)))]
    for folder in [*os.environ.get("PATH", "").split(os.pathsep), *folders]:
        if os.path.isabs(folder) and not _in_virtual(folder):
            yield from sorted(_pythons(folder))


def _pythons(folder: str) -> Iterable[str]:
    return [
        path
        for path in glob.glob(os.path.join(glob.escape(folder), "python3*"))
        if os.path.basename(path).removeprefix("python3").lstrip(".").isdigit() or path.endswith("python3")
    ]


def _in_virtual(folder: str) -> bool:
    """A venv or a conda prefix: it may go at any time, and what is in it would be taken for the host's."""
    parent = os.path.dirname(folder)
    return any(os.path.exists(os.path.join(parent, mark)) for mark in ("pyvenv.cfg", "conda-meta"))


def _is_shim(path: str, real: str) -> bool:
    """A script in an interpreter's place, or anything in a folder of shims."""
    if "/shims/" in path or "/shims/" in real:
        return True
    try:
        with open(real, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return True


def own_interpreter() -> str:
    """The Python that roost itself runs on, below its virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def choose(requires: str | None) -> HostPython:
    """A Python of this machine that fits ``requires`` (a PEP 440 specifier set). Blocks.

    roost's own is preferred where it fits, so that installing another Python moves no environment; else the newest.
    Raises InvalidDefinitionError where ``requires`` is none, NoInterpreterError where nothing fits.
    """
    wanted = _specifier(requires)
    own = probe(own_interpreter())
    if own is not None and _fits(own, wanted):
        return HostPython(version=own.version, executable=own.executable)
    found = [probed for path in candidates() if (probed := probe(path)) is not None]
    fitting = [probed for probed in found if _fits(probed, wanted)]
    if not fitting:
        raise _none_fits(requires, found)
    best = max(fitting, key=lambda probed: Version(probed.version))
    return HostPython(version=best.version, executable=best.executable)


def _specifier(requires: str | None) -> SpecifierSet:
    try:
        return SpecifierSet(requires or "")
    except InvalidSpecifier as error:
        raise InvalidDefinitionError(
            f"{requires!r} is no version specifier for Python", hint='Write something like ">=3.10" or "==3.11.*".'
        ) from error


def _fits(probed: Probed, wanted: SpecifierSet) -> bool:
    usable = probed.final and probed.implementation == "cpython" and not probed.free_threaded
    return usable and wanted.contains(probed.version)


def _none_fits(requires: str | None, found: list[Probed]) -> NoInterpreterError:
    versions = sorted({probed.version for probed in found}, key=Version)
    return NoInterpreterError(
        f"No Python on this machine fits {requires or 'any version'}; there is {', '.join(versions) or 'none at all'}",
        hint="Install such a Python, change what the definition asks for, or let conda provide it: "
        "a conda dependency `python` needs nothing on this machine.",
        fields={"requires": requires, "found": versions},
    )


async def find_interpreter(requires: str | None) -> HostPython:
    """``choose`` in a thread."""
    return await asyncio.to_thread(choose, requires)


def check_unchanged(locked: HostPython) -> None:
    """Raise InterpreterChangedError unless ``locked``'s Python is still there in the same version. Blocks.

    An interpreter rebuilt in the same version is fine: prefixes link to it by path.
    """
    found = probe(locked.executable)
    if found is not None and found.version == locked.version:
        return
    now = f"it is Python {found.version} now" if found else "it is not there any more"
    raise InterpreterChangedError(
        f"The lock was made for Python {locked.version} at {locked.executable}, and {now}",
        hint="`roost build --rebuild` makes a new generation on a Python that is here; "
        "or install that version again in the same place.",
        fields={"path": locked.executable, "locked": locked.version, "found": found.version if found else None},
    )


def describe_interpreter(path: str, search_path: str | None = None) -> dict[str, object]:
    """What a run records of a user-managed interpreter: ``path``, ``version``, ``mtime`` (seconds), and ``executable``,
    which ``path`` leads to. Blocks.

    A bare name (``python``) is looked for in ``search_path`` (the daemon's own ``PATH`` where it is ``None``), past
    shims. Raises InterpreterMissingError where there is none.
    """
    place = os.path.expanduser(path) if "/" in path else _named(path, search_path)
    found = probe(place) if place is not None else None
    if place is None or found is None:
        raise InterpreterMissingError(
            f"{path} is not there or is no Python that runs",
            hint="Set the definition's interpreter to an existing Python ([python] interpreter).",
            fields={"path": path},
        )
    stat = os.stat(place)
    return {"path": place, "version": found.version, "mtime": stat.st_mtime, "executable": found.executable}


def _named(name: str, search_path: str | None) -> str | None:
    folders = (os.environ.get("PATH", "") if search_path is None else search_path).split(os.pathsep)
    for path in (os.path.join(folder, name) for folder in folders if os.path.isabs(folder)):
        if os.access(path, os.X_OK) and not _is_shim(path, os.path.realpath(path)):
            return path
    return None
