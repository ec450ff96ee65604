"""Which lock of a lock file is for a definition and its target. Pure."""

from __future__ import annotations

import msgspec

from roost.daemon.definitions.resolved import FormerLock
from roost.model.lock_files.lock_file import LockFile
from roost.model.locks.lock import CondaPackage, Lock
from roost.model.records import HOST_SCOPE
from roost.wire.plans import Reason

STALE = "lock-stale"
CHOICES = "lock-choices"
PLATFORM_MISSING = "lock-file-platform-missing"


class LockChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What a lock file is for one definition and target."""

    lock: Lock | None = None
    """The lock to use."""
    reason: Reason | None = None
    """Why there is none."""
    former: FormerLock | None = None
    """What a solve prefers then."""


def choose_lock(file: LockFile, path: str, definition_digest: str, scope: str, *, has_choices: bool) -> LockChoice:
    """Return the lock for ``scope``: 1. if the file is for another definition, none; 2. if it has no such section,
    none; 3. that of the section. ``has_choices``: options make another definition of what the file says."""
    former = _find_former(file, scope)
    if file.definition_digest != definition_digest:
        if has_choices:
            text = f"{path} is for the definition without these options: a solve prefers its versions"
            return LockChoice(reason=Reason(code=CHOICES, message=text), former=former)
        text = (
            f"{path} is for another content of the definition ({file.definition_digest[7:19]}, now "
            f"{definition_digest[7:19]}): only its versions are preferred; `roost lock --write` brings it up to date"
        )
        return LockChoice(reason=Reason(code=STALE, message=text), former=former)
    lock = file.locks.get(scope)
    if lock is not None:
        return LockChoice(lock=lock)
    platforms = ", ".join(sorted(file.locks)) or "no platform"
    text = (
        f"{path} has locks for {platforms} and none for {scope}: its versions are preferred; "
        f"`roost lock --write{_platform_option(scope)}` adds one"
    )
    return LockChoice(reason=Reason(code=PLATFORM_MISSING, message=text), former=former)


def _platform_option(scope: str) -> str:
    return "" if scope.endswith(HOST_SCOPE) else f" --platform {scope}"


def _find_former(file: LockFile, scope: str) -> FormerLock | None:
    """Return the lock of ``scope``, else that of the same operating system, else any: of these the versions."""
    ranked = sorted(file.locks, key=lambda each: (_distance(each, scope), each))
    if not ranked:
        return None
    lock, is_same = file.locks[ranked[0]], ranked[0] == scope
    if not is_same:
        packages = (each if each.subdir == "noarch" else _without_build(each) for each in lock.conda)
        lock = msgspec.structs.replace(lock, conda=tuple(packages))
    return FormerLock(lock=lock, canonical=file.canonical, is_compared=is_same)


def _without_build(package: CondaPackage) -> CondaPackage:
    return msgspec.structs.replace(package, build="", sha256="")


def _distance(one: str, other: str) -> int:
    if one == other:
        return 0
    if one.partition("+")[0] == other.partition("+")[0]:
        return 1
    return 2 if one.partition("-")[0] == other.partition("-")[0] else 3
