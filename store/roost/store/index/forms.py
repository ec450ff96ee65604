"""The canonical forms behind many versions at once, for comparing them."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Sequence

Digests = tuple[str, str]
"""Of a definition and of settings."""
Forms = tuple[bytes, bytes]
"""Of a definition and of settings, in their canonical form."""


def version_forms(connection: sqlite3.Connection, wanted: Sequence[Digests]) -> list[Forms]:
    """The forms of each of ``wanted``, which versions have, so that they are all here."""
    definitions = _forms(connection, "definitions", {definition for definition, _ in wanted})
    settings = _forms(connection, "settings", {settings for _, settings in wanted})
    return [(definitions[definition], settings[setting]) for definition, setting in wanted]


def _forms(connection: sqlite3.Connection, table: str, digests: Iterable[str]) -> dict[str, bytes]:
    query = f"SELECT canonical FROM {table} WHERE digest = ?"
    return {digest: zlib.decompress(connection.execute(query, (digest,)).fetchone()["canonical"]) for digest in digests}
