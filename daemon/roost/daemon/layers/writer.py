"""Write a lock's packages as layers of an image: stored layers are reused, the others linked, compiled and packed.

A layer's key covers everything that its bytes depend on, so a package is packed once for each Python, whatever images
it is in. A blob is written in ``stage/``, synced, renamed to ``layers/<sha256>.tar.gz``, and then its row is
committed, one layer at a time: after a crash, a build continues with the committed layers. Files without a row are
deleted when the store is opened.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import Mapping, Sequence

import msgspec

from roost.daemon.engines.conda.engine import CondaEngine
from roost.daemon.engines.uv.engine import PipEngine
from roost.daemon.jobs.progress import Progress, Silent
from roost.daemon.layers.bytecode import Compiler, find_compiler
from roost.daemon.layers.conda_packages import mark_entries
from roost.daemon.layers.grouping import (
    CLEARING,
    OPAQUE,
    PREFIX_IN_IMAGE,
    TOP,
    Layer,
    LayerContent,
    LayerUnit,
    describe_python,
    find_python,
    layer_key,
    list_units,
    sort_by_dependency,
)
from roost.daemon.layers.stage import Stage
from roost.daemon.layers.tar import LayerEntry, PackedLayer, StoppedError, pack_layer
from roost.daemon.oci.target_platforms import local_platform, split_platform
from roost.model.errors import BuildError, StoreError
from roost.model.locks.lock import HostPython, Lock
from roost.model.records import LayerRecord
from roost.store.cancellation import finish_despite_cancel, finish_thread_despite_cancel
from roost.store.disk.file_ops import remove_tree, translate_full_disk
from roost.store.disk.layer_files import blob_path, delete_blobs, is_intact, place_blob
from roost.store.disk.layout import Layout
from roost.store.index.index import Index

_CONCURRENCY = max(1, min(4, os.cpu_count() or 1))


class NotForImagesError(BuildError):
    """The lock can't become layers of an image."""

    code = "lock-not-for-images"


class LinkScriptsError(BuildError):
    """Packages have post-link scripts, and there is no engine to run them."""

    code = "link-scripts"


class LayerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A lock to be written as layers."""

    lock: Lock
    fetched: Lock | None = None
    """``lock`` with the URLs that are really requested, if those contain secrets, which must not get into a layer."""
    credentials: Mapping[str, str] = {}
    """By origin, for channels and indexes."""
    run_scripts: bool = False
    """Whether the caller will run the scripts of ``LayerContent.scripts`` in an engine; otherwise they are refused."""
    clear: bool = False
    """Whether the base has an environment, which the lowest layer must hide."""


async def write_layers(
    request: LayerRequest,
    *,
    conda: CondaEngine,
    pip: PipEngine,
    layout: Layout,
    index: Index,
    progress: Progress | None = None,
) -> LayerContent:
    """Return the layers that a lock adds to an image, each complete and stored under ``layout.layers``.

    Raises:
        NotForImagesError: if the lock's Python is one of this machine, or it has an editable install.
        LinkScriptsError: if a package has a post-link script and nobody will run it; the layers are stored anyway.
        StoreFullError, and what linking, fetching and installing raise.
    """
    _check_lock(request.lock)
    if not request.lock.conda:
        return LayerContent()
    content = await _LayerWriter(request, conda, pip, layout, index, progress or Silent()).write()
    if content.scripts and not request.run_scripts:
        raise LinkScriptsError(
            f"{', '.join(content.scripts)}: has a link script, and no Docker engine is available to run it",
            hint="Build the image on a machine with a Docker engine, or remove the package.",
            fields={"packages": list(content.scripts)},
        )
    return content


def _check_lock(lock: Lock) -> None:
    if isinstance(lock.provider, HostPython):
        raise NotForImagesError(
            f"The lock is for a machine's own Python {lock.provider.version}, which an image does not have",
            hint="An image needs conda's Python: lock for the docker target.",
        )
    editable = [wheel.name for wheel in lock.wheels if wheel.kind == "editable"]
    if editable:
        raise NotForImagesError(
            f"{', '.join(editable)}: an editable install is a folder of this machine, which an image does not have",
            hint="`roost build -t docker --rebuild` uses a wheel of the folder's content.",
            fields={"packages": editable},
        )
    if lock.wheels and find_python(lock) is None:
        raise NotForImagesError("The lock has wheels and no Python among its conda packages")


class _LayerPlan(msgspec.Struct, frozen=True):
    unit: LayerUnit
    key: str


class _LayerWriter:
    """Writes the layers of one request."""

    def __init__(
        self,
        request: LayerRequest,
        conda: CondaEngine,
        pip: PipEngine,
        layout: Layout,
        index: Index,
        progress: Progress,
    ) -> None:
        self._request = request
        self._lock = request.lock
        self._conda = conda
        self._pip = pip
        self._layout = layout
        self._index = index
        self._progress = progress
        self._python = find_python(request.lock)
        self._stop = threading.Event()
        self._written = 0

    async def write(self) -> LayerContent:
        """Return all layers, after writing those that are not stored."""
        # A Python of the package cache may compile for another platform: which one shows only when it is found.
        packages = self._conda.hold_packages(self._lock.conda, and_others=not self._is_native())
        async with packages, self._pip.hold_wheels(self._lock.wheels):
            return await self._write()

    async def _write(self) -> LayerContent:
        foreign = await asyncio.to_thread(self._find_foreign_compiler)
        plans = self._plan_layers(foreign)
        keys = [plan.key for plan in plans]
        stored = await load_layers(self._layout, self._index, keys)
        missing = [plan for plan in plans if plan.key not in stored]
        if missing:
            stored |= await self._write_missing(missing, foreign)
        await self._index.layers.touch(keys)
        records = [stored[key] for key in keys]
        scripts = {name for record in records for name in record.scripts}
        return LayerContent(
            layers=tuple(self._to_layer(plan, record) for plan, record in zip(plans, records, strict=True)),
            activation=records[-1].activation,
            scripts=tuple(package.name for package in sort_by_dependency(self._lock.conda) if package.name in scripts),
        )

    def _to_layer(self, plan: _LayerPlan, record: LayerRecord) -> Layer:
        return Layer(
            diff_id=record.diff_id,
            digest=record.digest,
            size=record.size,
            path=blob_path(self._layout, record.digest),
            packages=record.packages,
            clears=plan.unit.name == CLEARING,
        )

    # ---------------------------------------------------------------- planning
    def _find_foreign_compiler(self) -> Compiler | None:
        """Return the Python that replaces one that does not run on this machine."""
        if self._python is None or self._is_native():
            return None
        found = find_compiler(self._python[0], self._conda.packages_dir)
        if found is None:
            self._progress.log(
                f"no Python {self._python[0]} is available to compile for {self._lock.platform}: the image gets no "
                "byte-code, and first imports in it take longer"
            )
        return found

    def _is_native(self) -> bool:
        """Whether the lock's Python runs on this machine."""
        return split_platform(self._lock.platform)[0] == split_platform(local_platform({}))[0]

    def _plan_layers(self, foreign: Compiler | None) -> list[_LayerPlan]:
        """Return all layers of the lock, from the bottom to the top."""
        # The compiler counts by its version: the same version writes the same bytes on every platform.
        compiler_version = None if self._is_native() else foreign.version if foreign else "none"
        python = describe_python(self._lock, compiler_version)
        units = list_units(self._lock, clear=self._request.clear)
        return [_LayerPlan(unit, layer_key(unit, python)) for unit in units]

    # ---------------------------------------------------------------- writing
    async def _write_missing(self, missing: Sequence[_LayerPlan], foreign: Compiler | None) -> dict[str, LayerRecord]:
        """Fill a stage and write ``missing`` from it; return their records by key."""
        folder = os.path.join(self._layout.stage, f"image-{secrets.token_hex(6)}")
        fetched, credentials = self._request.fetched or self._lock, self._request.credentials
        stage = Stage(folder, self._lock, fetched, self._conda, self._pip, self._progress, credentials)
        compiler = stage.own_compiler() if self._is_native() else foreign
        try:
            await asyncio.to_thread(_make_folder, folder)
            parts = {(part.kind, part.name) for plan in missing if plan.unit.name != TOP for part in plan.unit.parts}
            if any(plan.unit.name != CLEARING for plan in missing):
                await stage.fill(parts)
            return await self._write_concurrently(missing, stage, compiler, folder)
        finally:
            self._stop.set()
            await finish_thread_despite_cancel(remove_tree, folder)

    async def _write_concurrently(
        self, missing: Sequence[_LayerPlan], stage: Stage, compiler: Compiler | None, folder: str
    ) -> dict[str, LayerRecord]:
        self._progress.start("layers", len(missing))
        slots = asyncio.Semaphore(_CONCURRENCY)

        async def write_in_slot(plan: _LayerPlan) -> LayerRecord:
            async with slots:
                record = await self._write_layer(plan, stage, compiler, folder)
            self._written += 1
            self._progress.advance("layers", self._written, len(missing))
            return record

        tasks = [asyncio.ensure_future(write_in_slot(plan)) for plan in missing]
        try:
            records = await asyncio.gather(*tasks)
        except BaseException:
            self._stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # none may write into a stage that is being deleted
            raise
        self._progress.finish("layers")
        return {record.key: record for record in records}

    async def _write_layer(self, plan: _LayerPlan, stage: Stage, compiler: Compiler | None, folder: str) -> LayerRecord:
        """Pack one layer, put its blob in place and commit its row."""
        is_top = plan.unit.name == TOP
        parts = () if is_top else plan.unit.parts
        entries: list[LayerEntry] = []
        for part in parts:
            entries += await stage.entries(part, compiler)
        if is_top:
            entries += mark_entries(self._lock, self._python[1] if self._python else None)
        if plan.unit.name == CLEARING:
            entries.append(LayerEntry(name=f"{PREFIX_IN_IMAGE.lstrip('/')}/{OPAQUE}", data=b""))
        blob = os.path.join(folder, f"{plan.key.removeprefix('sha256:')}.tar.gz")
        packed = await finish_thread_despite_cancel(_pack_translated, entries, blob, self._stop)
        record = LayerRecord(
            key=plan.key,
            diff_id=packed.diff_id,
            digest=packed.digest,
            size=packed.size,
            stamp=0,
            packages=tuple(part.label for part in parts),
            scripts=tuple(part.name for part in parts if stage.has_script(part)),
            activation=await stage.activation() if is_top else (),
        )
        # A cancellation between the blob and its row would leave a blob without a row.
        return await finish_despite_cancel(asyncio.create_task(self._store_layer(record, blob)))

    async def _store_layer(self, record: LayerRecord, blob: str) -> LayerRecord:
        stamp = await asyncio.to_thread(place_blob, self._layout, blob, record.digest)
        stored = msgspec.structs.replace(record, stamp=stamp)
        try:
            await self._index.layers.put(stored)
        except StoreError:
            if record.digest not in {row.digest for row in await self._index.layers.list_all()}:
                await asyncio.to_thread(delete_blobs, self._layout, [record.digest])
            raise
        return stored


