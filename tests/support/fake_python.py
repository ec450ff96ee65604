"""An executable that passes for a Python interpreter."""

from __future__ import annotations

from pathlib import Path


def write_fake_python(path: Path, version: str, *, level: str = "final", implementation: str = "cpython") -> Path:
    """Write an executable to ``path`` that answers roost's probe. It is a script: listing takes it for a shim."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho \'["{version}", "{level}", "{implementation}", "", false]\'\n')
    path.chmod(0o755)
    return path
