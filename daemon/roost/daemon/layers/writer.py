"""A lock's packages as layers of an image: kept ones are taken, the others linked, compiled, packed and kept.

A layer's key covers all that its bytes depend on, so that a package is packed once for each Python, whatever images
it is in. A blob is written in ``stage/``, synced, renamed to ``layers/<sha256>.tar.gz``, and then its row is
committed, one layer at a time: who is killed in between goes on with what was committed. Files that no row knows go at
the next start of the store.
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
from roost.daemon.layers.grouping import (
    CLEARING,
    OPAQUE,
    PREFIX_IN_IMAGE,
    TOP,
    Layer,
    LayerContent,
    Unit,
    arrange,
    by_dependency,
    clearing,
    layer_key,
    parts_of,
    python_of,
    top_of,
)
from roost.daemon.layers.link import marks
from roost.daemon.layers.stage import Stage
from roost.daemon.layers.tar import LayerEntry, Packed, StoppedError, pack
from roost.daemon.oci.target_platforms import local_platform, split_platform
from roost.model.errors import BuildError, StoreError
from roost.model.locks.lock import HostPython, Lock
from roost.model.records import LayerRecord
from roost.store.cancellation import finish_despite_cancel, finish_thread_despite_cancel
from roost.store.disk.file_ops import remove_tree, translate_full_disk
from roost.store.disk.layer_files import blob_path, delete_blobs, is_intact, place_blob
from roost.store.disk.layout import Layout
from roost.store.index.index import Index

_AT_ONCE = max(1, min(4, os.cpu_count() or 1))


class NotForImagesError(BuildError):
    """The lock can't become layers of an image."""

    code = "lock-not-for-images"


class LinkScriptsError(BuildError):
    """Packages have link scripts, and no engine is there to run them."""

    code = "link-scripts"


async def write_layers(
    lock: Lock,
    *,
    conda: CondaEngine,
    pip: PipEngine,
    layout: Layout,
    index: Index,
    progress: Progress | None = None,
    credentials: Mapping[str, str] | None = None,
    fetched: Lock | None = None,
    run_scripts: bool = False,
    clear: bool = False,
) -> LayerContent:
    """The layers that ``lock`` adds to an image, each complete and kept under ``layout.layers``.

    ``fetched`` is ``lock`` with the URLs that are really asked, where those hold what nobody may keep: they get into
    no layer. ``run_scripts`` says that the caller will run the link scripts of ``LayerContent.scripts`` in an engine;
    else a package that has one is refused. ``clear``: below them lies one that hides the environment of the base.

    Raises:
        NotForImagesError: its Python is one of this machine, or it has an editable install.
        LinkScriptsError: see above; no layer is lost by it.
        StoreFullError, and what linking, fetching and installing raise.
    """
    _check(lock)
    if not lock.conda:
        return LayerContent()
    writing = _Writing(lock, fetched or lock, conda, pip, layout, index, progress or Silent(), credentials or {}, clear)
    content = await writing.run()
    if content.scripts and not run_scripts:
        raise LinkScriptsError(
            f"{', '.join(content.scripts)}: has a script to be run after linking, and there is no engine to run it",
            hint="Build the image where a Docker engine is, or leave the package out.",
            fields={"packages": list(content.scripts)},
        )
    return content


def _check(lock: Lock) -> None:
    if isinstance(lock.provider, HostPython):
        raise NotForImagesError(
            f"The lock uses {lock.provider.executable} of this machine, which an image has not",
            hint="An image takes conda's Python: lock for the docker target.",
        )
    editable = [wheel.name for wheel in lock.wheels if wheel.kind == "editable"]
    if editable:
        raise NotForImagesError(
            f"{', '.join(editable)}: an editable install is a folder of this machine, which an image has not",
            hint="`roost build -t docker --rebuild` takes a wheel of what the folder holds.",
            fields={"packages": editable},
        )
    if lock.wheels and python_of(lock) is None:
        raise NotForImagesError("The lock has wheels and no Python among its conda packages")


