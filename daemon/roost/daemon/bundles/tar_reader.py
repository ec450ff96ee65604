"""Read the file of a bundle as a stream: every byte is compared with what its manifest says. Blocking.

No header is parsed (``format``), nothing is written outside of the folder of the import, and no more than the manifest
announces, which can't be more than the file has.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Collection
from contextlib import nullcontext
from functools import partial
from typing import BinaryIO

from roost.daemon.bundles.errors import BundleInvalidError, BundleOutputError, BundleUnexpectedError
from roost.daemon.bundles.format import (
    BLOCK,
    END,
    INDEX_LIMIT,
    INDEX_NAME,
    LAYOUT,
    LAYOUT_NAME,
    BundleIndex,
    blob_name,
    damaged,
    decode_index,
    decode_manifest,
    describe_blob,
    member_header,
    padding,
)
from roost.daemon.bundles.tar_writer import CHUNK, WritingStoppedError
from roost.daemon.oci.manifests import Descriptor
from roost.daemon.oci.references import digest_of
from roost.model.errors import LookupFailedError
from roost.store.disk.regular_files import open_regular
from roost.store.failpoints import failpoint


class BundleFile:
    """An open bundle, whose manifest has been read."""

    def __init__(self, path: str, expected: str | None) -> None:
        """Open the bundle at ``path`` and read its manifest. ``expected``: the digest that it must have.

        Raises BundleInvalidError, BundleNewerError, BundleUnexpectedError, BundleOutputError;
        LookupFailedError if there is no such file.
        """
        try:
            self._file: BinaryIO = open_regular(path)
        except FileNotFoundError:
            raise LookupFailedError(f"{path} does not exist", hint="Name the file that an export wrote.") from None
        except OSError as error:
            raise BundleOutputError(
                f"{path} can't be read: {error.strerror or error}", hint="Name the file that an export wrote."
            ) from None
        self._path = path
        try:
            self.index = self._read_manifest(expected)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_manifest(self, expected: str | None) -> BundleIndex:
        if self._file.read(BLOCK) != member_header(LAYOUT_NAME, len(LAYOUT)):
            raise BundleInvalidError(
                f"{self._path} is not a bundle of roost",
                hint="`roost cache bundle export` writes them. They are not compressed: unpack a .gz or .zst first.",
            )
        if self._read_exactly(len(LAYOUT), LAYOUT_NAME) != LAYOUT:
            raise damaged(LAYOUT_NAME)
        self._check_padding(len(LAYOUT), LAYOUT_NAME)
        entry = decode_index(self._read_index())
        if expected is not None and entry.digest != expected:
            raise BundleUnexpectedError(
                f"{self._path} is the bundle {entry.digest}, and {expected} was expected",
                hint="Nothing of it was used. Compare both with what the export printed.",
                fields={"digest": entry.digest, "expected": expected},
            )
        name = blob_name(entry.digest)
        self._check_header(name, entry.size)
        data = self._read_exactly(entry.size, name)
        if digest_of(data) != entry.digest:
            raise damaged(name)
        self._check_padding(entry.size, name)
        index = decode_manifest(data, entry.digest)
        self._check_size(index)
        return index

    def _read_index(self) -> bytes:
        """Return the content of ``index.json``, the only member whose size is not known before its header is read."""
        header = self._read_exactly(BLOCK, INDEX_NAME)
        digits = header[124:135]
        size = int(digits, 8) if digits.isdigit() and not set(digits) - set(b"01234567") else INDEX_LIMIT + 1
        if size > INDEX_LIMIT or header != member_header(INDEX_NAME, size):
            raise damaged(INDEX_NAME)
        data = self._read_exactly(size, INDEX_NAME)
        self._check_padding(size, INDEX_NAME)
        return data

    def _check_size(self, index: BundleIndex) -> None:
        size = os.fstat(self._file.fileno()).st_size
        if size < index.size:
            raise BundleInvalidError(
                f"{self._path} was cut off: it has {size:,} of {index.size:,} bytes",
                hint="Nothing of it was used. Copy the bundle again.",
                fields={"bytes": size, "expected": index.size},
            )
        if size > index.size:
            raise damaged("the end of the file", f"{size - index.size:,} bytes follow the last blob")

    def unpack(
        self, folder: str, present: Collection[str], report: Callable[[int], None], stop: threading.Event
    ) -> None:
        """Write every blob to ``folder``, named by the hex digits of its digest, and sync them.

        The blobs with a digest in ``present`` are compared only. Raises BundleInvalidError for the first one that is
        not as it was written, OSError, and WritingStoppedError.
        """
        done = 0
        for blob in self.index.blobs:
            name = describe_blob(blob)
            self._check_header(blob_name(blob.digest), blob.size, name)
            target = None if blob.digest in present else os.path.join(folder, blob.digest.removeprefix("sha256:"))
            self._copy(blob, name, target, partial(_report_from, report, done), stop)
            self._check_padding(blob.size, name)
            done += blob.size
            failpoint("bundle.blob-staged")
        if self._read_exactly(len(END), "the end of the file") != END:
            raise damaged("the end of the file")

    def _copy(
        self, blob: Descriptor, name: str, target: str | None, report: Callable[[int], None], stop: threading.Event
    ) -> None:
        digest, left = hashlib.sha256(), blob.size
        with open(target, "xb") if target is not None else nullcontext() as output:
            while left:
                if stop.is_set():
                    raise WritingStoppedError
                chunk = self._read_exactly(min(CHUNK, left), name)
                digest.update(chunk)
                left -= len(chunk)
                if output is not None:
                    output.write(chunk)
                report(blob.size - left)
        if f"sha256:{digest.hexdigest()}" != blob.digest:
            raise damaged(name)

    def _check_header(self, member: str, size: int, name: str | None = None) -> None:
        if self._read_exactly(BLOCK, name or member) != member_header(member, size):
            raise damaged(name or member, "its header is another one")

    def _check_padding(self, size: int, name: str) -> None:
        expected = padding(size)
        if self._read_exactly(len(expected), name) != expected:
            raise damaged(name, "what follows it is not empty")

    def _read_exactly(self, size: int, name: str) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise damaged(name, "the file ends within it")
        return data


def _report_from(report: Callable[[int], None], before: int, size: int) -> None:
    report(before + size)
