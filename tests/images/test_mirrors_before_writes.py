"""A mirror that lags behind, or keeps what is gone: what is written goes by the registry itself, not by its mirrors."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.images.catalogues import entry
from tests.support.images.fault_registry import FaultRegistry, OneEngine, digest, fault_registry

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.materialize import BaseLoader
from roost.daemon.bases.naming import content_tag
from roost.daemon.bases.push import ImagePusher
from roost.daemon.bases.resolve import ResolvedBase
from roost.daemon.bases.step_sharing import StepRegistry
from roost.daemon.config.config import Config
from roost.daemon.config.schema import ConfigFile, RegistriesSettings
from roost.daemon.config.source import ConfigSource
from roost.daemon.curated.catalogue import Catalogue
from roost.daemon.curated.registry import CatalogueRegistry
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.registry.engine import RegistryClient
from roost.daemon.engines.registry.values import RegistryConfig
from roost.daemon.jobs.progress import Progress, Silent
from roost.daemon.oci.answers import No, Yes
from roost.daemon.oci.manifests import OCI_MANIFEST, describe
from roost.daemon.oci.references import parse_reference
from roost.model.records import BaseLayer, BaseRecord

CONFIG = b'{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}'
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/json", "digest": digest(CONFIG), "size": len(CONFIG)},
        "layers": [],
    }
).encode()
NOTHING = cast("Any", None)


@pytest.fixture
async def host() -> AsyncIterator[FaultRegistry]:
    async with fault_registry() as made:
        yield made


@pytest.fixture
async def mirror() -> AsyncIterator[FaultRegistry]:
    async with fault_registry() as made:
        yield made


@pytest.fixture
async def engines(
    host: FaultRegistry, mirror: FaultRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Engines]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    client = RegistryClient(RegistryConfig(retries=0, timeout=3.0, mirrors={host.host: (mirror.host,)}))
    yield cast("Engines", OneEngine(client))
    await client.close()


async def test_the_host_itself_is_asked_where_that_is_meant(
    host: FaultRegistry, mirror: FaultRegistry, engines: Engines, tmp_path: Path
) -> None:
    registry, ref = await engines.registry(), parse_reference(f"{host.host}/team/a:one")
    host.manifests["one"], host.blobs[digest(CONFIG)] = MANIFEST, CONFIG
    wanted = describe(CONFIG, "application/json")
    assert await registry.manifest(ref) == No()
    assert await registry.has_blob(ref, wanted.digest) == No()
    assert isinstance(await registry.manifest(ref, mirrored=False), Yes)
    assert await registry.has_blob(ref, wanted.digest, mirrored=False) == Yes(len(CONFIG))
    assert await registry.read_blob(ref, wanted, 1000, mirrored=False) == CONFIG
    await registry.fetch_blob(ref, wanted, str(tmp_path / "blob"), mirrored=False)
    assert (tmp_path / "blob").read_bytes() == CONFIG
    assert not mirror.count("PUT")


async def test_an_image_that_a_mirror_lacks_is_not_pushed_over(host: FaultRegistry, engines: Engines) -> None:
    host.manifests["one"] = MANIFEST
    there = await ImagePusher(engines, NOTHING).find(parse_reference(f"{host.host}/team/a:one"))
    assert there is not None
    assert there.digest == digest(CONFIG)


class OneBase:
    """An image whose only layer lies in a registry of another name."""

    @property
    def layers(self) -> OneBase:
        return self

    @asynccontextmanager
    async def staging_folder(self) -> AsyncIterator[str]:
        with tempfile.TemporaryDirectory() as folder:
            yield folder

    async def complete_layers(self, image: BaseRecord, folder: str, progress: Progress) -> list[BaseLayer]:
        return list(image.layers)


async def test_a_layer_that_only_a_mirror_has_is_sent(
    host: FaultRegistry, mirror: FaultRegistry, engines: Engines
) -> None:
    layer = b"a layer"
    async with fault_registry() as origin:
        origin.blobs[digest(layer)] = mirror.blobs[digest(layer)] = layer
        below = BaseLayer(diff_id=digest(layer), digest=digest(layer), size=len(layer))
        image = BaseRecord(
            digest=digest(CONFIG), config=CONFIG, layers=(below,), reference=f"{origin.host}/b@{digest(b'any')}"
        )
        pusher = ImagePusher(engines, cast("BaseLoader", OneBase()))
        repository = parse_reference(f"{host.host}/x")
        pushed = await pusher.push(image, repository, ["one"], Silent())
    assert pushed.digest == digest(CONFIG)
    assert host.blobs[digest(layer)] == layer


async def test_what_steps_made_is_not_offered_late_where_only_a_mirror_lacks_it(
    host: FaultRegistry, engines: Engines
) -> None:
    top = BaseRecord(digest=digest(CONFIG), config=CONFIG, layers=())
    host.manifests[content_tag(top.digest)] = MANIFEST
    settings = ConfigFile(registries=RegistriesSettings(workspace=f"{host.host}/team"))
    bases = cast("Bases", SimpleNamespace(resolver=None, loader=None))
    share = StepRegistry(NOTHING, engines, bases, ConfigSource(Config(settings=settings)))
    settled = ResolvedBase(top=top, base_digest=top.digest)
    shared = await share.publish_missing(settled, digest(b"definition"), "linux-64", "linux/amd64", Silent())
    assert shared.reason is None
    assert not host.count("PUT")


async def test_a_catalogue_is_gone_on_with_as_the_registry_has_it(host: FaultRegistry, engines: Engines) -> None:
    async def check(catalogue: Catalogue, location: str) -> None:
        pass

    catalogues, location = CatalogueRegistry(engines), f"{host.host}/team"
    await catalogues.publish(location, lambda number: entry("Roost-One", number), check)
    await catalogues.publish(location, lambda number: entry("Roost-Two", number), check)
    assert await catalogues.fetch(location) is None, "readers go by the mirror"
    there = await catalogues.fetch(location, mirrored=False)
    assert there is not None
    assert [each.name for each in there.catalogue.entries] == ["Roost-One", "Roost-Two"]
