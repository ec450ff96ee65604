"""The parts that work on base images, constructed once. Separate because none of the parts needs all of them."""

from __future__ import annotations

from roost.daemon.bases.layer_store import LayerStore
from roost.daemon.bases.materialize import BaseLoader
from roost.daemon.bases.resolve import BaseResolver
from roost.daemon.engines.engine_set import Engines
from roost.store.store import Store


class Bases:
    """Resolver and loader of base images, on one store and one set of engines."""

    def __init__(self, store: Store, engines: Engines) -> None:
        layers = LayerStore(store.index, store.layout)
        self.loader = BaseLoader(store.index, layers, engines)
        self.resolver = BaseResolver(store.index, layers, engines, self.loader)
