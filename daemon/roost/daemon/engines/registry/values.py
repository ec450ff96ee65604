"""Configuration and results of the registry client, importable without its HTTP library."""

from __future__ import annotations

import msgspec

from roost.daemon.config.schema import RegistryCredentials
from roost.daemon.oci.answers import Answer


class RegistryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Configuration of the client."""

    mirrors: dict[str, tuple[str, ...]] = {}
    """Host to the ``HOST[:PORT][/PREFIX]`` that are read from in its place."""
    insecure: tuple[str, ...] = ()
    """Hosts (with the port, if any) that are accessed over plain http."""
    credentials: dict[str, RegistryCredentials] = {}
    """Host to the source of its credentials; other hosts use Docker's own config."""
    timeout: float = 60.0
    """Seconds without a byte after which a request fails."""
    connect_timeout: float = 10.0
    """Seconds."""
    retries: int = 2
    """Times that a request is repeated after a 5xx or a broken connection."""
    patience: float = 30.0
    """Seconds to wait in total if a registry sends ``Retry-After``."""
    chunk: int = 16 * 1024 * 1024
    """Bytes of an upload that are sent in one request if a proxy refuses the complete blob."""


class FetchedManifest(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest or index as the registry stores it; its digest is verified."""

    digest: str
    media_type: str
    data: bytes


class RegistryProbe(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a repository may be read and written."""

    read: Answer[None]
    write: Answer[None]
