"""Checks of a wheel before it is stored: that the file is a wheel, and that its metadata match its name.

Nothing in the wheel is executed.
"""

from __future__ import annotations

import os
import zipfile
from email.parser import HeaderParser
from typing import NoReturn

import msgspec
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from roost.model.errors import InvalidRequestError, LookupFailedError
from roost.store.disk.regular_files import open_regular
from roost.store.sources.files import LocalFiles

_METADATA_LIMIT = 16 << 20
"""Bytes; the largest descriptions of packages have less than one million."""


class WheelInvalidError(InvalidRequestError):
    """A file is not a valid wheel."""

    code = "wheel-invalid"


class UploadedWheel(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel whose file name and metadata agree, and the digest of its content."""

    name: str
    version: str
    file_name: str
    digest: str


def read_wheel(path: str) -> UploadedWheel:
    """Return name, version and digest of the wheel at ``path`` (absolute). Blocking.

    Raises: LookupFailedError if there is no file; WheelInvalidError if the file is not a wheel by the binary
    distribution format (PyPA specifications, "Binary distribution format").
    """
    file_name = os.path.basename(path)
    try:
        name, version, _, _ = parse_wheel_filename(file_name)
    except (InvalidWheelFilename, InvalidVersion) as error:
        _raise_invalid(path, str(error))
    try:
        digest = LocalFiles().file_digest(path)
        in_metadata = _read_metadata(path)
    except FileNotFoundError:
        raise LookupFailedError(f"There is no {path}", hint="Name a wheel's file.") from None
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, RuntimeError) as error:
        _raise_invalid(path, f"it can't be read: {error}")
    if in_metadata != (name, version):
        _raise_invalid(path, f"its METADATA says {in_metadata[0]} {in_metadata[1]}")
    return UploadedWheel(name=name, version=str(version), file_name=file_name, digest=digest)


def _read_metadata(path: str) -> tuple[str, Version]:
    """Return name and version from ``*.dist-info/METADATA``."""
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        found = [name for name in entries if name.count("/") == 1 and name.endswith(".dist-info/METADATA")]
        if len(found) != 1 or found[0].replace("METADATA", "WHEEL") not in entries:
            _raise_invalid(path, "it does not have exactly one .dist-info folder with METADATA and WHEEL")
        if entries[found[0]].file_size > _METADATA_LIMIT:
            _raise_invalid(path, "its METADATA is too large")
        headers = HeaderParser().parsestr(archive.read(found[0]).decode())
    try:
        return canonicalize_name(headers.get("Name", "")), Version(headers.get("Version", ""))
    except InvalidVersion:
        _raise_invalid(path, "its METADATA has no version")


def _raise_invalid(path: str, reason: str) -> NoReturn:
    raise WheelInvalidError(
        f"{path} is not a valid wheel: {reason}", hint="`python -m build --wheel` builds one from a project."
    )
