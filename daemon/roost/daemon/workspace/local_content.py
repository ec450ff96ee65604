"""What registered versions refer to on this machine, kept by content: a version must be buildable years later.

A local wheel goes to ``wheels/given/<sha256>/<file name>`` and is referred to by its content from then on; a source, a
folder of links or a build context goes to ``snapshots/<digest>/<name>``, and the version points there. Paths count in
no digest, so that nothing else changes. Only an editable install stays tied to its folder, for that is what it is.
What is there under its name is whole: it is copied in ``stage/``, compared with its digest, synced and renamed; a copy
that was cut short is swept with the stage.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import msgspec

from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.model.definition import Base, Definition, PipItem
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.source import MissingFileError
from roost.model.syntax.pip_lines import split_extras
from roost.model.syntax.wheel_references import is_wheel_reference, unknown_wheel_error
from roost.store.disk.file_ops import (
    FULL_DISK_ERRNOS,
    remove_tree,
    rename,
    sync_filesystem,
    sync_folder,
    translate_full_disk,
)
from roost.store.disk.layout import Layout
from roost.store.failpoints import failpoint
from roost.store.sources.files import LocalFiles

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
KEPT_KINDS = ("wheel", "source", "option")
"""Of pip lines: those whose content is kept."""


class LocalChangedError(InvalidDefinitionError):
    """A local thing is not what it was when the definition was read."""

    code = "local-changed"
    retryable = True


class _Thing:
    """One local thing: where it is kept, what it was called, how it is copied and digested."""

    def __init__(self, place: str, path: str | None, digest: str, location: Location | None, *, context: bool) -> None:
        self.place, self.path, self.digest, self.location = place, path, digest, location
        self.context = context

    def copy(self, target: str) -> None:
        """Copy it to ``target``, which is new. Raises OSError."""
        files, path = LocalFiles(), self.path or ""
        copy = files.copy_file if not os.path.isdir(path) else files.copy_context if self.context else files.copy_tree
        copy(path, target)

    def digest_of(self, copy: str) -> str:
        """The digest of a copy."""
        files = LocalFiles()
        if not os.path.isdir(copy):
            return files.file_digest(copy)
        return files.context_digest(copy) if self.context else files.tree_digest(copy)


async def keep(layout: Layout, definition: Definition) -> Definition:
    """``definition`` with its local things kept in the store, and pointing there. One stat for each that is kept.

    Raises MissingFileError, LocalChangedError, StoreFullError.
    """
    base = definition.base
    if not definition.pip.requirements and (base is None or base.context is None):
        return definition
    return await asyncio.to_thread(_keep, layout, definition)


async def locate(layout: Layout, resolved: ResolvedDefinition) -> ResolvedDefinition:
    """``resolved`` with the paths of the store's wheels that it refers to by their content.

    One that is missing is left to the pip engine where ``resolved`` is a registered version, whose prefix may be ready.
    Raises WheelUnknownError.
    """
    if not any(is_wheel_reference(item) for item in _all(resolved.definition.pip.requirements)):
        return resolved
    strict = resolved.environment is None
    found = await asyncio.to_thread(_each, resolved.definition, partial(_located, layout, strict))
    return msgspec.structs.replace(resolved, parsed=msgspec.structs.replace(resolved.parsed, definition=found))


async def keep_wheel(layout: Layout, path: str, digest: str) -> None:
    """Keep the wheel at ``path``, whose content has ``digest``. Raises as :func:`keep`."""
    place = _given(layout, _name(path), digest, None)
    await asyncio.to_thread(_keep_thing, layout, _Thing(place, path, digest, None, context=False))


def _keep(layout: Layout, definition: Definition) -> Definition:
    definition = _each(definition, partial(_kept, layout))
    base = definition.base
    if base is None or base.context is None or base.context_path is None:
        return definition
    return msgspec.structs.replace(definition, base=_kept_base(layout, base))


def _kept_base(layout: Layout, base: Base) -> Base:
    path, digest = base.context_path or "", base.context or ""
    thing = _Thing(_snapshot(layout, path, digest, None), path, digest, None, context=True)
    return msgspec.structs.replace(base, context_path=_keep_thing(layout, thing))


def _each(definition: Definition, change: Callable[[PipItem], PipItem]) -> Definition:
    items = tuple(_changed(item, change) for item in definition.pip.requirements)
    pip = msgspec.structs.replace(definition.pip, requirements=items)
    return msgspec.structs.replace(definition, pip=pip)


def _changed(item: PipItem, change: Callable[[PipItem], PipItem]) -> PipItem:
    """``item``, and the lines of a nested file, each as ``change`` makes it."""
    if item.items:
        inner = tuple(_changed(each, change) for each in item.items)
        return msgspec.structs.replace(item, items=inner)
    return change(item)


def _all(items: tuple[PipItem, ...]) -> list[PipItem]:
    return [inner for item in items for inner in (_all(item.items) if item.items else [item])]


def _kept(layout: Layout, item: PipItem) -> PipItem:
    """A wheel is found by its content alone from now on, wherever the root may lie."""
    if item.kind not in KEPT_KINDS or item.path is None or item.digest is None:
        return item
    if item.kind == "wheel":
        place = _given(layout, _name(item.path), item.digest, item.location)
        _keep_thing(layout, _Thing(place, item.path, item.digest, item.location, context=False))
        return msgspec.structs.replace(item, path=None)
    place = _snapshot(layout, item.path, item.digest, item.location)
    thing = _Thing(place, item.path, item.digest, item.location, context=False)
    return msgspec.structs.replace(item, path=_keep_thing(layout, thing))


def _located(layout: Layout, strict: bool, item: PipItem) -> PipItem:
    if not is_wheel_reference(item):
        return item
    name = split_extras(re.split(r" (?:;|--)", item.text)[0])[0].rpartition("/")[2]
    place = _given(layout, name, item.digest or "", item.location)
    if os.path.exists(place):
        return msgspec.structs.replace(item, path=place)
    if strict:
        raise unknown_wheel_error(item)
    return item


def _given(layout: Layout, name: str, digest: str, location: Location | None) -> str:
    """Where the pip engine has the wheels that were given to it."""
    return os.path.join(layout.wheels, "given", _hex(digest, location), name)


def _snapshot(layout: Layout, path: str, digest: str, location: Location | None) -> str:
    return os.path.join(layout.snapshots, _hex(digest, location), _name(path))


def _name(path: str) -> str:
    """The last name of a path that somebody else may have written: never one that leads elsewhere."""
    name = os.path.basename(os.path.normpath(path))
    return "content" if name in ("", ".", "..") else name


def _hex(digest: str, location: Location | None) -> str:
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise InvalidDefinitionError(
            f"{digest[:80]!r} is no digest", hint="Expected sha256: and 64 hex digits.", location=location
        )
    return match[1]


def _keep_thing(layout: Layout, thing: _Thing) -> str:
    """Where ``thing`` is kept, copied now if it is not there."""
    if os.path.lexists(thing.place):
        return thing.place
    stage = os.path.join(layout.stage, f"kept-{secrets.token_hex(6)}")
    try:
        with translate_full_disk(layout.root):
            _fill(thing, stage)
            _publish(layout, stage, thing.place)
    finally:
        remove_tree(stage)
    return thing.place


def _fill(thing: _Thing, stage: str) -> None:
    try:
        thing.copy(stage)
    except OSError as error:
        if error.errno in FULL_DISK_ERRNOS:
            raise
        raise MissingFileError(
            f"{thing.path} can't be kept: {error.strerror or error}",
            hint="Put it there again: what a version refers to is kept with it.",
            location=thing.location,
            fields={"path": thing.path},
        ) from None
    failpoint("keep.copied")
    if thing.digest_of(stage) != thing.digest:
        raise LocalChangedError(
            f"{thing.path} changed while it was being kept", hint="Try again.", location=thing.location
        )
    sync_filesystem(stage)
    failpoint("keep.synced")


def _publish(layout: Layout, stage: str, place: str) -> None:
    """Who comes second finds the same content there, and leaves it."""
    folder = os.path.dirname(place)
    os.makedirs(folder, exist_ok=True)
    with suppress(FileExistsError):
        try:
            rename(stage, place)
        except OSError:
            if not os.path.isdir(place):
                raise
    failpoint("keep.placed")
    sync_folder(folder)
    sync_folder(os.path.dirname(folder))
