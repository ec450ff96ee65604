"""Formats that are made from a lock: conda's environment file with builds, its explicit list, conda-lock, pixi.lock,
and pinned requirements."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from roost.model.definition import Defaults
from roost.model.locks.formats import (
    check_portable,
    find_index_options,
    find_index_urls,
    find_remote_lists,
    format_wheel_requirement,
    write_lock,
)
from roost.model.locks.lock import HostPython, Lock
from roost.model.syntax.urls import strip_credentials
from roost.model.writers.draft import Draft, Writer, dump_yaml

_LOCK_FILES = {"explicit": "explicit.txt", "conda-lock": "conda-lock.yml", "pixi": "pixi.lock"}


def write_conda_builds(draft: Draft) -> None:
    """Write ``environment.yml`` with the lock's packages: conda's by version and build, pip's by version.

    conda accepts such a file on the lock's platform only.

    Raises: LockNotPortableError if the lock holds packages that only this machine has.
    """
    lock = _begin_locked(draft, ("conda", "pip", "variables"))
    source = draft.source
    conda = sorted(lock.conda, key=lambda package: package.name)
    specs: list[Any] = [f"{package.name}={package.version}={package.build}" for package in conda]
    if isinstance(lock.provider, HostPython):  # elsewhere, conda has to install that Python
        message = f"the lock was made for this machine's Python {lock.provider.version}: conda provides its own"
        draft.warn("export-python", message)
        specs += [f"python={lock.provider.version}", "pip"]
    if lock.wheels:
        _warn_missing_indexes(draft)
    lines = _find_index_options(draft) + [format_wheel_requirement(wheel) for wheel in lock.wheels]
    content = {
        **({"name": source.name} if source.name else {}),
        "channels": list(source.channels),
        "dependencies": [*specs, *([{"pip": lines}] if lock.wheels else [])],
        **({"variables": dict(source.settings.variables)} if source.settings.variables else {}),
    }
    draft.write_main(dump_yaml(content))


def write_requirements(draft: Draft) -> None:
    """Write pip's packages by version and digest, and warn about the conda packages that are left out.

    Raises: LockNotPortableError if the lock holds packages that only this machine has.
    """
    lock = _begin_locked(draft, ("conda", "pip"))
    if lock.conda:
        names = ", ".join(sorted(package.name for package in lock.conda))
        draft.warn("export-lossy", f"requirements files can't list the {len(lock.conda)} conda packages: {names}")
    if lock.wheels:
        _warn_missing_indexes(draft)
    lines = _find_index_options(draft) + [format_wheel_requirement(wheel, digest=True) for wheel in lock.wheels]
    draft.write_main("".join(f"{line}\n" for line in lines))


def _write_lock_file(format: str, draft: Draft) -> None:
    assert draft.source.lock is not None
    draft.warn_losses(("conda", "pip"))
    indexes = _find_index_options(draft) if draft.source.lock.wheels else []
    if format == "conda-lock":  # with indexes, conda-lock names each wheel by its URL
        indexes += find_remote_lists(draft.source.definition.pip.requirements)
    if draft.source.lock.wheels and not (format == "conda-lock" and indexes):
        unsupported = [option for option in indexes if format != "explicit" and not find_index_urls([option])]
        _warn_missing_indexes(draft, unsupported)
    draft.write_main(write_lock(draft.source.lock, format, channels=draft.source.channels, indexes=indexes))


LOCK_WRITERS: dict[str, tuple[str, Writer]] = {
    "conda-builds": ("environment.yml", write_conda_builds),
    **{name: (file, partial(_write_lock_file, name)) for name, file in _LOCK_FILES.items()},
    "requirements": ("requirements.txt", write_requirements),
}
"""Format to the file to name when importing it, and the writer."""


def _begin_locked(draft: Draft, supported: tuple[str, ...]) -> Lock:
    lock = draft.source.lock
    assert lock is not None
    check_portable(lock)
    draft.warn_losses(supported)
    return lock


def _find_index_options(draft: Draft) -> list[str]:
    """Return the options that say where pip looks, from nested files too: a lock's versions may be nowhere else."""
    return find_index_options(draft.source.definition.pip.requirements)


def _warn_missing_indexes(draft: Draft, unsupported: Iterable[str] = ()) -> None:
    """Warn about each place that the lock's wheels may come from and that the export does not name."""
    items, index = draft.source.definition.pip.requirements, strip_credentials(draft.source.defaults.index)[0]
    has_index = any(option.startswith(("--index-url", "--no-index")) for option in _find_index_options(draft))
    own = [] if has_index or index == Defaults().index else [f"the index of this machine's config, {index}"]
    for text in (*unsupported, *(f"the index options of {url}" for url in find_remote_lists(items)), *own):
        message = f"{draft.format} can't express {text}: packages are looked up without it"
        draft.warn("export-index", message)
