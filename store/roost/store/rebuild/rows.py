"""Whether a row that was read from a damaged index is what roost wrote. Pure.

SQLite notices damage of its structure and not of values, so a row is used only if what can be checked of it holds:
content has its digest, records are JSON of their type and of their row, and values have the types of their columns.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.errors import MALFORMED_JSON
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import (
    Artifact,
    BaseRecord,
    BuildRecord,
    EnvironmentBody,
    FileStamp,
    ImageRecord,
    LayerRecord,
    PrefixPython,
    RunRecord,
    VariableChange,
)

Row = Mapping[str, object]
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
_TYPES: Mapping[str, tuple[type, ...]] = {"TEXT": (str,), "INTEGER": (int,), "BLOB": (bytes, str), "REAL": (float, int)}


def has_column_types(row: Row, columns: Mapping[str, tuple[str, bool]]) -> bool:
    """Return whether values have the types of their columns. ``columns``: name to declared type, and whether the column
    is never null."""
    return all(
        (not required if row.get(name) is None else isinstance(row[name], _TYPES.get(kind, (object,))))
        for name, (kind, required) in columns.items()
        if name in row
    )


def is_valid(table: str, row: Row) -> bool:
    """Return whether a row of ``table`` is whole; a table without a check of its own has any."""
    check = _CHECKS.get(table, _check_other)
    try:
        return check(row)
    except (*MALFORMED_JSON, zlib.error, KeyError, TypeError, AttributeError):
        return False


def decode_lock(row: Row) -> Lock:
    """Return the lock of a valid row of ``locks``."""
    return msgspec.json.decode(_inflate(row["body"]), type=Lock)


def decode_prefix(row: Row) -> Artifact | None:
    """Return the prefix in a row of ``artifacts``; ``None`` if it is not whole or was not complete."""
    if row.get("kind") != "prefix" or row.get("state") == "building" or not row.get("manifest"):
        return None
    names = ("id", "kind", "key", "platform", "path", "lease_path", "created", "last_used", "manifest")
    try:
        python = row.get("python")
        fields = {
            **{name: row[name] for name in names},
            "state": "ready",
            "activation": msgspec.json.decode(_blob(row["activation"]), type=tuple[VariableChange, ...]),
            "stamps": msgspec.json.decode(_blob(row["guards"]), type=tuple[FileStamp, ...]),
            "python": msgspec.json.decode(_blob(python), type=PrefixPython) if python else None,
        }
        return msgspec.convert(fields, Artifact)
    except (*MALFORMED_JSON, KeyError, TypeError):
        return None


def _check_content(row: Row) -> bool:
    return digest_bytes(_inflate(row["canonical"])) == row["digest"]


def _check_lock(row: Row) -> bool:
    lock = decode_lock(row)
    return digest_lock(lock) == row["digest"] and lock.platform == row["platform"]


def _check_body(row: Row) -> bool:
    content = _inflate(row["body"])
    msgspec.json.decode(content, type=EnvironmentBody)
    return digest_bytes(content) == row["digest"] and _is_digest(row["definition_digest"], row["settings_digest"])


def _check_generation(row: Row) -> bool:
    optional = [row[name] for name in ("base_digest", "steps_digest") if row.get(name) is not None]
    number = row["number"]
    return isinstance(number, int) and number > 0 and row["current"] in (0, 1) and _is_digest(*optional)


def _check_build(row: Row) -> bool:
    record = msgspec.json.decode(_blob(row["record"]), type=BuildRecord)
    return record.id == row["id"] and record.state == row["state"]


def _check_run(row: Row) -> bool:
    record = msgspec.json.decode(_blob(row["record"]), type=RunRecord)
    return record.id == row["id"] and record.state == row["state"] and record.lock_digest == row["lock_digest"]


def _check_event(row: Row) -> bool:
    msgspec.json.decode(_blob(row["fields"]), type=dict[str, object])
    return isinstance(row["seq"], int) and bool(_TIME.fullmatch(str(row["time"])))


def _check_base(row: Row) -> bool:
    record = msgspec.json.decode(_blob(row["record"]), type=BaseRecord)
    return record.digest == row["digest"]  # some engines name an image by another digest than its config's


def _check_image(row: Row) -> bool:
    record = msgspec.json.decode(_blob(row["record"]), type=ImageRecord)
    return all(getattr(record, name) == row[name] for name in ("key", "config_digest", "definition_digest"))


def _check_layer(row: Row) -> bool:
    record = msgspec.json.decode(_blob(row["record"]), type=LayerRecord)
    return record.key == row["key"] and record.digest == row["digest"] and _is_digest(record.diff_id)


def _check_label(row: Row) -> bool:
    return bool(row["label"])


def _check_other(row: Row) -> bool:
    for name in ("record", "fields"):
        if name in row:
            msgspec.json.decode(_blob(row[name]))
    return True


_CHECKS: Mapping[str, Callable[[Row], bool]] = {
    "definitions": _check_content,
    "settings": _check_content,
    "locks": _check_lock,
    "bodies": _check_body,
    "generations": _check_generation,
    "builds": _check_build,
    "runs": _check_run,
    "events": _check_event,
    "bases": _check_base,
    "images": _check_image,
    "layers": _check_layer,
    "labels": _check_label,
}


def _is_digest(*values: object) -> bool:
    return all(isinstance(value, str) and _DIGEST.fullmatch(value) for value in values)


def _inflate(value: object) -> bytes:
    return zlib.decompress(_blob(value))


def _blob(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise TypeError(f"expected bytes, got {type(value).__name__}")
