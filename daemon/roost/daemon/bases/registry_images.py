"""Images in a registry as their manifests and configs describe them; no layer is read."""

from __future__ import annotations

import msgspec

from roost.daemon.bases.errors import BaseInvalidError
from roost.daemon.engines.engine_set import Engines
from roost.daemon.oci.answers import Answer, Yes
from roost.daemon.oci.manifests import Manifest, parse_manifest
from roost.daemon.oci.references import Reference
from roost.model.errors import MALFORMED_JSON
from roost.model.records import BaseLayer

CONFIG_LIMIT = 16 << 20
"""Bytes of an image's config; real ones have a few thousand."""


class RegistryImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image in a registry."""

    reference: str
    digest: str
    """Of its config; empty if the reference names an index."""
    manifest_digest: str
    labels: dict[str, str] = {}
    layers: tuple[BaseLayer, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of its compressed layers."""
        return sum(layer.size for layer in self.layers)


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of an image's config that roost reads."""

    platform: str
    """``os/architecture``."""
    diff_ids: tuple[str, ...]
    labels: dict[str, str]


def parse_image_config(config: bytes) -> ImageConfig:
    """Parse the config document of an image. Raises: BaseInvalidError if it is not valid."""
    try:
        document = msgspec.json.decode(config, type=_ConfigDocument)
    except MALFORMED_JSON as error:
        raise BaseInvalidError(f"the config of an image can't be read: {error}") from error
    return ImageConfig(
        platform=f"{document.os}/{document.architecture}",
        diff_ids=tuple(document.rootfs.diff_ids),
        labels=(document.config.labels if document.config else None) or {},
    )


async def read_registry_image(engines: Engines, reference: Reference) -> Answer[RegistryImage]:
    """Return the image that ``reference`` names, from the registry or its mirrors.

    Raises: BaseInvalidError if its config is not valid; the registry's errors.
    """
    registry = await engines.registry()
    answer = await registry.manifest(reference)
    if not isinstance(answer, Yes):
        return answer
    document = parse_manifest(answer.value.data, answer.value.media_type)
    if not isinstance(document, Manifest):
        return Yes(RegistryImage(reference=str(reference), digest="", manifest_digest=answer.value.digest))
    config = parse_image_config(await registry.read_blob(reference, document.config, CONFIG_LIMIT))
    return Yes(
        RegistryImage(
            reference=str(reference),
            digest=document.config.digest,
            manifest_digest=answer.value.digest,
            labels=config.labels,
            layers=tuple(
                BaseLayer(diff_id=diff_id, digest=layer.digest, size=layer.size, media_type=layer.media_type)
                for diff_id, layer in zip(config.diff_ids, document.layers, strict=False)
            ),
        )
    )


class _RootFs(msgspec.Struct):
    diff_ids: list[str] = []


class _RunConfig(msgspec.Struct):
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


class _ConfigDocument(msgspec.Struct):
    os: str = ""
    architecture: str = ""
    rootfs: _RootFs = msgspec.field(default_factory=_RootFs)
    config: _RunConfig | None = None
