"""What uv made of a prefix: where a wheel's files lie, whether they are what they were, and the word to keep out."""

from __future__ import annotations

import base64
import csv
import glob
import hashlib
import os
import re

from roost.model.locks.lock import Wheel

_WORD = (
    "This prefix belongs to roost and is shared by everything that has the same lock; what is installed here by hand "
    "is lost without notice. Add the package to the environment file instead: the next `roost run` has it."
)


def site_packages(prefix: str) -> list[str]:
    """The folders that wheels are installed into."""
    return sorted(glob.glob(os.path.join(glob.escape(prefix), "lib", "python3*", "site-packages")))


def dist_info(prefix: str, wheel: Wheel) -> str | None:
    """The ``.dist-info`` folder of ``wheel`` in ``prefix``."""
    for folder in site_packages(prefix):
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.dist-info"))):
            name, _, version = os.path.basename(path).removesuffix(".dist-info").rpartition("-")
            if _normal(name) == wheel.name and (wheel.kind == "editable" or version == wheel.version):
                return path
    return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed_files(prefix: str, wheel: Wheel) -> list[str]:
    """Absolute paths of the files that ``wheel`` has in ``prefix``, by its RECORD. Blocks."""
    return [path for path, _ in _record(prefix, wheel)]


def altered_files(prefix: str, wheel: Wheel) -> list[str]:
    """Files of ``wheel`` in ``prefix`` that are gone or are not what its RECORD says (sha256). Blocks."""
    return [path for path, digest in _record(prefix, wheel) if digest and digest_of(path) != digest]


def _record(prefix: str, wheel: Wheel) -> list[tuple[str, str]]:
    """Path and digest (``sha256=…`` as RECORD writes it, or nothing) of each file."""
    folder = dist_info(prefix, wheel)
    return read_record(folder) if folder else []


def read_record(folder: str) -> list[tuple[str, str]]:
    """The rows of the RECORD in a ``.dist-info`` folder, with absolute paths."""
    base = os.path.dirname(folder)
    try:
        with open(os.path.join(folder, "RECORD"), encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except OSError:
        return []
    return [(os.path.normpath(os.path.join(base, row[0])), row[1] if len(row) > 1 else "") for row in rows]


def digest_of(path: str) -> str | None:
    """``sha256=<urlsafe base64 without padding>`` of a file (the binary distribution format's way to write it)."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).digest()
    except OSError:
        return None
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def freeze(prefix: str) -> None:
    """Write ``EXTERNALLY-MANAGED`` (PEP 668) into a virtual environment, with a word on what to do instead.

    A virtual environment shares its standard library, where installers look, with the host: here the mark is for
    people. It gets no ``conda-meta``, by which some libraries would take it for a conda prefix.
    """
    for folder in glob.glob(os.path.join(glob.escape(prefix), "lib", "python3*")):
        with open(os.path.join(folder, "EXTERNALLY-MANAGED"), "w", encoding="utf-8") as file:
            file.write(f"[externally-managed]\nError = {_WORD}\n")
