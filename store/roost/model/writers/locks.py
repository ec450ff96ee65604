"""Formats that are made of a lock: conda's explicit list, conda-lock, pixi.lock, and pinned requirements."""

from __future__ import annotations

from functools import partial

from roost.model.locks.formats import check_portable, index_urls, wheel_requirement, write_lock
from roost.model.writers.conda import index_options, warn_unsaid_indexes
from roost.model.writers.parts import Draft, Writer, remote_lists

FILES = {"explicit": "explicit.txt", "conda-lock": "conda-lock.yml", "pixi": "pixi.lock"}


def _write_lock(format: str, draft: Draft) -> None:
    assert draft.exported.lock is not None
    draft.warn_losses(("conda", "pip"))
    indexes = index_options(draft) if draft.exported.lock.wheels else []
    if format == "conda-lock":  # which names each wheel by its URL then
        indexes += remote_lists(draft.exported.definition.pip.requirements)
    if draft.exported.lock.wheels and not (format == "conda-lock" and indexes):
        said = [option for option in indexes if format == "explicit" or index_urls([option])]
        warn_unsaid_indexes(draft, [option for option in indexes if option not in said])
    draft.main(write_lock(draft.exported.lock, format, channels=draft.exported.channels, indexes=indexes))


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
    if lock.wheels:
        warn_unsaid_indexes(draft)
    lines = index_options(draft) + [wheel_requirement(wheel, digest=True) for wheel in lock.wheels]
    draft.main("".join(f"{line}\n" for line in lines))
