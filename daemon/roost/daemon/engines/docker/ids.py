"""Image ids as digests of configs, also in engines that identify images by their manifests.

Docker's classic image store identifies an image by its config, as registries, locks and keys do here. containerd's
store identifies it by the manifest that this engine happened to write for it. There each image that roost works with
gets a name that holds the digest of its config, and is found by that name.

Separate because containers, images and temporary base names all need it and none of them needs another.
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
    """Return ``roost/base:<hex>`` for the digest of a config."""
    return f"{REPOSITORY}:{digest.removeprefix('sha256:')}"


def find_config_digest(tags: Iterable[str]) -> str | None:
    """Return the digest of the config that one of ``tags`` holds; ``None`` if none does."""
    matches = (_NAME.fullmatch(tag) for tag in tags)
    return next((f"sha256:{match[1]}" for match in matches if match is not None), None)


def with_id_or_name(action: Callable[[str], T], reference: str) -> T:
    """Call ``action`` with ``reference``, and again with ``config_reference`` if the engine has no such id.

    Raises: NotFound if the engine has neither.
    """
    try:
        return action(reference)
    except errors.NotFound:
        if not reference.startswith("sha256:"):
            raise
        return action(config_reference(reference))


def map_ids_to_configs(api: docker.APIClient) -> dict[str, str]:
    """Return the engine's image ids with the digests of their configs, if the two differ. Blocks."""
    images = api.images(name=REPOSITORY)
    configs = {image["Id"]: find_config_digest(image.get("RepoTags") or ()) for image in images}
    return {image_id: config for image_id, config in configs.items() if config is not None}
