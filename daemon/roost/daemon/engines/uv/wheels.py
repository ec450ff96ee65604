"""The wheels that only this store has: those given as files and those built here, each under its sha256.

``given/<sha256>/<file name>`` and ``built/<sha256>/<file name>``; ``built/sources/<key>`` says which wheel a source
became, so that it is built once. A folder that exists is complete: it is filled in a temporary place on the same file
system, synced, and renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile

import msgspec

from roost.daemon.engines.uv.errors import WheelDigestMismatchError, WheelMissingError
from roost.model.locks.lock import Wheel


class StoredWheel(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel in the store."""

    file_name: str
    sha256: str
    size: int
    built: bool

    @property
    def place(self) -> str:
        """Its path below the wheels folder."""
        return os.path.join("built" if self.built else "given", self.sha256, self.file_name)


class WheelStore:
    """Blocking; callers use a thread."""

    def __init__(self, root: str) -> None:
        self._root = root

    def path(self, kept: StoredWheel) -> str:
        """Absolute path of a kept wheel."""
        return os.path.join(self._root, kept.place)

    def keep(self, path: str, *, built: bool, source_key: str | None = None) -> StoredWheel:
        """Copy the wheel at ``path`` into the store."""
        folder = self._temporary()
        try:
            copy = os.path.join(folder, os.path.basename(path))
            sha256 = _copy(path, copy)
            kept = StoredWheel(file_name=os.path.basename(path), sha256=sha256, size=os.stat(copy).st_size, built=built)
            _publish(folder, os.path.dirname(self.path(kept)))
            if not os.path.exists(self.path(kept)):  # the same content is there under another name
                os.rename(copy, self.path(kept))
                _sync_folder(os.path.dirname(self.path(kept)))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if source_key is not None:
            self._remember(source_key, kept)
        return kept

    def built_from(self, source_key: str) -> StoredWheel | None:
        """The wheel that a source became earlier."""
        try:
            with open(self._source_path(source_key), "rb") as file:
                kept = msgspec.json.decode(file.read(), type=StoredWheel)
        except (OSError, msgspec.DecodeError):
            return None
        return kept if os.path.exists(self.path(kept)) else None

    def locked(self, wheel: Wheel) -> str:
        """The path of a locked wheel that is kept here, checked against its sha256.

        Raises WheelMissingError, DigestMismatchError.
        """
        kept = StoredWheel(file_name=wheel.file_name, sha256=wheel.sha256, size=wheel.size, built=wheel.kind == "built")
        path = self.path(kept)
        if not os.path.exists(path):
            raise WheelMissingError(
                f"{wheel.file_name} (sha256 {wheel.sha256[:12]}…), which only this store kept, is gone",
                hint="`roost build --rebuild` makes it again, as a new generation.",
                fields={"package": wheel.name},
            )
        found = file_sha256(path)
        if found != wheel.sha256:
            shutil.rmtree(os.path.dirname(path), ignore_errors=True)
            raise WheelDigestMismatchError(
                f"{wheel.file_name} in the store is damaged: expected sha256:{wheel.sha256}, found sha256:{found}",
                hint="`roost build --rebuild` makes it again.",
                fields={"package": wheel.name},
            )
        return path

    def _temporary(self) -> str:
        os.makedirs(os.path.join(self._root, "tmp"), exist_ok=True)
        return tempfile.mkdtemp(dir=os.path.join(self._root, "tmp"))

    def _source_path(self, key: str) -> str:
        return os.path.join(self._root, "built", "sources", hashlib.sha256(key.encode()).hexdigest())

    def _remember(self, key: str, kept: StoredWheel) -> None:
        path = self._source_path(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.encode(kept))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


def file_sha256(path: str) -> str:
    """64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _copy(source: str, target: str) -> str:
    """Copy and sync; the sha256 of what was copied."""
    digest = hashlib.sha256()
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while chunk := reader.read(1 << 20):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


def _publish(folder: str, target: str) -> None:
    """Rename ``folder`` to ``target``; who comes second finds the same content there."""
    if os.path.isdir(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.chmod(folder, 0o755)
    with contextlib.suppress(FileExistsError):
        try:
            os.rename(folder, target)
        except OSError:
            if not os.path.isdir(target):
                raise
    _sync_folder(os.path.dirname(target))


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