def _make_folder(folder: str) -> None:
    with translate_full_disk(folder):
        os.mkdir(folder, 0o700)


def _pack_translated(entries: Sequence[LayerEntry], blob: str, stop: threading.Event) -> PackedLayer:
    """Run :func:`pack_layer` with its errors translated."""
    try:
        with translate_full_disk(blob):
            return pack_layer(entries, blob, stop)
    except StoppedError:
        raise BuildError("The layer is no longer needed") from None
    except OSError as error:
        raise BuildError(f"A layer could not be written: {error}", hint="Try again.") from error


async def load_layers(layout: Layout, index: Index, keys: Sequence[str]) -> dict[str, LayerRecord]:
    """Return the stored layers among ``keys``, by key; damaged ones are deleted."""
    found = await index.layers.find(keys)
    intact = await asyncio.to_thread(lambda: {key for key, record in found.items() if is_intact(layout, record)})
    await delete_layers(layout, index, [record for key, record in found.items() if key not in intact])
    return {key: record for key, record in found.items() if key in intact}


async def delete_layers(layout: Layout, index: Index, records: Sequence[LayerRecord]) -> None:
    """Delete layers: their rows, then their blobs."""
    if records:
        digests = [record.digest for record in records]
        await index.layers.delete(digests)
        await asyncio.to_thread(delete_blobs, layout, digests)
