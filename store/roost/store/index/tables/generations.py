"""Generations: the numbered locks of a definition on a platform, exactly one of them current.

Numbers begin with 1 and have no gaps. Each function is (part of) one transaction.
"""

from __future__ import annotations

import sqlite3

import msgspec

from roost.model.errors import LookupFailedError
from roost.model.locks.lock import Lock
from roost.model.records import HOST_SCOPE, Generation, NewGeneration
from roost.store.clock import utc_now
from roost.store.failpoints import failpoint
from roost.store.index.queries import Queries, Read, Write
from roost.store.index.tables.locks import put_lock

_GENERATION_COLUMNS = (
    "definition_digest, platform, number, lock_digest, created, current, as_of, base_digest, steps_digest, origin, "
    "file_lock, unvouched"
)
_OF_G = ", ".join(f"g.{column}" for column in _GENERATION_COLUMNS.split(", "))
_SELECT_GENERATION = f"SELECT {_GENERATION_COLUMNS} FROM generations"


class GenerationUnknownError(LookupFailedError):
    """There is no generation of that number."""

    code = "generation-unknown"


def add_generation(
    connection: sqlite3.Connection, new: NewGeneration, lock: Lock, *, current: bool = True
) -> Generation:
    """Store the lock, number it as the next generation and make that current, unless ``current`` is false or the lock
    is that of a lock file."""
    current = current and new.origin != "file"
    digest = put_lock(connection, lock)
    row = connection.execute(
        "SELECT coalesce(max(number), 0) AS last FROM generations WHERE definition_digest = ? AND platform = ?",
        (new.definition_digest, new.platform),
    ).fetchone()
    generation = Generation(
        definition_digest=new.definition_digest,
        platform=new.platform,
        number=row["last"] + 1,
        lock_digest=digest,
        created=utc_now(),
        current=current,
        as_of=new.as_of,
        base_digest=new.base_digest,
        steps_digest=new.steps_digest,
        origin=new.origin,
        file_lock=new.file_lock,
        unvouched=new.unvouched,
    )
    if current:
        _clear_current(connection, new.definition_digest, new.platform)
    connection.execute(
        f"INSERT INTO generations ({_GENERATION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            generation.definition_digest,
            generation.platform,
            generation.number,
            generation.lock_digest,
            generation.created,
            generation.current,
            generation.as_of,
            generation.base_digest,
            generation.steps_digest,
            generation.origin,
            generation.file_lock,
            generation.unvouched,
        ),
    )
    return generation


def complete_base(
    connection: sqlite3.Connection, generation: Generation, base_digest: str, steps_digest: str | None
) -> Generation:
    """Write the base of a generation without one, and return the generation; a base that is recorded already stays."""
    key = (generation.definition_digest, generation.platform, generation.number)
    connection.execute(
        "UPDATE generations SET base_digest = ?, steps_digest = ? "
        "WHERE definition_digest = ? AND platform = ? AND number = ? AND base_digest IS NULL",
        (base_digest, steps_digest, *key),
    )
    row = connection.execute(
        f"{_SELECT_GENERATION} WHERE definition_digest = ? AND platform = ? AND number = ?", key
    ).fetchone()
    return _decode_generation(row) if row else generation


def record_vouching(connection: sqlite3.Connection, generation: Generation, refused: str | None) -> None:
    """Record what channels and indexes say of an unvouched generation by now: why they refuse it, or ``None``."""
    connection.execute(
        "UPDATE generations SET unvouched = ? WHERE definition_digest = ? AND platform = ? AND number = ?",
        (refused, generation.definition_digest, generation.platform, generation.number),
    )


def _clear_current(connection: sqlite3.Connection, definition_digest: str, platform: str) -> None:
    connection.execute(
        "UPDATE generations SET current = 0 WHERE definition_digest = ? AND platform = ? AND current = 1",
        (definition_digest, platform),
    )


def promote(connection: sqlite3.Connection, definition_digest: str, platform: str, number: int) -> Generation:
    """Make an existing generation the current one.

    Raises:
        GenerationUnknownError: there is no generation of that number.
    """
    if find_generation(connection, definition_digest, platform, number) is None:
        raise GenerationUnknownError(
            f"{definition_digest} has no generation {number} on {platform}",
            hint="`roost env show NAME` and `roost builds list` show the generations that exist.",
            fields={"definition_digest": definition_digest, "platform": platform, "generation": number},
        )
    _clear_current(connection, definition_digest, platform)
    connection.execute(
        "UPDATE generations SET current = 1 WHERE definition_digest = ? AND platform = ? AND number = ?",
        (definition_digest, platform, number),
    )
    failpoint("promote-generation")
    found = find_generation(connection, definition_digest, platform, number)
    assert found is not None  # updated above, in the same transaction
    return found


def roll_back(
    connection: sqlite3.Connection, definition_digest: str, platform: str, number: int | None = None
) -> tuple[Generation, Generation]:
    """Make ``number`` the current generation, or the one before the current one. Return the generation that was
    current, and the one that is now.

    Raises:
        GenerationUnknownError: there is no generation of that number, or none before the current one.
    """
    before = find_current_generation(connection, definition_digest, platform)
    rows = connection.execute(
        "SELECT number, origin FROM generations WHERE definition_digest = ? AND platform = ? ORDER BY number",
        (definition_digest, platform),
    ).fetchall()
    numbers = [int(row["number"]) for row in rows]
    earlier = [
        int(row["number"]) for row in rows if row["origin"] != "file" and before and row["number"] < before.number
    ]
    target = number if number is not None else max(earlier, default=None)
    if before is None or target not in numbers:
        raise _rollback_error(platform, numbers, before, number)
    assert target is not None  # it is one of the numbers
    after = promote(connection, definition_digest, platform, target)
    return msgspec.structs.replace(before, current=before.number == after.number), after


