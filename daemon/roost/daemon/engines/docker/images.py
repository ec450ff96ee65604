"""Images of a Docker engine: find, pull, load, export, tag.

Ids are digests of the images' configs (see ``ids``). Cancelling ``pull``, ``load`` or ``export`` cuts its connection,
on which the engine stops the work.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import IO, Any, cast

import docker
import msgspec
from docker import errors
from docker.utils import parse_repository_tag

from roost.daemon.engines.docker.archive import docker_archive, read_archive
from roost.daemon.engines.docker.client import DockerClient, EngineRequest
from roost.daemon.engines.docker.errors import (
    ImageMissingError,
    ImagePlatformError,
    LayerFileMissingError,
    engine_error,
)
from roost.daemon.engines.docker.ids import config_reference, find_config_digest, with_id_or_name
from roost.daemon.engines.docker.values import EngineImage, Json, LayerFile, SavedImage
from roost.daemon.engines.registry.credentials import find_login, pull_header
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.references import digest_of, parse_reference

LOADING = "loading an image"
_LAYER_MISSING = re.compile(r"/layer\.tar: no such file")
"""Text of an engine that looks for a layer's file in the archive (moby, image/tarexport/load.go)."""


class DockerImages:
    """The images of one engine. ``stage`` is a folder for temporary files.

    Every method raises errors of the roost tree only: EngineUnreachableError (retryable) if the engine does not answer,
    EngineFullError if its disk is full, EngineError for other failures.
    """

    def __init__(self, client: DockerClient, stage: str) -> None:
        self._client = client
        self._stage = stage

    async def named_by_config(self) -> bool:
        """Return whether this engine needs names that hold digests of configs: containerd's image store does."""
        return (await self._client.facts()).containerd

    async def find(self, reference: str) -> EngineImage | None:
        """Return the image with this reference or id; ``None`` if the engine does not have it.

        If the engine does not report the digest of the config, the config is read, and the image gets a name that holds
        its digest.
        """
        image = await self._client.call(lambda api: _inspect_image(api, reference), f"looking for image {reference}")
        if image is None or not await self.named_by_config():
            return image
        config_digest = find_config_digest(image.tags)
        if config_digest is None:
            exported = await self.export(image.id, self._stage, ())
            config_digest = digest_of(exported.config)
            await self.tag(image.id, config_reference(config_digest))
        return msgspec.structs.replace(image, id=config_digest)

    async def pull(self, reference: str, platform: str | None, progress: Progress) -> EngineImage:
        """Pull an image with the credentials that are configured for its registry; they are not stored.

        Raises: ImageMissingError if the registry does not have it; ImagePlatformError if it is not for ``platform``.
        """
        repository, tag = parse_repository_tag(reference)
        host = parse_reference(reference).host
        headers = pull_header(host, await find_login(host, self._client.config.credentials))
        params = {"fromImage": repository, "tag": tag or "latest", **({"platform": platform} if platform else {})}
        doing = f"pulling {reference}"
        progress.start("pull")
        await self._client.stream(
            EngineRequest("/images/create", doing, params, headers), _PullProgress(progress, doing).read_message
        )
        image = await self.find(reference)
        if image is None:
            raise ImageMissingError(f"{reference} was pulled but no longer exists", hint="Try again.")
        if platform and image.platform != "/".join(platform.split("/")[:2]):
            raise ImagePlatformError(
                f"{reference} is for {image.platform}, but {platform} was requested",
                hint="Name an image of that platform, or leave `platform` out.",
            )
        progress.finish("pull")
        return image

    async def load(
        self, config: bytes, layers: Sequence[LayerFile], *, tags: Sequence[str], base: str | None, progress: Progress
    ) -> str:
        """Load an image and return its id. ``layers``: all of its layers, lowest first.

        ``base``: an image that the engine has. The layers that the two share, from the bottom, are not sent, unless the
        engine's store accepts complete images only.

        Raises: LayerFileMissingError if a layer must be sent and has no file; EngineFullError.
        """
        config_digest = digest_of(config)
        shared: set[str] = set()
        if await self.named_by_config():
            tags = [*tags, config_reference(config_digest)]
        elif base is not None:
            image = await self.find(base)
            if image is None:
                raise LayerFileMissingError(f"The engine no longer has the base image {base}", hint="Try again.")
            shared = _find_shared_layers(layers, image.diff_ids)
        progress.start("load", sum(layer.size for layer in layers if layer.diff_id not in shared))
        archive = docker_archive(config, layers, shared, tags, progress)
        headers = {"Content-Type": "application/x-tar"}
        await self._client.stream(
            EngineRequest("/images/load", LOADING, {"quiet": "1"}, headers, archive), _check_load_message
        )
        progress.finish("load")
        loaded = await self.find(config_digest)
        if loaded is None:
            raise engine_error("it loaded the image and does not have it", LOADING)
        return loaded.id

    async def export(self, image_id: str, folder: str, wanted: Collection[str]) -> SavedImage:
        """Read an image's config, and write its layers with a diff_id in ``wanted`` to ``folder`` as plain tars."""
        doing = f"reading image {image_id}"

        def find_name(api: docker.APIClient) -> str:
            def inspect(reference: str) -> str:
                api.inspect_image(reference)  # type: ignore[no-untyped-call]
                return reference

            return with_id_or_name(inspect, image_id)

        name = await self._client.call(find_name, doing)
        return await self._client.exchange(
            EngineRequest("/images/get", doing, {"names": name}),
            lambda response: read_archive(cast("IO[bytes]", response.raw), folder, wanted),
            "GET",
        )

    async def tag(self, image_id: str, reference: str) -> None:
        """Give the image the name ``reference``. Raises: ImageMissingError."""
        repository, tag = parse_repository_tag(reference)
        await self._client.call(
            lambda api: with_id_or_name(lambda each: api.tag(each, repository, tag), image_id), f"tagging {reference}"
        )

    async def is_last_name(self, image_id: str, reference: str) -> bool:
        """Return whether the engine has the image, and without the name ``reference`` no longer would."""
        found = await self.find(image_id)
        return found is not None and set(found.tags) <= {reference, config_reference(image_id)}

    async def remove(self, image_id: str, reference: str, pulled: Collection[str] = ()) -> bool:
        """Remove the name ``reference`` of an image, and the one by its config if no other is left. Return whether that
        removed the image: not if it was missing, if the user named it too, or if another one was built on it.

        ``pulled``: references by digest that it may have been pulled by, which are names too; one of a repository from
        which the user has a tag stays.

        Raises: EngineError if a container was created from it.
        """
        found = await self.find(image_id)
        if found is None:
            return False
        repositories = {tag.rpartition(":")[0] for tag in found.tags}
        for name in set(found.repo_digests).intersection(pulled):
            if name.partition("@")[0] not in repositories:
                await self.untag(name)
        if reference in found.tags:  # else somebody has given the name to another image
            await self.untag(reference)
        left = await self.find(image_id)
        if left is not None and set(left.tags) == {config_reference(image_id)}:
            await self.untag(config_reference(image_id))
            left = await self.find(image_id)
        return left is None

    async def untag(self, reference: str) -> None:
        """Remove a tag; the engine deletes the image together with its last one. Does nothing if it does not exist."""

        def remove(api: docker.APIClient) -> None:
            try:
                api.remove_image(reference)
            except errors.ImageNotFound:
                return

        await self._client.call(remove, f"removing {reference}")


