"""Containers of an engine, one operation at a time; ``roost.daemon.runs.containers`` makes runs of them.

container = await containers.create(spec)
streams = await containers.attach(container)     # before the start, so that no output is missed
await containers.start(container)                # raises CommandStartError with a shell's status
status = await containers.wait(container)
await containers.remove(container)
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import docker
from docker import errors

from roost.daemon.engines.docker.client import DockerClient
from roost.daemon.engines.docker.errors import EngineUnreachableError
from roost.daemon.engines.docker.ids import map_ids_to_configs, with_id_or_name
from roost.daemon.engines.docker.labels import PROBE_LABEL
from roost.daemon.engines.docker.options import container_body
from roost.daemon.engines.docker.probes import candidate_paths, is_file_in_container
from roost.daemon.engines.docker.streams import FrameDecoder, attach_streams, send_request, stream_response
from roost.daemon.engines.docker.translation import translate_create_error, translate_start_error
from roost.daemon.engines.docker.values import ContainerSpec, ContainerStreams, EngineContainer


class DockerContainers:
    """The containers of one engine."""

    def __init__(self, client: DockerClient, labels: Mapping[str, str] | None = None) -> None:
        """``labels``: labels of containers that are created to look into an image."""
        self._client = client
        self._labels = labels or {}
        self.probe_mark = secrets.token_hex(8)
        """Value of ``PROBE_LABEL`` on this object's own containers."""
        self._unremoved: set[str] = set()

    def pop_unremoved(self) -> set[str]:
        """Return and forget the ids of this object's own containers that could not be removed."""
        unremoved, self._unremoved = self._unremoved, set()
        return unremoved

    async def create(self, spec: ContainerSpec) -> str:
        """Create a container and return its id.

        Raises: ContainerArgumentError, ImageMissingError, ImagePlatformError; MountError if the engine can't see a
        folder of this machine.
        """
        body = container_body(spec)

        def create(api: docker.APIClient, image: str) -> str:
            try:
                return _create_container(api, {**body, "Image": image}, spec.name, spec.platform)
            except errors.APIError as error:
                raise translate_create_error(error, spec.cwd) from error

        doing = "creating a container"
        return await self._client.call(lambda api: with_id_or_name(lambda image: create(api, image), spec.image), doing)

    async def attach(self, container: str, *, stdin: bool = True) -> ContainerStreams:
        """Return the container's raw streams."""
        return await attach_streams(await self._client.address(), container, stdin=stdin)

    async def start(self, container: str) -> None:
        """Start the container.

        Raises: CommandStartError if its command can't be started; ContainerArgumentError, ContainerGoneError,
        GpusMissingError.
        """

        def start(api: docker.APIClient) -> None:
            try:
                api.start(container)
            except errors.APIError as error:
                raise translate_start_error(error, container) from error

        await self._client.call(start, "starting a container")

    async def wait(self, container: str) -> int:
        """Wait for the end of the command and return its exit status.

        Raises: EngineUnreachableError if the engine stops meanwhile; EngineError.
        """
        doing = "waiting for a container"
        address = await self._client.address()
        data = await send_request(address, "POST", f"/containers/{container}/wait", doing)
        try:
            return int(json.loads(data)["StatusCode"])
        except (ValueError, KeyError) as error:  # an incomplete answer: the engine stopped
            raise EngineUnreachableError(
                f"The Docker engine at {address.url} stopped", hint="Start it again."
            ) from error

    async def kill(self, container: str, signal: str) -> bool:
        """Send a signal (``SIGTERM``); return ``False`` if the container has not started, has ended or no longer
        exists."""

        def kill(api: docker.APIClient) -> bool:
            try:
                api.kill(container, signal)
            except errors.APIError as error:
                if error.status_code not in (404, 409):
                    raise
                return False
            return True

        return await self._client.call(kill, "sending a signal to a container")

    async def resize(self, container: str, rows: int, columns: int) -> None:
        """Set the size of the container's terminal. Does nothing if the container has ended."""

        def resize(api: docker.APIClient) -> None:
            try:
                api.resize(container, height=rows, width=columns)
            except errors.APIError:
                return

        await self._client.call(resize, "resizing a terminal")

    async def remove(self, container: str) -> None:
        """Remove the container, running or not, with its volumes. Does nothing if it no longer exists."""

        def remove(api: docker.APIClient) -> None:
            try:
                api.remove_container(container, v=True, force=True)
            except errors.APIError as error:
                if error.status_code not in (404, 409):  # 409: its removal is in progress
                    raise

        await self._client.call(remove, "removing a container")

    async def find(self, label: str | None = None) -> list[EngineContainer]:
        """Return all containers, ended ones included, or those with ``label`` (``name`` or ``name=value``)."""
        filters = {"label": [label]} if label else {}

        def find(api: docker.APIClient) -> tuple[list[dict[str, Any]], dict[str, str]]:
            return api.containers(all=True, filters=filters), map_ids_to_configs(api)

        listed, configs = await self._client.call(find, "listing containers")
        return [
            EngineContainer(
                id=each["Id"],
                image=configs.get(each["ImageID"], each["ImageID"]),
                labels=each.get("Labels") or {},
                state=each["State"],
            )
            for each in listed
        ]

    async def logs(self, container: str) -> AsyncIterator[bytes]:
        """Yield all output since the container's start, until it ends, without frames.

        The container must have been created with ``ContainerSpec.keep_output`` and without a terminal.
        """
        target = f"/containers/{container}/logs?stdout=1&stderr=1&follow=1"
        frames = FrameDecoder()
        doing = "reading a container's output"
        async for chunk in stream_response(await self._client.address(), "GET", target, doing):
            for data in frames.feed(chunk):
                yield data

    async def find_in_image(self, image: str, names: Sequence[str], variables: Sequence[str]) -> str | None:
        """Return the path of the first of ``names`` (paths, or names on the image's PATH) that is a file in the image.

        ``variables``: ``NAME=value`` lines of the image's config.
        """
        paths = candidate_paths(names, variables)

        def find(api: docker.APIClient) -> str | None:
            body = {"Entrypoint": ["/"], "Labels": {**self._labels, PROBE_LABEL: self.probe_mark}}
            container = with_id_or_name(lambda each: _create_container(api, {**body, "Image": each}), image)
            try:
                return next((path for path in paths if is_file_in_container(api, container, path)), None)
            finally:
                try:
                    api.remove_container(container, v=True, force=True)
                except (errors.APIError, OSError):  # the result holds; the sweep of containers tries again
                    self._unremoved.add(container)

        return await self._client.call(find, f"looking for an interpreter in {image}")


def _create_container(
    api: docker.APIClient, body: dict[str, Any], name: str | None = None, platform: str | None = None
) -> str:
    # ``body`` is complete: the SDK's own class for it would only take it apart again.
    return str(api.create_container_from_config(body, name, platform)["Id"])  # type: ignore[no-untyped-call]
