"""What pip (or uv) installed in a prefix, as lines of a requirements list: from dist-info folders, nothing is run."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from email.parser import HeaderParser
from typing import Any
from urllib.parse import unquote

import msgspec

from roost.model.definition import PipItem
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.requirements import read_requirement_lines
from roost.model.readers.source import ReadContext
from roost.model.syntax.pip_lines import LogicalLine, normalise_name
from roost.model.syntax.urls import strip_credentials


def read_installed(reading: ReadContext, prefix: str, owned: frozenset[str]) -> tuple[PipItem, ...]:
    """Every distribution in ``prefix`` whose files are not ``owned`` by conda packages (paths relative to ``prefix``).

    Each by its version, or by the place that it was installed from (PEP 610). One from a folder or file that is gone
    is left out with a warning.
    """
    lines: dict[str, LogicalLine] = {}
    for folder, name in _metadata_folders(prefix):
        relative = posixpath.join(posixpath.relpath(folder, prefix), name)
        if f"{relative}/METADATA" in owned or f"{relative}/PKG-INFO" in owned or relative in owned:
            continue
        if line := _line(reading, posixpath.join(folder, name)):
            lines[line[0]] = line[1]
    return tuple(item for name in sorted(lines) for item in _item(reading, lines[name]))


def _item(reading: ReadContext, line: LogicalLine) -> list[PipItem]:
    try:
        return list(read_requirement_lines(reading, [line], line.location.path))
    except InvalidDefinitionError as error:
        told = strip_credentials(f"{line.text!r} is left out: {error.message}")[0]
        reading.warn("package-missing", told, line.location)
        return []


def _metadata_folders(prefix: str) -> Iterator[tuple[str, str]]:
    """The site-packages folder and the name of each dist-info or egg-info in it."""
    for folder in _site_packages(prefix):
        for name in sorted(os.listdir(folder)):
            if name.endswith((".dist-info", ".egg-info", ".egg-link")):
                yield folder, name


def _site_packages(prefix: str) -> Iterator[str]:
    lib = os.path.join(prefix, "lib")
    versions = sorted(os.listdir(lib)) if os.path.isdir(lib) else []
    candidates = [os.path.join(lib, name, "site-packages") for name in versions if name.startswith("python3")]
    real: set[str] = set()
    for folder in (*candidates, os.path.join(prefix, "Lib", "site-packages")):
        if os.path.isdir(folder) and os.path.realpath(folder) not in real:  # lib/python3.1 may be a link to 3.1x
            real.add(os.path.realpath(folder))
            yield folder


def _line(reading: ReadContext, path: str) -> tuple[str, LogicalLine] | None:
    place = Location(path=path)
    if path.endswith(".egg-link"):
        folder = reading.load(path, None).decode("utf-8", "replace").splitlines()[:1]
        name = normalise_name(os.path.basename(path).removesuffix(".egg-link"))
        return (name, LogicalLine(f"-e {folder[0].strip()}", place)) if folder else None
    candidates = (posixpath.join(path, "METADATA"), posixpath.join(path, "PKG-INFO"), path)
    told = next((candidate for candidate in candidates if os.path.isfile(candidate)), None)
    if told is None:
        reading.warn("package-missing", f"{path} holds no metadata: pip does not know that package either", place)
        return None
    text = reading.load(told, None).decode("utf-8", "replace")
    headers = HeaderParser().parsestr(text)
    name, version = normalise_name(headers.get("Name", "")), headers.get("Version", "")
    if not name or not version:
        reading.warn("package-missing", f"{path} names no package and version: it is left out", place)
        return None
    return name, LogicalLine(_origin(reading, path, name) or f"{name}=={version}", place)


def _origin(reading: ReadContext, path: str, name: str) -> str | None:
    """The line for what ``direct_url.json`` says (PEP 610); ``None`` where an index had it."""
    told = os.path.join(path, "direct_url.json")
    if not os.path.isfile(told):
        return None
    try:
        direct: Any = msgspec.json.decode(reading.load(told, None))
        url = str(direct["url"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        reading.warn(
            "origin-unread", f"{told} does not say where it came from: its version is taken", Location(path=told)
        )
        return None
    below = f"#subdirectory={direct['subdirectory']}" if direct.get("subdirectory") else ""
    if isinstance(direct.get("vcs_info"), dict):
        vcs = direct["vcs_info"]
        return f"{name} @ {vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', '')}{below}"
    if not url.startswith("file:"):
        return f"{name} @ {url}{below}"
    place = unquote(url.removeprefix("file://").removeprefix("localhost"))
    folder = direct.get("dir_info")
    if direct.get("subdirectory"):
        place = posixpath.join(place, str(direct["subdirectory"]))
    return f"-e {place}" if isinstance(folder, dict) and folder.get("editable") else place
