"""The definition of a request with what its lock file has for it.

What names one result comes first: ``--lock`` and ``--generation``; so does ``--rebuild``, which chooses anew. Then the
lock of the file is used as if by ``--lock``, before this machine's current generation, registries and a solve.
"""

from __future__ import annotations

import msgspec

from roost.daemon.decision.facts import Request
from roost.daemon.decision.images import is_unmodified
from roost.daemon.definitions.choices import get_choices
from roost.daemon.definitions.resolve import is_pinned
from roost.daemon.definitions.resolved import FileLock, FormerLock, ResolvedDefinition, TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.lock_files.choice import (
    CHOICES,
    PLATFORM_MISSING,
    LockAsked,
    LockChoice,
    choose_lock,
    format_command,
    show_path,
)
from roost.daemon.lock_files.late_vouching import LateVouching
from roost.daemon.lock_files.reading import LockFileMissingError, LockFileReader
from roost.daemon.lock_files.vouching import (
    UNFIT,
    UNTRUSTED_HINT,
    UNVOUCHED,
    LockFileUntrustedError,
    LockFileVoucher,
)
from roost.daemon.oci.target_platforms import local_platform
from roost.model.canonical.form import list_choice_rules
from roost.model.errors import CodedError, InvalidRequestError, Location
from roost.model.lock_files.lock_file import normalise_choices
from roost.model.locks.lock import digest_lock
from roost.model.records import Generation
from roost.store.index.index import Index
from roost.wire.plans import EnvironmentSelector, Reason
from roost.wire.protocol import WarningView


class LockFileStaleError(CodedError):
    """``--locked``: the lock file does not have the lock of this definition and target."""

    code = "lock-stale"
    http_status = 409


class LockFiles:
    """Lock files as plans and builds use them."""

    def __init__(self, index: Index, engines: Engines) -> None:
        self._index = index
        self.voucher = LockFileVoucher(index, engines)
        self.late_vouching = LateVouching(index, self.voucher)
        self.reader = LockFileReader()

    async def apply(
        self, resolved: TargetedDefinition, selector: EnvironmentSelector, request: Request
    ) -> TargetedDefinition:
        """Return ``resolved`` with the lock that its file has for it, or with what a solve is to prefer instead.

        Raises LockFileInvalidError and LockFileNewerError for a file that can't be used, LockFileUntrustedError for a
        lock that can't be the definition's, and with ``--locked`` LockFileStaleError and LockFileMissingError.
        """
        place = resolved.lock_file
        if selector.locked:
            _check_locked(resolved, selector, request)
        is_new = request.rebuild or request.as_of is not None
        if place is None or not place.exists or is_pinned(selector) or not _has_lock(resolved):
            return resolved
        if is_new:
            asked = describe_asked(resolved, selector, place.path)
            text = f"{asked.path} stays as it is, and is used again without this: `{asked.command} --rebuild` renews it"
            return _with_warning(resolved, Reason(code="lock-file-kept", message=text))
        file, asked = await self.reader.read(place), describe_asked(resolved, selector, place.path)
        choice = choose_lock(file, asked)
        if choice.lock is not None:
            lock = FileLock(path=place.path, shown=asked.path, lock=choice.lock, digest=digest_lock(choice.lock))
            scope = resolved.generation_scope
            known = await self._index.generations.find_of_lock(resolved.digest, scope, lock.digest)
            misfit = await self.voucher.verify(resolved, selector, lock) if known is None else None
            if misfit is None:
                return self._use(msgspec.structs.replace(resolved, file_lock=lock), selector, lock, known)
            former = FormerLock(lock=choice.lock, canonical=file.canonical, is_compared=False)
            choice = LockChoice(reason=misfit, why=misfit.message, former=former)
        assert choice.reason is not None
        if selector.locked:
            raise _locked_error(choice.reason.code, choice.why, asked, place.path)
        return _with_preferences(resolved, choice)

    def _use(
        self, resolved: TargetedDefinition, selector: EnvironmentSelector, lock: FileLock, known: Generation | None
    ) -> TargetedDefinition:
        """Return ``resolved``, which has the lock, with what is to be said of it. Nobody is asked who would have to be
        waited for. Raises LockFileUntrustedError if the lock was refused since it was first used."""
        if known is None or known.unvouched is None:
            return resolved
        self.late_vouching.request(resolved, selector, known)
        return _with_warning(resolved, _describe_unvouched(lock, known.unvouched))

    async def find_unvouched(self, resolved: TargetedDefinition, lock: FileLock) -> Reason | None:
        """Return what is to be said of a lock that was used here and that nobody vouched for yet; ``None`` for others.
        Nobody is asked. Raises LockFileUntrustedError if it was refused since."""
        known = await self._index.generations.find_of_lock(resolved.digest, resolved.generation_scope, lock.digest)
        if known is None or known.unvouched is None:
            return None
        return _describe_unvouched(lock, known.unvouched)


