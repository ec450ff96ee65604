"""What can go wrong with a registry. All but ``BlobMissingError`` leave open whether the registry has the thing."""

from __future__ import annotations

from roost.model.errors import LookupFailedError, ServiceUnreachableError


class RegistryError(ServiceUnreachableError):
    """A registry could not be asked, or gave no answer that can be believed."""

    code = "registry-unreachable"


class RegistryTimeoutError(RegistryError):
    """No byte for too long."""

    code = "registry-timeout"


class RegistryTlsError(RegistryError):
    """Its certificate is not to be trusted, or it speaks no TLS."""

    code = "registry-tls"
    retryable = False


class RegistryDeniedError(RegistryError):
    """401 or 403, after the credentials that there are."""

    code = "registry-denied"
    retryable = False


class RegistryBusyError(RegistryError):
    """429, and asked to wait for longer than is waited."""

    code = "registry-busy"


class RegistryBrokenError(RegistryError):
    """5xx, again and again."""

    code = "registry-broken"


class NotRegistryError(RegistryError):
    """Something answers there, but not as the OCI distribution specification says."""

    code = "registry-invalid"
    retryable = False


class CredentialsError(RegistryError):
    """Docker's config or one of its credential helpers fails, or the credentials would travel in the clear."""

    code = "registry-credentials"
    retryable = False


class BlobDigestError(RegistryError):
    """What came is not what its digest or size says."""

    code = "digest-mismatch"
    retryable = False


class BlobMissingError(LookupFailedError):
    """The registry says that it has no such blob."""

    code = "blob-missing"


class RepositoryMissingError(RegistryError):
    """404 to who writes: some registries want a repository, or what it lies in, to be made before."""

    code = "repository-missing"
    retryable = False


class TagMovedError(RegistryError):
    """A tag that was just written names something else: somebody wrote it at the same time."""

    code = "tag-moved"
