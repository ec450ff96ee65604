"""The digest of an image's config as its id, also in an engine that calls images by their manifests.

The store that engines had for long knows an image by its config, as registries, locks and keys do here. The newer one,
containerd's, knows it by the manifest that this engine happened to write for it. There each image that roost has to do
with gets a name that tells its config, and is found by that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

import docker
from docker import errors

T = TypeVar("T")
REPOSITORY = "roost/base"
_NAME = re.compile(rf"{REPOSITORY}:([0-9a-f]{{64}})")


def config_reference(digest: str) -> str:
    """``roost/base:<digits>`` for the digest of a config."""
    return f"{REPOSITORY}:{digest.removeprefix('sha256:')}"


def find_config_digest(tags: Iterable[str]) -> str | None:
    """The digest of the config that one of the names tells."""
    found = (_NAME.fullmatch(tag) for tag in tags)
    return next((f"sha256:{each[1]}" for each in found if each is not None), None)


def with_id_or_name(action: Callable[[str], T], reference: str) -> T:
    """``action`` on an image; on what its config names where the engine has no such id. Raises NotFound."""
    try:
        return action(reference)
    except errors.NotFound:
        if not reference.startswith("sha256:"):
            raise
        return action(config_reference(reference))


def map_ids_to_configs(api: docker.APIClient) -> dict[str, str]:
    """The engine's ids to digests of configs, where they differ. Blocks."""
    named = ((image["Id"], find_config_digest(image.get("RepoTags") or ())) for image in api.images(name=REPOSITORY))
    return {image_id: config for image_id, config in named if config is not None}