def _rollback_error(
    platform: str, numbers: list[int], before: Generation | None, number: int | None
) -> GenerationUnknownError:
    if before is None:
        message = f"There is no generation for {platform.removesuffix(HOST_SCOPE)} on this machine"
        return GenerationUnknownError(message, hint="`roost build` creates the first one.")
    shown_platform = platform.removesuffix(HOST_SCOPE)
    message = f"There is no generation {number} for {shown_platform} on this machine"
    if number is None:
        message = f"Generation {before.number} for {shown_platform} is the first: there is no earlier one"
    return GenerationUnknownError(
        message,
        hint=f"Generations here: {', '.join(map(str, numbers))}; {before.number} is current. --to selects one.",
        fields={"platform": shown_platform, "generation": number, "generations": numbers, "current": before.number},
    )


def find_generation(
    connection: sqlite3.Connection, definition_digest: str, platform: str, number: int
) -> Generation | None:
    """Return the generation of that number."""
    row = connection.execute(
        f"{_SELECT_GENERATION} WHERE definition_digest = ? AND platform = ? AND number = ?",
        (definition_digest, platform, number),
    ).fetchone()
    return _decode_generation(row) if row else None


def find_current_generation(connection: sqlite3.Connection, definition_digest: str, platform: str) -> Generation | None:
    """Return the current generation of a definition on a platform."""
    row = connection.execute(
        f"{_SELECT_GENERATION} WHERE definition_digest = ? AND platform = ? AND current = 1",
        (definition_digest, platform),
    ).fetchone()
    return _decode_generation(row) if row else None


def find_generation_of_lock(
    connection: sqlite3.Connection, definition_digest: str, platform: str, lock_digest: str
) -> Generation | None:
    """Return the generation with the lock that a lock file states, the current one if several have it, else the
    latest."""
    row = connection.execute(
        f"{_SELECT_GENERATION} WHERE definition_digest = ? AND platform = ? AND (lock_digest = ? OR file_lock = ?) "
        "ORDER BY current DESC, number DESC LIMIT 1",
        (definition_digest, platform, lock_digest, lock_digest),
    ).fetchone()
    return _decode_generation(row) if row else None


def find_last_of_path(connection: sqlite3.Connection, but: str, platform: str, source: str) -> Generation | None:
    """Return the current generation of the definition that came last from the path ``source``, of those that have one
    on ``platform`` and are not ``but``."""
    row = connection.execute(
        f"SELECT {_OF_G} FROM sightings AS s JOIN definitions AS d ON d.id = s.definition "
        "JOIN generations AS g ON g.definition_digest = d.digest AND g.platform = ? AND g.current = 1 "
        "WHERE s.source = ? AND d.digest <> ? ORDER BY s.id DESC LIMIT 1",
        (platform, source, but),
    ).fetchone()
    return _decode_generation(row) if row else None


def find_of_earlier_version(
    connection: sqlite3.Connection, but: str, platform: str, name: str, version: int
) -> Generation | None:
    """Return the current generation of the latest version before ``version`` of the environment ``name``, of those that
    have one on ``platform`` and are not the definition ``but``."""
    row = connection.execute(
        f"SELECT {_OF_G} FROM environments AS e JOIN versions AS v ON v.environment = e.id "
        "JOIN bodies AS b ON b.id = v.body "
        "JOIN generations AS g ON g.definition_digest = b.definition_digest AND g.platform = ? AND g.current = 1 "
        "WHERE e.name = ? AND v.version < ? AND b.definition_digest <> ? ORDER BY v.version DESC LIMIT 1",
        (platform, name, version, but),
    ).fetchone()
    return _decode_generation(row) if row else None


def list_generations(connection: sqlite3.Connection, definition_digest: str) -> list[Generation]:
    """Return all generations of a definition, by platform and number."""
    rows = connection.execute(
        f"{_SELECT_GENERATION} WHERE definition_digest = ? ORDER BY platform, number", (definition_digest,)
    )
    return [_decode_generation(row) for row in rows]


def list_generations_of_lock(connection: sqlite3.Connection, lock_digest: str) -> list[Generation]:
    """Return all generations with this lock, the oldest first."""
    rows = connection.execute(f"{_SELECT_GENERATION} WHERE lock_digest = ? ORDER BY created, number", (lock_digest,))
    return [_decode_generation(row) for row in rows]


def _decode_generation(row: sqlite3.Row) -> Generation:
    fields = dict(row)
    fields["current"] = bool(fields["current"])
    return Generation(**fields)


class GenerationTable(Queries):
    """``index.generations``: the locks of definitions, numbered by platform."""

    find_current = Read(find_current_generation)
    find = Read(find_generation)
    find_of_lock = Read(find_generation_of_lock)
    find_last_of_path = Read(find_last_of_path)
    find_of_earlier_version = Read(find_of_earlier_version)
    list_by_definition = Read(list_generations)
    list_by_lock = Read(list_generations_of_lock)
    add = Write(add_generation)
    record_vouching = Write(record_vouching)
    promote = Write(promote)
    roll_back = Write(roll_back)
