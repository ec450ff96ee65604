"""The Docker section of an environment: the base of its image, and how its containers start."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from roost.client.api.errors import translate_decode_errors, unsupported_error, usage_error

logger = logging.getLogger("roost")
DEFAULT_CPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1"
DEFAULT_GPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"
"""Azure's default images, as azureml-core 1.61 names them. roost's own default image is in its configuration."""
BASES = ("base_image", "base_dockerfile", "build_context")


class TextFile(Protocol):
    """An open text file."""

    def read(self) -> str: ...


class ContainerRegistry:
    """The registry of a base image. ``address`` such as ``registry.example.org:5000``.

    roost stores no credentials: Docker and its helpers hold them (``docker login``). ``username`` is neither stored nor
    used. Setting ``password`` or ``registry_identity`` raises ``UnsupportedError``: a pull without it would fail.
    """

    __slots__ = ("address", "username")

    def __init__(self, address: str | None = None) -> None:
        self.address = address
        self.username: str | None = None

    @property
    def password(self) -> None:
        """Always ``None``."""

    @password.setter
    def password(self, value: str | None) -> None:
        _reject_secret("password", value)

    @property
    def registry_identity(self) -> None:
        """Always ``None``."""

    @registry_identity.setter
    def registry_identity(self, value: object) -> None:
        _reject_secret("registry_identity", value)


def _reject_secret(name: str, value: object) -> None:
    if value is not None:
        raise unsupported_error(f"A registry's {name}", "Run `docker login`; roost uses its credentials.")


class DockerImagePlatform:
    """The platform of an image: ``os`` such as ``Linux``, ``architecture`` such as ``amd64``. ``None``: that of the
    container engine."""

    __slots__ = ("architecture", "os")

    def __init__(self, os: str | None = None, architecture: str | None = None) -> None:
        self.os = os
        self.architecture = architecture


class DockerBuildContext:
    """A folder that an image is built from. ``location`` is its path; ``digest`` that of its content, or ``None`` if it
    is not known."""

    class LocationType(Enum):
        """Where a context is stored. Those of ``Git`` and ``StorageAccount`` must be fetched first."""

        Local = "local"
        Git = "git"
        StorageAccount = "storageAccount"

    __slots__ = ("digest", "dockerfile_path", "location", "location_type")

    def __init__(
        self,
        location_type: DockerBuildContext.LocationType | None = None,
        location: str | None = None,
        dockerfile_path: str = "Dockerfile",
    ) -> None:
        self.location_type = location_type
        self.location = location
        self.dockerfile_path = dockerfile_path or "Dockerfile"
        self.digest: str | None = None

    @staticmethod
    def from_local_directory(
        workspace: object, path: str | os.PathLike[str], dockerfile_path: str = "Dockerfile"
    ) -> DockerBuildContext:
        """Return the context in the folder ``path``. Nothing is copied: its content at the time of use counts. Raises
        ``UsageError`` if there is no such folder or Dockerfile."""
        folder = os.path.abspath(path)
        if not os.path.isfile(os.path.join(folder, dockerfile_path)):
            raise usage_error(f"{folder} contains no {dockerfile_path}", "Give the folder of a build context.")
        return DockerBuildContext(DockerBuildContext.LocationType.Local, folder, dockerfile_path)


class DockerSection:
    """At most one of ``base_image``, ``base_dockerfile`` and ``build_context`` is set: setting one unsets the others.

    ``steps``: Dockerfile instructions on top of a base image. ``arguments`` and ``shm_size`` (such as ``2g``) are for
    containers and do not affect a build. ``enabled``: run in a container if no target is named. ``shared_volumes`` is
    stored; a container always sees the folder that the run works in, so that a run in one with ``False`` is refused.
    Nothing is set at first: an image is then built on the configured base image.
    """

    __slots__ = (
        "_base_dockerfile",
        "_base_image",
        "_build_context",
        "_gpu_support",
        "arguments",
        "base_image_registry",
        "enabled",
        "platform",
        "shared_volumes",
        "shm_size",
        "steps",
    )

    def __init__(self) -> None:
        self._base_image: str | None = None
        self._base_dockerfile: str | None = None
        self._build_context: DockerBuildContext | None = None
        self.base_image_registry = ContainerRegistry()
        self.platform = DockerImagePlatform()
        self.steps: list[str] = []
        self.enabled = False
        self.arguments: list[str] = []
        self.shm_size: str | None = None
        self.shared_volumes = True
        self._gpu_support = False

    @property
    def base_image(self) -> str | None:
        """Reference of the image, by tag or digest, such as ``debian:12-slim``."""
        return self._base_image

    @base_image.setter
    def base_image(self, value: str | None) -> None:
        self._base_image = value or None
        self._unset_other_bases("base_image")

    @property
    def base_dockerfile(self) -> str | None:
        """The text of a Dockerfile. Set it to the text, to the path of a file or to an open file."""
        return self._base_dockerfile

    @base_dockerfile.setter
    def base_dockerfile(self, value: str | os.PathLike[str] | TextFile | None) -> None:
        self._base_dockerfile = _dockerfile_text(value) if value else None
        self._unset_other_bases("base_dockerfile")

    @property
    def build_context(self) -> DockerBuildContext | None:
        """A folder with a Dockerfile."""
        return self._build_context

    @build_context.setter
    def build_context(self, value: DockerBuildContext | None) -> None:
        self._build_context = value
        self._unset_other_bases("build_context")

    def _unset_other_bases(self, name: str) -> None:
        """Set the other bases to ``None`` if the base ``name`` is set, and log a warning for each."""
        if getattr(self, name) is None:
            return
        for other in BASES:
            if other != name and getattr(self, other) is not None:
                setattr(self, f"_{other}", None)
                logger.warning("%s and %s exclude each other: %s is now None", name, other, other)

    @property
    def gpu_support(self) -> bool:
        """Whether containers are given GPUs: if ``arguments`` has ``--gpus``, or if it was set to true and the machine
        has GPUs of NVIDIA when a run is submitted. Packages with CUDA need ``environment.system["cuda"]`` too."""
        return self._gpu_support or has_gpu_argument(self.arguments)

    @gpu_support.setter
    def gpu_support(self, value: bool) -> None:
        self._gpu_support = bool(value)


def has_gpu_argument(arguments: Sequence[str]) -> bool:
    """Return whether the arguments of a container give it GPUs."""
    return any(argument.startswith("--gpus") for argument in arguments)


def _dockerfile_text(value: str | os.PathLike[str] | TextFile) -> str:
    if not isinstance(value, (str, os.PathLike)):
        return value.read()
    if os.path.isfile(value):
        with open(value, encoding="utf-8") as file, translate_decode_errors(os.path.abspath(value)):
            return file.read()
    text = os.fspath(value)
    if len(text.split()) < 2:
        raise usage_error(f"{text!r} is neither a file nor the text of a Dockerfile", "Give one of the two.")
    return text
