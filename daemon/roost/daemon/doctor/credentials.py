"""Checks of credentials by reference: whether each that the configuration refers to can be had. None is ever shown.

Separate since each kind of reference is resolved as its user resolves it.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Iterator, Mapping

from roost.daemon.config.config import Config
from roost.daemon.config.schema import HostCredentials, RegistryCredentials
from roost.daemon.credentials.auth_files import AUTH_FILE_PATH, NETRC_PATH, find_netrc_fault, read_auth_file
from roost.daemon.doctor.deadlines import run_apart
from roost.daemon.doctor.findings import Check
from roost.daemon.doctor.surroundings import Surroundings
from roost.model.errors import CodedError

FindLogin = Callable[[str, Mapping[str, RegistryCredentials]], Awaitable[object]]
NAME = "credentials"
_SECONDS = 5.0
"""For a keyring or a helper: one that asks for a password at a terminal or in a window waits for ever."""


async def check_credentials(around: Surroundings) -> list[Check]:
    """Check every reference, all at once."""
    config = around.config
    hosts = [_in_time(host, _check_host(around, host, source)) for host, source in config.settings.credentials.items()]
    others = config.registries.credentials.items()
    registries = [_in_time(host, _check_registry(host, source)) for host, source in others]
    found = [*await asyncio.gather(*hosts, *registries), *await run_apart(lambda: list(_check_files(config)))]
    if not found:
        return [Check(name=NAME, state="ok", message="the configuration refers to none")]
    return found


async def _in_time(host: str, checking: Awaitable[Check]) -> Check:
    """Return the result, or that there is none in time."""
    try:
        return await asyncio.wait_for(checking, _SECONDS)
    except asyncio.TimeoutError:
        message = f"the credentials for {host} did not come within {_SECONDS:.0f} s"
        hint = "The keyring or the credential helper may be locked, and wait for a password: unlock it."
        return Check(name=NAME, state="error", subject=host, message=message, hint=hint)


async def _check_host(around: Surroundings, host: str, source: HostCredentials) -> Check:
    table = f'[credentials."{host}"]'
    names = [name for name in (source.username_variable, source.password_variable) if name]
    missing = [name for name in names if name not in around.variables]
    if missing:
        return Check(
            name=NAME,
            state="error",
            subject=host,
            message=f"{table} refers to {' and '.join(missing)}, which is not set where roost was called",
            hint="Set it there: " + " ".join(f"{name}=…" for name in missing) + " roost …",
        )
    if source.keyring:
        try:
            await around.engines.find_credentials([f"https://{host}/"], around.variables)
        except CodedError as error:
            return Check(name=NAME, state="error", subject=host, message=f"{table}: {error.message}", hint=error.hint)
        return Check(name=NAME, state="ok", subject=host, message=f"{table}: the keyring has the password")
    return Check(name=NAME, state="ok", subject=host, message=f"{table}: {' and '.join(names)} is set")


async def _check_registry(host: str, source: RegistryCredentials) -> Check:
    table = f'[registries.credentials."{host}"]'
    if source.helper:
        where = f"docker-credential-{source.helper}"
    else:
        where = source.docker_config or f"{source.username_variable} and {source.password_variable}"
    try:
        find_login = await run_apart(_load_find_login)
        login = await find_login(host, {host: source})
    except CodedError as error:
        return Check(name=NAME, state="error", subject=host, message=f"{table}: {error.message}", hint=error.hint)
    if login is None:
        hint = f"Log in (`docker login {host}`) with that, or correct {table}."
        return Check(name=NAME, state="error", subject=host, message=f"{table}: {where} has no entry for it", hint=hint)
    return Check(name=NAME, state="ok", subject=host, message=f"{table}: {where} has an entry for it")


def _load_find_login() -> FindLogin:
    """Import what asks for a login. Blocks, the first time for Docker's library."""
    from roost.daemon.engines.registry.credentials import find_login

    return find_login


def _check_files(config: Config) -> Iterator[Check]:
    """Check the files with credentials. One that the configuration names must be there; another one may be absent."""
    auth_file = config.conda.auth_file
    if auth_file is not None or os.path.exists(os.path.expanduser(AUTH_FILE_PATH)):
        path = auth_file or AUTH_FILE_PATH
        try:
            count = len(read_auth_file(path))
        except CodedError as error:
            hint = error.hint or "Correct `auth_file` under [conda] in config.toml, or create the file."
            yield Check(name=NAME, state="error", subject=path, message=error.message, hint=hint)
        else:
            yield _judge_mode(path, f"{path} has entries for {count} host{'' if count == 1 else 's'}")
    netrc = NETRC_PATH if config.network.netrc is None else config.network.netrc
    if not netrc:
        return
    if fault := find_netrc_fault(netrc):
        hint = "Correct the file; until then no credentials are taken from it."
        yield Check(name=NAME, state="error", subject=netrc, message=f"{netrc}: {fault}", hint=hint)
    elif os.path.exists(os.path.expanduser(netrc)):
        yield _judge_mode(netrc, f"{netrc} can be read")
    elif config.network.netrc is not None:
        hint = "Correct `netrc` under [network] in config.toml, or create the file."
        yield Check(name=NAME, state="error", subject=netrc, message=f"{netrc} does not exist", hint=hint)


def _judge_mode(path: str, message: str) -> Check:
    mode = stat.S_IMODE(os.stat(os.path.expanduser(path)).st_mode)
    if not mode & 0o077:
        return Check(name=NAME, state="ok", subject=path, message=message)
    message = f"{message}, and by others too (mode {mode:04o})"
    return Check(name=NAME, state="warning", subject=path, message=message, hint=f"`chmod 600 {path}`.")
