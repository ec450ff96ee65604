"""Read lock files. What was read is kept by its content, since every request of a definition needs it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections import OrderedDict

from roost.daemon.definitions.resolved import FileLock, LockFilePlace
from roost.model.errors import CodedError, Location, LookupFailedError
from roost.model.lock_files.lock_file import LockFile
from roost.model.lock_files.parsing import LockFileInvalidError, parse_lock_file
from roost.model.lock_files.writing import format_line
from roost.store.disk.regular_files import read_regular

MAX_BYTES = 16 << 20
"""A lock of a thousand conda packages has 600 kB, and a file has a handful of platforms."""
_KEPT = 16


class LockFileMissingError(LookupFailedError):
    """A definition has no lock file."""

    code = "lock-file-missing"


class LockFileReader:
    """Reads lock files."""

    def __init__(self) -> None:
        self._parsed: OrderedDict[tuple[str, str], LockFile] = OrderedDict()

    async def read(self, place: LockFilePlace) -> LockFile:
        """Return what the file holds: all of it, or an error.

        Raises LockFileMissingError, LockFileInvalidError, LockFileNewerError.
        """
        data = await asyncio.to_thread(read_lock_file, place.path)
        key = (place.path, hashlib.sha256(data).hexdigest())
        file = self._parsed.get(key)
        if file is None:
            file = await asyncio.to_thread(parse_lock_file, data, place.path)
            self._parsed[key] = file
            if len(self._parsed) > _KEPT:
                self._parsed.popitem(last=False)
        self._parsed.move_to_end(key)
        return file


def read_lock_file(path: str) -> bytes:
    """Return the bytes of a lock file. Blocks. Raises LockFileMissingError, LockFileInvalidError."""
    try:
        return read_regular(path, MAX_BYTES)
    except FileNotFoundError as error:
        if not os.path.lexists(path):
            raise LockFileMissingError(
                "The lock file does not exist", hint="`roost lock --write` writes it.", location=Location(path=path)
            ) from None
        raise _unreadable_error(path, "it is a link that leads nowhere") from error
    except OSError as error:
        raise _unreadable_error(path, error.strerror or str(error)) from error


def _unreadable_error(path: str, why: str) -> LockFileInvalidError:
    return LockFileInvalidError(
        f"The lock file can't be read: {why}",
        hint="Nothing of it is used. Remove it, or put the file back (`git checkout`).",
        location=Location(path=path),
    )


def find_line(file_lock: FileLock, message: str) -> int | None:
    """Return the line of the package that ``message`` names, in the file as it is now; ``None`` if it names none.
    Blocks."""
    lock = file_lock.lock
    named = [
        format_line(kind, package)
        for kind, packages in (("conda", lock.conda), ("wheel", lock.wheels))
        for package in packages
        if any(text and text in message for text in (package.url, package.file_name))
    ]
    named += [format_line("wheel", each) for each in lock.wheels if re.search(rf"\b{re.escape(each.name)}\b", message)]
    try:
        lines = read_lock_file(file_lock.path).decode("utf-8-sig").splitlines()
    except (CodedError, UnicodeDecodeError):
        return None
    return next((number for number, line in enumerate(lines, 1) if line in named), None)
