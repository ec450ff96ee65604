"""What a distribution says of itself (core metadata), and how uv is told of it. Pure.

uv takes the metadata of a package from its setting ``dependency-metadata`` if it is there, and builds nothing then. An
entry without a version holds for all versions of an index that have no entry of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec
from packaging.metadata import parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from roost.daemon.engines.uv.errors import WheelCorruptError

_STATIC_SINCE = (2, 2)
"""The version of core metadata from which an sdist says which fields a build may change (PEP 643)."""
_DEPENDENCY_FIELDS = {"version", "requires-dist", "requires-python", "provides-extra"}


class SourceMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """Name, version and dependencies of a distribution."""

    name: str
    """Normalised by PEP 503."""
    version: str
    requires: tuple[str, ...] = ()
    requires_python: str | None = None
    extras: tuple[str, ...] = ()


def parse_metadata(text: str, what: str) -> SourceMetadata:
    """Return the content of a ``METADATA`` or ``PKG-INFO`` file.

    Raises: WheelCorruptError if it is not valid; ``what`` names the distribution in the message.
    """
    raw, _ = parse_email(text)
    try:
        return SourceMetadata(
            name=canonicalize_name(raw["name"]),
            version=str(Version(raw["version"])),
            requires=tuple(str(Requirement(line)) for line in raw.get("requires_dist", [])),
            requires_python=raw.get("requires_python"),
            extras=tuple(canonicalize_name(extra) for extra in raw.get("provides_extra", [])),
        )
    except (KeyError, InvalidVersion, InvalidRequirement) as error:
        raise WheelCorruptError(
            f"The metadata of {what} is not valid: {error}",
            hint="Ask its publisher, or choose another version.",
            fields={"package": what},
        ) from error


def parse_static(text: str, what: str) -> SourceMetadata | None:
    """Return the content of an sdist's ``PKG-INFO`` if no build changes the dependencies in it; otherwise ``None``.

    Source: PEP 643. Raises: WheelCorruptError if the metadata is static and not valid.
    """
    raw, _ = parse_email(text)
    version = tuple(int(part) for part in raw.get("metadata_version", "0").split(".") if part.isdigit())
    dynamic = {field.strip().lower() for field in raw.get("dynamic", [])}
    return None if version < _STATIC_SINCE or dynamic & _DEPENDENCY_FIELDS else parse_metadata(text, what)


def render_uv_metadata(placeholders: Iterable[str], known: Iterable[SourceMetadata]) -> str:
    """Return uv's ``dependency-metadata`` in TOML.

    ``placeholders`` are names of which any version counts as one without dependencies until its metadata is known.
    """
    tables = [_render_table({"name": name, "requires-dist": []}) for name in sorted(placeholders)]
    for metadata in known:
        table: dict[str, object] = {"name": metadata.name, "version": metadata.version}
        table |= {"requires-dist": list(metadata.requires), "provides-extra": list(metadata.extras)}
        table |= {"requires-python": metadata.requires_python} if metadata.requires_python else {}
        tables.append(_render_table(table))
    return "".join(tables)


def _render_table(table: dict[str, object]) -> str:
    rows = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
    return "\n".join(["[[dependency-metadata]]", *rows, ""])
