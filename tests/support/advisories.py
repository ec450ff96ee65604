"""OSV advisories for tests."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

HIGH = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"


def advisory(
    id: str = "PYSEC-2026-1",
    package: str = "numpy",
    *,
    introduced: str = "0",
    fixed: str | None = "1.26.4",
    ecosystem: str = "PyPI",
    **fields: Any,
) -> dict[str, Any]:
    events = [{"introduced": introduced}, *([{"fixed": fixed}] if fixed else [])]
    return {
        "schema_version": "1.6.0",
        "id": id,
        "modified": "2026-01-01T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": ecosystem, "name": package},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
        ],
        **fields,
    }


def encode(*advisories: dict[str, Any]) -> list[bytes]:
    return [json.dumps(each).encode() for each in advisories]


def write_archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path
