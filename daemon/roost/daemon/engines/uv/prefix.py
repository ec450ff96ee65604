"""The files of wheels in a prefix: where they are, whether they are unchanged, and the mark against changing them."""

from __future__ import annotations

import base64
import csv
import glob
import hashlib
import os
import re
from collections.abc import Sequence
from email.parser import BytesHeaderParser

from roost.model.locks.lock import Wheel

_ALGORITHMS = ("sha256", "sha384", "sha512")
_INSTEAD = (
    "This prefix belongs to roost and is shared by everything that has the same lock; what is installed here by hand "
    "is noticed and undone. Add the package to the environment file instead: the next `roost run` has it."
)


def find_site_packages(prefix: str) -> list[str]:
    """Return the ``site-packages`` folders of ``prefix``. Blocks."""
    return sorted(glob.glob(os.path.join(glob.escape(prefix), "lib", "python3*", "site-packages")))


def find_dist_info(prefix: str, wheel: Wheel) -> str | None:
    """Return the ``.dist-info`` folder of ``wheel`` in ``prefix``, if there is one. Blocks."""
    for folder in find_site_packages(prefix):
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.dist-info"))):
            name, _, version = os.path.basename(path).removesuffix(".dist-info").rpartition("-")
            if normalize_name(name) == wheel.name and (wheel.kind == "editable" or version == wheel.version):
                return path
    return None


def normalize_name(name: str) -> str:
    """Return the name of a distribution as PEP 503 normalizes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find_altered_wheel_files(prefix: str, wheel: Wheel) -> list[str]:
    """Return the files of ``wheel`` in ``prefix`` that no longer exist or do not have the digest in its RECORD.

    Blocks: reads every file.
    """
    folder = find_dist_info(prefix, wheel)
    rows = read_record(folder) if folder else []
    return [path for path, digest in rows if not has_digest(path, digest)]


def read_record(folder: str) -> list[tuple[str, str]]:
    """Return the absolute path and the digest of each file in the RECORD of a ``.dist-info`` folder. Blocks.

    A digest is as RECORD has it, such as ``sha256=…``, or empty. Without a RECORD there are no files.
    """
    base = os.path.dirname(folder)
    try:
        with open(os.path.join(folder, "RECORD"), encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except OSError:
        return []
    return [(os.path.normpath(os.path.join(base, row[0])), row[1] if len(row) > 1 else "") for row in rows]


def read_requirements(prefix: str, wheels: Sequence[Wheel]) -> tuple[list[str], list[str]]:
    """Return the requirements (``Requires-Dist``) and the specifiers for Python (``Requires-Python``) that the metadata
    of ``wheels`` in ``prefix`` states. Blocks."""
    requirements: list[str] = []
    specifiers: list[str] = []
    for wheel in wheels:
        folder = find_dist_info(prefix, wheel)
        if folder is None:
            continue
        try:
            with open(os.path.join(folder, "METADATA"), "rb") as file:
                headers = BytesHeaderParser().parse(file)
        except OSError:
            continue
        requirements += [str(text) for text in headers.get_all("Requires-Dist", [])]
        specifiers += [str(text) for text in headers.get_all("Requires-Python", [])]
    return requirements, specifiers


def has_digest(path: str, listed: str) -> bool:
    """Return whether a file has the digest ``listed`` in a RECORD, ``<algorithm>=<urlsafe base64 without padding>``;
    every file, even a missing one, has the empty one, and one of an algorithm that the format does not allow. Blocks.

    Source: PyPA's binary distribution format.
    """
    algorithm, _, value = listed.partition("=")
    if algorithm not in _ALGORITHMS:
        return True
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, algorithm).digest()
    except OSError:
        return False
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == value.rstrip("=")


def mark_venv(prefix: str) -> None:
    """Write ``EXTERNALLY-MANAGED`` (PEP 668) into a virtual environment, with what to do instead. Blocks.

    Installers look for it in the standard library, which a virtual environment shares with the host, so here the mark
    is only for people. There is no ``conda-meta``, by which some libraries would take it for a conda prefix.
    """
    for folder in glob.glob(os.path.join(glob.escape(prefix), "lib", "python3*")):
        with open(os.path.join(folder, "EXTERNALLY-MANAGED"), "w", encoding="utf-8") as file:
            file.write(f"[externally-managed]\nError = {_INSTEAD}\n")
