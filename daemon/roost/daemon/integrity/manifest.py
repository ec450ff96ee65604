"""The manifest of a prefix: every file, symlink and folder that it had when it was published. Pure.

It lies beside the prefix (``<prefix>.manifest``), and the index has its sha256. Files have their size and sha256,
symlinks their target. Folders named ``__pycache__`` are not listed, since Python creates them and writes into them;
the byte-code in them is listed as far as the packages or the store had it (``is_bytecode``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.errors import StoreError

FORMAT = 1
CACHE_FOLDER = "__pycache__"
_REPAIR = "`roost cache verify --repair` builds the prefix again."
_NAMED = 3
"""How many differences a message names."""


class ManifestDamagedError(StoreError):
    """A manifest is missing, or is not the one that was written with the prefix."""

    code = "manifest-damaged"


class PrefixManifest(msgspec.Struct, frozen=True, kw_only=True):
    """Content of a prefix. Paths are relative to it, with ``/``; bytes that are not UTF-8 are surrogates."""

    files: Mapping[str, tuple[int, str]]
    """Path to size and sha256 (hex)."""
    links: Mapping[str, str]
    """Path to target, as the link has it."""
    folders: Collection[str]


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """How a tree differs from its manifest, by sorted relative paths."""

    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    rewritten: tuple[str, ...] = ()
    """Byte-code that was replaced after the prefix was published, as Python does where it does not fit its source.
    That is no alteration."""
    unknown: tuple[str, ...] = ()
    """Byte-code that is in no record, and is not the very file that is stored: most likely Python wrote it. That is no
    alteration either, and nothing says whether it is complete."""

    @property
    def altered(self) -> tuple[str, ...]:
        """All paths that make the tree another one, sorted."""
        return tuple(sorted({*self.missing, *self.changed, *self.extra}))


def is_bytecode(path: str) -> bool:
    """Return whether ``path`` is a file that Python writes by itself."""
    return f"/{CACHE_FOLDER}/" in f"/{path}"


def encode_manifest(manifest: PrefixManifest) -> bytes:
    """Return the bytes that are stored."""
    content = {
        "format": FORMAT,
        "files": manifest.files,
        "links": manifest.links,
        "folders": sorted(manifest.folders),
    }
    try:
        return msgspec.json.encode(content, order="sorted")
    except UnicodeEncodeError:  # names that are not UTF-8, which only the standard library escapes
        return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()


def decode_manifest(content: bytes, digest: str) -> PrefixManifest:
    """Return the manifest in ``content``.

    Raises:
        ManifestDamagedError: the content does not have ``digest``, or is of a format that this version does not know.
    """
    if digest_bytes(content) != digest:
        raise ManifestDamagedError("The manifest was changed", hint=_REPAIR)
    try:
        document = json.loads(content)
        number = document["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestDamagedError("The manifest can't be read", hint=_REPAIR) from error
    if number != FORMAT:
        raise ManifestDamagedError(f"The manifest has format {number}, and this version reads {FORMAT}", hint=_REPAIR)
    return PrefixManifest(
        files={path: (size, sha256) for path, (size, sha256) in document["files"].items()},
        links=document["links"],
        folders=document["folders"],
    )


def compare_names(manifest: PrefixManifest, found: Mapping[str, int | str | None]) -> Differences:
    """Return what differs by name, type, size and target of links.

    ``found`` is the content of the tree: path to the size of a file, the target of a symlink, or ``None`` of a folder.
    Byte-code that is missing, or that the manifest does not have, is no difference; byte-code of another size is
    ``rewritten``.
    """
    folders = set(manifest.folders)
    missing: list[str] = []
    changed: list[str] = []
    rewritten: list[str] = []
    for path, (size, _) in manifest.files.items():
        if path not in found:
            if not is_bytecode(path):
                missing.append(path)
        elif found[path] != size:
            (rewritten if is_bytecode(path) else changed).append(path)
    for path, target in manifest.links.items():
        if path not in found:
            missing.append(path)
        elif found[path] != target:
            changed.append(path)
    for path in folders:
        if path not in found:
            missing.append(path)
        elif found[path] is not None:
            changed.append(path)
    known = (manifest.files, manifest.links, folders)
    extra = [path for path in found if not any(path in each for each in known) and not is_bytecode(path)]
    return Differences(
        missing=tuple(sorted(missing)),
        changed=tuple(sorted(changed)),
        extra=tuple(sorted(extra)),
        rewritten=tuple(sorted(rewritten)),
    )


def describe(differences: Differences) -> str:
    """Return the first differences in words: ``six-1.17.0.dist-info missing, six.py changed``. Of a folder that is
    missing or extra as a whole, only the folder is named."""
    found = [
        *((path, "missing") for path in _topmost(differences.missing)),
        *((path, "changed") for path in differences.changed),
        *((path, "added") for path in _topmost(differences.extra)),
    ]
    named = [f"{path.rpartition('/')[2]} {word}" for path, word in found[:_NAMED]]
    more = len(found) - len(named)
    return ", ".join([*named, *([f"{more} more"] if more else [])])


def _topmost(paths: Collection[str]) -> list[str]:
    present = set(paths)
    return sorted(path for path in present if not any(parent in present for parent in _parents(path)))


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]
