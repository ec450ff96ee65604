"""Locked conda packages as entries of layers: what each has in an image's prefix, without traces of this machine.

rattler links them all into a stage for the path in the image; here the stage is split by package. Contents are read
from the stage, whose files are hard links into the cache and so are never written to. A file that is unchanged since
the archive keeps the archive's time (shipped byte-code is valid by it); everything else has one fixed time.
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
from roost.model.errors import MALFORMED_JSON, BuildError
from roost.model.locks.lock import CondaPackage, Lock

IMAGE_ROOT = PREFIX_IN_IMAGE.lstrip("/")
_SITE, _SCRIPTS = "site-packages/", "python-scripts/"
_MACHINE_FIELDS = ("extracted_package_dir", "package_tarball_full_path", "requested_spec", "requested_specs")
_INDEX_FIELDS = ("indexed_timestamp",)
"""Fields of ``conda-meta`` records that must not affect a layer."""


class StageBrokenError(BuildError):
    """A package that was linked for an image can't be read there."""

    code = "image-stage-broken"
    retryable = True


class _LinkedPath(msgspec.Struct, frozen=True):
    path: str = msgspec.field(name="_path")
    original: str | None = msgspec.field(name="original_path", default=None)
    """The path in the package, if another package has a file of that name and rattler renamed this one."""
    placeholder: str | None = msgspec.field(name="prefix_placeholder", default=None)


class _PathsData(msgspec.Struct, frozen=True):
    paths: tuple[_LinkedPath, ...] = ()


class _MetaRecord(msgspec.Struct, frozen=True):
    paths_data: _PathsData = _PathsData()


class StagedPackages:
    """Splits the stage at ``prefix``, filled from the cache at ``cache_dir``. Blocks.

    ``site`` is the path of ``site-packages`` in the prefix.
    """

    def __init__(self, prefix: str, cache_dir: str, site: str) -> None:
        self._prefix = prefix
        self._cache_dir = cache_dir
        self._site = site
        self._real_folders: dict[str, str] = {}

    def entries(self, package: CondaPackage) -> list[LayerEntry]:
        """Return the files of ``package`` in the image and its ``conda-meta`` record.

        Raises :class:`StageBrokenError` if one of them can't be read.
        """
        try:
            meta = _read_file(self._meta_path(package))
            times = self._archive_times(package)
            linked = msgspec.json.decode(meta, type=_MetaRecord).paths_data.paths
            found = [self._file_entry(path, times) for path in linked]
            return [*found, self._record_entry(package, meta)]
        except (OSError, *MALFORMED_JSON) as error:
            raise StageBrokenError(
                f"{package.name} {package.version} was linked for an image but can't be read there: {error}",
                hint="Try again; damaged files in the package cache are fetched again.",
                fields={"package": package.name},
            ) from error

    def _meta_path(self, package: CondaPackage) -> str:
        return os.path.join(self._prefix, "conda-meta", f"{package.name}-{package.version}-{package.build}.json")

    def _archive_times(self, package: CondaPackage) -> dict[str, int]:
        """Return the archive's time of every file of ``package``, by path in the prefix."""
        folder = cache.entry_folder(self._cache_dir, package)
        noarch = package.record.get("noarch") == "python"
        return {
            self._linked_path(entry.path, noarch): int(os.lstat(f"{folder}/{entry.path}").st_mtime)
            for entry in cache.read_paths(folder)
        }

    def _linked_path(self, path: str, noarch: bool) -> str:
        """Return the path in the prefix of a file of a package; ``noarch: python`` packages have their own layout."""
        if noarch and path.startswith(_SITE):
            return f"{self._site}/{path[len(_SITE) :]}"
        return f"bin/{path[len(_SCRIPTS) :]}" if noarch and path.startswith(_SCRIPTS) else path

    def _file_entry(self, path: _LinkedPath, times: dict[str, int]) -> LayerEntry:
        source = os.path.join(self._prefix, path.path)
        status = os.lstat(source)
        target = path.original or path.path
        name = posixpath.join(IMAGE_ROOT, self._resolve_folder(posixpath.dirname(target)), posixpath.basename(target))
        if stat.S_ISLNK(status.st_mode):
            return LayerEntry(name=name, kind="link", target=os.readlink(source))
        if stat.S_ISDIR(status.st_mode):
            return LayerEntry(name=name, kind="folder")
        time = times.get(target, FIXED_TIME) if path.placeholder is None else FIXED_TIME
        return LayerEntry(name=name, source=source, executable=bool(status.st_mode & stat.S_IXUSR), time=time)

    def _resolve_folder(self, folder: str) -> str:
        """Return ``folder`` without symbolic links: a layer must not replace a link of another package by a folder."""
        if folder not in self._real_folders:
            real = os.path.realpath(os.path.join(self._prefix, folder))
            relative = os.path.relpath(real, os.path.realpath(self._prefix))
            self._real_folders[folder] = "" if relative == "." else folder if relative.startswith("..") else relative
        return self._real_folders[folder]

    def _record_entry(self, package: CondaPackage, meta: bytes) -> LayerEntry:
        """Return the ``conda-meta`` record: the package's own metadata, its canonical URL, and its files.

        The lock's record is not used: it may differ between locks of the same packages, because channels correct their
        indexes.
        """
        written: dict[str, Any] = msgspec.json.decode(meta)
        folder = cache.entry_folder(self._cache_dir, package)
        metadata: dict[str, Any] = msgspec.json.decode(_read_file(os.path.join(folder, "info", "index.json")))
        linked: dict[str, Any] = {key: written[key] for key in ("md5", "sha256", "size") if key in written}
        paths = [_original_path(path) for path in (written.get("paths_data") or {}).get("paths", ())]
        linked |= {"files": [path["_path"] for path in paths], "paths_data": {"paths_version": 1, "paths": paths}}
        location = {"fn": package.file_name, "url": package.url, "channel": package.url.rsplit("/", 2)[0] + "/"}
        record = {**metadata, "subdir": package.subdir, **linked, **location, "link": {"source": "", "type": 1}}
        content = {key: value for key, value in record.items() if key not in (*_MACHINE_FIELDS, *_INDEX_FIELDS)}
        name = posixpath.join(IMAGE_ROOT, "conda-meta", os.path.basename(self._meta_path(package)))
        return LayerEntry(name=name, data=msgspec.json.encode(content, order="sorted"))


def _read_file(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _original_path(path: dict[str, Any]) -> dict[str, Any]:
    """Return a path of ``paths_data`` under its name in the package.

    rattler renames a file if another package has one of the same name; the layer must not depend on that package.
    """
    return {**path, "_path": path.get("original_path") or path["_path"], "original_path": None}


def has_link_script(package: CondaPackage, entries: list[LayerEntry]) -> bool:
    """Return whether ``package``, whose ``entries`` are given, has a post-link script."""
    return f"{IMAGE_ROOT}/bin/.{package.name}-post-link.sh" in {entry.name for entry in entries}


def mark_entries(lock: Lock, site: str | None) -> Iterator[LayerEntry]:
    """Yield what belongs to no package: ``conda-meta/history``, and the marks against pip and conda (PEP 668, CEP 22).

    They do not contain the current time and do not depend on the order of the lock's packages. ``site`` is the path of
    ``site-packages`` in the prefix, if there is a Python.
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
