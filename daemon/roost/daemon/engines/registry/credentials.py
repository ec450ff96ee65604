"""Whose credentials a registry is shown: references only, looked up when they are asked for and forgotten.

In order: those that the request's definition refers to (``${VARIABLE}`` in Azure's ``baseImageRegistry``), what the
config refers to for the host (``[registries.credentials]``), Docker's own config and credential helpers.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from docker import auth as docker_auth
from docker import credentials as docker_helpers

from roost.daemon.config.schema import RegistryCredentials
from roost.daemon.credentials.request import find_request_credentials
from roost.daemon.engines.registry.errors import CredentialsError
from roost.daemon.oci.references import DEFAULT_HOST

CredentialSources = Mapping[str, RegistryCredentials]
_HELPER_SECONDS = 30.0
_TOKEN_USER = "<token>"
"""The user of an identity token (Docker's credential helper protocol)."""


class RegistryLogin(NamedTuple):
    """A user and password, or an identity token (auth/oauth.md)."""

    username: str = ""
    password: str = ""
    identity_token: str = ""

    @property
    def basic(self) -> str:
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()

    def __repr__(self) -> str:
        return "Credentials(***)"  # a trace or a log must not show them


async def find_login(host: str, sources: CredentialSources) -> RegistryLogin | None:
    """Those for ``host``; ``None``: nobody has any. Raises CredentialsError where they can't be read."""
    own = find_request_credentials(host)
    if own is not None:
        username, _, password = own.partition(":")
        return RegistryLogin(username=username, password=password)
    try:
        return await asyncio.wait_for(asyncio.to_thread(_look_up, host, sources.get(host)), _HELPER_SECONDS)
    except asyncio.TimeoutError:
        raise CredentialsError(
            f"The credential helper gave no answer for {host} in {_HELPER_SECONDS:.0f} s",
            hint="Run `docker login` for it again, or mend the helper.",
        ) from None


def pull_header(host: str, credentials: RegistryLogin | None) -> dict[str, str]:
    """The same for a request to the engine (Docker Engine API, "Authentication")."""
    return {"X-Registry-Auth": _encoded(_fields(host, credentials))} if credentials is not None else {}


def build_header(found: Mapping[str, RegistryLogin]) -> dict[str, str]:
    """Those for all registries that a build may ask ("Build an image")."""
    fields = {_server(host): _fields(host, credentials) for host, credentials in found.items()}
    return {"X-Registry-Config": _encoded(fields)} if fields else {}


def _fields(host: str, credentials: RegistryLogin) -> dict[str, str]:
    server = {"serveraddress": _server(host)}
    if credentials.identity_token:
        return {"identitytoken": credentials.identity_token, **server}
    return {"username": credentials.username, "password": credentials.password, **server}


def _encoded(fields: Mapping[str, object]) -> str:
    header = docker_auth.encode_header(fields)
    return header.decode() if isinstance(header, bytes) else str(header)


def _server(host: str) -> str:
    """Docker's own registry goes by an older name."""
    return str(docker_auth.INDEX_URL) if host == DEFAULT_HOST else host


def _look_up(host: str, source: RegistryCredentials | None) -> RegistryLogin | None:
    """Blocks."""
    if source is not None and source.password_variable is not None:
        return _of_variables(host, source)
    try:
        entry = _of_helper(host, source.helper) if source and source.helper else _of_docker(host, source)
    except Exception as error:  # the SDK's errors, and whatever a broken file makes it raise
        # The text of a helper's failure may hold what it was about to tell.
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


def _of_variables(host: str, source: RegistryCredentials) -> RegistryLogin:
    names = (source.username_variable or "", source.password_variable or "")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise CredentialsError(
            f"The config names {' and '.join(missing)} for {host}, which the daemon's environment does not have",
            hint="Set them where the daemon is started, and start it again (`roost daemon stop`).",
            fields={"variables": missing},
        )
    return RegistryLogin(username=os.environ[names[0]], password=os.environ[names[1]])


def _of_helper(host: str, helper: str) -> dict[str, Any]:
    """``docker-credential-<helper> get``."""
    try:
        store: Any = docker_helpers.Store(helper)
        found = store.get(_server(host))
    except docker_helpers.CredentialsNotFound:
        return {}
    if found["Username"] == _TOKEN_USER:
        return {"identitytoken": found["Secret"]}
    return {"username": found["Username"], "password": found["Secret"]}


def _of_docker(host: str, source: RegistryCredentials | None) -> dict[str, Any]:
    """What Docker's config has: the one that is named, else the user's own."""
    path = source.docker_config if source is not None else None
    if path is not None:
        path = os.path.expanduser(path)
        path = os.path.join(path, "config.json") if os.path.isdir(path) else path
        os.stat(path)  # the SDK takes a missing one for an empty one
    return docker_auth.load_config(config_path=path).resolve_authconfig(host) or {}
