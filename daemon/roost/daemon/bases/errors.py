"""What can go wrong with the images that environments are put on, and with those in an engine that others clear."""

from __future__ import annotations

from roost.model.errors import BuildError, InvalidDefinitionError, LookupFailedError, ServiceUnreachableError


class BaseMissingError(LookupFailedError):
    """Neither a registry nor the engine has the base image."""

    code = "base-missing"


class BaseLostError(BaseMissingError):
    """The engine alone had a layer of the base image, and has it no more."""


class BaseUnreachableError(ServiceUnreachableError):
    """The base's registry can't say, and the engine does not have the base image."""

    code = "base-unreachable"


class BasePlatformError(InvalidDefinitionError):
    """The base image is for another platform."""

    code = "base-platform"


class BaseInvalidError(BuildError):
    """The registry has something under the base's name that is no image."""

    code = "base-invalid"


class TooManyLayersError(BuildError):
    """With the base's layers there would be more than an engine takes."""

    code = "too-many-layers"


class ContextChangedError(BuildError):
    """The build context changed while it was being built from."""

    code = "context-changed"
    retryable = True


class PrunedError(BuildError):
    """What was just made in the engine, or brought into it, is not there any more."""

    code = "pruned"
    retryable = True