def _find_shared_layers(layers: Sequence[LayerFile], there: Sequence[str]) -> set[str]:
    """Return the diff_ids of ``layers`` that need not be sent to an engine with an image of the layers ``there``.

    An engine identifies a layer by everything below it as well: it does not have a layer that lies on another one, not
    even the second occurrence of one in the same image.
    """
    shared = list(takewhile(lambda pair: pair[0].diff_id == pair[1], zip(layers, there, strict=False)))
    return {layer.diff_id for layer, _ in shared} - {layer.diff_id for layer in layers[len(shared) :]}


def _inspect_image(api: docker.APIClient, reference: str) -> EngineImage | None:
    try:
        found: dict[str, Any] = with_id_or_name(lambda each: api.inspect_image(each), reference)  # type: ignore[no-untyped-call]
    except errors.NotFound:
        return None
    config = found.get("Config") or {}
    return EngineImage(
        id=found["Id"],
        diff_ids=tuple(found["RootFS"].get("Layers") or ()),
        tags=tuple(found.get("RepoTags") or ()),
        repo_digests=tuple(found.get("RepoDigests") or ()),
        labels=config.get("Labels") or {},
        os=found.get("Os", "linux"),
        architecture=found.get("Architecture", ""),
        bytes=found.get("Size", 0),
        variables=tuple(config.get("Env") or ()),
    )


def _check_load_message(message: Json) -> None:
    """Raise LayerFileMissingError if a layer disappeared after it was found, EngineError for another failure."""
    if _LAYER_MISSING.search(str(message.get("error", ""))):
        raise LayerFileMissingError("The engine lost a layer while an image was loaded", hint="Try again.")
    _raise_reported_error(message, LOADING)


def _raise_reported_error(message: Json, doing: str) -> None:
    if "error" in message:
        raise engine_error(str(message["error"]), doing)


class _PullProgress:
    """Sums up the bytes of all layers of a pull."""

    def __init__(self, progress: Progress, doing: str) -> None:
        self._progress = progress
        self._doing = doing
        self._layers: dict[str, tuple[int, int]] = {}
        """Id of a layer to its downloaded and total bytes."""

    def read_message(self, message: Json) -> None:
        """Process one message of the engine. Raises: EngineError if it reports a failure."""
        _raise_reported_error(message, self._doing)
        detail = message.get("progressDetail") or {}
        if "total" in detail and message.get("status") == "Downloading":
            self._layers[message.get("id", "")] = detail.get("current", 0), detail["total"]
            done, total = (sum(each) for each in zip(*self._layers.values(), strict=True))
            self._progress.advance("pull", done, total)
