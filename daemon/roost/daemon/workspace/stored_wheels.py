"""Wheels that people give: whether a file is one, and what it says of itself. Nothing in it is run (DESIGN, 2.8)."""

from __future__ import annotations

import os
import zipfile
from email.parser import HeaderParser
from typing import NoReturn

import msgspec
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from roost.model.errors import InvalidRequestError, LookupFailedError
from roost.store.sources.files import LocalFiles

_METADATA_LIMIT = 16 << 20
"""Bytes; the largest descriptions of packages have less than one million."""


class WheelInvalidError(InvalidRequestError):
    """A file is no wheel."""

    code = "wheel-invalid"


class UploadedWheel(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel as its file name and its metadata agree on it."""

    name: str
    version: str
    file_name: str
    digest: str


def read_given_wheel(path: str) -> UploadedWheel:
    """What the file at ``path`` (absolute) is, by the binary distribution format (PyPA specifications, "Binary
    distribution format"). Blocks. Raises LookupFailedError, WheelInvalidError."""
    file_name = os.path.basename(path)
    try:
        name, version, _, _ = parse_wheel_filename(file_name)
    except (InvalidWheelFilename, InvalidVersion) as error:
        _refuse(path, str(error))
    try:
        digest = LocalFiles().file_digest(path)
        said = _metadata(path)
    except FileNotFoundError:
        raise LookupFailedError(f"There is no {path}", hint="Name a wheel's file.") from None
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, RuntimeError) as error:
        _refuse(path, f"it can't be read: {error}")
    if said != (name, version):
        _refuse(path, f"its METADATA says {said[0]} {said[1]}")
    return UploadedWheel(name=name, version=str(version), file_name=file_name, digest=digest)


def _metadata(path: str) -> tuple[str, Version]:
    """Name and version in ``*.dist-info/METADATA``."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        found = [name for name in entries if name.count("/") == 1 and name.endswith(".dist-info/METADATA")]
        if len(found) != 1 or found[0].replace("METADATA", "WHEEL") not in entries:
            _refuse(path, "it has not one .dist-info folder with METADATA and WHEEL")
        if entries[found[0]].file_size > _METADATA_LIMIT:
            _refuse(path, "its METADATA is too large")
        headers = HeaderParser().parsestr(archive.read(found[0]).decode())
    try:
        return canonicalize_name(headers.get("Name", "")), Version(headers.get("Version", ""))
    except InvalidVersion:
        _refuse(path, "its METADATA has no version")


def _refuse(path: str, why: str) -> NoReturn:
    raise WheelInvalidError(f"{path} is no wheel: {why}", hint="`python -m build --wheel` makes one of a project.")
