"""Containers of an engine, one step at a time; ``roost.daemon.runs.containers`` makes runs of them.

    id = await containers.create(spec)
    streams = await containers.attach(id)            # before the start, so that nothing is missed
    await containers.start(id)                       # raises CommandStartError with a shell's status
    status = await containers.wait(id)
    await containers.remove(id)

Without a terminal the stream is framed: one byte of 1 (output) or 2 (errors), three zeros, four bytes of length, data
(Docker Engine API, "Attach to a container"). With one it is raw.
"""

from __future__ import annotations

import json
import posixpath
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import docker
import msgspec
from docker import errors

from roost.daemon.engines.docker.client import DockerClient
from roost.daemon.engines.docker.errors import EngineError, EngineUnreachableError, ImagePlatformError, engine_failed
from roost.daemon.engines.docker.ids import map_ids_to_configs, with_id_or_name
from roost.daemon.engines.docker.options import ContainerArgumentError, ContainerSpec, container_body
from roost.daemon.engines.docker.streams import ContainerStreams, attach, send_request, stream_response
from roost.model.errors import CodedError

USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Of an image that sets none (moby, oci/defaults)."""


class CommandStartError(EngineError):
    """The command can't be started in the container; ``status`` is what shells end with: 126, 127."""

    code = "command-not-started"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, hint="Name a command that is in the image.", fields={"status": status})
        self.status = status


class GpusMissingError(EngineError):
    """GPUs were asked for, and nothing on the engine's machine gives any to containers."""

    code = "gpus-missing"


class ContainerGoneError(EngineError):
    """The container is not there any more: removed by somebody else, or by a prune."""

    code = "container-gone"


class MountError(EngineError):
    """The engine can't see a folder of this machine."""

    code = "mount-failed"


class EngineContainer(msgspec.Struct, frozen=True, kw_only=True):
    """A container as the engine tells of it. ``running``: started and not yet ended."""

    id: str
    image: str
    """The id of its image."""
    labels: Mapping[str, str]
    state: str
    """``created``, ``running``, ``paused``, ``restarting``, ``removing``, ``exited`` or ``dead``."""

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused", "restarting")


class DockerContainers:
    """Starts, attaches to, waits for and removes containers."""

    def __init__(self, client: DockerClient, labels: Mapping[str, str] | None = None) -> None:
        """``labels``: of containers that are made to look into an image."""
        self._client = client
        self._labels = labels or {}
        self.mark = secrets.token_hex(8)
        """What ``PROBE`` holds of those that were made here."""
        self._left: set[str] = set()

    def take_left(self) -> set[str]:
        """Ids of those that were made here and could not be removed, once."""
        taken, self._left = self._left, set()
        return taken

    async def create(self, spec: ContainerSpec) -> str:
        """Its id. Raises ContainerArgumentError, ImageMissingError, ImagePlatformError, MountError."""
        body = container_body(spec)

        def made(api: docker.APIClient, image: str) -> str:
            try:
                # The body is complete as it is; the SDK's own class for it would only take it apart again.
                return _made(api, {**body, "Image": image}, spec)
            except errors.APIError as error:
                raise _not_created(error, spec.cwd) from error

        doing = "creating a container"
        return await self._client.call(lambda api: with_id_or_name(lambda image: made(api, image), spec.image), doing)

    async def attach(self, container: str, *, stdin: bool = True) -> ContainerStreams:
        """Its raw streams."""
        return await attach(await self._client.address(), container, stdin=stdin)

    async def start(self, container: str) -> None:
        """Raises CommandStartError, ContainerArgumentError, ContainerGoneError, GpusMissingError."""

        def started(api: docker.APIClient) -> None:
            try:
                api.start(container)
            except errors.APIError as error:
                raise _not_started(error, container) from error

        await self._client.call(started, "starting a container")

    async def wait(self, container: str) -> int:
        """The exit status of the command, once it has ended. Raises EngineUnreachableError, EngineError."""
        doing = "waiting for a container"
        address = await self._client.address()
        data = await send_request(address, "POST", f"/containers/{container}/wait", doing)
        try:
            return int(json.loads(data)["StatusCode"])
        except (ValueError, KeyError) as error:  # it broke off in the middle: the engine stopped
            raise EngineUnreachableError(
                f"The Docker engine at {address.url} stopped", hint="Start it again."
            ) from error

    async def kill(self, container: str, signal: str) -> None:
        """Send a signal (``SIGTERM``); nothing happens where the container has ended."""

        def killed(api: docker.APIClient) -> None:
            try:
                api.kill(container, signal)
            except errors.APIError as error:
                if error.status_code not in (404, 409):
                    raise

        await self._client.call(killed, "sending a signal to a container")

    async def resize(self, container: str, rows: int, columns: int) -> None:
        """Tell its terminal its size; nothing happens where the container has ended."""

        def resized(api: docker.APIClient) -> None:
            try:
                api.resize(container, height=rows, width=columns)
            except errors.APIError:
                return

        await self._client.call(resized, "resizing a terminal")

    async def remove(self, container: str) -> None:
        """Remove it, running or not, with its volumes; nothing happens where it is gone."""

        def removed(api: docker.APIClient) -> None:
            try:
                api.remove_container(container, v=True, force=True)
            except errors.APIError as error:
                if error.status_code not in (404, 409):  # 409: its removal is under way
                    raise

        await self._client.call(removed, "removing a container")

    async def find(self, label: str | None = None) -> list[EngineContainer]:
        """All, ended ones too; or those that carry ``label`` (``name`` or ``name=value``)."""
        filters = {"label": [label]} if label else {}

        def found(api: docker.APIClient) -> tuple[list[dict[str, Any]], dict[str, str]]:
            return api.containers(all=True, filters=filters), map_ids_to_configs(api)

        listed, configs = await self._client.call(found, "listing containers")
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
        """Everything that it printed (``ContainerSpec.keep_output``) and prints until it ends, without the frames."""
        target = f"/containers/{container}/logs?stdout=1&stderr=1&follow=1"
        frames = FrameDecoder()
        async for chunk in stream_response(await self._client.address(), "GET", target, "reading a container's output"):
            for data in frames.feed(chunk):
                yield data

    async def find_in_image(self, image: str, names: Sequence[str], variables: Sequence[str]) -> str | None:
        """The path of the first of ``names`` (paths, or names on the image's PATH) that is a file in it."""
        path = next((each.partition("=")[2] for each in variables if each.startswith("PATH=")), USUAL_PATH)
        paths = [candidate for name in names for candidate in _candidates(name, path)]

        def found(api: docker.APIClient) -> str | None:
            body = {"Entrypoint": ["/"], "Labels": {**self._labels, PROBE: self.mark}}
            container = with_id_or_name(lambda each: _made(api, {**body, "Image": each}), image)
            try:
                return next((path for path in paths if _is_file(api, container, path)), None)
            finally:
                try:
                    api.remove_container(container, v=True, force=True)
                except (errors.APIError, OSError):  # what was found holds; whoever sweeps tries again
                    self._left.add(container)

        return await self._client.call(found, f"looking for an interpreter in {image}")


