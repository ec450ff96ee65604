"""The Docker engine: what it is, its images, builds in it, and what goes in and out.

    engine = DockerEngine(DockerConfig(), stage=layout.stage)
    engine.configure(config) · engine.close()
    await engine.facts() -> EngineFacts                                   # raises EngineUnreachableError
    await engine.image(reference_or_id) -> EngineImage | None             # None: the engine answers, and lacks it
    await engine.images(label) -> list[EngineImage]
    await engine.pull(reference, platform, progress) -> EngineImage
    await engine.build_steps(base_id, steps, platform=…, labels=…, progress=…) -> image id
    await engine.build_dockerfile(text, context=folder|None, platform=…, labels=…, progress=…) -> image id
    await engine.load(config, layers, tags, progress) -> image id         # layers the engine has are not sent
    await engine.export(image_id, folder, wanted) -> Exported             # config, and layers by diff_id (plain tars)
    await engine.tag(image_id, reference) · engine.untag(reference) · engine.remove(image_id)
    engine.containers -> DockerContainers                                 # see docker_containers.py

Ids are ``sha256:…`` of the image's config. Every method raises errors of the roost tree only (``docker_errors``):
EngineUnreachableError (retryable) where the engine is away, EngineFullError where its disk is full. Cancelling a method
that builds, pulls, loads or exports cuts its connection, on which the engine stops the work.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from itertools import takewhile
from typing import IO, Any, TypeVar, cast

import docker
import msgspec
from docker import errors

from roost.daemon.engines.docker.address import DockerConfig
from roost.daemon.engines.docker.archive import (
    LayerFile,
    LayerFileMissingError,
    SavedImage,
    docker_archive,
    read_archive,
)
from roost.daemon.engines.docker.base_name import temporary_base_name
from roost.daemon.engines.docker.builds import DockerBuild, classic_build
from roost.daemon.engines.docker.buildx import buildx_build
from roost.daemon.engines.docker.client import DockerClient, EngineRequest, Json
from roost.daemon.engines.docker.containers import DockerContainers
from roost.daemon.engines.docker.errors import (
    NEEDS_BUILDKIT,
    EngineError,
    EngineFullError,
    EngineUnreachableError,
    ImageMissingError,
    ImagePlatformError,
    engine_failed,
)
from roost.daemon.engines.docker.ids import config_reference, find_config_digest, with_id_or_name
from roost.daemon.engines.docker.steps import ParentImage, find_buildkit_need, find_parent_images, parse_steps
from roost.daemon.engines.registry.credentials import (
    CredentialSources,
    RegistryLogin,
    build_header,
    find_login,
    pull_header,
)
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.references import parse_reference
from roost.model.errors import CodedError

T = TypeVar("T")
LOADING = "loading an image"
_LAYER_MISSING = re.compile(r"/layer\.tar: no such file")
"""What an engine says that looks in the archive for the file of a layer (moby, image/tarexport/load.go)."""


class EngineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine is. ``containerd``: its image store takes whole images only."""

    version: str
    api: str
    os: str
    architecture: str
    """As Go names it: ``amd64``, ``arm64``."""
    driver: str
    containerd: bool
    rootless: bool

    @property
    def platform(self) -> str:
        """``linux/amd64`` and the like."""
        return f"{self.os}/{self.architecture}"


class EngineImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image that an engine has."""

    id: str
    """The digest of its config."""
    diff_ids: tuple[str, ...]
    tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    """``repository@sha256:…`` of the manifests that it was pulled by."""
    labels: Mapping[str, str] = {}
    os: str = "linux"
    architecture: str = ""
    bytes: int = 0
    variables: tuple[str, ...] = ()
    """``NAME=value``, of its config."""

    @property
    def platform(self) -> str:
        return f"{self.os}/{self.architecture}"


class DockerEngine:
    """One engine, found by roost's config. ``stage`` is a folder for what passes through on its way; ``labels`` are
    those of containers that are not for runs."""

    def __init__(self, config: DockerConfig, stage: str, labels: Mapping[str, str] | None = None) -> None:
        self.client = DockerClient(config)
        self.containers = DockerContainers(self.client, labels)
        self.credentials: CredentialSources = {}
        """Host of a registry to where its credentials are; others' are Docker's."""
        self._stage = stage
        self._facts: tuple[str, EngineFacts] | None = None

    def configure(self, config: DockerConfig) -> None:
        """Go by another config from now on."""
        self.client.configure(config)

    def close(self) -> None:
        self.client.close()

    async def ping(self) -> None:
        """Raises EngineUnreachableError."""
        await self.client.call(lambda api: api.ping(), "looking whether it answers")

    async def facts(self) -> EngineFacts:
        """What the engine is; asked once for each address."""
        address = await self.client.address()
        if self._facts is None or self._facts[0] != address.url:
            self._facts = address.url, await self.client.call(_facts, "asking what it is")
        return self._facts[1]

    async def image(self, reference: str) -> EngineImage | None:
        """By reference or id; ``None`` where the engine has none of it."""
        image = await self.client.call(lambda api: _inspect(api, reference), f"looking for image {reference}")
        return await self._by_config(image) if image is not None else None

    async def _by_config(self, image: EngineImage) -> EngineImage:
        """With the digest of its config as its id; where the engine does not tell it, it is read and put in a name."""
        if not (await self.facts()).containerd:
            return image
        config = find_config_digest(image.tags)
        if config is None:
            exported = await self.export(image.id, self._stage, ())
            config = f"sha256:{config_hex(exported.config)}"
            await self.tag(image.id, config_reference(config))
        return msgspec.structs.replace(image, id=config)

    async def images(self, label: str) -> list[EngineImage]:
        """All that carry ``label`` (``name`` or ``name=value``)."""

        def listed(api: docker.APIClient) -> list[EngineImage]:
            found = (_inspect(api, each["Id"]) for each in api.images(filters={"label": [label]}))
            return [image for image in found if image is not None]

        return [await self._by_config(image) for image in await self.client.call(listed, "listing images")]

    async def pull(self, reference: str, platform: str | None, progress: Progress) -> EngineImage:
        """Fetch an image with the credentials that there are for its registry, which are kept nowhere.

        Raises ImageMissingError, ImagePlatformError.
        """
        repository, tag = docker.utils.parse_repository_tag(reference)
        host = parse_reference(reference).host
        headers = pull_header(host, await find_login(host, self.credentials))
        params = {"fromImage": repository, "tag": tag or "latest", **({"platform": platform} if platform else {})}
        tell = _PullProgress(progress, f"pulling {reference}")
        progress.start("pull")
        await self.client.stream(EngineRequest("/images/create", f"pulling {reference}", params, headers), tell)
        image = await self.image(reference)
        if image is None:
            raise ImageMissingError(f"{reference} was pulled, and is gone again", hint="Try again.")
        if platform and image.platform != "/".join(platform.split("/")[:2]):
            raise ImagePlatformError(
                f"{reference} is for {image.platform}, and {platform} was asked for",
                hint="Name an image of that platform, or leave `platform` out.",
            )
        progress.finish("pull")
        return image

    async def build_steps(
        self,
        base: str,
        steps: Sequence[str],
        *,
        platform: str | None = None,
        labels: Mapping[str, str] | None = None,
        fresh: bool = False,
        progress: Progress,
    ) -> str:
        """Run ``steps`` on top of the image ``base`` (an id); ``fresh``: even those that the engine remembers.

        Raises StepInvalidError, EngineError.
        """
        checked = parse_steps(steps)

        async def built(buildkit: str | None) -> str:
            by_name = buildkit or (await self.facts()).containerd
            async with temporary_base_name(self, base) if by_name else nullcontext(base) as name:
                building = DockerBuild(f"FROM {name}\n{checked.text}", None, platform, labels or {}, fresh)
                return await self._build(building, buildkit, progress)

        return await _by_either(built, checked.buildkit, progress)

    async def build_dockerfile(
        self,
        text: str,
        *,
        context: str | None = None,
        platform: str | None = None,
        labels: Mapping[str, str] | None = None,
        fresh: bool = False,
        progress: Progress,
    ) -> str:
        """Build a whole Dockerfile; ``context`` is an absolute folder, whose ``.dockerignore`` holds. ``fresh``: every
        step, on the images as their registries have them now.

        The engine alone has the result, and it never comes out the same again: it is named ``roost/base:…``, for
        `docker system prune` takes what has no name."""
        below = find_parent_images(text)
        if fresh:
            for each in below:
                if (
                    "@" not in each.reference and find_config_digest([each.reference]) is None
                ):  # else it names one content
                    await self._renew(each, platform, progress)

        async def built(buildkit: str | None) -> str:
            headers = {} if buildkit else await self._headers([each.reference for each in below], progress)
            building = DockerBuild(text, context, platform, labels or {}, fresh, headers)
            return await self._build(building, buildkit, progress)

        made = await _by_either(built, find_buildkit_need(text), progress)
        await self.tag(made, config_reference(made))
        return made

    async def _renew(self, below: ParentImage, platform: str | None, progress: Progress) -> None:
        """Pull what a Dockerfile builds on. The engine's own is taken where no registry has it or can be asked: it may
        never have been anywhere else. Each by itself, which neither builder's own option does."""
        try:
            await self.pull(below.reference, below.platform or platform, progress)
        except (EngineFullError, EngineUnreachableError):
            raise
        except CodedError as error:
            progress.finish("pull")
            progress.log(f"{below.reference} is taken as the engine has it, for it can't be pulled: {error.message}")

    async def _headers(self, references: Sequence[str], progress: Progress) -> dict[str, str]:
        """Credentials for what a Dockerfile builds on; those that can't be had may not be needed."""
        found: dict[str, RegistryLogin] = {}
        for reference in references:
            try:
                host = parse_reference(reference).host
                credentials = await find_login(host, self.credentials)
            except CodedError as error:
                progress.log(f"Without credentials for {reference}: {error.message}")
                continue
            found |= {host: credentials} if credentials is not None else {}
        return build_header(found)

    async def _build(self, building: DockerBuild, buildkit: str | None, progress: Progress) -> str:
        progress.start("docker-steps")
        if buildkit is not None:
            made = await buildx_build(await self.client.address(), building, buildkit, self._stage, progress)
        else:
            made = await classic_build(self.client, building, self._stage, progress)
        progress.finish("docker-steps")
        image = await self.image(made)
        return image.id if image is not None else made

    async def load(
        self, config: bytes, layers: Sequence[LayerFile], *, tags: Sequence[str], base: str | None, progress: Progress
    ) -> str:
        """Put an image in: its config, and of ``layers`` (all, bottom to top) those that the engine lacks.

        ``base``: an image that the engine has; what it shares with this one, from the bottom, need not be sent. A
        store that takes whole images only is sent all. Raises LayerFileMissingError where a layer must be sent and no
        file of it is there, EngineFullError.
        """
        containerd = (await self.facts()).containerd
        alone = base is None or containerd
        tags = [*tags, config_reference(config_hex(config))] if containerd else tags
        there = set() if alone or base is None else _shared(layers, await self._diff_ids(base))
        progress.start("load", sum(layer.size for layer in layers if layer.diff_id not in there))
        archive = docker_archive(config, layers, there, tags, progress)
        ask = EngineRequest("/images/load", LOADING, {"quiet": "1"}, {"Content-Type": "application/x-tar"}, archive)
        await self.client.stream(ask, _loaded)
        progress.finish("load")
        loaded = await self.image(f"sha256:{config_hex(config)}")
        if loaded is None:
            raise engine_failed("it took the image and does not have it", LOADING)
        return loaded.id

    async def _diff_ids(self, base: str) -> tuple[str, ...]:
        image = await self.image(base)
        if image is None:
            raise LayerFileMissingError(f"The engine no longer has the base image {base}", hint="Try again.")
        return image.diff_ids

    async def export(self, image_id: str, folder: str, wanted: Collection[str]) -> SavedImage:
        """The config of an image, and those of its layers whose diff_id is ``wanted``, as plain tars in ``folder``."""
        doing = f"reading image {image_id}"
        name = await self.client.call(lambda api: with_id_or_name(lambda each: _known(api, each), image_id), doing)
        return await self.client.exchange(
            EngineRequest("/images/get", doing, {"names": name}),
            lambda response: read_archive(cast("IO[bytes]", response.raw), folder, wanted),
            "GET",
        )

    async def tag(self, image_id: str, reference: str) -> None:
        repository, tag = docker.utils.parse_repository_tag(reference)
        await self.client.call(
            lambda api: with_id_or_name(lambda each: api.tag(each, repository, tag), image_id), f"tagging {reference}"
        )

    async def untag(self, reference: str) -> None:
        """Take a tag away; the image goes with its last one. Nothing happens where it is not there."""

        def removed(api: docker.APIClient) -> None:
            try:
                api.remove_image(reference)
            except errors.ImageNotFound:
                return

        await self.client.call(removed, f"removing {reference}")


