"""Whether an interpreter fits a lock that was made for a Python of another machine, or of this one earlier. Pure.

An interpreter fits if

1. implementation, X.Y and threading are those of the lock's provider,
2. each wheel has a tag that the interpreter accepts (PEP 425); wheels that were built on a machine have that machine's
   plain platform tag, so for them the lock's ``system`` states the glibc that they were built against,
3. each recorded marker evaluates to what it evaluated to when the lock was made: another set of packages would be
   needed otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from roost.daemon.engines.host_python.interpreters import Interpreter
from roost.daemon.engines.host_python.tags import accepted_tags, glibc_of
from roost.model.locks.lock import HostPython, Lock, Wheel
from roost.model.locks.markers import find_changed_outcome

MAX_FILE_NAME = 255
"""NAME_MAX of Linux."""


def find_misfit(lock: Lock, interpreter: Interpreter) -> str | None:
    """Return the first reason for which ``interpreter`` does not fit ``lock``, as a clause about it; ``None`` if it
    fits."""
    provider = lock.provider
    if not isinstance(provider, HostPython):
        return "the lock has a Python of its own"
    found = provider_of(interpreter)
    if found != HostPython(
        version=provider.version, implementation=provider.implementation, threading=provider.threading
    ):
        return f"it is {format_provider(found)}"
    if not interpreter.final:
        return "it is a pre-release"
    needed, own = _parse_version(lock.system.get("__glibc", "0.0")), glibc_of(interpreter)
    if needed > own:
        return f"a wheel was built against glibc {'.'.join(map(str, needed))}, and it has {interpreter.libc or 'none'}"
    tags = accepted_tags(interpreter)
    unfit = next((wheel for wheel in lock.wheels if not _fits_tags(wheel, tags)), None)
    if unfit is not None:
        return f"{unfit.file_name[:MAX_FILE_NAME]} does not fit it{_describe_libc(interpreter)}"
    changed = find_changed_outcome(lock.markers, marker_environment(interpreter))
    if changed is not None:
        state = "does not hold" if changed.applies else "holds"
        marker = changed.marker[:MAX_FILE_NAME]
        return f"the packages were chosen by {marker}, which {state} for it (Python {interpreter.version})"
    return None


def provider_of(interpreter: Interpreter) -> HostPython:
    """Return the provider of a lock that is made for ``interpreter``."""
    return HostPython(
        version=interpreter.minor, implementation=interpreter.implementation, threading=interpreter.threading
    )


def format_provider(provider: HostPython) -> str:
    """Return a provider for messages: ``cpython 3.13 free-threaded``."""
    return f"{provider.implementation} {provider.version}{' free-threaded' if provider.threading != 'gil' else ''}"


def marker_environment(interpreter: Interpreter) -> dict[str, str]:
    """Return the variables of markers by which packages are chosen for ``interpreter``.

    The kernel's release and version are empty on Linux, as they are for uv whenever it resolves for a platform rather
    than for the machine: a lock must not depend on them.
    """
    environment = {"extra": "", **interpreter.markers}
    if environment.get("sys_platform") == "linux":
        environment.update(platform_release="", platform_version="")
    return environment


def needed_system(wheels: tuple[Wheel, ...], interpreter: Interpreter) -> Mapping[str, str]:
    """Return what a machine must have for ``wheels``, as virtual packages: the glibc of this one, if one of them was
    built on it and has compiled parts."""
    compiled = any(wheel.kind == "built" and not wheel.file_name.endswith("-any.whl") for wheel in wheels)
    return {"__glibc": ".".join(map(str, glibc_of(interpreter)))} if compiled and interpreter.libc else {}


def _fits_tags(wheel: Wheel, accepted: Set[Tag]) -> bool:
    if wheel.kind == "editable" or not wheel.file_name:
        return True
    if len(wheel.file_name) > MAX_FILE_NAME:  # a name may stand for as many tags as the product of its parts
        return False
    try:
        return not accepted.isdisjoint(parse_wheel_filename(wheel.file_name)[3])
    except InvalidWheelFilename:
        return False


def _describe_libc(interpreter: Interpreter) -> str:
    return f" ({interpreter.libc})" if interpreter.libc else ""


def _parse_version(text: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
