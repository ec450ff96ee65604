"""The definition of a request with what its lock file has for it.

What names one result comes first: ``--lock`` and ``--generation``; so does ``--rebuild``, which chooses anew. Then the
lock of the file is used as if by ``--lock``, before this machine's current generation, registries and a solve.
"""

from __future__ import annotations

import msgspec

from roost.daemon.decision.facts import Request
from roost.daemon.decision.images import is_unmodified
from roost.daemon.definitions.choices import list_chosen
from roost.daemon.definitions.resolve import is_pinned
from roost.daemon.definitions.resolved import FileLock, FormerLock, ResolvedDefinition, TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.lock_files.choice import CHOICES, PLATFORM_MISSING, LockChoice, choose_lock
from roost.daemon.lock_files.reading import LockFileMissingError, LockFileReader
from roost.daemon.lock_files.vouching import UNFIT, LockFileVoucher
from roost.model.canonical.form import list_choice_rules
from roost.model.errors import CodedError, InvalidRequestError, Location
from roost.model.locks.lock import digest_lock
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
        self.voucher = LockFileVoucher(engines)
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
            text = (
                f"{place.path} stays as it is, and is used again without this: `roost lock --write --rebuild` renews it"
            )
            return _with_warning(resolved, Reason(code="lock-file-kept", message=text))
        file, chosen = await self.reader.read(place), bool(list_chosen(selector))
        choice = choose_lock(file, place.path, resolved.digest, resolved.lock_scope, has_choices=chosen)
        if choice.lock is not None:
            lock = FileLock(path=place.path, lock=choice.lock, digest=digest_lock(choice.lock))
            misfit = await self._verify(resolved, selector, lock)
            if misfit is None:
                return msgspec.structs.replace(resolved, file_lock=lock)
            former = FormerLock(lock=choice.lock, canonical=file.canonical, is_compared=False)
            choice = LockChoice(reason=misfit, former=former)
        assert choice.reason is not None
        if selector.locked:
            raise _locked_error(choice.reason, place.path)
        return _with_preferences(resolved, choice)

    async def _verify(
        self, resolved: TargetedDefinition, selector: EnvironmentSelector, lock: FileLock
    ) -> Reason | None:
        """Check a lock that this machine has not used yet. Return why no Python of this machine fits it."""
        scope = resolved.generation_scope
        if await self._index.generations.find_of_lock(resolved.digest, scope, lock.digest) is not None:
            return None
        return await self.voucher.verify(resolved, selector, lock)


def _with_preferences(resolved: TargetedDefinition, choice: LockChoice) -> TargetedDefinition:
    """Return ``resolved`` with what a solve prefers of the file, which is said once."""
    reason, former = choice.reason, choice.former
    assert reason is not None
    if former is not None and former.canonical is not None:
        # uv drops its own lock too if the rules differ by which it chooses one of several versions that fit.
        has_same_rules = list_choice_rules(former.canonical) == list_choice_rules(resolved.canonical)
        former = former if has_same_rules else None
    resolved = msgspec.structs.replace(resolved, former=resolved.former or former)
    if reason.code == CHOICES:
        return msgspec.structs.replace(resolved, lock_reasons=(reason,))
    return _with_warning(resolved, reason)


def _with_warning(resolved: TargetedDefinition, reason: Reason) -> TargetedDefinition:
    warning = WarningView(code=reason.code, message=reason.message)
    return msgspec.structs.replace(resolved, lock_reasons=(reason,), warnings=[*resolved.warnings, warning])


def _has_lock(resolved: ResolvedDefinition) -> bool:
    return not (resolved.definition.python.user_managed or is_unmodified(resolved.definition))


def _check_locked(resolved: ResolvedDefinition, selector: EnvironmentSelector, request: Request) -> None:
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
            f"--locked: {place.path} does not exist",
            hint="`roost lock --write` writes it.",
            location=Location(path=place.path),
        )


def _locked_error(reason: Reason, path: str) -> LockFileStaleError:
    hints = {
        PLATFORM_MISSING: "Run `roost lock --write` for the platforms that it is to have.",
        UNFIT: "Install a Python that fits, or leave out --locked.",
        CHOICES: "Leave out --locked, or the options that it was not written with.",
    }
    return LockFileStaleError(
        f"--locked: {reason.message.partition(': its versions')[0].partition(': only its')[0]}",
        hint=hints.get(reason.code, "Run `roost lock --write`, and look at the difference."),
        location=Location(path=path),
        fields={"reason": reason.code},
    )
