"""Errors of registries, importable without the HTTP library; ``translation`` raises them.

All but ``BlobMissingError`` leave open whether the registry has what was requested.
"""

from __future__ import annotations

from roost.model.errors import LookupFailedError, ServiceUnreachableError


class RegistryError(ServiceUnreachableError):
    """A registry could not be reached, or sent an implausible answer."""

    code = "registry-unreachable"


class RegistryTimeoutError(RegistryError):
    """The registry sent no byte for too long."""

    code = "registry-timeout"


class RegistryTlsError(RegistryError):
    """The registry's certificate is not trusted, or it does not support TLS."""

    code = "registry-tls"
    retryable = False


class RegistryDeniedError(RegistryError):
    """401 or 403 with the available credentials."""

    code = "registry-denied"
    retryable = False


class RegistryBusyError(RegistryError):
    """429, with a longer wait than the client accepts."""

    code = "registry-busy"


class RegistryBrokenError(RegistryError):
    """5xx, after all retries."""

    code = "registry-broken"


class NotRegistryError(RegistryError):
    """The server's answers do not follow the OCI distribution specification."""

    code = "registry-invalid"
    retryable = False


class CredentialsError(RegistryError):
    """Docker's config or a credential helper fails, or credentials would be sent unencrypted."""

    code = "registry-credentials"
    retryable = False


class BlobDigestError(RegistryError):
    """Received or sent data does not have the expected digest or size."""

    code = "digest-mismatch"
    retryable = False


class BlobMissingError(LookupFailedError):
    """The registry reports that it does not have the blob."""

    code = "blob-missing"


class RepositoryMissingError(RegistryError):
    """404 for a write: some registries require that a repository, or its project, is created first."""

    code = "repository-missing"
    retryable = False


class TagMovedError(RegistryError):
    """A tag that was just written names another manifest: somebody wrote it at the same time."""

    code = "tag-moved"
