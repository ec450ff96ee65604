"""Where the Docker engine is: roost's config, else the context that the docker command uses, else the usual socket.

``DOCKER_HOST`` of whoever happened to start the daemon does not count, as nothing ambient does. The file of contexts is
the user's own (``~/.docker/config.json``; Docker's documentation, "Docker contexts").
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass

from docker.context import Context
from docker.context.config import get_current_context_name
from docker.errors import DockerException
from docker.tls import TLSConfig

from roost.daemon.engines.docker.errors import EngineUnreachableError
from roost.model.errors import InvalidRequestError, LookupFailedError

DEFAULT_URL = "unix:///var/run/docker.sock"
SCHEMES = ("unix://", "tcp://", "ssh://")


class ContextMissingError(LookupFailedError):
    """No Docker context of the name in roost's config."""

    code = "docker-context-missing"


@dataclass(frozen=True)
class DockerConfig:
    """``[docker]`` of roost's config. ``host`` wins over ``context``."""

    host: str | None = None
    context: str | None = None


@dataclass(frozen=True)
class Address:
    """One engine. ``url`` begins with ``unix://``, ``tcp://`` or ``ssh://``."""

    url: str = DEFAULT_URL
    tls: TLSConfig | None = None

    @property
    def local(self) -> bool:
        """Whether the engine sees this machine's files."""
        return self.url.startswith("unix://")

    def ssl_context(self) -> ssl.SSLContext | None:
        """For streams of our own; ``None`` where the engine is spoken to in clear."""
        if self.tls is None:
            return None
        context = ssl.create_default_context(cafile=self.tls.ca_cert or None)
        if self.tls.cert:
            context.load_cert_chain(*self.tls.cert)
        if not self.tls.verify:  # as the SDK takes it: a context that skips verification says None
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


def find_engine(config: DockerConfig) -> Address:
    """The engine to talk to. Blocks (reads the user's Docker config).

    Raises InvalidRequestError for a host of another scheme, LookupFailedError for a context that is not there.
    """
    if config.host is not None:
        return _checked(Address(url=config.host))
    name = config.context or get_current_context_name()
    if name == "default":
        return Address()
    return _checked(_of_context(name))


def _of_context(name: str) -> Address:
    try:
        context = Context.load_context(name)
    except (DockerException, OSError, ValueError) as error:
        raise EngineUnreachableError(f"The Docker context {name!r} can't be read: {error}") from error
    if context is None:
        raise ContextMissingError(f"There is no Docker context {name!r}", hint="`docker context ls` lists those there.")
    return Address(url=context.Host or DEFAULT_URL, tls=context.TLSConfig or _authority_alone(context))


def _authority_alone(context: Context) -> TLSConfig | None:
    """An engine that asks for no certificate of its clients: the SDK leaves out what is not complete."""
    authority = os.path.join(context.tls_path or "", "docker", "ca.pem")
    return TLSConfig(ca_cert=authority, verify=True) if os.path.isfile(authority) else None


def _checked(address: Address) -> Address:
    if not address.url.startswith(SCHEMES):
        raise InvalidRequestError(
            f"{address.url!r} is no address of a Docker engine",
            hint=f"[docker] host begins with one of {', '.join(SCHEMES)}.",
        )
    return address
