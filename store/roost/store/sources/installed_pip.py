"""Packages that pip or uv installed in a prefix, as lines of a requirements file: read from dist-info folders."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from email.parser import HeaderParser
from typing import Any
from urllib.parse import unquote

import msgspec

from roost.model.definition import PipItem
from roost.model.errors import MALFORMED_JSON, InvalidDefinitionError, Location
from roost.model.readers.requirements import read_requirement
from roost.model.readers.source import ReadContext
from roost.model.syntax.pip_lines import LogicalLine, normalise_name
from roost.model.syntax.urls import strip_credentials


def read_installed(reading: ReadContext, prefix: str, owned: frozenset[str]) -> tuple[PipItem, ...]:
    """Return every distribution in ``prefix`` whose files are not ``owned`` by conda packages (paths relative to
    ``prefix``).

    Each is pinned to its version, or to its origin (PEP 610). One from a folder or file that no longer exists is left
    out with a warning.
    """
    lines: dict[str, LogicalLine] = {}
    for folder, name in _find_metadata(prefix):
        relative = posixpath.join(posixpath.relpath(folder, prefix), name)
        if f"{relative}/METADATA" in owned or f"{relative}/PKG-INFO" in owned or relative in owned:
            continue
        if line := _requirement_line(reading, posixpath.join(folder, name)):
            lines[line[0]] = line[1]
    return tuple(item for name in sorted(lines) for item in _read_item(reading, lines[name]))


def _read_item(reading: ReadContext, line: LogicalLine) -> list[PipItem]:
    try:
        return read_requirement(reading, line, line.location.path)
    except InvalidDefinitionError as error:
        message = strip_credentials(f"{line.text!r} is left out: {error.message}")[0]
        reading.warn("package-missing", message, line.location)
        return []


def _find_metadata(prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the site-packages folder and the name of each dist-info, egg-info or egg-link in it."""
    for folder in _find_site_packages(prefix):
        for name in sorted(os.listdir(folder)):
            if name.endswith((".dist-info", ".egg-info", ".egg-link")):
                yield folder, name


def _find_site_packages(prefix: str) -> Iterator[str]:
    lib = os.path.join(prefix, "lib")
    versions = sorted(os.listdir(lib)) if os.path.isdir(lib) else []
    candidates = [os.path.join(lib, name, "site-packages") for name in versions if name.startswith("python3")]
    real: set[str] = set()
    for folder in (*candidates, os.path.join(prefix, "Lib", "site-packages")):
        if os.path.isdir(folder) and os.path.realpath(folder) not in real:  # lib/python3.1 may be a link to 3.1x
            real.add(os.path.realpath(folder))
            yield folder


def _requirement_line(reading: ReadContext, path: str) -> tuple[str, LogicalLine] | None:
    location = Location(path=path)
    if path.endswith(".egg-link"):
        folder = reading.load_file(path, None).decode("utf-8", "replace").splitlines()[:1]
        name = normalise_name(os.path.basename(path).removesuffix(".egg-link"))
        return (name, LogicalLine(f"-e {folder[0].strip()}", location)) if folder else None
    candidates = (posixpath.join(path, "METADATA"), posixpath.join(path, "PKG-INFO"), path)
    metadata = next((candidate for candidate in candidates if os.path.isfile(candidate)), None)
    if metadata is None:
        reading.warn("package-missing", f"{path} contains no metadata: pip does not list that package either", location)
        return None
    text = reading.load_file(metadata, None).decode("utf-8", "replace")
    headers = HeaderParser().parsestr(text)
    name, version = normalise_name(headers.get("Name", "")), headers.get("Version", "")
    if not name or not version:
        reading.warn("package-missing", f"{path} names no package and version: it is left out", location)
        return None
    return name, LogicalLine(_direct_url_line(reading, path, name) or f"{name}=={version}", location)


def _direct_url_line(reading: ReadContext, path: str, name: str) -> str | None:
    """Return the line for the origin in ``direct_url.json`` (PEP 610), ``None`` if the package came from an index."""
    record = os.path.join(path, "direct_url.json")
    if not os.path.isfile(record):
        return None
    try:
        direct: Any = msgspec.json.decode(reading.load_file(record, None))
        url = str(direct["url"])
    except (*MALFORMED_JSON, KeyError, TypeError):
        reading.warn(
            "origin-unread", f"{record} does not record its origin: its version is used", Location(path=record)
        )
        return None
    fragment = f"#subdirectory={direct['subdirectory']}" if direct.get("subdirectory") else ""
    if isinstance(direct.get("vcs_info"), dict):
        vcs = direct["vcs_info"]
        return f"{name} @ {vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', '')}{fragment}"
    if not url.startswith("file:"):
        return f"{name} @ {url}{fragment}"
    path_in_url = unquote(url.removeprefix("file://").removeprefix("localhost"))
    folder = direct.get("dir_info")
    if direct.get("subdirectory"):
        path_in_url = posixpath.join(path_in_url, str(direct["subdirectory"]))
    return f"-e {path_in_url}" if isinstance(folder, dict) and folder.get("editable") else path_in_url
