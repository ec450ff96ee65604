"""What conda provides, as uv sees it: wheels that hold nothing but a name and a version.

A stub is a constraint by URL (uv, unlike pip, takes these): the resolver can choose nothing else for that name, checks
everybody's requirements against its version, and fetches no metadata of the real package. Stubs never get into a lock.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from urllib.parse import quote

from packaging.version import InvalidVersion, Version

_WHEEL = "Wheel-Version: 1.0\nGenerator: roost\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_stubs(folder: str, provided: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Stub wheels for ``provided`` under ``folder``: constraint lines, and the names whose version PEP 440 does not
    know (nothing can be checked against these; they are left out of the resolution)."""
    os.makedirs(folder, exist_ok=True)
    lines, excluded = [], []
    for name, version in sorted(provided.items()):
        normal = _normal(version)
        if normal is None:
            excluded.append(name)
        else:
            lines.append(f"{name} @ file://{quote(_write(folder, name, normal))}")
    return lines, excluded


def _normal(version: str) -> str | None:
    try:
        return str(Version(version))
    except InvalidVersion:
        return None


def _write(folder: str, name: str, version: str) -> str:
    stem = f"{name.replace('-', '_')}-{version}"
    path = os.path.join(folder, f"{stem}-py3-none-any.whl")
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", _WHEEL)
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return path