async def _by_either(build: Callable[[str | None], Awaitable[str]], buildkit: str | None, progress: Progress) -> str:
    """``build`` by the builder that it needs: the engine may know better, who sees what the base brings with it."""
    if buildkit is None:
        try:
            return await build(None)
        except EngineError as error:
            if NEEDS_BUILDKIT not in error.message.lower():
                raise
            progress.log(f"Once more with BuildKit: {error.message}")
            buildkit = "the engine says so"
    return await build(buildkit)


def _shared(layers: Sequence[LayerFile], there: Sequence[str]) -> set[str]:
    """An engine tells layers by all that lies below them: the same one on another one is not there, not even where it
    is a second time in one image."""
    alike = list(takewhile(lambda pair: pair[0].diff_id == pair[1], zip(layers, there, strict=False)))
    return {layer.diff_id for layer, _ in alike} - {layer.diff_id for layer in layers[len(alike) :]}


def config_hex(config: bytes) -> str:
    """The hex digits of a config's sha256."""
    return hashlib.sha256(config).hexdigest()


def _facts(api: docker.APIClient) -> EngineFacts:
    version, info = api.version(), api.info()
    return EngineFacts(
        version=version["Version"],
        api=version["ApiVersion"],
        os=version["Os"],
        architecture=version["Arch"],
        driver=info.get("Driver", ""),
        containerd=["driver-type", "io.containerd.snapshotter.v1"] in (info.get("DriverStatus") or []),
        rootless=any("rootless" in option for option in info.get("SecurityOptions") or []),
    )


