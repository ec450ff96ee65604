"""Which lock of a lock file is for a definition and its target. Pure."""

from __future__ import annotations

import shlex

import msgspec

from roost.daemon.definitions.resolved import FormerLock
from roost.model.definition import NO_CHOICES, Choices
from roost.model.lock_files.lock_file import LOCK_FILE, LockFile
from roost.model.locks.lock import CondaPackage, Lock
from roost.wire.plans import Reason

STALE = "lock-stale"
CHOICES = "lock-choices"
PLATFORM_MISSING = "lock-file-platform-missing"


class LockChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What a lock file is for one definition and target."""

    lock: Lock | None = None
    """The lock to use."""
    reason: Reason | None = None
    """Why there is none, and what happens instead."""
    why: str = ""
    """The same without what happens instead."""
    is_said: bool = True
    """Whether that is a warning; not so if whoever gave options must expect it."""
    former: FormerLock | None = None
    """What a solve prefers then."""


class LockAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks of a lock file."""

    path: str
    """Of the file, as people are told it."""
    definition_digest: str
    scope: str
    command: str = "roost lock --write"
    """What writes the lock for exactly this."""
    choices: Choices = NO_CHOICES
    """Normalised."""
    has_additions: bool = False
    """Whether there are packages of ``--with``, which no file has a lock for."""


def choose_lock(file: LockFile, asked: LockAsked) -> LockChoice:
    """Return the lock that is asked for: 1. if the file is for another definition, none; 2. if it has no such section,
    none; 3. that of the section."""
    former = _find_former(file, asked.scope)
    if file.definition_digest != asked.definition_digest:
        return msgspec.structs.replace(_explain_other_definition(file, asked), former=former)
    lock = file.locks.get(asked.scope)
    if lock is not None:
        return LockChoice(lock=lock)
    why = f"{asked.path} has locks for {', '.join(sorted(file.locks)) or 'no platform'} and none for {asked.scope}"
    instead = f"its versions are preferred; `{asked.command}` adds one"
    return _refuse(PLATFORM_MISSING, why, instead, former=former)


def _explain_other_definition(file: LockFile, asked: LockAsked) -> LockChoice:
    """Return why a file for another definition has no lock: 1. options; 2. what the definition says."""
    if asked.choices != file.choices:
        written, now = format_choices(file.choices), format_choices(asked.choices)
        why = f"{asked.path} was written {_with(written)}, and this is {_with(now)}"
        given = f"give {written}, or " if written and not now else ""
        instead = f"only its versions are preferred; {given}`{asked.command}` replaces it"
        return _refuse(CHOICES, why, instead, is_said=not now)
    if asked.has_additions:
        why = f"{asked.path} is for the definition without --with"
        return _refuse(CHOICES, why, "only its versions are preferred", is_said=False)
    why = (
        f"{asked.path} is for another content of the definition ({file.definition_digest[7:19]}, now "
        f"{asked.definition_digest[7:19]})"
    )
    return _refuse(STALE, why, f"only its versions are preferred; `{asked.command}` brings it up to date")


def _refuse(code: str, why: str, instead: str, *, is_said: bool = True, former: FormerLock | None = None) -> LockChoice:
    reason = Reason(code=code, message=f"{why}: {instead}")
    return LockChoice(reason=reason, why=why, is_said=is_said, former=former)


def format_choices(choices: Choices) -> str:
    """Return the options of ``choices``; an empty text if there are none."""
    words = [f"--python {choices.python}"] if choices.python is not None else []
    words += [f"--extra {name}" for name in choices.extras] + [f"--group {name}" for name in choices.groups]
    return " ".join(words)


def tell_other_choices(former: Choices, choices: Choices, path: str) -> Reason | None:
    """Return that a file is now for other choices than it was; ``None`` if it is for the same."""
    if former == choices:
        return None
    was, now = _with(format_choices(former)), _with(format_choices(choices))
    return Reason(code=CHOICES, message=f"{path} was written {was}, and is now for the definition {now}")


def _with(options: str) -> str:
    return f"with {options}" if options else "without options"


def show_path(path: str, cwd: str) -> str:
    """Return ``path``, relative to the working folder if it is below it."""
    return path.removeprefix(f"{cwd.rstrip('/')}/")


def format_command(path: str, file: str | None, choices: Choices, option: str, *, cwd: str) -> str:
    """Return the command that writes the lock file ``path``. ``file``: ``-f``, if it was given; ``option``: the target
    or platform, if it is not the usual one; ``cwd``: where the command will be typed."""
    folder, _, name = path.rpartition("/")
    if file is None and name != LOCK_FILE:
        file = show_path(path, cwd).removesuffix(f".{LOCK_FILE}")
    elif file is None and not f"{cwd.rstrip('/')}/".startswith(f"{folder}/"):
        file = show_path(folder, cwd)  # the search from there does not come by: a script elsewhere was named
    named = f"-f {shlex.quote(file)}" if file is not None else ""
    return " ".join(word for word in ("roost lock --write", named, format_choices(choices), option) if word)


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
