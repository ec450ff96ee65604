"""The lock of a project layer: that of the dependencies, and the project as an editable installation. Pure.

Its digest is the key of the layer's prefix, so it covers the lock of the dependencies, the folder and the build files,
and nothing else: not the sources, which the installation refers to. No generation has it, no registry gets it, and no
definition keeps it.
"""

from __future__ import annotations

import msgspec

from roost.model.definition import ProjectSource
from roost.model.locks.lock import Lock, Wheel

_VERSION = "0"
"""In the lock only: the version of a project is in its build files, or known to its backend only."""


def add_project(lock: Lock, project: ProjectSource) -> Lock:
    """Return the lock of the layer of ``project`` on ``lock``. A package of that name gives way, as it does for uv."""
    others = tuple(wheel for wheel in lock.wheels if wheel.name != project.name)
    editable = Wheel(
        name=project.name,
        version=_VERSION,
        kind="editable",
        path=project.folder,
        sha256=project.digest.removeprefix("sha256:"),
    )
    return msgspec.structs.replace(lock, wheels=tuple(sorted((*others, editable), key=lambda wheel: wheel.name)))
