"""Which locks a file under version control can have: those that are of use on another machine."""

from __future__ import annotations

import msgspec

from roost.daemon.locks.artifact import find_local_part
from roost.model.errors import BuildError
from roost.model.lock_files.lock_file import to_portable
from roost.model.locks.lock import Lock, is_source


class LockFileLocalError(BuildError):
    """A lock is of use on this machine only; the file stays as it was."""

    code = "lock-not-portable"
    exit_status = 1
    http_status = 409


def make_portable(lock: Lock, scope: str) -> Lock:
    """Return ``lock`` as a file has it. Raises LockFileLocalError."""
    portable = to_portable(lock)
    if portable.unanswered:
        raise _error(scope, f"it was made without {next(iter(portable.unanswered))}, which did not answer")
    unknown = next((each for each in portable.wheels if each.kind == "built" and not is_source(each)), None)
    if unknown is not None:
        raise _error(scope, f"{unknown.name} was built from a source that is not known (`--rebuild` records it)")
    # Sources are built where they are used, and what packages require is read there.
    wheels = tuple(wheel for wheel in portable.wheels if not is_source(wheel))
    local = find_local_part(msgspec.structs.replace(portable, wheels=wheels, markers_known=True))
    if local is not None:
        raise _error(scope, local)
    return portable


def _error(scope: str, why: str) -> LockFileLocalError:
    return LockFileLocalError(
        f"The lock for {scope} is of use on this machine only: {why}",
        hint="Nothing was written. A lock file has packages from channels and indexes, sources with a digest, and "
        "commits. Name an editable folder without -e, or leave it to the project layer of its pyproject.toml.",
    )
