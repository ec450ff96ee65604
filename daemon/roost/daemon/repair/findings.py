"""What does not belong into a root, or is missing in it: a pure function of what was listed."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

Names = frozenset[str]
_LEFTOVER = re.compile(r".+\.[0-9a-f]{8}\.new|index\.db\.(restored-\d+|rebuilt(\.new)?|copy\.new|schema-\d+\.new)")
"""Names of files that were being written when their process was killed: see ``file_ops`` and ``migrations.copies``."""
_KNOWN = re.compile(
    r"prefixes|packages|wheels|layers|stage|trash|logs|runs|snapshots|launch|completions|workers|bin|bytecode|format|lock|config\.toml"
    r"|roost\.sock|registries\.json|index\.db(-wal|-shm|\.copy|\.schema-\d+(\.\d+)?|\.damaged-\d+(-wal)?)?"
)
_BLOB = re.compile(r"[0-9a-f]{64}\.tar\.gz")


class RootFault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. ``repairable``: whether a repair does something about it."""

    kind: Literal["leftover", "unknown", "orphan", "missing", "unsealed", "mode", "trash"]
    path: str
    """Relative to the root."""
    message: str
    repairable: bool = True


class PrefixRow(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix in the index: the name of its folder, and whether it is ready and has a manifest."""

    name: str
    is_ready: bool = True
    has_manifest: bool = True


class RootListing(msgspec.Struct, frozen=True, kw_only=True):
    """Names in a root and what the index has."""

    top: Names = frozenset()
    prefixes: Names = frozenset()
    """Everything in ``prefixes/``."""
    rows: tuple[PrefixRow, ...] = ()
    unsealed: Names = frozenset()
    """Names of ready prefixes with a folder that is not read-only."""
    blobs: Names = frozenset()
    """Everything in ``layers/``."""
    layer_rows: Names = frozenset()
    """Names of the blobs of layers in the index."""
    runs: Names = frozenset()
    run_rows: Names = frozenset()
    trash: Names = frozenset()
    """What is in ``trash/`` and was not put there just now."""


def find_faults(root: RootListing) -> list[RootFault]:
    """Return what is wrong, by kind and path."""
    found = [*_judge_top(root), *_judge_prefixes(root), *_judge_layers(root), *_judge_runs(root)]
    found += [
        RootFault(kind="trash", path=f"trash/{name}", message="was not deleted completely")
        for name in sorted(root.trash)
    ]
    return found


def is_leftover(name: str) -> bool:
    """Return whether a file of this name was being written when its process was killed."""
    return _LEFTOVER.fullmatch(name) is not None


def _judge_top(root: RootListing) -> list[RootFault]:
    found = []
    for name in sorted(root.top):
        if is_leftover(name):
            found.append(RootFault(kind="leftover", path=name, message="is a file that was not written to its end"))
        elif not _KNOWN.fullmatch(name):
            found.append(RootFault(kind="unknown", path=name, message="is not of roost, and stays", repairable=False))
    return found


def _judge_prefixes(root: RootListing) -> list[RootFault]:
    rows = {row.name: row for row in root.rows}
    found = []
    beside: dict[str, set[str]] = {}
    for name in sorted(root.prefixes):
        stem, _, suffix = name.partition(".")
        if is_leftover(name):
            found.append(
                RootFault(kind="leftover", path=f"prefixes/{name}", message="is a file that was not written to its end")
            )
            continue
        beside.setdefault(stem, set()).add(suffix)
        if stem not in rows:
            found.append(RootFault(kind="orphan", path=f"prefixes/{name}", message="belongs to no prefix of the index"))
    for name, row in sorted(rows.items()):
        if not row.is_ready:
            continue
        parts = beside.get(name, set())
        if "" not in parts:
            found.append(RootFault(kind="missing", path=f"prefixes/{name}", message="is in the index, and not there"))
            continue
        for suffix in ("lease", *(("manifest", "record") if row.has_manifest else ())):
            if suffix not in parts:
                found.append(RootFault(kind="missing", path=f"prefixes/{name}.{suffix}", message="is not there"))
        if name in root.unsealed:
            found.append(
                RootFault(kind="unsealed", path=f"prefixes/{name}", message="has folders that should be read-only")
            )
    return found


def _judge_layers(root: RootListing) -> list[RootFault]:
    found = [
        RootFault(kind="orphan", path=f"layers/{name}", message="is a layer that no image of the index has")
        if _BLOB.fullmatch(name)
        else RootFault(kind="unknown", path=f"layers/{name}", message="is not of roost, and stays", repairable=False)
        for name in sorted(root.blobs - root.layer_rows)
    ]
    return found + [
        RootFault(kind="missing", path=f"layers/{name}", message="is in the index, and not there")
        for name in sorted(root.layer_rows - root.blobs)
    ]


def _judge_runs(root: RootListing) -> list[RootFault]:
    return [
        RootFault(kind="orphan", path=f"runs/{name}", message="is the folder of a run that the index does not have")
        for name in sorted(root.runs - root.run_rows)
    ]
