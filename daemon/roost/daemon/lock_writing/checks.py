"""Compare a lock file with its definition: what differs, which platforms are missing, what can't be its lock.

Nobody is asked, and nothing is changed.
"""

from __future__ import annotations

import msgspec

from roost.daemon.definitions.resolved import FileLock, TargetedDefinition
from roost.daemon.lock_files.applying import describe_asked
from roost.daemon.lock_files.choice import choose_lock, show_path
from roost.daemon.lock_writing.writer import list_targets, require_place, target_platform
from roost.daemon.planning.planner import Planner
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.canonical.differences import find_differences
from roost.model.errors import InvalidDefinitionError
from roost.model.lock_files.lock_file import LockFile
from roost.model.locks.lock import digest_lock
from roost.model.records import HOST_SCOPE
from roost.wire.edits import LockFileCheck, LockFileCheckRequest, LockFileRequest
from roost.wire.plans import Difference, EnvironmentSelector, Reason
from roost.wire.protocol import WarningView


async def check_lock_file(
    resolver: EnvironmentResolver, planner: Planner, request: LockFileCheckRequest
) -> LockFileCheck:
    """Return whether the lock file fits its definition, for the target on this machine and the requested platforms.

    Raises: InvalidRequestError if there is no file that it could lie beside; LockFileMissingError,
    LockFileInvalidError, LockFileNewerError; what reading the definition raises.
    """
    resolved = await resolver.resolve(request.what)
    place = require_place(resolved, request.what)
    file = await planner.lock_files.reader.read(place)
    wanted = LockFileRequest(what=request.what, target=request.target, platforms=request.platforms)
    targets = list_targets(resolved, wanted, None)
    found = [choose_lock(file, describe_asked(each, request.what, place.path)) for each in targets]
    reasons = [choice.reason for choice in found if choice.reason is not None]
    warnings, own = list(resolved.warnings), found[0].lock
    if own is not None:
        used = FileLock(path=place.path, shown=place.path, lock=own, digest=digest_lock(own))
        try:
            unvouched = await planner.lock_files.find_unvouched(targets[0], used)
        except InvalidDefinitionError as error:
            reasons.append(Reason(code=error.code, message=error.message))
        else:
            if unvouched is not None:
                warnings.append(WarningView(code=unvouched.code, message=unvouched.message))
    if file.definition_digest == resolved.digest:
        reasons += await _verify(planner, file, place.path, targets[0], request.what)
    return LockFileCheck(
        file=place.path,
        fits=not reasons,
        definition_digest=resolved.digest,
        locked_digest=file.definition_digest,
        reasons=list({reason.message: reason for reason in reasons}.values()),
        differences=msgspec.convert(
            msgspec.to_builtins(find_differences(file.canonical, resolved.canonical)), list[Difference]
        ),
        scopes=sorted(file.locks),
        warnings=warnings,
    )


async def _verify(
    planner: Planner,
    file: LockFile,
    path: str,
    own: TargetedDefinition,
    selector: EnvironmentSelector,
) -> list[Reason]:
    """Return what in the file's locks the definition could not have given, for all platforms."""
    reasons = []
    for scope, lock in sorted(file.locks.items()):
        try:
            targeted = own if scope == own.lock_scope else _target_scope(own, scope)
            shown = show_path(path, selector.cwd)
            found = FileLock(path=path, shown=shown, lock=lock, digest=digest_lock(lock))
            await planner.lock_files.voucher.verify(targeted, selector, found, finds_python=False)
        except InvalidDefinitionError as error:
            where = f"{show_path(str(error.location), selector.cwd)}: " if error.location is not None else ""
            reasons.append(Reason(code=error.code, message=f"{where}{error.message}"))
    return reasons


def _target_scope(own: TargetedDefinition, scope: str) -> TargetedDefinition:
    platform, is_host = scope.removesuffix(HOST_SCOPE), scope.endswith(HOST_SCOPE)
    targeted = target_platform(own, platform)
    return msgspec.structs.replace(targeted, is_image=False) if is_host else targeted
