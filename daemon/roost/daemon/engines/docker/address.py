"""Address of the Docker engine: from roost's config, else by the caller's variables, as the docker command reads them.

The order is ``[docker]`` of the config, ``DOCKER_HOST``, ``DOCKER_CONTEXT``, the current context, the default socket.
Contexts are the user's own (Docker's documentation, "Docker contexts"), in ``DOCKER_CONFIG`` or ``~/.docker``. The SDK
reads them only by the variables of its own process, which are not the caller's.
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from docker.errors import DockerException
from docker.tls import TLSConfig

from roost.daemon.engines.docker.errors import ContextMissingError, EngineUnreachableError
from roost.daemon.engines.docker.values import DockerConfig
from roost.model.errors import MALFORMED_JSON, InvalidRequestError
from roost.store.disk.regular_files import read_regular, require_regular

DEFAULT_URL = "unix:///var/run/docker.sock"
SCHEMES = ("unix://", "tcp://", "ssh://")
CONFIG_HOST = "[docker] host"


class EngineRule(NamedTuple):
    """What names the engine: ``source`` is a setting, a variable, or ``default``; ``value`` an address or a context."""

    source: str
    value: str


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
        for file in (self.tls.ca_cert, *(self.tls.cert or ())):
            if file:
                require_regular(file)
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
    variables, rule = config.variables, find_rule(config)
    folder = _config_folder(config)
    if rule.source == CONFIG_HOST:
        return _check_scheme(Address(url=rule.value), rule.source)
    if rule.source == "DOCKER_HOST":
        return _check_scheme(Address(url=rule.value, tls=_tls_of(variables, folder)), rule.source)
    if rule.value == "default":
        return Address()
    return _check_scheme(_load_context(rule.value, folder), f"the address of the Docker context {rule.value!r}")


def find_rule(config: DockerConfig) -> EngineRule:
    """Return what names the engine: the first of the rules that applies. Blocks."""
    variables = config.variables
    if config.host is not None:
        return EngineRule(CONFIG_HOST, config.host)
    if config.context is not None:
        return EngineRule("[docker] context", config.context)
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        if variables.get(name):
            return EngineRule(name, variables[name])
    current = _current_context(_config_folder(config))
    return EngineRule("default" if current == "default" else "current Docker context", current)


def _config_folder(config: DockerConfig) -> str:
    return config.variables.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")


def _tls_of(variables: Mapping[str, str], folder: str) -> TLSConfig | None:
    """Return the TLS config of ``DOCKER_HOST``: there is one if ``DOCKER_TLS_VERIFY`` is set at all."""
    if not variables.get("DOCKER_TLS_VERIFY"):
        return None
    return _read_tls(variables.get("DOCKER_CERT_PATH") or folder, verify=True)


def _current_context(folder: str) -> str:
    try:
        content = json.loads(read_regular(os.path.join(folder, "config.json")))
        return str(content.get("currentContext") or "default")
    except (OSError, *MALFORMED_JSON, AttributeError):
        return "default"


def _load_context(name: str, folder: str) -> Address:
    """Return the address in ``contexts/meta/<sha256 of the name>/meta.json``, with the files of ``contexts/tls``."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    try:
        content = json.loads(read_regular(os.path.join(folder, "contexts/meta", digest, "meta.json")))
        endpoint = content["Endpoints"].get("docker") or {}
        skips = bool(endpoint.get("SkipTLSVerify"))
        tls = _read_tls(os.path.join(folder, "contexts/tls", digest, "docker"), verify=not skips)
        return Address(url=endpoint.get("Host") or DEFAULT_URL, tls=tls)
    except FileNotFoundError as error:
        raise ContextMissingError(
            f"There is no Docker context {name!r}", hint="`docker context ls` lists the existing ones."
        ) from error
    except (DockerException, OSError, *MALFORMED_JSON, KeyError, AttributeError, TypeError) as error:
        raise EngineUnreachableError(f"The Docker context {name!r} can't be read: {error}") from error


def _read_tls(folder: str, *, verify: bool) -> TLSConfig | None:
    """Return the TLS config of the files that are in ``folder``; ``None`` if none is."""
    paths = {name: os.path.join(folder, f"{name}.pem") for name in ("ca", "cert", "key")}
    there = {name: path for name, path in paths.items() if os.path.isfile(path)}
    if not there:
        return None
    client = (there["cert"], there["key"]) if "cert" in there and "key" in there else None
    return TLSConfig(ca_cert=there.get("ca"), client_cert=client, verify=verify)


def _check_scheme(address: Address, source: str) -> Address:
    if not address.url.startswith(SCHEMES):
        raise InvalidRequestError(
            f"{address.url!r} is not the address of a Docker engine",
            hint=f"{source} begins with one of {', '.join(SCHEMES)}.",
        )
    return address
