"""What is recorded of the byte-code that was linked into a prefix after its manifest was written. All functions block.

It lies beside the prefix (``<prefix>.bytecode``): the first line is the sha256 of the rest, so it is whole or none.
What is stored now may be other byte-code (of a package that was unpacked again, its sources have other times), and says
nothing about a prefix that has links to the earlier one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from roost.daemon.integrity.manifest import PrefixManifest, is_bytecode
from roost.model.canonical.form import digest_bytes
from roost.model.errors import MALFORMED_JSON
from roost.store.disk.file_ops import write_durably
from roost.store.disk.layout import Layout
from roost.store.disk.regular_files import read_regular

_MAX_BYTES = 256 * 2**20
LinkedFiles = Mapping[str, tuple[int, str]]
"""Path relative to the prefix to size and sha256 (hex), as in a manifest."""


def load_linked(prefix: str) -> dict[str, tuple[int, str]]:
    """Return what was linked into ``prefix`` later; nothing if that is unknown: prefixes of older versions, and a
    damaged record."""
    try:
        digest, _, body = read_regular(Layout.linked_of(prefix), _MAX_BYTES).partition(b"\n")
        if digest != digest_bytes(body).encode():
            return {}
        found = msgspec.json.decode(body, type=dict[str, tuple[int, str]])
    except (OSError, *MALFORMED_JSON):
        return {}
    return {path: file for path, file in found.items() if is_bytecode(path)}


def record_linked(prefix: str, files: LinkedFiles) -> None:
    """Add ``files`` to what was linked into ``prefix``, durably; what no longer exists is left out."""
    before = load_linked(prefix)
    after = {path: file for path, file in before.items() if os.path.exists(os.path.join(prefix, path))} | dict(files)
    if after != before:
        body = msgspec.json.encode(after, order="sorted")
        write_durably(Layout.linked_of(prefix), digest_bytes(body).encode() + b"\n" + body)


def add_linked(prefix: str, manifest: PrefixManifest) -> PrefixManifest:
    """Return ``manifest`` with what was linked into ``prefix`` later, also in place of byte-code that was deleted."""
    return msgspec.structs.replace(manifest, files={**manifest.files, **load_linked(prefix)})
