"""Parts on the disk, one file for each unpacked wheel and kind of Python: ``<sha256>.<archive>.<kind>``.

A part is worth nothing without the unpacked wheel that it links to: parts whose wheel was removed are deleted when
another one is saved. All functions block.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from uuid import uuid4

import msgspec

from roost.daemon.engines.uv.parts.part import WheelPart, decode_part, encode_part
from roost.daemon.engines.uv.prefix import find_site_packages
from roost.store.disk.regular_files import read_regular
from roost.store.failpoints import failpoint

_MAX_BYTES = 64 * 2**20


class PartsPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where parts are, and what they depend on."""

    folder: str
    cache_dir: str
    """uv's cache."""
    binary: str
    """Path of uv."""


def find_kind(prefix: str) -> str:
    """Return the kind of Python of a virtual environment, by its ``site-packages``: ``python3.12``; empty if ``prefix``
    is none, or has not exactly one."""
    sites = find_site_packages(prefix)
    if len(sites) != 1 or not os.path.isfile(os.path.join(prefix, "pyvenv.cfg")):
        return ""
    return os.path.basename(os.path.dirname(sites[0]))


def describe_maker(place: PartsPlace, prefix: str) -> str:
    """Return what every part of the prefixes beside ``prefix`` depends on: the state of uv, and their folder. Scripts
    name the prefix by its path, and how they do depends on its length."""
    status = os.stat(place.binary)
    return f"{status.st_size} {status.st_mtime_ns} {os.path.dirname(prefix)}"


def list_parts(place: PartsPlace, kind: str) -> dict[str, str]:
    """Return the paths of the parts for a kind of Python, by sha256 of the wheel."""
    found = {}
    with suppress(OSError):
        for name in os.listdir(place.folder):
            sha256, _, rest = name.partition(".")
            if rest.partition(".")[2] == kind:
                found[sha256] = os.path.join(place.folder, name)
    return found


def load_part(path: str, maker: str) -> WheelPart | None:
    """Return the part in the file ``path``; ``None`` if it can't be read, or was made by another ``maker``."""
    with suppress(OSError):
        part = decode_part(read_regular(path, _MAX_BYTES))
        return part if part is not None and part.maker == maker else None
    return None


def save_part(place: PartsPlace, sha256: str, kind: str, part: WheelPart, before: Mapping[str, str]) -> None:
    """Store a part in place of the one that ``before`` (``list_parts``) has of the same wheel."""
    name = f"{sha256}.{os.path.basename(part.archive)}.{kind}"
    beside = os.path.join(place.folder, f"{uuid4().hex}.new")
    with suppress(FileExistsError):
        os.mkdir(place.folder)  # not the root, which somebody may have removed
    try:
        with open(beside, "wb") as stream:
            stream.write(encode_part(part))
        failpoint("parts.written")
        os.replace(beside, os.path.join(place.folder, name))
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
    if os.path.basename(former := before.get(sha256, "")) not in ("", name):
        with suppress(OSError):
            os.unlink(former)


def prune_parts(place: PartsPlace) -> None:
    """Delete the parts whose unpacked wheel is gone, and what a killed daemon left."""
    present: set[str] = set()
    with suppress(OSError):
        for bucket in os.listdir(place.cache_dir):
            if bucket.startswith("archive-v"):
                present.update(os.listdir(os.path.join(place.cache_dir, bucket)))
    with suppress(OSError):
        for name in os.listdir(place.folder):
            parts = name.split(".", 2)
            if len(parts) != 3 or parts[1] not in present:
                with suppress(OSError):
                    os.unlink(os.path.join(place.folder, name))
