"""Values that the Docker engine takes and returns, importable without its SDK."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from roost.daemon.config.schema import RegistryCredentials

Json = dict[str, Any]
"""A JSON object of the engine's API."""


@dataclass(frozen=True)
class DockerConfig:
    """Which engine to use, and the credentials for pulls and builds. ``host`` takes precedence over ``context``."""

    host: str | None = None
    context: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    """The caller's ``DOCKER_HOST`` and so on, which name the engine if neither of the two does."""
    credentials: Mapping[str, RegistryCredentials] = field(default_factory=dict)
    """Registry host to the source of its credentials; other hosts use Docker's own config."""


class EngineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Version and properties of an engine. ``containerd``: its image store accepts complete images only."""

    version: str
    api: str
    os: str
    architecture: str
    """Go's name: ``amd64``, ``arm64``."""
    driver: str
    containerd: bool
    rootless: bool

    @property
    def platform(self) -> str:
        """``os/architecture``, for example ``linux/amd64``."""
        return f"{self.os}/{self.architecture}"


class EngineImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image in an engine."""

    id: str
    """Digest of its config, also in engines that identify images by their manifests."""
    diff_ids: tuple[str, ...]
    """Digests of its uncompressed layers, lowest first."""
    tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    """``repository@sha256:…`` of the manifests that it was pulled by."""
    labels: Mapping[str, str] = {}
    os: str = "linux"
    architecture: str = ""
    bytes: int = 0
    variables: tuple[str, ...] = ()
    """``NAME=value`` lines of its config."""

    @property
    def platform(self) -> str:
        """``os/architecture``, for example ``linux/amd64``."""
        return f"{self.os}/{self.architecture}"


@dataclass(frozen=True)
class LayerFile:
    """A layer of an image: its uncompressed digest, and the path of its file (plain or gzip) if there is one."""

    diff_id: str
    path: str | None = None

    @property
    def size(self) -> int:
        """Bytes of the file; 0 without one."""
        return os.path.getsize(self.path) if self.path else 0


@dataclass(frozen=True)
class SavedImage:
    """An image read out of an engine: the bytes of its config, and paths of plain layer tars by diff_id."""

    config: bytes
    layers: dict[str, str]


@dataclass(frozen=True)
class ContainerSpec:
    """A container to create. ``command`` replaces the image's entry point; ``cwd`` is mounted at its own path."""

    image: str
    command: Sequence[str]
    cwd: str
    user: str
    """``uid:gid``."""
    variables: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    console: tuple[int, int] | None = None
    """Rows and columns of its terminal; ``None``: no terminal."""
    stdin: bool = True
    keep_output: bool = False
    """The engine stores the container's output until the container is removed."""
    shm_size: str | None = None
    arguments: Sequence[str] = ()
    """Options of ``docker run``, see ``options.parse_arguments``."""
    name: str | None = None
    platform: str | None = None


class EngineContainer(msgspec.Struct, frozen=True, kw_only=True):
    """A container as the engine lists it."""

    id: str
    image: str
    """The id of its image: the digest of the image's config."""
    labels: Mapping[str, str]
    state: str
    """``created``, ``running``, ``paused``, ``restarting``, ``removing``, ``exited`` or ``dead``."""

    @property
    def running(self) -> bool:
        """Whether the container was started and has not ended."""
        return self.state in ("running", "paused", "restarting")


@dataclass(frozen=True)
class ContainerStreams:
    """A container's raw streams. ``connections``: all connections that they use."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connections: tuple[asyncio.StreamWriter, ...]

    def end_input(self) -> None:
        """Close the command's standard input."""
        if self.writer.can_write_eof():
            self.writer.write_eof()
        else:  # over TLS input has a connection of its own
            self.writer.close()

    def close(self) -> None:
        """Close all connections."""
        for connection in self.connections:
            connection.close()
