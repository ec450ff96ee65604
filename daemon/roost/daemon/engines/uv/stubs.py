"""Stub wheels for what conda provides: they contain nothing but a name and a version.

A stub is a constraint by URL (uv, unlike pip, accepts these): the resolver can choose nothing else for that name,
checks all requirements against its version, and fetches no metadata of the real package. Stubs never get into a lock.
A module of its own because it depends on nothing else of the engine.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from urllib.parse import quote

from packaging.version import InvalidVersion, Version

_WHEEL = "Wheel-Version: 1.0\nGenerator: roost\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_stubs(folder: str, provided: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Write stub wheels for ``provided`` (name to version) below ``folder``.

    Returns constraint lines, and the names whose version is not valid by PEP 440: nothing can be checked against
    these, so they must be excluded from the resolution.
    """
    os.makedirs(folder, exist_ok=True)
    lines, excluded = [], []
    for name, version in sorted(provided.items()):
        try:
            normalized = str(Version(version))
        except InvalidVersion:
            excluded.append(name)
            continue
        lines.append(f"{name} @ file://{quote(_write_stub(folder, name, normalized))}")
    return lines, excluded


def _write_stub(folder: str, name: str, version: str) -> str:
    stem = f"{name.replace('-', '_')}-{version}"
    path = os.path.join(folder, f"{stem}-py3-none-any.whl")
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", _WHEEL)
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return path