def _known(api: docker.APIClient, reference: str) -> str:
    api.inspect_image(reference)  # type: ignore[no-untyped-call]
    return reference


def _inspect(api: docker.APIClient, reference: str) -> EngineImage | None:
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


def _loaded(message: Json) -> None:
    """Raises LayerFileMissingError where a layer that was there when it was looked for is not there any more."""
    if _LAYER_MISSING.search(str(message.get("error", ""))):
        raise LayerFileMissingError("The engine lost a layer while an image was loaded", hint="Try again.")
    _refuse_errors(LOADING)(message)


def _refuse_errors(doing: str) -> Callable[[Json], None]:
    def each(message: Json) -> None:
        if "error" in message:
            raise engine_failed(str(message["error"]), doing)

    return each


class _PullProgress:
    """Adds up the layers' bytes."""

    def __init__(self, progress: Progress, doing: str) -> None:
        self._progress = progress
        self._refuse = _refuse_errors(doing)
        self._done: dict[str, tuple[int, int]] = {}

    def __call__(self, message: Json) -> None:
        self._refuse(message)
        detail = message.get("progressDetail") or {}
        if "total" in detail and message.get("status") == "Downloading":
            self._done[message.get("id", "")] = detail.get("current", 0), detail["total"]
            done, total = (sum(each) for each in zip(*self._done.values(), strict=True))
            self._progress.advance("pull", done, total)
