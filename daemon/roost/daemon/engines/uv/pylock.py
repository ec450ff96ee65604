"""pylock.toml (PEP 751), the two ways: what uv chose, and what it is told to install. Pure."""

from __future__ import annotations

import json
import posixpath
import sys
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from roost.model.locks.lock import Wheel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel or an sdist, by URL or by path."""

    url: str | None = None
    path: str | None = None
    sha256: str = ""
    size: int = 0

    @property
    def file_name(self) -> str:
        return posixpath.basename(self.path or unquote(urlsplit(self.url or "").path))


class PylockPackage(msgspec.Struct, frozen=True, kw_only=True):
    """One package of a resolution; exactly one of the sources is what is installed."""

    name: str
    version: str = ""
    wheel: Archive | None = None
    sdist: Archive | None = None
    direct: Archive | None = None
    """A direct URL or a local file, whether wheel or sdist."""
    git: tuple[str, str, str | None] | None = None
    """Repository, commit, subdirectory."""
    folder: str | None = None
    editable: bool = False


def parse(text: str) -> list[PylockPackage]:
    """The packages of a pylock.toml that uv wrote for one interpreter (a single wheel for each package)."""
    return [_chosen(package) for package in tomllib.loads(text).get("packages", [])]


def _chosen(package: dict[str, Any]) -> PylockPackage:
    wheels = [_archive(wheel) for wheel in package.get("wheels", [])]
    vcs, folder = package.get("vcs"), package.get("directory")
    return PylockPackage(
        name=package["name"],
        version=package.get("version", ""),
        wheel=wheels[0] if wheels else None,
        sdist=_archive(package["sdist"]) if "sdist" in package else None,
        direct=_archive(package["archive"]) if "archive" in package else None,
        git=(vcs["url"], vcs["commit-id"], vcs.get("subdirectory")) if vcs else None,
        folder=folder["path"] if folder else None,
        editable=bool(folder and folder.get("editable")),
    )


def _archive(table: dict[str, Any]) -> Archive:
    url, path = table.get("url"), table.get("path")
    if url and url.startswith("file://"):
        url, path = None, unquote(urlsplit(url).path)
    return Archive(
        url=without_credentials(url) if url else None,
        path=path,
        sha256=table.get("hashes", {}).get("sha256", ""),
        size=table.get("size", 0),
    )


def without_credentials(url: str) -> str:
    """``url`` without user and password, and without the fragment that carries a digest."""
    split = urlsplit(url)
    return urlunsplit((split.scheme, split.netloc.rpartition("@")[2], split.path, split.query, ""))


def render(wheels: Iterable[tuple[Wheel, str | None]]) -> str:
    """A pylock.toml that installs exactly these wheels; beside each, the path of its file where the store keeps one."""
    return "".join(["lock-version = '1.0'\ncreated-by = 'roost'\n", *(_package(wheel, path) for wheel, path in wheels)])


def _package(wheel: Wheel, path: str | None) -> str:
    head = f"\n[[packages]]\nname = {_string(wheel.name)}\n"
    if wheel.kind == "editable":
        return f"{head}directory = {{ path = {_string(wheel.path or '')}, editable = true }}\n"
    source = f"path = {_string(path)}" if path else f"url = {_string(wheel.url or '')}"
    table = f"{{ {source}, hashes = {{ sha256 = {_string(wheel.sha256)} }} }}"
    kept = f"archive = {table}" if wheel.kind == "url" else f"wheels = [{table}]"
    return f"{head}version = {_string(wheel.version)}\n{kept}\n"


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
