"""Errors of the Docker engine, importable without its SDK; ``translation`` turns the SDK's errors into these."""

from __future__ import annotations

from typing import ClassVar

from roost.model.errors import (
    BuildError,
    CodedError,
    InvalidDefinitionError,
    LookupFailedError,
    ServiceUnreachableError,
    StoreFullError,
)

FULL = "no space left on device"
"""Text by which an engine's report of a full disk is recognised, in lower case."""
NEEDS_BUILDKIT = "requires buildkit"
"""Text with which the classic builder refuses a flag that it knows by name only, in lower case."""


class EngineUnreachableError(ServiceUnreachableError):
    """The engine does not answer: not started, stopped meanwhile, or not accessible to this user."""

    code = "engine-unreachable"


class EngineError(BuildError):
    """The engine refused a request or failed."""

    code = "engine-failed"


class EngineFullError(StoreFullError):
    """The engine's disk is full."""

    code = "engine-full"


class ContextMissingError(LookupFailedError):
    """There is no Docker context of the name in roost's config."""

    code = "docker-context-missing"


class ImageMissingError(LookupFailedError):
    """The engine has no such image, or no registry serves it."""

    code = "image-missing"


class ImagePlatformError(InvalidDefinitionError):
    """The image is for another platform."""

    code = "image-platform"


class ImageInterpreterMissingError(InvalidDefinitionError):
    """The image has no file at the interpreter's path."""

    code = "interpreter-missing"


class LayerFileMissingError(BuildError):
    """The engine needs a layer whose file is not on this machine; ``fields["diff_ids"]`` lists the missing ones."""

    code = "layer-file-missing"
    retryable = True


class StepInvalidError(InvalidDefinitionError):
    """A docker step is not exactly one instruction; ``fields["step"]`` counts from 1."""

    code = "docker-step-invalid"


class StepFailedError(BuildError):
    """A docker step or an instruction of a Dockerfile failed; ``fields`` has its ``step`` and ``instruction``, and the
    ``line`` of the Dockerfile."""

    code = "docker-step-failed"
    is_logged: ClassVar[bool] = True


class BuildKitMissingError(BuildError):
    """A Dockerfile needs BuildKit, and no docker command with buildx is installed."""

    code = "buildkit-missing"


class BuildKitOldError(BuildError):
    """The engine's BuildKit does not support what the Dockerfile uses."""

    code = "buildkit-old"


class ContextTooLargeError(BuildError):
    """A build context has more than is copied for an engine."""

    code = "context-too-large"


class ContextUnreadableError(BuildError):
    """A file of a build context can't be read, or changed while it was read."""

    code = "context-unreadable"
    retryable = True


class ContainerArgumentError(InvalidDefinitionError):
    """A value in ``[container]`` is not supported, can't be parsed, or names something that the engine lacks."""

    code = "container-argument"


class CommandStartError(EngineError):
    """The command can't be started in the container. ``status`` is the exit status of shells: 126 or 127."""

    code = "command-not-started"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, hint="Name a command that is in the image.", fields={"status": status})
        self.status = status


class GpusMissingError(EngineError):
    """GPUs were requested, and the engine's machine provides none to containers."""

    code = "gpus-missing"


class ContainerGoneError(EngineError):
    """The container no longer exists: another client or a prune removed it."""

    code = "container-gone"


class MountError(EngineError):
    """The engine can't see a folder of this machine."""

    code = "mount-failed"


def unreachable_error(address: str, why: str) -> EngineUnreachableError:
    """Return the error for an engine at ``address`` that does not answer because of ``why``."""
    return EngineUnreachableError(
        f"The Docker engine at {address} does not answer: {why}",
        hint="Start it (`systemctl start docker`), or name another under [docker] in roost's config, and try again.",
        fields={"address": address},
    )


def engine_error(text: str, doing: str) -> CodedError:
    """Return the error for ``text`` that the engine reported while ``doing``: EngineFullError or EngineError."""
    text = " ".join(text.split())
    if FULL in text.lower():
        return EngineFullError(
            f"The disk of the Docker engine is full ({doing}): {text}",
            hint="`docker system df` shows what uses the space; free some, and try again.",
        )
    return EngineError(f"The Docker engine failed while {doing}: {text}")
