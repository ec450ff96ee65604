"""What names the code that a build runs: its source, and what is installed to build it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from roost.daemon.background.code import CodeKind, PackageCode
from roost.model.definition import PipItem
from roost.model.locks.lock import Wheel
from roost.store.sources.files import LocalFiles


def source_code(kind: CodeKind, package: str, content: str) -> list[PackageCode]:
    """Return the code of one source. ``content``: ``sha256:…`` or ``git+URL@COMMIT``, empty if unknown."""
    return [PackageCode(kind=kind, package=package, content=content)]


def requirements_code(wheels: Iterable[Wheel]) -> list[PackageCode]:
    """Return the code of what is installed for builds."""
    return [
        PackageCode(
            kind="build-backend",
            package=f"{wheel.name} {wheel.version}",
            content=f"sha256:{wheel.sha256}" if wheel.sha256 else "",
        )
        for wheel in wheels
    ]


def list_editable_code(wheels: Sequence[Wheel]) -> list[PackageCode]:
    """Return the code of the editable folders among ``wheels``. Blocks."""
    return [folder_code(wheel.name, wheel.path or "") for wheel in wheels if wheel.kind == "editable"]


def editable_code(item: PipItem) -> list[PackageCode]:
    """Return the code of the folder of a line ``-e``. Blocks."""
    return [folder_code(item.text, item.path or "")]


def folder_code(package: str, path: str) -> PackageCode:
    """Return the code of a folder that is built where it is, by the states of all its files: they may be many, and each
    change of one shows in its state. Blocks."""
    try:
        content = f"folder:{path}:{LocalFiles().tree_stamp(path)}"
    except OSError:
        content = ""
    return PackageCode(kind="build-backend", package=package, content=content)
