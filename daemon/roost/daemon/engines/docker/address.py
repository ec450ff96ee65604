"""Address of the Docker engine: from roost's config, else from the docker command's context, else the default socket.

``DOCKER_HOST`` in the daemon's environment is ignored, like everything ambient. Contexts are the user's own
(``~/.docker/config.json``; Docker's documentation, "Docker contexts").
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass

from docker.context import Context
from docker.context.config import get_current_context_name
from docker.errors import DockerException
from docker.tls import TLSConfig

from roost.daemon.engines.docker.errors import ContextMissingError, EngineUnreachableError
from roost.daemon.engines.docker.values import DockerConfig
from roost.model.errors import InvalidRequestError

DEFAULT_URL = "unix:///var/run/docker.sock"
SCHEMES = ("unix://", "tcp://", "ssh://")


@dataclass(frozen=True)
class Address:
    """Address of one engine. ``url`` begins with ``unix://``, ``tcp://`` or ``ssh://``."""

    url: str = DEFAULT_URL
    tls: TLSConfig | None = None

    @property
    def local(self) -> bool:
        """Whether the engine sees this machine's files."""
        return self.url.startswith("unix://")

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the context for streams that roost opens itself; ``None`` for an engine without TLS."""
        if self.tls is None:
            return None
        context = ssl.create_default_context(cafile=self.tls.ca_cert or None)
        if self.tls.cert:
            context.load_cert_chain(*self.tls.cert)
        if not self.tls.verify:  # like the SDK: a context that skips verification has None here
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


def find_engine(config: DockerConfig) -> Address:
    """Return the address of the engine to use. Blocks (reads the user's Docker config).

    Raises: InvalidRequestError if the scheme is not supported; ContextMissingError if the context does not exist;
    EngineUnreachableError if the context can't be read.
    """
    if config.host is not None:
        return _check_scheme(Address(url=config.host))
    name = config.context or get_current_context_name()
    if name == "default":
        return Address()
    return _check_scheme(_load_context(name))


def _load_context(name: str) -> Address:
    try:
        context = Context.load_context(name)
    except (DockerException, OSError, ValueError) as error:
        raise EngineUnreachableError(f"The Docker context {name!r} can't be read: {error}") from error
    if context is None:
        raise ContextMissingError(
            f"There is no Docker context {name!r}", hint="`docker context ls` lists the existing ones."
        )
    return Address(url=context.Host or DEFAULT_URL, tls=context.TLSConfig or _server_only_tls(context))


def _server_only_tls(context: Context) -> TLSConfig | None:
    """Return the TLS config of a context without client certificates, which the SDK drops as incomplete."""
    authority = os.path.join(context.tls_path or "", "docker", "ca.pem")
    return TLSConfig(ca_cert=authority, verify=True) if os.path.isfile(authority) else None


def _check_scheme(address: Address) -> Address:
    if not address.url.startswith(SCHEMES):
        raise InvalidRequestError(
            f"{address.url!r} is not the address of a Docker engine",
            hint=f"[docker] host begins with one of {', '.join(SCHEMES)}.",
        )
    return address
