"""The lock of a project layer: that of the dependencies, and the project as an editable installation. Pure.

Its digest is the key of the layer's prefix, so it covers the lock of the dependencies, the folder and the build files,
and nothing else: not the sources, which the installation refers to. No generation has it, no registry gets it, and no
definition keeps it.
"""

from __future__ import annotations

import msgspec

from roost.model.definition import ProjectSource
from roost.model.locks.lock import Lock, ProjectLayer, Wheel, digest_lock

_VERSION = "0"
"""In the lock only: that of a project whose version only its backend knows."""


def add_project(lock: Lock, project: ProjectSource) -> Lock:
    """Return the lock of the layer of ``project`` on ``lock``. A package of that name gives way, as it does for uv."""
    others = tuple(wheel for wheel in lock.wheels if wheel.name != project.name)
    editable = Wheel(
        name=project.name,
        version=project.version or _VERSION,
        kind="editable",
        path=project.folder,
        sha256=project.digest.removeprefix("sha256:"),
    )
    layer = ProjectLayer(name=project.name, base=digest_lock(lock))
    wheels = tuple(sorted((*others, editable), key=lambda wheel: wheel.name))
    return msgspec.structs.replace(lock, wheels=wheels, layer=layer)


def split_project(lock: Lock) -> tuple[tuple[Wheel, ...], Wheel | None]:
    """Return the wheels that are installed as in every prefix, and the project if ``lock`` is that of a layer."""
    if lock.layer is None:
        return lock.wheels, None
    project = next(each for each in lock.wheels if each.name == lock.layer.name and each.kind == "editable")
    return tuple(each for each in lock.wheels if each is not project), project
