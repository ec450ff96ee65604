"""Formats that are made of a lock: conda's explicit list, conda-lock, pixi.lock, and pinned requirements."""

from __future__ import annotations

from functools import partial

from roost.store.lock_formats import check_portable, wheel_requirement, write_lock
from roost.store.writers.conda import index_options
from roost.store.writers.parts import Draft, Writer

FILES = {"explicit": "explicit.txt", "conda-lock": "conda-lock.yml", "pixi": "pixi.lock"}


def _write_lock(format: str, draft: Draft) -> None:
    assert draft.exported.lock is not None
    draft.warn_losses(("conda", "pip"))
    draft.main(write_lock(draft.exported.lock, format, channels=draft.exported.channels))


LOCK_WRITERS: dict[str, tuple[str, Writer]] = {name: (file, partial(_write_lock, name)) for name, file in FILES.items()}


def write_requirements(draft: Draft) -> None:
    """pip's packages, each by version and digest. What conda brings is left out, and named."""
    lock = draft.exported.lock
    assert lock is not None
    check_portable(lock)
    draft.warn_losses(("conda", "pip"))
    if lock.conda:
        names = ", ".join(sorted(package.name for package in lock.conda))
        draft.warn("export-lossy", f"requirements has no place for the {len(lock.conda)} conda packages: {names}")
    lines = index_options(draft) + [wheel_requirement(wheel, digest=True) for wheel in lock.wheels]
    draft.main("".join(f"{line}\n" for line in lines))