def _describe_unvouched(lock: FileLock, refused: str) -> Reason:
    if refused:
        raise LockFileUntrustedError(refused, hint=UNTRUSTED_HINT, location=Location(path=lock.path))
    text = (
        f"Channels or indexes did not vouch yet for the lock of {lock.shown}, which is used all the same: they are "
        "asked again"
    )
    return Reason(code=UNVOUCHED, message=text)


def describe_asked(resolved: TargetedDefinition, selector: EnvironmentSelector, path: str) -> LockAsked:
    """Return what a request asks of the lock file ``path``."""
    shown, choices = show_path(path, selector.cwd), normalise_choices(get_choices(selector))
    option = ""
    if resolved.platform != local_platform(resolved.definition.system):
        option = f"--platform {resolved.platform}"
    elif resolved.is_image and msgspec.structs.replace(resolved, is_image=False).uses_host_python:
        option = "-t docker"
    return LockAsked(
        path=shown,
        definition_digest=resolved.digest,
        scope=resolved.lock_scope,
        command=format_command(path, selector.file, choices, option, cwd=selector.cwd),
        choices=choices,
        has_additions=bool(selector.additions),
    )


def _with_preferences(resolved: TargetedDefinition, choice: LockChoice) -> TargetedDefinition:
    """Return ``resolved`` with what a solve prefers of the file, which is said once."""
    reason, former = choice.reason, choice.former
    assert reason is not None
    if former is not None and former.canonical is not None:
        # uv drops its own lock too if the rules differ by which it chooses one of several versions that fit.
        has_same_rules = list_choice_rules(former.canonical) == list_choice_rules(resolved.canonical)
        former = former if has_same_rules else None
    resolved = msgspec.structs.replace(resolved, former=resolved.former or former)
    if not choice.is_said:
        return msgspec.structs.replace(resolved, lock_reasons=(reason,))
    return _with_warning(resolved, reason)


def _with_warning(resolved: TargetedDefinition, reason: Reason) -> TargetedDefinition:
    warning = WarningView(code=reason.code, message=reason.message)
    return msgspec.structs.replace(resolved, lock_reasons=(reason,), warnings=[*resolved.warnings, warning])


def _has_lock(resolved: ResolvedDefinition) -> bool:
    return not (resolved.definition.python.user_managed or is_unmodified(resolved.definition))


def _check_locked(resolved: TargetedDefinition, selector: EnvironmentSelector, request: Request) -> None:
    """Check that ``--locked`` can be meant."""
    if is_pinned(selector) or request.rebuild or request.as_of is not None:
        raise InvalidRequestError(
            "--locked is for the lock of the lock file, and another one is requested at once",
            hint="Leave out --locked, or --lock, --generation, --rebuild and --as-of.",
        )
    place = resolved.lock_file
    if place is None:
        raise InvalidRequestError(
            "--locked is for a definition that was read from a file", hint="Name the file with -f, or leave it out."
        )
    if not place.exists and _has_lock(resolved):
        raise LockFileMissingError(
            "--locked: the lock file does not exist",
            hint=f"`{describe_asked(resolved, selector, place.path).command}` writes it.",
            location=Location(path=place.path),
        )


def _locked_error(code: str, why: str, asked: LockAsked, path: str) -> LockFileStaleError:
    hint = f"Run `{asked.command}`, and look at the difference."
    if code == CHOICES:
        hint = "Leave out --locked, or give the options that the file was written with."
        hint = "Leave out --locked or --with." if asked.has_additions else f"{hint} `{asked.command}` replaces it."
    elif code == UNFIT:
        hint = "Install a Python that fits, or leave out --locked."
    elif code == PLATFORM_MISSING:
        hint = f"`{asked.command}` adds it."
    return LockFileStaleError(f"--locked: {why}", hint=hint, location=Location(path=path), fields={"reason": code})