class _Planned(msgspec.Struct, frozen=True):
    unit: Unit
    key: str


class _Writing:
    """One call of :func:`write_layers`."""

    def __init__(
        self,
        lock: Lock,
        fetched: Lock,
        conda: CondaEngine,
        pip: PipEngine,
        layout: Layout,
        index: Index,
        progress: Progress,
        credentials: Mapping[str, str],
        clear: bool,
    ) -> None:
        self._lock = lock
        self._fetched = fetched
        self._conda = conda
        self._pip = pip
        self._layout = layout
        self._index = index
        self._progress = progress
        self._credentials = credentials
        self._clear = clear
        self._python = python_of(lock)
        self._stop = threading.Event()
        self._done = 0

    async def run(self) -> LayerContent:
        foreign = await asyncio.to_thread(self._foreign_compiler)
        planned = self._plan(foreign)
        kept = await kept_layers(self._layout, self._index, [each.key for each in planned])
        missing = [each for each in planned if each.key not in kept]
        if missing:
            kept |= await self._write(missing, foreign)
        await self._index.layers.touch([each.key for each in planned])
        return self._content(planned, [kept[each.key] for each in planned])

    def _content(self, planned: Sequence[_Planned], found: Sequence[LayerRecord]) -> LayerContent:
        scripts = {name for layer in found for name in layer.scripts}
        return LayerContent(
            layers=tuple(_layer(self._layout, each, layer) for each, layer in zip(planned, found, strict=True)),
            activation=found[-1].activation,
            scripts=tuple(package.name for package in by_dependency(self._lock.conda) if package.name in scripts),
        )

    # ---------------------------------------------------------------- what there is to do
    def _foreign_compiler(self) -> Compiler | None:
        """The Python that stands in for one that does not run on this machine."""
        if self._python is None or self._is_native():
            return None
        found = find_compiler(self._python[0], self._conda.packages_dir)
        if found is None:
            self._progress.log(
                f"no Python {self._python[0]} is here to compile for {self._lock.platform}: the image gets no "
                "byte-code, and first imports in it take longer"
            )
        return found

    def _is_native(self) -> bool:
        return split_platform(self._lock.platform)[0] == split_platform(local_platform({}))[0]

    def _plan(self, foreign: Compiler | None) -> list[_Planned]:
        parts = parts_of(self._lock)
        compiles = "itself" if self._is_native() else foreign.version if foreign else "none"
        version, site = self._python or ("", "")
        # What compiles counts by its version: the same one gives the same bytes wherever it runs.
        python = f"{version} {site} {version if compiles == 'itself' else compiles}"
        units = [*([clearing()] if self._clear else []), *arrange(parts), top_of(parts)]
        return [_Planned(unit, layer_key(unit, python)) for unit in units]

    # ---------------------------------------------------------------- doing it
    async def _write(self, missing: Sequence[_Planned], foreign: Compiler | None) -> dict[str, LayerRecord]:
        folder = os.path.join(self._layout.stage, f"image-{secrets.token_hex(6)}")
        stage = Stage(folder, self._lock, self._fetched, self._conda, self._pip, self._progress, self._credentials)
        compiler = stage.own_compiler() if self._is_native() else foreign
        try:
            await asyncio.to_thread(_make, folder)
            wanted = {(part.kind, part.name) for each in missing if each.unit.name != TOP for part in each.unit.parts}
            if any(each.unit.name != CLEARING for each in missing):
                await stage.fill(wanted)
            return await self._write_all(missing, stage, compiler, folder)
        finally:
            self._stop.set()
            await finish_thread_despite_cancel(remove_tree, folder)

    async def _write_all(
        self, missing: Sequence[_Planned], stage: Stage, compiler: Compiler | None, folder: str
    ) -> dict[str, LayerRecord]:
        self._progress.start("layers", len(missing))
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(each: _Planned) -> LayerRecord:
            async with turns:
                layer = await self._write_one(each, stage, compiler, folder)
            self._done += 1
            self._progress.advance("layers", self._done, len(missing))
            return layer

        tasks = [asyncio.ensure_future(one(each)) for each in missing]
        try:
            written = await asyncio.gather(*tasks)
        except BaseException:
            self._stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # none may write into a stage that is removed
            raise
        self._progress.finish("layers")
        return {layer.key: layer for layer in written}

    async def _write_one(self, each: _Planned, stage: Stage, compiler: Compiler | None, folder: str) -> LayerRecord:
        is_top = each.unit.name == TOP
        parts = () if is_top else each.unit.parts
        entries: list[LayerEntry] = []
        for part in parts:
            entries += await stage.entries(part, compiler)
        if is_top:
            entries += marks(self._lock, self._python[1] if self._python else None)
        if each.unit.name == CLEARING:
            entries.append(LayerEntry(name=f"{PREFIX_IN_IMAGE.lstrip('/')}/{OPAQUE}", data=b""))
        blob = os.path.join(folder, f"{each.key.removeprefix('sha256:')}.tar.gz")
        packed = await finish_thread_despite_cancel(_packed, entries, blob, self._stop)
        layer = LayerRecord(
            key=each.key,
            diff_id=packed.diff_id,
            digest=packed.digest,
            size=packed.size,
            stamp=0,
            packages=tuple(part.label for part in parts),
            scripts=tuple(part.name for part in parts if stage.has_script(part)),
            activation=await stage.activation() if is_top else (),
        )
        # A cancellation in between would leave a blob that no row knows.
        return await finish_despite_cancel(asyncio.create_task(self._keep(layer, blob)))

    async def _keep(self, layer: LayerRecord, blob: str) -> LayerRecord:
        stamp = await asyncio.to_thread(place_blob, self._layout, blob, layer.digest)
        kept = msgspec.structs.replace(layer, stamp=stamp)
        try:
            await self._index.layers.put(kept)
        except StoreError:
            if layer.digest not in {row.digest for row in await self._index.layers.list_all()}:
                await asyncio.to_thread(delete_blobs, self._layout, [layer.digest])
            raise
        return kept


