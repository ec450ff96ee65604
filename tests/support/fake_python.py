"""An executable that passes for a Python interpreter."""

from __future__ import annotations

import json
from pathlib import Path


def probe_answer(version: str, *, level: str = "final", implementation: str = "cpython", libc: str = "") -> str:
    """What an interpreter prints when roost probes it, as one line of JSON."""
    answer = {
        "version": version,
        "level": level,
        "implementation": implementation,
        "libc": libc,
        "free_threaded": False,
        "soabi": "",
        "platform": "linux-x86_64",
        "bits": 64,
        "markers": {"python_full_version": version, "sys_platform": "linux"},
    }
    return json.dumps(answer)


def write_fake_python(path: Path, version: str, *, level: str = "final", implementation: str = "cpython") -> Path:
    """Write an executable to ``path`` that answers roost's probe. It is a script: listing takes it for a shim."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{probe_answer(version, level=level, implementation=implementation)}'\n")
    path.chmod(0o755)
    return path
