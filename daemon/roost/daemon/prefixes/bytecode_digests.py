"""What is known of stored byte-code: size, time and sha256, from when it was compiled. All functions block.

Each folder of stored byte-code has its own in ``digests.json``. Only byte-code that is as it is stated there is linked:
its header alone does not tell whether it was cut. Manifests have the digests from there too, never from what is found.
"""

from __future__ import annotations

import contextlib
import glob
import os
import threading
from collections.abc import Mapping
from uuid import uuid4

import msgspec

from roost.daemon.engines.conda.cache import file_digest
from roost.daemon.engines.uv.prefix import find_site_packages
from roost.daemon.integrity.trees import KeptBytecode
from roost.model.errors import MALFORMED_JSON
from roost.model.locks.lock import Lock
from roost.store.disk.prefix_records import read_record

STORE = ("packages", "bytecode")
"""Path of the store of byte-code below the root."""
_NAME = "digests.json"
STORING = threading.RLock()
"""Held while byte-code is moved into the store with its digests, or deleted: what another build has stored is linked
instead."""
HEADER_SIZE = 16  # magic, flags, time, size: four little-endian words (PEP 552)


class StoredFile(msgspec.Struct, frozen=True, array_like=True):
    """Byte-code as it was compiled."""

    size: int
    time: int
    """mtime (ns)."""
    digest: str
    """sha256 (hex)."""
    source: str = ""
    """Time and size (hex) of the source, as the header has them; empty: unknown, as older versions left it."""


_DECODER = msgspec.json.Decoder(dict[str, StoredFile | str])


def load_digests(stored: str) -> dict[str, StoredFile]:
    """Return path, relative to ``site-packages``, to what is known of the byte-code in the folder ``stored``.

    If it can't be read, nothing is known: the byte-code is compiled again when it is needed. Older versions recorded
    the digest only; that byte-code is read once, and what has another digest is forgotten.
    """
    try:
        with open(os.path.join(stored, _NAME), "rb") as stream:
            found = _DECODER.decode(stream.read())
    except (OSError, *MALFORMED_JSON):
        return {}
    known = {name: each for name, each in found.items() if isinstance(each, StoredFile)}
    if older := {name: each for name, each in found.items() if isinstance(each, str)}:
        known |= _measure_older(stored, older)
        save_digests(stored, known)
    return known


def _measure_older(stored: str, digests: Mapping[str, str]) -> dict[str, StoredFile]:
    measured = {}
    for name, digest in digests.items():
        with contextlib.suppress(OSError):
            file = measure_bytecode(os.path.join(stored, name))
            if file.digest == digest:
                measured[name] = file
    return measured


def measure_bytecode(path: str) -> StoredFile:
    """Return what is recorded of the byte-code ``path``, which is complete."""
    with open(path, "rb") as stream:
        status = os.fstat(stream.fileno())
        header = stream.read(HEADER_SIZE)
    source = header[8:].hex() if len(header) == HEADER_SIZE else ""
    return StoredFile(status.st_size, status.st_mtime_ns, file_digest(path, "sha256"), source)


def save_digests(stored: str, files: Mapping[str, StoredFile]) -> None:
    """Replace what is known of the byte-code in the folder ``stored``."""
    beside = os.path.join(stored, f"{_NAME}.{uuid4().hex}.new")
    with open(beside, "wb") as stream:
        stream.write(msgspec.json.encode(files))
    os.replace(beside, os.path.join(stored, _NAME))


def read_stored_stamp(path: str, known: StoredFile | None) -> bytes:
    """Return the time and size of the source in the header of stored byte-code; empty if it is not what is ``known``
    of it: it was cut, edited, or it lacks an entry. It is read as a whole only if it has another time."""
    if known is None:
        return b""
    try:  # the calls of os: a tenth of what a file object takes, a thousand times in a build
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return b""
    try:
        status = os.fstat(descriptor)
        if status.st_size != known.size:
            return b""
        if status.st_mtime_ns != known.time and not _has_digest(path, known.digest):  # a copy has another time
            return b""
        header = os.read(descriptor, HEADER_SIZE)
    finally:
        os.close(descriptor)
    return header[8:] if len(header) == HEADER_SIZE else b""


def list_stored_folders(lock: Lock, store: str, tag: str) -> list[str]:
    """Return the folders of stored byte-code of the packages of ``lock`` that have one, for the Python of ``tag``
    (``python_tag``); of all Pythons if it is empty."""
    keys = [package.sha256 for package in lock.conda] + [wheel.sha256 for wheel in lock.wheels]
    folders = (os.path.join(glob.escape(store), f"{key}-{tag or '*'}") for key in keys if key)
    return [folder for pattern in folders for folder in glob.glob(pattern)]


def load_prefix_digests(prefix: str, lock: Lock, store: str, tag: str) -> dict[str, str]:
    """Return the digests of the byte-code that was linked into ``prefix``, by path relative to it."""
    sites = find_site_packages(prefix)
    if not sites:
        return {}
    site = os.path.relpath(sites[0], prefix)
    folders = list_stored_folders(lock, store, tag)
    return {f"{site}/{name}": file.digest for folder in folders for name, file in load_digests(folder).items()}


def load_late_bytecode(prefix: str) -> dict[str, KeptBytecode]:
    """Return the stored byte-code of the packages of a ready prefix, by path relative to it: some of it may have been
    linked after its manifest was written."""
    record = read_record(prefix)
    sites = find_site_packages(prefix)
    if record is None or not sites:
        return {}
    store = os.path.join(os.path.dirname(os.path.dirname(prefix)), *STORE)
    site = os.path.relpath(sites[0], prefix)
    return {
        f"{site}/{name}": KeptBytecode(path=os.path.join(folder, name), digest=file.digest)
        for folder in list_stored_folders(record.lock, store, "")
        for name, file in load_digests(folder).items()
    }


def drop_damaged(lock: Lock, store: str) -> int:
    """Delete the stored byte-code of the packages of ``lock`` that does not have its digest, or has none; return how
    many files."""
    with STORING:
        return sum(map(_drop_from, list_stored_folders(lock, store, "")))


def _drop_from(folder: str) -> int:
    known = load_digests(folder)
    intact = {name: file for name, file in known.items() if _has_digest(os.path.join(folder, name), file.digest)}
    dropped = 0
    for name in {*glob.glob("**/*.pyc", root_dir=folder, recursive=True), *known} - intact.keys():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, name))
            dropped += 1
    if len(intact) < len(known):
        save_digests(folder, intact)
    return dropped


def _has_digest(path: str, digest: str) -> bool:
    try:
        return file_digest(path, "sha256") == digest
    except OSError:
        return False
