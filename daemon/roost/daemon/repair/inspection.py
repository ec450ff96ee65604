"""List a root and compare it with an open index."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import suppress

from roost.daemon.integrity.folders import find_unsealed
from roost.daemon.repair.findings import Names, PrefixRow, RootFault, RootListing, find_faults
from roost.daemon.repair.modes import find_wrong_modes
from roost.model.records import Artifact
from roost.store.disk.layout import Layout
from roost.store.index.index import Index

SETTLED_SECONDS = 600.0
"""What was put into the trash, or begun, later than this may still be worked on."""


async def inspect_root(layout: Layout, index: Index, settled_seconds: float = SETTLED_SECONDS) -> list[RootFault]:
    """Return what is wrong with the content of a root. What was changed within ``settled_seconds`` is no fault: builds
    and deletions go on meanwhile."""
    artifacts = [artifact for artifact in await index.artifacts.list_all() if artifact.kind == "prefix"]
    layers = frozenset(f"{layer.digest.removeprefix('sha256:')}.tar.gz" for layer in await index.layers.list_all())
    runs = frozenset(await index.upkeep.list_run_ids())
    listing = await asyncio.to_thread(_list_root, layout, artifacts, layers, runs, settled_seconds)
    return [*await asyncio.to_thread(find_wrong_modes, layout.root), *find_faults(listing)]


def _list_root(
    layout: Layout, artifacts: Sequence[Artifact], layers: Names, runs: Names, settled_seconds: float
) -> RootListing:
    def settled(folder: str) -> Names:
        return _list_names(folder) - _list_recent(folder, settled_seconds)

    known = {os.path.basename(artifact.path) for artifact in artifacts}
    busy = _list_recent(layout.prefixes, settled_seconds) - known
    return RootListing(
        top=settled(layout.root),
        prefixes=frozenset(name for name in _list_names(layout.prefixes) if name.partition(".")[0] not in busy),
        rows=tuple(
            PrefixRow(
                name=os.path.basename(artifact.path),
                is_ready=artifact.state == "ready",
                has_manifest=bool(artifact.manifest),
            )
            for artifact in artifacts
        ),
        unsealed=frozenset(
            os.path.basename(artifact.path)
            for artifact in artifacts
            if artifact.state == "ready" and artifact.manifest and any(find_unsealed(artifact.path))
        ),
        blobs=settled(layout.layers),
        layer_rows=layers - _list_recent(layout.layers, settled_seconds),
        runs=settled(layout.runs),
        run_rows=runs,
        trash=settled(layout.trash),
    )


def _list_names(folder: str) -> Names:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _list_recent(folder: str, seconds: float) -> Names:
    """Return the names that were changed within the last ``seconds``."""
    if not seconds:
        return frozenset()
    recent = set()
    limit = time.time() - seconds
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            try:
                if entry.stat(follow_symlinks=False).st_ctime > limit:
                    recent.add(entry.name)
            except OSError:
                recent.add(entry.name)
    return frozenset(recent)
