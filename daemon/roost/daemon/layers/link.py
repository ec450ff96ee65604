"""Locked conda packages as entries of layers: what each has in an image's prefix, and nothing of this machine.

rattler links them all into a stage for the path in the image; here that is split by owner. Contents are read from the
stage, whose files are hard links into the cache: nothing in it is ever changed. Times are the package archive's own
where a file is as it was in the archive (shipped byte-code is valid by them), one fixed time for all else.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from typing import Any

import msgspec

from roost.daemon.engines.conda import cache
from roost.daemon.engines.conda.marks import EXTERNALLY_MANAGED, INSTEAD, history_lines
from roost.daemon.layers.grouping import PREFIX_IN_IMAGE
from roost.daemon.layers.tar import FIXED_TIME, LayerEntry
from roost.model.errors import BuildError
from roost.model.locks.lock import CondaPackage, Lock

IMAGE_ROOT = PREFIX_IN_IMAGE.lstrip("/")
_SITE, _SCRIPTS = "site-packages/", "python-scripts/"
_OF_THE_MACHINE = ("extracted_package_dir", "package_tarball_full_path", "requested_spec", "requested_specs")
_OF_THE_INDEX = ("indexed_timestamp",)


class StageBrokenError(BuildError):
    """What was linked for an image is not what it should be."""

    code = "image-stage-broken"
    retryable = True


class _LinkedPath(msgspec.Struct, frozen=True):
    path: str = msgspec.field(name="_path")
    original: str | None = msgspec.field(name="original_path", default=None)
    """Where another package has a file of that name, and rattler moved this one aside."""
    placeholder: str | None = msgspec.field(name="prefix_placeholder", default=None)


class _PathsData(msgspec.Struct, frozen=True):
    paths: tuple[_LinkedPath, ...] = ()


class _Meta(msgspec.Struct, frozen=True):
    paths_data: _PathsData = _PathsData()


class StagedPackages:
    """The stage at ``prefix``, filled from the cache at ``cache_dir``. Blocks."""

    def __init__(self, prefix: str, cache_dir: str, site: str) -> None:
        self._prefix = prefix
        self._cache_dir = cache_dir
        self._site = site
        self._folders: dict[str, str] = {}

    def entries(self, package: CondaPackage) -> list[LayerEntry]:
        """What ``package`` has in the image, its ``conda-meta`` record included. Raises :class:`StageBrokenError`."""
        try:
            meta = self._read(self._meta_path(package))
            times = self._archive_times(package)
            linked = msgspec.json.decode(meta, type=_Meta).paths_data.paths
            found = [self._entry(path, times) for path in linked]
            return [*found, self._record(package, meta)]
        except (OSError, msgspec.MsgspecError) as error:
            raise StageBrokenError(
                f"{package.name} {package.version} was linked for an image and can't be read there: {error}",
                hint="Try again; what is damaged in the package cache is fetched anew.",
                fields={"package": package.name},
            ) from error

    def _meta_path(self, package: CondaPackage) -> str:
        return os.path.join(self._prefix, "conda-meta", f"{package.name}-{package.version}-{package.build}.json")

    def _read(self, path: str) -> bytes:
        with open(path, "rb") as stream:
            return stream.read()

    def _archive_times(self, package: CondaPackage) -> dict[str, int]:
        """Path in the prefix to time, for what can be in it as it was in the archive."""
        folder = cache.entry_folder(self._cache_dir, package)
        noarch = package.record.get("noarch") == "python"
        return {
            self._target(entry.path, noarch): int(os.lstat(f"{folder}/{entry.path}").st_mtime)
            for entry in cache.read_paths(folder)
        }

    def _target(self, path: str, noarch: bool) -> str:
        """Where a package for any Python has a file (conda's ``noarch: python``)."""
        if noarch and path.startswith(_SITE):
            return f"{self._site}/{path[len(_SITE) :]}"
        return f"bin/{path[len(_SCRIPTS) :]}" if noarch and path.startswith(_SCRIPTS) else path

    def _entry(self, path: _LinkedPath, times: dict[str, int]) -> LayerEntry:
        source = os.path.join(self._prefix, path.path)
        status = os.lstat(source)
        target = path.original or path.path
        name = posixpath.join(IMAGE_ROOT, self._real(posixpath.dirname(target)), posixpath.basename(target))
        if stat.S_ISLNK(status.st_mode):
            return LayerEntry(name=name, kind="link", target=os.readlink(source))
        if stat.S_ISDIR(status.st_mode):
            return LayerEntry(name=name, kind="folder")
        time = times.get(target, FIXED_TIME) if path.placeholder is None else FIXED_TIME
        return LayerEntry(name=name, source=source, executable=bool(status.st_mode & stat.S_IXUSR), time=time)

    def _real(self, folder: str) -> str:
        """``folder`` without symbolic links: another package may have made one of it, and a layer must not put a
        folder in its place."""
        if folder not in self._folders:
            real = os.path.realpath(os.path.join(self._prefix, folder))
            relative = os.path.relpath(real, os.path.realpath(self._prefix))
            self._folders[folder] = "" if relative == "." else folder if relative.startswith("..") else relative
        return self._folders[folder]

    def _record(self, package: CondaPackage, meta: bytes) -> LayerEntry:
        """The ``conda-meta`` record: what the package says of itself, where it canonically lies, and its files.

        The lock's own record may differ between locks of the same packages, for channels mend their indexes.
        """
        record: dict[str, Any] = msgspec.json.decode(meta)
        folder = cache.entry_folder(self._cache_dir, package)
        says: dict[str, Any] = msgspec.json.decode(self._read(os.path.join(folder, "info", "index.json")))
        kept: dict[str, Any] = {key: record[key] for key in ("md5", "sha256", "size") if key in record}
        paths = [_unmoved(path) for path in (record.get("paths_data") or {}).get("paths", ())]
        kept |= {"files": [path["_path"] for path in paths], "paths_data": {"paths_version": 1, "paths": paths}}
        where = {"fn": package.file_name, "url": package.url, "channel": package.url.rsplit("/", 2)[0] + "/"}
        whole: dict[str, Any] = {**says, "subdir": package.subdir, **kept, **where, "link": {"source": "", "type": 1}}
        content = {key: value for key, value in whole.items() if key not in (*_OF_THE_MACHINE, *_OF_THE_INDEX)}
        name = posixpath.join(IMAGE_ROOT, "conda-meta", os.path.basename(self._meta_path(package)))
        return LayerEntry(name=name, data=msgspec.json.encode(content, order="sorted"))


def _unmoved(path: dict[str, Any]) -> dict[str, Any]:
    """A path as it is without the other package that has a file of its name: its layer does not depend on that one."""
    return {**path, "_path": path.get("original_path") or path["_path"], "original_path": None}


def scripts_in(package: CondaPackage, entries: list[LayerEntry]) -> bool:
    """Whether ``package`` has a script to be run after linking."""
    return f"{IMAGE_ROOT}/bin/.{package.name}-post-link.sh" in {entry.name for entry in entries}


def marks(lock: Lock, site: str | None) -> Iterator[LayerEntry]:
    """What belongs to no package: ``conda-meta/history``, and the marks that keep pip and conda out (PEP 668, CEP 22).

    Without the time of now, and in an order of its own: that of a lock's packages is of no matter.
    """
    lines = sorted(history_lines(lock.conda))
    history = "==> 1980-01-01 00:00:00 <==\n# cmd: roost build\n" + "".join(lines)
    frozen = msgspec.json.encode({"message": INSTEAD}) + b"\n"
    yield LayerEntry(name=f"{IMAGE_ROOT}/conda-meta/history", data=history.encode())
    yield LayerEntry(name=f"{IMAGE_ROOT}/conda-meta/frozen", data=frozen)
    if site is not None:
        yield LayerEntry(
            name=f"{IMAGE_ROOT}/{posixpath.dirname(site)}/EXTERNALLY-MANAGED", data=EXTERNALLY_MANAGED.encode()
        )
