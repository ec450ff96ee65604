"""Errors of bundles. Separate because both directions and the pure modules raise them."""

from __future__ import annotations

from roost.model.errors import BuildError, CodedError, InvalidDefinitionError, InvalidRequestError


class BundleInvalidError(InvalidDefinitionError):
    """A file is not a bundle, or a bundle was cut or altered. Nothing of it was used."""

    code = "bundle-invalid"


class BundleNewerError(BundleInvalidError):
    """A bundle has the format of a later version of roost."""

    code = "bundle-format"


class BundleUnexpectedError(BundleInvalidError):
    """A bundle is not the one that was expected."""

    code = "bundle-unexpected"


class BundlePlatformError(BundleInvalidError):
    """A bundle is for another platform than this machine's."""

    code = "bundle-platform"


class BundleUntrustedError(BuildError):
    """A lock in a bundle is not what its definition asks for; nothing of the bundle was used."""

    code = "bundle-untrusted"


class BundleUnportableError(BuildError):
    """An environment is of use on this machine only."""

    code = "bundle-unportable"


class BundleTooLargeError(InvalidRequestError):
    """More environments are requested than one bundle may have."""

    code = "bundle-too-large"


class BundleOutputError(CodedError):
    """A bundle can't be written where it was requested, or read from where it is."""

    code = "bundle-file"
    exit_status = 2
    http_status = 400
