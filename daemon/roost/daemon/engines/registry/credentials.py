"""Credentials for registries: looked up when a registry requests them, and not stored.

Sources, in order of precedence: those that the request's definition refers to (``${VARIABLE}`` in Azure's
``baseImageRegistry``), those that the config refers to for the host (``[registries.credentials]``), Docker's own config
and credential helpers.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from docker import auth as docker_auth
from docker import credentials as docker_helpers
from docker.utils import config as docker_config

from roost.daemon.caller.current import caller_variables, process_environment
from roost.daemon.config.schema import RegistryCredentials
from roost.daemon.credentials.request import find_request_credentials
from roost.daemon.engines.registry.errors import CredentialsError
from roost.daemon.oci.references import DEFAULT_HOST
from roost.store.disk.regular_files import read_regular

CredentialSources = Mapping[str, RegistryCredentials]
"""Registry host to the source of its credentials in roost's config."""
_HELPER_SECONDS = 30.0
_TOKEN_USER = "<token>"
"""User name that marks an identity token (Docker's credential helper protocol)."""


class RegistryLogin(NamedTuple):
    """A user and password, or an identity token (auth/oauth.md)."""

    username: str = ""
    password: str = ""
    identity_token: str = ""

    @property
    def basic(self) -> str:
        """Value of the ``Authorization`` header for basic authentication."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()

    def __repr__(self) -> str:
        return "Credentials(***)"  # a trace or a log must not show them


async def find_login(host: str, sources: CredentialSources) -> RegistryLogin | None:
    """Return the credentials for ``host``; ``None`` if no source has any. ``sources``: those in the config.

    Raises: CredentialsError if they can't be read.
    """
    of_request = find_request_credentials(host)
    if of_request is not None:
        username, _, password = of_request.partition(":")
        return RegistryLogin(username=username, password=password)
    try:
        return await asyncio.wait_for(asyncio.to_thread(_read_login, host, sources.get(host)), _HELPER_SECONDS)
    except asyncio.TimeoutError:
        raise CredentialsError(
            f"The credential helper did not answer for {host} within {_HELPER_SECONDS:.0f} s",
            hint="Run `docker login` for it again, or fix the helper.",
        ) from None


def pull_header(host: str, login: RegistryLogin | None) -> dict[str, str]:
    """Return the header with the credentials of a pull by the engine (Docker Engine API, "Authentication")."""
    return {"X-Registry-Auth": _encode_header(_header_fields(host, login))} if login is not None else {}


def build_header(logins: Mapping[str, RegistryLogin]) -> dict[str, str]:
    """Return the header with the credentials for all registries that a build may use ("Build an image")."""
    fields = {_server_address(host): _header_fields(host, login) for host, login in logins.items()}
    return {"X-Registry-Config": _encode_header(fields)} if fields else {}


def _header_fields(host: str, login: RegistryLogin) -> dict[str, str]:
    server = {"serveraddress": _server_address(host)}
    if login.identity_token:
        return {"identitytoken": login.identity_token, **server}
    return {"username": login.username, "password": login.password, **server}


def _encode_header(fields: Mapping[str, object]) -> str:
    header = docker_auth.encode_header(fields)
    return header.decode() if isinstance(header, bytes) else str(header)


def _server_address(host: str) -> str:
    """Return Docker's key of a host; that of its own registry is an older URL."""
    return str(docker_auth.INDEX_URL) if host == DEFAULT_HOST else host


def _read_login(host: str, source: RegistryCredentials | None) -> RegistryLogin | None:
    """Read the credentials of ``host`` from the config's source, else from Docker's. Blocks."""
    if source is not None and source.password_variable is not None:
        return _read_variables(host, source)
    try:
        if source is not None and source.helper:
            entry = _ask_helper(host, source.helper)
        else:
            entry = _read_docker_config(host, source)
    except Exception as error:  # the SDK's errors, and whatever a damaged file makes it raise
        # The text of a helper's failure may contain the credentials.
        raise CredentialsError(
            f"The credentials for {host} can't be read ({type(error).__name__})",
            hint="See `docker login`, and [registries.credentials] in roost's config.",
        ) from None
    fields = {key.lower(): value for key, value in entry.items()}
    if fields.get("identitytoken"):
        return RegistryLogin(identity_token=str(fields["identitytoken"]))
    if fields.get("username"):
        return RegistryLogin(username=str(fields["username"]), password=str(fields.get("password") or ""))
    return None


def _read_variables(host: str, source: RegistryCredentials) -> RegistryLogin:
    names = (source.username_variable or "", source.password_variable or "")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise CredentialsError(
            f"The config names {' and '.join(missing)} for {host}, which the daemon's environment does not set",
            hint="Set them where the daemon is started, and restart it (`roost daemon stop`).",
            fields={"variables": missing},
        )
    return RegistryLogin(username=os.environ[names[0]], password=os.environ[names[1]])


def _ask_helper(host: str, helper: str) -> dict[str, Any]:
    """Return the entry that ``docker-credential-<helper> get`` prints; empty if it has none."""
    try:
        store: Any = docker_helpers.Store(helper, environment=process_environment())
        found = store.get(_server_address(host))
    except docker_helpers.CredentialsNotFound:
        return {}
    if found["Username"] == _TOKEN_USER:
        return {"identitytoken": found["Secret"]}
    return {"username": found["Username"], "password": found["Secret"]}


def _read_docker_config(host: str, source: RegistryCredentials | None) -> dict[str, Any]:
    """Return the entry in the Docker config that the config names, else in the user's own; empty if there is none."""
    path = source.docker_config if source is not None else None
    if path is not None:
        path = os.path.expanduser(path)
        path = os.path.join(path, "config.json") if os.path.isdir(path) else path
    elif folder := caller_variables().get("DOCKER_CONFIG"):
        path = os.path.join(folder, "config.json")
        if not os.path.isfile(path):
            return {}
    else:
        found = docker_config.find_config_file()
        if found is None:
            return {}
        path = str(found)
    content = json.loads(read_regular(path))  # the SDK would open any file, and treat a missing one like an empty one
    if not content:
        return {}
    config = docker_auth.load_config(config_dict=content, credstore_env=process_environment())
    return config.resolve_authconfig(host) or {}
