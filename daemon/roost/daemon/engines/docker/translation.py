"""Translation of the Docker SDK's errors to roost's. Separate from ``errors``, which must not load the SDK."""

from __future__ import annotations

from docker import errors
from requests import exceptions

from roost.daemon.engines.docker.errors import (
    CommandStartError,
    ContainerArgumentError,
    ContainerGoneError,
    EngineError,
    GpusMissingError,
    ImageMissingError,
    ImagePlatformError,
    MountError,
    engine_error,
    unreachable_error,
)
from roost.model.errors import CodedError


def translate_error(error: Exception, address: str, doing: str) -> CodedError:
    """Return the roost error for ``error``, raised by the SDK or by requests below it, while ``doing``."""
    if isinstance(error, CodedError):
        return error
    if isinstance(error, errors.NotFound):
        return ImageMissingError(
            f"{doing[:1].upper()}{doing[1:]}: {error.explanation or error}", hint="Check its name and its registry."
        )
    if isinstance(error, errors.APIError):
        return engine_error(str(error.explanation or error), doing)
    if isinstance(error, (exceptions.ConnectionError, exceptions.Timeout, OSError)):
        return unreachable_error(address, _root_cause(error))
    if isinstance(error, (errors.DockerException, exceptions.RequestException)):
        # The SDK hides a failure to connect in the text of a general exception.
        connecting = "Error while fetching server API version" in str(error)
        return unreachable_error(address, _root_cause(error)) if connecting else engine_error(str(error), doing)
    return EngineError(f"The Docker engine failed while {doing}: {type(error).__name__}: {error}")


def _root_cause(error: BaseException) -> str:
    """Return the text of the innermost cause, which is the most precise one."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(getattr(error, "strerror", None) or error)


def translate_create_error(error: errors.APIError, cwd: str) -> Exception:
    """Return the error for a container that can't be created. ``cwd``: the folder that it mounts.

    A missing image stays the SDK's error: the image may exist under another name (see ``ids.with_id_or_name``).
    """
    text = str(error.explanation or error)
    if error.status_code == 404 and "no such image" in text.lower():
        return error
    if "was found but does not" in text:
        return ImagePlatformError(text, hint="Name an image of that platform, or leave `platform` out.")
    if "bind source path does not exist" in text:
        return MountError(
            f"The Docker engine can't see a folder that is to be mounted: {text}",
            hint="An engine on another machine sees only its own folders; run from a folder that it has, or copy "
            f"{cwd}.",
        )
    # Something that --volumes-from, --ipc and the like name; some engines answer 400.
    if error.status_code == 404 or "No such container" in text:
        return _missing_resource_error(text)
    return engine_error(text, "creating a container")


def translate_start_error(error: errors.APIError, container: str) -> CodedError:
    """Return the error for a container that can't be started."""
    text = str(error.explanation or error)
    if error.status_code == 404 and container in text:
        return ContainerGoneError("The container was removed before it could start", hint="Try again.")
    if error.status_code == 404:
        return _missing_resource_error(text)
    if "error gathering device information" in text:
        return ContainerArgumentError(
            f"The Docker engine can't provide a device: {text}",
            hint="Name one that its machine has under [container] arguments.",
        )
    if 'could not select device driver "cdi"' in text:
        return ContainerArgumentError(
            f"The Docker engine does not provide devices by CDI name: {text}",
            hint='Use Docker 25 or newer with {"features": {"cdi": true}} in its daemon.json, or name a device path.',
        )
    if "could not select device driver" in text:
        return GpusMissingError(
            f"The Docker engine can't provide GPUs: {text}",
            hint="Install NVIDIA's container toolkit on the engine's machine, or remove --gpus from the arguments.",
        )
    if "executable file not found" in text or "no such file or directory" in text:
        return CommandStartError(text, 127)
    if "permission denied" in text:
        return CommandStartError(text, 126)
    return engine_error(text, "starting a container")


def _missing_resource_error(text: str) -> ContainerArgumentError:
    return ContainerArgumentError(
        f"The Docker engine lacks something that the container needs to start: {text}",
        hint="Create it first, or name another under [container] arguments; `docker ps --all` and `docker network ls` "
        "list the existing ones.",
    )
