"""What can go wrong with a Docker engine, and the one place that turns its library's errors into ours."""

from __future__ import annotations

from docker import errors
from requests import exceptions

from roost.model.errors import (
    BuildError,
    CodedError,
    InvalidDefinitionError,
    LookupFailedError,
    ServiceUnreachableError,
    StoreFullError,
)

FULL = "no space left on device"
NEEDS_BUILDKIT = "requires buildkit"
"""What the classic builder says of a flag that it knows by name only."""


class EngineUnreachableError(ServiceUnreachableError):
    """The engine does not answer: not started, stopped meanwhile, or not ours to talk to."""

    code = "engine-unreachable"


class EngineError(BuildError):
    """The engine refused or failed."""

    code = "engine-failed"


class EngineFullError(StoreFullError):
    """The disk of the engine is full."""

    code = "engine-full"


class ImageMissingError(LookupFailedError):
    """The engine has no such image, or no registry gives it."""

    code = "image-missing"


class ImagePlatformError(InvalidDefinitionError):
    """The image is for another platform."""

    code = "image-platform"


class ImageInterpreterMissingError(InvalidDefinitionError):
    """The image has nothing at the path of the interpreter."""

    code = "interpreter-missing"


class BuildKitMissingError(BuildError):
    """A Dockerfile needs BuildKit, and there is no docker command line that has it."""

    code = "buildkit-missing"


class BuildKitOldError(BuildError):
    """The engine's BuildKit does not know what the Dockerfile asks of it."""

    code = "buildkit-old"


class ContextUnreadableError(BuildError):
    """A file of a build context can't be read, or changed while it was read."""

    code = "context-unreadable"
    retryable = True


def unreachable(address: str, why: str) -> EngineUnreachableError:
    """The engine at ``address`` does not answer."""
    return EngineUnreachableError(
        f"The Docker engine at {address} does not answer: {why}",
        hint="Start it (`systemctl start docker`), or name another under [docker] in roost's config, and try again.",
        fields={"address": address},
    )


def engine_failed(text: str, doing: str) -> CodedError:
    """What the engine itself said while ``doing``."""
    text = " ".join(text.split())
    if FULL in text.lower():
        return EngineFullError(
            f"The disk of the Docker engine is full ({doing}): {text}",
            hint="`docker system df` shows what takes the space; free some, and try again.",
        )
    return EngineError(f"The Docker engine failed while {doing}: {text}")


def translate(error: Exception, address: str, doing: str) -> CodedError:
    """``error``, of the SDK or of what it is made of, as one of ours."""
    if isinstance(error, CodedError):
        return error
    if isinstance(error, errors.NotFound):
        return ImageMissingError(
            f"{doing[:1].upper()}{doing[1:]}: {error.explanation or error}", hint="Check its name and its registry."
        )
    if isinstance(error, errors.APIError):
        return engine_failed(str(error.explanation or error), doing)
    if isinstance(error, (exceptions.ConnectionError, exceptions.Timeout, OSError)):
        return unreachable(address, _innermost(error))
    if isinstance(error, (errors.DockerException, exceptions.RequestException)):
        return unreachable(address, _innermost(error)) if _connecting(error) else engine_failed(str(error), doing)
    return EngineError(f"The Docker engine failed while {doing}: {type(error).__name__}: {error}")


def _connecting(error: Exception) -> bool:
    """The SDK hides a failure to connect in the text of a general exception."""
    return "Error while fetching server API version" in str(error)


def _innermost(error: BaseException) -> str:
    """The last cause says it best."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(getattr(error, "strerror", None) or error)