PROBE = "org.roost.probe"
"""Label of a container that is made to look into an image, and never started; it tells who made it."""


def _made(api: docker.APIClient, body: dict[str, Any], spec: ContainerSpec | None = None) -> str:
    name, platform = (spec.name, spec.platform) if spec else (None, None)
    return str(api.create_container_from_config(body, name, platform)["Id"])  # type: ignore[no-untyped-call]


def _candidates(name: str, path: str) -> list[str]:
    if "/" in name:
        return [name]
    return [posixpath.join(folder, name) for folder in path.split(":") if folder]


def _is_file(api: docker.APIClient, container: str, path: str) -> bool:
    """Follows links as the engine resolves them: within the container."""
    for _ in range(8):
        status = _stat(api, container, path)
        if status is None:
            return False
        if not status["linkTarget"] or status["linkTarget"] == path:
            return not status["mode"] & 0x80000000  # Go's ModeDir
        path = status["linkTarget"]
    return False


def _stat(api: docker.APIClient, container: str, path: str) -> dict[str, Any] | None:
    url = f"{api.base_url}/v{api.api_version}/containers/{container}/archive?path={quote(path)}"
    response = api.head(url, timeout=60)
    if response.status_code == 404:
        return None
    response.raise_for_status()
    import base64

    found: dict[str, Any] = json.loads(base64.b64decode(response.headers["X-Docker-Container-Path-Stat"]))
    return found


def _not_created(error: errors.APIError, cwd: str) -> Exception:
    """An image that is not there stays the SDK's error: it may be there by another name."""
    text = str(error.explanation or error)
    if error.status_code == 404 and "no such image" in text.lower():
        return error
    if "was found but does not" in text:
        return ImagePlatformError(text, hint="Name an image of that platform, or leave `platform` out.")
    if "bind source path does not exist" in text:
        return MountError(
            f"The Docker engine can't see a folder that is to be mounted: {text}",
            hint=f"An engine on another machine sees its own folders only; run from one that it has, or copy {cwd}.",
        )
    if error.status_code == 404 or "No such container" in text:  # what --volumes-from and --ipc name; some answer 400
        return _nothing_there(text)
    return engine_failed(text, "creating a container")


def _not_started(error: errors.APIError, container: str) -> Exception:
    text = str(error.explanation or error)
    if error.status_code == 404 and container in text:
        return ContainerGoneError("The container was removed before it could start", hint="Try again.")
    if error.status_code == 404:
        return _nothing_there(text)
    return _device_failed(text) or _command_failed(text) or engine_failed(text, "starting a container")


def _nothing_there(text: str) -> ContainerArgumentError:
    return ContainerArgumentError(
        f"The Docker engine has not all that the container is to start with: {text}",
        hint="Make it first, or name another under [container] arguments; `docker ps --all` and `docker network ls` "
        "show what there is.",
    )


def _command_failed(text: str) -> CommandStartError | None:
    if "executable file not found" in text or "no such file or directory" in text:
        return CommandStartError(text, 127)
    return CommandStartError(text, 126) if "permission denied" in text else None


def _device_failed(text: str) -> CodedError | None:
    if "error gathering device information" in text:
        return ContainerArgumentError(
            f"The Docker engine can't give a device: {text}",
            hint="Name one that its machine has under [container] arguments.",
        )
    if 'could not select device driver "cdi"' in text:
        return ContainerArgumentError(
            f"The Docker engine gives no devices by their names in CDI: {text}",
            hint='From Docker 25 on it does, with {"features": {"cdi": true}} in its daemon.json. Or name a path.',
        )
    if "could not select device driver" in text:
        return GpusMissingError(
            f"The Docker engine has no GPUs to give: {text}",
            hint="Install NVIDIA's container toolkit where the engine runs, or take --gpus out of the arguments.",
        )
    return None


class FrameDecoder:
    """Takes the frames off a container's stream, however it is cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The whole frames' data in ``data`` and what was left before it."""
        self._rest += data
        found = []
        while len(self._rest) >= 8:
            end = 8 + int.from_bytes(self._rest[4:8], "big")
            if len(self._rest) < end:
                break
            found.append(self._rest[8:end])
            self._rest = self._rest[end:]
        return found
