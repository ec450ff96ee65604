"""Choose a Python of this machine for a lock, check that it is unchanged, and describe one that the user named."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from roost.daemon.engines.host_python import interpreters, provided
from roost.daemon.engines.host_python.errors import (
    InterpreterChangedError,
    InterpreterMissingError,
    NoInterpreterError,
)
from roost.daemon.engines.host_python.fit import find_misfit, format_provider
from roost.daemon.engines.host_python.interpreters import Interpreter
from roost.model.errors import InvalidDefinitionError
from roost.model.locks.lock import HostPython, Lock

_MOST_LISTED = 10


async def find_interpreter(requires: str | None) -> Interpreter:
    """Run :func:`choose_interpreter` in a thread."""
    return await asyncio.to_thread(choose_interpreter, requires)


def choose_interpreter(requires: str | None) -> Interpreter:
    """Return a Python of this machine that fits ``requires`` (a PEP 440 specifier set; ``None``: any). Blocks.

    roost's own Python is preferred if it fits, so that installing another one changes no environment; otherwise the
    newest that fits is chosen.

    Raises:
        InvalidDefinitionError: if ``requires`` is not a specifier set.
        NoInterpreterError: if no interpreter fits.
    """
    specifier = _parse_specifier(requires)
    own = interpreters.probe_interpreter(interpreters.own_interpreter())
    if own is not None and own.is_usable and specifier.contains(own.version):
        return own
    found = _probe_all()
    fitting = [each for each in found if each.is_usable and specifier.contains(each.version)]
    if not fitting:
        found += _probe(provided.list_provided())
        fitting = [each for each in found if each.is_usable and specifier.contains(each.version)]
    if not fitting:
        raise _missing_error(requires, found)
    return max(fitting, key=lambda each: Version(each.version))


def _missing_error(requires: str | None, found: Sequence[Interpreter]) -> NoInterpreterError:
    by_age = sorted(found, key=lambda each: Version(each.version), reverse=True)
    listed = [f"{each.version}{_describe_unusable(each)} at {each.executable}" for each in by_age]
    more = [f"and {len(listed) - _MOST_LISTED} more"] if len(listed) > _MOST_LISTED else []
    return NoInterpreterError(
        "\n".join(
            [f"No Python on this machine fits {requires or 'any version'}; found:", *listed[:_MOST_LISTED], *more]
            if listed
            else [f"No Python on this machine fits {requires or 'any version'}; there is none at all"]
        ),
        hint="Install such a Python (`uv python install`, pyenv and the system's packages are all searched), or choose "
        "one of these with --python if the definition allows it.",
        fields={"requires": requires, "found": sorted({each.version for each in found}, key=Version)},
    )


def _describe_unusable(interpreter: Interpreter) -> str:
    """Say why a Python is not chosen whatever its version is."""
    if interpreter.implementation != "cpython":
        return f" ({interpreter.implementation}, which is not chosen)"
    if interpreter.free_threaded:
        return " (free-threaded, which is not chosen)"
    return "" if interpreter.final else " (a pre-release, which is not chosen)"


def _probe_all() -> list[Interpreter]:
    return _probe(interpreters.list_interpreters())


def _probe(paths: Iterable[str]) -> list[Interpreter]:
    probed = [interpreters.probe_interpreter(path) for path in paths]
    return [each for each in probed if each is not None]


def choose_for_lock(lock: Lock, requires: str | None = None) -> Interpreter:
    """Return a Python of this machine for a prefix of ``lock``: roost's own if it fits, else the newest that fits.
    Blocks.

    ``requires``: what the definition requires, for a lock that was made elsewhere. A lock of format 1 names one
    executable in one version, and only that fits.

    Raises:
        InterpreterChangedError: if the Python of a lock of format 1 no longer exists or has another version.
        NoInterpreterError: if no interpreter fits; its message says why each one of the lock's X.Y does not.
    """
    provider = lock.provider
    assert isinstance(provider, HostPython)
    if provider.is_bound:
        return check_unchanged(provider)
    specifier = _parse_specifier(requires)

    def misfit(each: Interpreter) -> str | None:
        unwanted = not specifier.contains(each.version, prereleases=True)
        return f"the definition requires {requires}" if unwanted else find_misfit(lock, each)

    own = interpreters.probe_interpreter(interpreters.own_interpreter())
    if own is not None and misfit(own) is None:
        return own
    found: list[tuple[Interpreter, str | None]] = []
    for paths in (interpreters.list_interpreters, provided.list_provided):
        found += [(each, misfit(each)) for each in _probe(paths())]
        fitting = [each for each, reason in found if reason is None]
        if fitting:
            return max(fitting, key=lambda each: Version(each.version))
    raise _no_fitting_error(provider, found)


def _no_fitting_error(provider: HostPython, found: Sequence[tuple[Interpreter, str | None]]) -> NoInterpreterError:
    near = [(each, reason) for each, reason in found if each.minor == provider.version]
    listed = "; ".join(f"{each.executable}: {reason}" for each, reason in near)
    versions = sorted({each.version for each, _ in found}, key=Version)
    return NoInterpreterError(
        f"No Python on this machine fits the lock, which is for {format_provider(provider)}: "
        + (listed or f"found {', '.join(versions) or 'none'}"),
        hint=f"Install a {format_provider(provider)} that fits, or create a new generation with a Python that is here: "
        "`roost build --rebuild`.",
        fields={"locked": format_provider(provider), "found": versions},
    )


def _parse_specifier(requires: str | None) -> SpecifierSet:
    try:
        return SpecifierSet(requires or "")
    except InvalidSpecifier as error:
        raise InvalidDefinitionError(
            f"{requires!r} is not a valid version specifier for Python",
            hint='Write something like ">=3.10" or "==3.11.*".',
        ) from error


def check_unchanged(locked: HostPython) -> Interpreter:
    """Return the Python of a lock of format 1, if it still exists in the same version. Blocks.

    An interpreter rebuilt in the same version passes: prefixes link to it by path.

    Raises:
        InterpreterChangedError: if it no longer exists or has another version.
    """
    executable = locked.executable or ""
    found = interpreters.probe_interpreter(executable)
    if found is not None and found.version == locked.version:
        return found
    now = f"it is Python {found.version} now" if found else "it no longer exists"
    raise InterpreterChangedError(
        f"The lock was made for Python {locked.version} at {executable}, and {now}",
        hint="`roost build --rebuild` creates a new generation with an available Python; "
        "or install that version again in the same place.",
        fields={"path": executable, "locked": locked.version, "found": found.version if found else None},
    )


def describe_interpreter(path: str, search_path: str | None = None) -> dict[str, object]:
    """Return what a run records of a user-managed interpreter. Blocks.

    The keys are ``path``, ``version``, ``mtime`` (seconds) and ``executable`` (``path`` with links resolved). A bare
    name (``python``) is searched for in ``search_path`` (default: the daemon's own ``PATH``), skipping shims.

    Raises:
        InterpreterMissingError: if there is no such interpreter or it is not a working Python.
    """
    location = os.path.expanduser(path) if "/" in path else _find_on_path(path, search_path)
    found = interpreters.probe_interpreter(location) if location is not None else None
    if location is None or found is None:
        raise InterpreterMissingError(
            f"{path} does not exist or is not a working Python",
            hint="Set the definition's interpreter to an existing Python ([python] interpreter).",
            fields={"path": path},
        )
    stat = os.stat(location)
    return {"path": location, "version": found.version, "mtime": stat.st_mtime, "executable": found.executable}


def _find_on_path(name: str, search_path: str | None) -> str | None:
    folders = (os.environ.get("PATH", "") if search_path is None else search_path).split(os.pathsep)
    for path in (os.path.join(folder, name) for folder in folders if os.path.isabs(folder)):
        if os.access(path, os.X_OK) and not interpreters.is_shim(path, os.path.realpath(path)):
            return path
    return None
