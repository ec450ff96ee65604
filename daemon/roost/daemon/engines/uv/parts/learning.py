"""Learn parts from a prefix that uv has filled and that is ready: its manifest vouches for the content of every file.

All functions block.
"""

from __future__ import annotations

import csv
import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from email.parser import BytesHeaderParser

from roost.daemon.engines.uv.parts.files import (
    PartsPlace,
    describe_maker,
    find_kind,
    list_parts,
    load_part,
    prune_parts,
    save_part,
)
from roost.daemon.engines.uv.parts.part import PartFile, PartLink, WheelPart, list_folders
from roost.daemon.engines.uv.prefix import find_dist_info, normalize_name
from roost.daemon.engines.uv.unpacked.cache import list_unpacked
from roost.daemon.engines.uv.unpacked.content import SETTLED_NS, digest_regular, read_state
from roost.daemon.engines.uv.unpacked.record import encode_digest
from roost.model.locks.lock import Wheel

_MOST_WRITTEN = 1 << 18
"""Bytes of a file that uv writes: more is a copy of something that it could not link."""
_OWN_NAMES = ("RECORD", "INSTALLER", "REQUESTED")
"""What uv writes into the metadata of any wheel from an index. Of others it says where they came from."""


class UnknownPartError(Exception):
    """What uv did with a wheel is not understood: it is left to uv."""


def learn_parts(
    place: PartsPlace, prefix: str, wheels: Sequence[Wheel], manifest: Mapping[str, tuple[int, str]], sealed: int
) -> int:
    """Learn the parts of ``wheels`` that are not known; return how many were learned.

    ``manifest``: the files of the prefix, path to size and sha256 (hex), as they were at the time ``sealed`` (ns).
    """
    kind = find_kind(prefix)
    wanted = [wheel for wheel in wheels if is_learnable(wheel)]
    if not kind or not wanted:
        return 0
    maker, known = describe_maker(place, prefix), list_parts(place, kind)
    learned = 0
    for wheel in wanted:
        former = load_part(known[wheel.sha256], maker) if wheel.sha256 in known else None
        if former is not None and is_valid(place, former):
            continue
        try:
            part = _learn_part(place.cache_dir, prefix, wheel, manifest, sealed, maker)
            save_part(place, wheel.sha256, kind, part, known)
        except (UnknownPartError, OSError, csv.Error, ValueError):  # among them names that are not UTF-8
            continue
        learned += 1
    if learned:
        prune_parts(place)
    return learned


def is_learnable(wheel: Wheel) -> bool:
    """Return whether uv installs the wheel from an index: of all others it writes where they came from."""
    return wheel.kind == "index" and bool(wheel.sha256)


def is_valid(place: PartsPlace, part: WheelPart) -> bool:
    """Return whether the unpacked wheel of ``part`` is as it was."""
    for each in part.linked:
        try:
            status = os.lstat(os.path.join(place.cache_dir, part.archive, each.source or each.path))
        except OSError:
            return False
        if (status.st_ino, status.st_size, status.st_mtime_ns) != (each.inode, each.size, each.time):
            return False
    return True


