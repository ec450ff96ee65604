"""The sha256s of stored byte-code, so that a manifest needs not read it again. All functions block.

Each folder of stored byte-code has its own in ``digests.json``, written when the byte-code was compiled.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Mapping

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


def load_digests(stored: str) -> dict[str, str]:
    """Return path, relative to ``site-packages``, to sha256 (hex) of the byte-code in the folder ``stored``.

    Byte-code that an older version stored is read, once.
    """
    path = os.path.join(stored, _NAME)
    with contextlib.suppress(OSError, *MALFORMED_JSON), open(path, "rb") as stream:
        return msgspec.json.decode(stream.read(), type=dict[str, str])
    names = glob.glob("**/*.pyc", root_dir=stored, recursive=True)
    digests = {name: file_digest(os.path.join(stored, name), "sha256") for name in names}
    if digests:
        save_digests(stored, digests)
    return digests


def save_digests(stored: str, digests: Mapping[str, str]) -> None:
    """Replace the digests of the folder ``stored``."""
    path = os.path.join(stored, _NAME)
    with open(path + ".new", "wb") as stream:
        stream.write(msgspec.json.encode(digests))
    os.replace(path + ".new", path)


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
    return {f"{site}/{name}": digest for folder in folders for name, digest in load_digests(folder).items()}


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
        f"{site}/{name}": KeptBytecode(path=os.path.join(folder, name), digest=digest)
        for folder in list_stored_folders(record.lock, store, "")
        for name, digest in load_digests(folder).items()
    }


def drop_damaged(lock: Lock, store: str) -> int:
    """Delete the stored byte-code of the packages of ``lock`` that does not have its digest; return how many files."""
    dropped = 0
    for folder in list_stored_folders(lock, store, ""):
        digests = load_digests(folder)
        intact = {name: digest for name, digest in digests.items() if _has_digest(os.path.join(folder, name), digest)}
        for name in digests.keys() - intact.keys():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))
        if len(intact) < len(digests):
            save_digests(folder, intact)
            dropped += len(digests) - len(intact)
    return dropped


def _has_digest(path: str, digest: str) -> bool:
    try:
        return file_digest(path, "sha256") == digest
    except OSError:
        return False