def _make(folder: str) -> None:
    with translate_full_disk(folder):
        os.mkdir(folder, 0o700)


def _packed(entries: Sequence[LayerEntry], blob: str, stop: threading.Event) -> Packed:
    try:
        with translate_full_disk(blob):
            return pack(entries, blob, stop)
    except StoppedError:
        raise BuildError("The layer is not wanted any more") from None
    except OSError as error:
        raise BuildError(f"A layer could not be written: {error}", hint="Try again.") from error


def _layer(layout: Layout, planned: _Planned, kept: LayerRecord) -> Layer:
    return Layer(
        diff_id=kept.diff_id,
        digest=kept.digest,
        size=kept.size,
        path=blob_path(layout, kept.digest),
        packages=kept.packages,
        clears=planned.unit.name == CLEARING,
    )


async def kept_layers(layout: Layout, index: Index, keys: Sequence[str]) -> dict[str, LayerRecord]:
    """Key to layer, for those that are kept and whole; those that are not are forgotten and taken away."""
    found = await index.layers.find(keys)
    whole = await asyncio.to_thread(lambda: {key for key, layer in found.items() if is_intact(layout, layer)})
    await _forget(layout, index, [layer for key, layer in found.items() if key not in whole])
    return {key: layer for key, layer in found.items() if key in whole}


async def verify_layers(layout: Layout, index: Index, *, repair: bool = True) -> list[LayerRecord]:
    """Read every kept blob; those that are not what they were, forgotten and taken away if ``repair``."""
    layers = await index.layers.list_all()
    bad = await asyncio.to_thread(lambda: [layer for layer in layers if not is_intact(layout, layer, thorough=True)])
    if repair:
        await _forget(layout, index, bad)
    return bad


async def _forget(layout: Layout, index: Index, layers: Sequence[LayerRecord]) -> None:
    if layers:
        digests = [layer.digest for layer in layers]
        await index.layers.delete(digests)
        await asyncio.to_thread(delete_blobs, layout, digests)
