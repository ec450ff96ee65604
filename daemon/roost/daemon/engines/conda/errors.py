"""Errors of the conda engine, importable without rattler."""

from __future__ import annotations

from typing import ClassVar

from roost.model.errors import BuildError, InvalidDefinitionError, ServiceUnreachableError


class SolveError(BuildError):
    """No set of packages satisfies the specs."""

    code = "solve-failed"
    http_status = 422


class PlatformUnknownError(InvalidDefinitionError):
    """There is no baseline for the platform."""

    code = "platform-unknown"


class SystemInvalidError(InvalidDefinitionError):
    """``[system]`` states something that is not a virtual package, or a value that is not a version."""

    code = "system-invalid"


class ExplicitUrlError(InvalidDefinitionError):
    """A line of an explicit list is not the URL of a conda package."""

    code = "explicit-url-invalid"


class MachineLacksError(BuildError):
    """This machine has less than the lock was solved for."""

    code = "machine-lacks"


class ChannelUnreachableError(ServiceUnreachableError):
    """A channel does not answer, breaks the connection, or sends an invalid answer."""

    code = "channel-unreachable"


class ChannelRefusedError(ServiceUnreachableError):
    """A channel requires credentials, or other credentials."""

    code = "channel-refused"
    retryable = False


class ChannelMissingError(InvalidDefinitionError):
    """The channel does not exist, or has no packages for the platform."""

    code = "channel-missing"


class PackageMissingError(BuildError):
    """The channel no longer has a package file."""

    code = "package-missing"


class PackageDigestMismatchError(BuildError):
    """A package does not have the digest that it should have."""

    code = "digest-mismatch"


class LinkError(BuildError):
    """A package could not be extracted or linked."""

    code = "link-failed"
    is_logged: ClassVar[bool] = True


class PackageUnsafeError(LinkError):
    """A package has files that would not be in the prefix that it is linked into."""

    code = "package-unsafe"


class PostLinkError(BuildError):
    """A post-link script failed."""

    code = "post-link-failed"
    is_logged: ClassVar[bool] = True


class ActivationError(BuildError):
    """The activation scripts of a prefix could not be run."""

    code = "activation-failed"
