"""Read and write pylock.toml (PEP 751): read what uv chose, write what it is to prefer or to install. Pure."""

from __future__ import annotations

import json
import posixpath
import sys
from collections.abc import Iterable, Mapping
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
    """Bytes; 0 if unknown."""
    digests: tuple[str, ...] = ()
    """Further digests that the file must have, as ``algorithm:hex``."""
    subdirectory: str | None = None
    """The folder in an archive that has the project."""

    @property
    def file_name(self) -> str:
        """Last part of the path or the URL."""
        return posixpath.basename(self.path or unquote(urlsplit(self.url or "").path))


class PylockPackage(msgspec.Struct, frozen=True, kw_only=True):
    """One package of a resolution. It has exactly one source, but a ``wheel`` may come with its ``sdist``."""

    name: str
    version: str = ""
    wheel: Archive | None = None
    sdist: Archive | None = None
    direct: Archive | None = None
    """A direct URL or a local file: a wheel or an sdist."""
    git: tuple[str, str, str | None] | None = None
    """Repository, commit, subdirectory."""
    folder: str | None = None
    editable: bool = False


def parse_pylock(text: str) -> list[PylockPackage]:
    """Return the packages of a pylock.toml that uv wrote for one interpreter (a single wheel for each package)."""
    return [_parse_package(package) for package in tomllib.loads(text).get("packages", [])]


def _parse_package(package: dict[str, Any]) -> PylockPackage:
    wheels = [_parse_archive(wheel) for wheel in package.get("wheels", [])]
    vcs, folder = package.get("vcs"), package.get("directory")
    return PylockPackage(
        name=package["name"],
        version=package.get("version", ""),
        wheel=wheels[0] if wheels else None,
        sdist=_parse_archive(package["sdist"]) if "sdist" in package else None,
        direct=_parse_archive(package["archive"]) if "archive" in package else None,
        git=(vcs["url"], vcs["commit-id"], vcs.get("subdirectory")) if vcs else None,
        folder=folder["path"] if folder else None,
        editable=bool(folder and folder.get("editable")),
    )


def _parse_archive(table: dict[str, Any]) -> Archive:
    url, path = table.get("url"), table.get("path")
    if url and url.startswith("file://"):
        url, path = None, unquote(urlsplit(url).path)
    return Archive(
        url=without_credentials(url) if url else None,
        path=path,
        sha256=table.get("hashes", {}).get("sha256", ""),
        size=table.get("size", 0),
        digests=tuple(f"{name}:{digest}" for name, digest in sorted(table.get("hashes", {}).items())),
        subdirectory=table.get("subdirectory"),
    )


def without_credentials(url: str) -> str:
    """Return ``url`` without user, password and the fragment, which may be a digest."""
    split = urlsplit(url)
    return urlunsplit((split.scheme, split.netloc.rpartition("@")[2], split.path, split.query, ""))


def render_pylock(wheels: Iterable[tuple[Wheel, str | None]]) -> str:
    """Return a pylock.toml that installs exactly ``wheels``: pairs of a wheel and the path of its file, or ``None``."""
    packages = [_render_package(wheel, path) for wheel, path in wheels]
    return "".join(["lock-version = '1.0'\ncreated-by = 'roost'\n", *packages])


def render_versions(versions: Mapping[str, str]) -> str:
    """Return a pylock.toml that has ``versions`` (name to version) and nothing to install them from."""
    packages = [
        f"\n[[packages]]\nname = {_quote_toml(name)}\nversion = {_quote_toml(version)}\n"
        for name, version in sorted(versions.items())
    ]
    return "".join(["lock-version = '1.0'\ncreated-by = 'roost'\n", *packages])


def _render_package(wheel: Wheel, path: str | None) -> str:
    head = f"\n[[packages]]\nname = {_quote_toml(wheel.name)}\n"
    if wheel.kind == "editable":
        return f"{head}directory = {{ path = {_quote_toml(wheel.path or '')}, editable = true }}\n"
    source = f"path = {_quote_toml(path)}" if path else f"url = {_quote_toml(wheel.url or '')}"
    table = f"{{ {source}, hashes = {{ sha256 = {_quote_toml(wheel.sha256)} }} }}"
    source_line = f"archive = {table}" if wheel.kind == "url" else f"wheels = [{table}]"
    return f"{head}version = {_quote_toml(wheel.version)}\n{source_line}\n"


def _quote_toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
