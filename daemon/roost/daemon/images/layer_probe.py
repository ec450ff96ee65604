"""Which layers of an image are not where they have to be: not written yet, not in the engine, not in a registry.

For estimates only: what is asked may change until the image is made, and whoever gives no answer counts as having
nothing.
"""

from __future__ import annotations

import asyncio

import msgspec

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.naming import image_repository
from roost.daemon.engines.engine_set import Engines
from roost.daemon.estimates.model import StepWork
from roost.daemon.estimates.work import MissingLayers, pull_work, push_work
from roost.daemon.images.config import has_environment
from roost.daemon.layers.grouping import describe_python, layer_key, list_units
from roost.daemon.oci.references import Reference, parse_reference
from roost.model.errors import CodedError
from roost.model.locks.lock import Lock
from roost.model.records import BaseLayer, BaseRecord, Generation
from roost.store.disk.layer_files import is_intact
from roost.store.store import Store


class PlannedLayers(msgspec.Struct, frozen=True, kw_only=True):
    """The layers of an image before it is made, from the bottom: those of its base, then its own. The diff_id of one
    that is not written yet is empty, and its size that of its packages."""

    base: tuple[BaseLayer, ...] = ()
    own: tuple[BaseLayer, ...] = ()
    packages: frozenset[tuple[str, str]] = frozenset()
    """Kinds and names of the packages in layers that are not written yet."""
    reference: str | None = None
    """Where a registry has the layers of the base that are not stored here."""
    below: str | None = None
    """Digest of the base."""

    @property
    def all(self) -> tuple[BaseLayer, ...]:
        return (*self.base, *self.own)


class LayerProbe:
    """Looks for layers."""

    def __init__(self, store: Store, engines: Engines, bases: Bases) -> None:
        self._index = store.index
        self._layout = store.layout
        self._engines = engines
        self._bases = bases

    async def plan_layers(self, lock: Lock, top: BaseRecord | None, *, adds_packages: bool) -> PlannedLayers:
        """Return the layers of an image of ``lock`` on ``top``. Those of a base that is not known are left out."""
        clear = top is not None and bool(top.config) and has_environment(top.config)
        units = list_units(lock, clear=clear) if adds_packages else []
        python = describe_python(lock)
        keys = [layer_key(unit, python) for unit in units]
        found = await self._index.layers.find(keys)
        stored = await asyncio.to_thread(
            lambda: {key: record for key, record in found.items() if is_intact(self._layout, record)}
        )
        own = [
            BaseLayer(
                diff_id=stored[key].diff_id if key in stored else "",
                size=unit.size,
                stored=True,
            )
            for unit, key in zip(units, keys, strict=True)
        ]
        unwritten = [unit for unit, key in zip(units, keys, strict=True) if key not in stored]
        return PlannedLayers(
            base=top.layers if top is not None else (),
            own=tuple(own),
            packages=frozenset((part.kind, part.name) for unit in unwritten if unit.size for part in unit.parts),
            reference=top.reference if top is not None else None,
            below=top.digest if top is not None else None,
        )

    async def find_missing(self, planned: PlannedLayers) -> MissingLayers:
        """Return what has to be done until the engine has ``planned``."""
        image = BaseRecord(digest="", config=b"", layers=planned.all, below=planned.below)
        shared = await self._count_loaded(image)
        missing = planned.all[shared:]
        fetched = [layer.size for layer in planned.base[shared:] if not layer.stored and planned.reference is not None]
        return MissingLayers(
            layers=sum(not layer.diff_id for layer in planned.own),
            packages=planned.packages,
            loaded=len(missing),
            loaded_bytes=sum(layer.size for layer in missing),
            registry_bytes=sum(fetched),
        )

    async def find_push_work(self, planned: PlannedLayers, location: str) -> StepWork:
        """Return the work of pushing ``planned`` to the registry at ``location``: what roost pushed there before is
        there, and layers of a base in the same registry are only given another name."""
        repository = image_repository(location)
        images = await self._index.images.list_all()
        pushed = {
            layer.diff_id
            for image in images
            if any(_is_in(reference, repository) for reference in image.registry_digests)
            for layer in image.layers
        }
        is_near = planned.reference is not None and parse_reference(planned.reference).host == repository.host
        base = [layer for layer in planned.base if layer.stored or not is_near]
        missing = [layer.size for layer in (*base, *planned.own) if layer.diff_id not in pushed]
        return push_work(len(missing), sum(missing))

    async def find_pull_work(self, layers: tuple[BaseLayer, ...]) -> StepWork:
        """Return the work of pulling an image with ``layers``."""
        missing = layers[await self._count_loaded(BaseRecord(digest="", config=b"", layers=layers)) :]
        return pull_work(len(missing), sum(layer.size for layer in missing))

    async def find_likely_base(self, generation: Generation | None, text: str) -> BaseRecord | None:
        """Return the base that an image will get: 1. that of its generation, 2. the last one that the name of ``text``
        without its tag stood for, 3. the engine's of that name."""
        if generation is not None and generation.base_digest is not None:
            return await self._index.bases.find(generation.steps_digest or generation.base_digest)
        try:
            wanted = parse_reference(text)
            known = [each for each in await self._index.bases.list_all() if _is_in(each.reference, wanted)]
            if known:
                return known[-1]
            image = await (await self._engines.docker()).images.find(text)
        except CodedError:
            return None
        if image is None:
            return None
        layers = tuple(BaseLayer(diff_id=diff_id) for diff_id in image.diff_ids)
        return BaseRecord(digest=image.id, config=b"", layers=layers)

    async def _count_loaded(self, image: BaseRecord) -> int:
        try:
            return await self._bases.loader.count_loaded(image)
        except CodedError:
            return 0


def _is_in(reference: str | None, repository: Reference) -> bool:
    """Whether ``reference`` names something in ``repository``."""
    if reference is None:
        return False
    found = parse_reference(reference)
    return (found.host, found.repository) == (repository.host, repository.repository)