def _learn_part(
    cache_dir: str, prefix: str, wheel: Wheel, manifest: Mapping[str, tuple[int, str]], sealed: int, maker: str
) -> WheelPart:
    info = find_dist_info(prefix, wheel)
    if info is None:
        raise UnknownPartError
    archive = _find_archive(cache_dir, info, wheel.name)
    sources = _map_sources(archive)
    site = os.path.dirname(info)
    record = f"{os.path.basename(info)}/RECORD"
    linked: dict[str, PartLink] = {}
    written: dict[str, PartFile] = {}
    device = os.stat(archive).st_dev
    used: set[str] = set()
    for path, listed in _read_rows(os.path.join(info, "RECORD")).items():
        full = os.path.normpath(os.path.join(site, path))
        if not full.startswith(prefix + os.sep):
            raise UnknownPartError
        relative = os.path.relpath(full, prefix)
        size, digest = manifest.get(relative, (-1, ""))
        name = os.path.relpath(full, site) if full.startswith(site + os.sep) else f"/{relative}"
        status = os.lstat(full)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            raise UnknownPartError
        source = sources.get(status.st_ino) if status.st_dev == device else None
        if name != record and not _is_own(listed, digest, is_written=source is None):
            raise UnknownPartError
        if source is None:
            written[name] = _read_written(full, name, os.path.basename(info), status, digest)
        else:
            if status.st_mtime_ns > sealed - SETTLED_NS and not _has_digest(full, digest, status):
                raise UnknownPartError
            used.add(source)
            linked[name] = PartLink(
                path=name,
                source="" if source == name else source,
                size=status.st_size,
                time=status.st_mtime_ns,
                inode=status.st_ino,
                digest=bytes.fromhex(digest),
            )
    if record not in written or any(not _may_be_unused(name, record) for name in set(sources.values()) - used):
        raise UnknownPartError
    with open(os.path.join(info, "METADATA"), "rb") as file:
        headers = BytesHeaderParser().parse(file)
    return WheelPart(
        maker=maker,
        archive=os.path.relpath(archive, cache_dir),
        prefix_name=os.path.basename(prefix),
        site=os.path.relpath(site, prefix),
        folders=list_folders(os.path.relpath(site, prefix), (*linked, *written)),
        record=record,
        linked=tuple(linked.values()),
        written=tuple(written.values()),
        requirements=tuple(str(text) for text in headers.get_all("Requires-Dist", [])),
        python_specifiers=tuple(str(text) for text in headers.get_all("Requires-Python", [])),
    )


def _has_digest(path: str, digest: str, before: os.stat_result) -> bool:
    """Return whether a file has the digest (hex) now, and is in the state that it was in ``before``."""
    found, state = digest_regular(path, "sha256")
    return state == read_state(before) and found.hex() == digest


def _find_archive(cache_dir: str, info: str, name: str) -> str:
    """Return the unpacked wheel that the metadata at ``info`` is linked from."""
    status = os.stat(os.path.join(info, "METADATA"))
    for each, folder in list_unpacked(cache_dir):
        try:
            if each == normalize_name(name) and os.path.samestat(os.stat(os.path.join(folder, "METADATA")), status):
                return os.path.dirname(folder)
        except OSError:
            continue
    raise UnknownPartError


def _map_sources(archive: str) -> dict[int, str]:
    """Return the relative path of each file of an unpacked wheel by its inode."""
    found: dict[int, str] = {}
    for parent, folders, names in os.walk(archive):
        for name in (*folders, *names):
            path = os.path.join(parent, name)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                found[status.st_ino] = os.path.relpath(path, archive)
            elif not stat.S_ISDIR(status.st_mode):
                raise UnknownPartError
    return found


def _read_rows(record: str) -> dict[str, str]:
    """Return the digest of each path in a RECORD; empty if it states none."""
    with open(record, encoding="utf-8", newline="") as file:
        return {row[0]: row[1] if len(row) > 1 else "" for row in csv.reader(file) if row}


def _is_own(listed: str, digest: str, *, is_written: bool) -> bool:
    """Return whether a file whose sha256 is ``digest`` (hex) is the one that RECORD lists with the digest ``listed``,
    and not that of another wheel, which was installed over it. uv lists each that it writes with its digest."""
    if not listed.startswith("sha256="):
        return not is_written
    return listed == f"sha256={encode_digest(bytes.fromhex(digest))}"


def _may_be_unused(source: str, record: str) -> bool:
    """Return whether uv does not link ``source``: it writes another RECORD, and scripts with another first line."""
    return source == record or ".data/scripts/" in f"/{source}"


def _read_written(path: str, name: str, info: str, status: os.stat_result, digest: str) -> PartFile:
    if not (name in {f"{info}/{own}" for own in _OWN_NAMES} or name.startswith("/bin/")):
        raise UnknownPartError
    if status.st_nlink != 1 or status.st_size > _MOST_WRITTEN:
        raise UnknownPartError
    with open(path, "rb") as file:
        content = file.read()
    if hashlib.sha256(content).hexdigest() != digest:
        raise UnknownPartError
    return PartFile(name, stat.S_IMODE(status.st_mode), content)
