"""Errors of base images and of the images built on them."""

from __future__ import annotations

from roost.model.errors import BuildError, InvalidDefinitionError, LookupFailedError, ServiceUnreachableError


class BaseMissingError(LookupFailedError):
    """Neither a registry nor the engine has the base image."""

    code = "base-missing"


class BaseLostError(BaseMissingError):
    """A layer of the base image existed only in the engine, and no longer exists there."""


class BaseUnreachableError(ServiceUnreachableError):
    """The base's registry gives no answer, and the engine does not have the base image."""

    code = "base-unreachable"


class BasePlatformError(InvalidDefinitionError):
    """The base image is for another platform."""

    code = "base-platform"


class BaseInvalidError(BuildError):
    """The registry has something under the base's name that is not an image, or not the expected one."""

    code = "base-invalid"


class TooManyLayersError(BuildError):
    """The base's layers and the environment's together are more than an engine accepts."""

    code = "too-many-layers"


class ContextChangedError(BuildError):
    """The build context changed during the build."""

    code = "context-changed"
    retryable = True


class PrunedError(BuildError):
    """An image that was just built in the engine, or loaded into it, no longer exists there."""

    code = "pruned"
    retryable = True


class RegistryUnknownError(ServiceUnreachableError):
    """The registry can't report what it has, so nothing is pushed over it."""

    code = "registry-unknown"


class StepsUnknownError(ServiceUnreachableError):
    """Whether a registry has the result of docker steps, or a generation's base, could not be determined."""

    code = "registry-unknown"
