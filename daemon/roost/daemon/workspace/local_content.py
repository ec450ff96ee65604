"""Copies of the local files and folders that registered versions refer to, so that a version can be built years later.

A local wheel is copied to ``wheels/given/<sha256>/<file name>``, and the version refers to it by content from then on,
wherever the root may lie. A source, a folder of links or a build context is copied to ``snapshots/<digest>/<name>``,
and the version holds that path. Paths count in no digest, so the digests of the version stay the same. Only an editable
install stays tied to its folder, because that is its purpose.

Every copy that exists under its name is complete: it is made in ``stage/``, compared with its digest, synced, and then
renamed. Recovery deletes copies that a crash left in ``stage/``.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial

import msgspec

from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.model.definition import Definition, PipItem
from roost.model.documents.dockerfile import DOCKERFILE
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
_STORED_KINDS = ("wheel", "source", "option")
"""Kinds of pip lines whose local content is stored."""


class LocalChangedError(InvalidDefinitionError):
    """A local file or folder changed after the definition was read."""

    code = "local-changed"
    retryable = True


class _LocalContent:
    """One local file or folder: its path, its digest, and its path in the store."""

    def __init__(
        self,
        stored_path: str,
        path: str,
        digest: str,
        location: Location | None = None,
        *,
        dockerfile: str | None = None,
    ) -> None:
        """``dockerfile``: the path of the Dockerfile in a build context; ``None`` for any other content."""
        self.stored_path, self.path, self.digest, self.location = stored_path, path, digest, location
        self.dockerfile = dockerfile

    def copy(self, target: str) -> None:
        """Copy it to ``target``, which does not exist yet. Raises OSError."""
        files = LocalFiles()
        if not os.path.isdir(self.path):
            files.copy_file(self.path, target)
        elif self.dockerfile is not None:
            files.copy_context(self.path, target, self.dockerfile)
        else:
            files.copy_tree(self.path, target)

    def digest_copy(self, copy: str) -> str:
        """Return the digest of a copy, computed as the digest of the original was."""
        files = LocalFiles()
        if not os.path.isdir(copy):
            return files.file_digest(copy)
        return files.tree_digest(copy) if self.dockerfile is None else files.context_digest(copy, self.dockerfile)


async def store_local_content(layout: Layout, definition: Definition) -> Definition:
    """Store the local files and folders of ``definition``, and return the definition that refers to the copies.

    Costs one stat for each that is stored already. Raises MissingFileError, LocalChangedError, StoreFullError, and
    InvalidDefinitionError if a digest is not valid.
    """
    base = definition.base
    if not definition.pip.requirements and (base is None or base.context is None):
        return definition
    return await asyncio.to_thread(_store_definition_content, layout, definition)


async def store_wheel(layout: Layout, path: str, digest: str) -> None:
    """Store the wheel at ``path``, whose content has ``digest``. Raises what :func:`store_local_content` raises."""
    wheel = _LocalContent(_wheel_path(layout, _safe_name(path), digest, None), path, digest)
    await asyncio.to_thread(_store, layout, wheel)


async def locate_stored_wheels(layout: Layout, resolved: ResolvedDefinition) -> ResolvedDefinition:
    """Return ``resolved`` with the paths of the stored wheels that it refers to by content.

    A missing wheel of a registered version is left to the pip engine, since a ready prefix may make it unnecessary.
    Raises WheelUnknownError if a wheel of any other definition is missing.
    """
    if not any(is_wheel_reference(item) for item in _leaf_items(resolved.definition.pip.requirements)):
        return resolved
    locate = partial(_locate_wheel, layout, may_be_missing=resolved.environment is not None)
    located = await asyncio.to_thread(_map_pip_items, resolved.definition, locate)
    return msgspec.structs.replace(resolved, parsed=msgspec.structs.replace(resolved.parsed, definition=located))


def _store_definition_content(layout: Layout, definition: Definition) -> Definition:
    definition = _map_pip_items(definition, partial(_store_pip_item, layout))
    base = definition.base
    if base is None or base.context is None or base.context_path is None:
        return definition
    stored_path = _snapshot_path(layout, base.context_path, base.context, None)
    dockerfile = base.dockerfile_path or DOCKERFILE
    _store(layout, _LocalContent(stored_path, base.context_path, base.context, dockerfile=dockerfile))
    return msgspec.structs.replace(definition, base=msgspec.structs.replace(base, context_path=stored_path))


def _store_pip_item(layout: Layout, item: PipItem) -> PipItem:
    if item.kind not in _STORED_KINDS or item.path is None or item.digest is None:
        return item
    if item.kind == "wheel":
        stored_path, path = _wheel_path(layout, _safe_name(item.path), item.digest, item.location), None
    else:
        stored_path = path = _snapshot_path(layout, item.path, item.digest, item.location)
    _store(layout, _LocalContent(stored_path, item.path, item.digest, item.location))
    return msgspec.structs.replace(item, path=path)


def _locate_wheel(layout: Layout, item: PipItem, *, may_be_missing: bool) -> PipItem:
    if not is_wheel_reference(item):
        return item
    name = split_extras(re.split(r" (?:;|--)", item.text)[0])[0].rpartition("/")[2]
    path = _wheel_path(layout, name, item.digest or "", item.location)
    if os.path.exists(path):
        return msgspec.structs.replace(item, path=path)
    if may_be_missing:
        return item
    raise unknown_wheel_error(item)


def _map_pip_items(definition: Definition, change: Callable[[PipItem], PipItem]) -> Definition:
    """Apply ``change`` to every pip line, those of nested files included."""

    def map_item(item: PipItem) -> PipItem:
        if item.items:
            return msgspec.structs.replace(item, items=tuple(map_item(inner) for inner in item.items))
        return change(item)

    items = tuple(map_item(item) for item in definition.pip.requirements)
    return msgspec.structs.replace(definition, pip=msgspec.structs.replace(definition.pip, requirements=items))


def _leaf_items(items: Iterable[PipItem]) -> Iterator[PipItem]:
    for item in items:
        if item.items:
            yield from _leaf_items(item.items)
        else:
            yield item


def _wheel_path(layout: Layout, name: str, digest: str, location: Location | None) -> str:
    """Return where the pip engine looks for a wheel that was added by hand."""
    return os.path.join(layout.wheels, "given", _digest_hex(digest, location), name)


def _snapshot_path(layout: Layout, path: str, digest: str, location: Location | None) -> str:
    return os.path.join(layout.snapshots, _digest_hex(digest, location), _safe_name(path))


def _safe_name(path: str) -> str:
    """Return the last name of a path from an untrusted source; never a name that leads to another folder."""
    name = os.path.basename(os.path.normpath(path))
    return "content" if name in ("", ".", "..") else name


def _digest_hex(digest: str, location: Location | None) -> str:
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise InvalidDefinitionError(
            f"{digest[:80]!r} is not a valid digest", hint="Expected sha256: and 64 hex digits.", location=location
        )
    return match[1]


def _store(layout: Layout, content: _LocalContent) -> None:
    """Copy ``content`` to its place in the store unless it is there already."""
    folder = os.path.dirname(content.stored_path)
    with suppress(FileNotFoundError):
        os.utime(folder)  # what was referred to lately is not removed before its version is registered
        if os.path.lexists(content.stored_path):
            return
    stage = os.path.join(layout.stage, f"kept-{secrets.token_hex(6)}")
    try:
        with translate_full_disk(layout.root):
            _copy_and_verify(content, stage)
            _publish_copy(stage, content.stored_path)
    finally:
        remove_tree(stage)


def _copy_and_verify(content: _LocalContent, stage: str) -> None:
    try:
        content.copy(stage)
    except OSError as error:
        if error.errno in FULL_DISK_ERRNOS:
            raise
        raise MissingFileError(
            f"{content.path} can't be stored: {error.strerror or error}",
            hint="Restore it: what a version refers to is stored with it.",
            location=content.location,
            fields={"path": content.path},
        ) from None
    failpoint("keep.copied")
    if content.digest_copy(stage) != content.digest:
        raise LocalChangedError(
            f"{content.path} changed while it was being stored", hint="Try again.", location=content.location
        )
    sync_filesystem(stage)
    failpoint("keep.synced")


def _publish_copy(stage: str, stored_path: str) -> None:
    """Rename a verified copy to its place.

    If two requests store the same content at once, the second finds the place taken. What is there has the same digest,
    so it stays.
    """
    folder = os.path.dirname(stored_path)
    os.makedirs(folder, exist_ok=True)
    with suppress(FileExistsError):
        try:
            rename(stage, stored_path)
        except OSError:
            if not os.path.isdir(stored_path):
                raise
    failpoint("keep.placed")
    sync_folder(folder)
    sync_folder(os.path.dirname(folder))
