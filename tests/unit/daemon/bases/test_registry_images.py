"""Configs of images as registries send them."""

from __future__ import annotations

import json

import pytest

from roost.daemon.bases.errors import BaseInvalidError
from roost.daemon.bases.registry_images import RegistryImage, parse_image_config, read_registry_image
from roost.daemon.engines.registry.values import FetchedManifest
from roost.daemon.oci.answers import No, Yes
from roost.daemon.oci.manifests import OCI_CONFIG, OCI_MANIFEST, describe, image_manifest
from roost.daemon.oci.references import digest_of, parse_reference


def test_platform_layers_and_labels_are_read():
    document = {
        "os": "linux",
        "architecture": "arm64",
        "rootfs": {"type": "layers", "diff_ids": ["sha256:a"]},
        "config": {"Labels": {"a": "b"}},
    }
    config = parse_image_config(json.dumps(document).encode())
    assert (config.platform, config.diff_ids, config.labels) == ("linux/arm64", ("sha256:a",), {"a": "b"})


@pytest.mark.parametrize("run", [None, {}, {"Labels": None}])
def test_a_config_may_have_no_labels(run: object):
    assert parse_image_config(json.dumps({"config": run}).encode()).labels == {}


class OneImage:
    """Engines with a registry that has one image with this config."""

    def __init__(self, config: bytes) -> None:
        self.config = config
        self.data = image_manifest(config, [])

    async def registry(self):
        return self

    async def manifest(self, reference):
        return Yes(FetchedManifest(digest=digest_of(self.data), media_type=OCI_MANIFEST, data=self.data))

    async def read_blob(self, reference, descriptor, limit):
        assert descriptor == describe(self.config, OCI_CONFIG)
        return self.config


async def test_an_image_is_described_by_its_config():
    config = b'{"config": {"Labels": {"a": "b"}}}'
    engines = OneImage(config)
    answer = await read_registry_image(engines, parse_reference("r.example.org/a"))
    assert answer == Yes(
        RegistryImage(
            reference="r.example.org/a",
            digest=digest_of(config),
            manifest_digest=digest_of(engines.data),
            labels={"a": "b"},
        )
    )


async def test_a_config_that_is_not_json_is_an_error_of_the_roost_tree():
    with pytest.raises(BaseInvalidError, match="can't be read"):
        await read_registry_image(OneImage(b"no JSON"), parse_reference("r.example.org/a"))


async def test_the_answer_no_is_passed_on():
    engines = OneImage(b"{}")

    async def manifest(reference):
        return No()

    engines.manifest = manifest
    assert await read_registry_image(engines, parse_reference("r.example.org/a")) == No()
