"""Credentials for channels and package indexes: looked up where people keep them, for one request, and forgotten.

Sources, the first that has a host wins: the URL itself (``${VARIABLE}`` in it, which the engines fill in), the config's
``[credentials."HOST"]`` (variables, or the keyring), rattler's auth file, a netrc. What is found goes to the engines
under ``//HOST``: for every URL there. It changes no solve, so that it may come from outside (DESIGN, 2.4), and it is
kept nowhere (DESIGN, 2.9).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import msgspec

from roost.daemon.config.config import Config
from roost.daemon.config.schema import HostCredentials
from roost.daemon.credentials.auth_files import NETRC_PATH, access_hint, encode_userinfo, load_auth_entries, read_netrc
from roost.daemon.credentials.substitution import VariableMissingError
from roost.model.definition import Definition
from roost.model.errors import CodedError
from roost.model.locks.lock import Lock
from roost.model.syntax.urls import strip_credentials
from roost.wire.protocol import WarningView

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>\\]+")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ALIAS = "https://conda.anaconda.org"
_KEYRING_SECONDS = 30.0


class KeyringError(CodedError):
    """The keyring was to give a password and did not."""

    code = "keyring-failed"
    exit_status = 6


def find_solve_urls(definition: Definition, config: Config) -> set[str]:
    """Where a solve of ``definition`` looks: what it names, and what the config puts in its place."""
    written = msgspec.json.encode([definition.conda, definition.pip]).decode()
    found = {match.group() for match in _URL.finditer(written)}
    if definition.conda.dependencies or definition.conda.explicit:
        found |= {_ALIAS, *(url for urls in config.conda.mirrors.values() for url in urls)}
    if definition.pip.requirements and config.pip.index_url is not None:
        found.add(config.pip.index_url)
    return found


def find_lock_urls(lock: Lock) -> set[str]:
    """Where what ``lock`` names is fetched from."""
    return {package.url for package in lock.conda} | {wheel.url for wheel in lock.wheels if wheel.url}


def find_url_credentials(definition: Definition, environ: Mapping[str, str]) -> dict[str, str]:
    """Origin to ``user:password`` of the definition's pip lines that name them by ``${VARIABLE}``, as the pip engine
    reads them for a lock."""
    written = msgspec.json.encode(definition.pip).decode()
    named = [match.group() for match in _URL.finditer(written) if "${" in match.group().partition("@")[0]]
    found: dict[str, str] = {}
    for url in named:
        whole = _VARIABLE.sub(lambda match: environ.get(match[1], match[0]), url)
        found |= {place: value for place, value in strip_credentials(whole)[1].items() if value[:1] not in ("/", "?")}
    return found


def find_config_variables(config: Config) -> set[str]:
    """The variables that the config's credentials are in."""
    hosts = config.settings.credentials.values()
    return {name for host in hosts for name in (host.username_variable, host.password_variable) if name is not None}


def require_host_variables(urls: Iterable[str], config: Config, environ: Mapping[str, str]) -> None:
    """Raise VariableMissingError where the credentials of a host in ``urls`` are in a variable that is not there."""
    sources = _sources(config)
    for host in sorted(_named(urls, sources)):
        names = [name for name in (sources[host].username_variable, sources[host].password_variable) if name]
        absent = [name for name in names if name not in environ]
        if absent:
            raise VariableMissingError(
                f"The credentials for {host} are in {' and '.join(absent)}, which no variable of the environment gives",
                hint="Set it where roost is called: " + " ".join(f"{name}=…" for name in absent) + " roost …",
                fields={"variables": sorted({*environ, *names}), "host": host},
            )


async def find_credentials(urls: Iterable[str], config: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """``//HOST`` to ``user:password`` (percent-encoded) of every host that any source has, those of ``urls`` surely.

    Raises VariableMissingError, KeyringError, AuthFileError.
    """
    wanted, sources = list(urls), _sources(config)
    require_host_variables(wanted, config, environ)
    found = await asyncio.to_thread(_of_files, config)
    named = _named(wanted, sources)
    for host, source in sources.items():
        pair = _of_variables(source, environ)
        if pair is None and source.keyring and host in named:
            pair = encode_userinfo(
                source.username, await _of_keyring(host, source.username or "", config.network.keyring)
            )
        if pair is not None:
            found[host] = pair
    return {f"//{host}": pair for host, pair in found.items()}


def _of_files(config: Config) -> dict[str, str]:
    """Of a host that both have, rattler's entry counts; one that is no user and password is the conda engine's."""
    entries = load_auth_entries(config.conda.auth_file)
    named = config.network.netrc
    found = read_netrc(NETRC_PATH if named is None else named) if named != "" else {}
    found = {host: pair for host, pair in found.items() if host not in entries}
    basics = {host: entry["BasicHTTP"] for host, entry in entries.items() if "BasicHTTP" in entry}
    return found | {host: encode_userinfo(basic["username"], basic["password"]) for host, basic in basics.items()}


def dropped_credentials_warnings(credentials: Mapping[str, str]) -> list[WarningView]:
    """What to say of a version whose definition had ``credentials`` in its URLs (see ``roost.model.syntax.urls``)."""
    return [
        WarningView(
            code="credentials-not-kept",
            message=f"What the definition has of credentials for {place} is not kept with it: building it later needs "
            f"them from elsewhere. {access_hint(place)}",
        )
        for place in sorted(credentials)
    ]


def _sources(config: Config) -> dict[str, HostCredentials]:
    return {host.lower(): source for host, source in config.settings.credentials.items()}


def _named(urls: Iterable[str], sources: Mapping[str, HostCredentials]) -> set[str]:
    """The hosts of ``sources`` that ``urls`` lie on; one with a port is for that port alone."""
    if not sources:
        return set()
    hosts = {name for url in urls for name in _hosts(url)}
    return hosts & set(sources)


def _hosts(url: str) -> tuple[str, ...]:
    with suppress(ValueError):
        split = urlsplit(url)
        return split.netloc.rpartition("@")[2].lower(), split.hostname or ""
    return ()


def _of_variables(source: HostCredentials, environ: Mapping[str, str]) -> str | None:
    """The client's own: it is asked for them anew each time, so that one that was changed counts at once."""
    if source.password_variable is None:
        return None
    user = environ.get(source.username_variable) if source.username_variable else source.username
    password = environ.get(source.password_variable)
    return encode_userinfo(user, password) if user is not None and password is not None else None


async def _of_keyring(host: str, user: str, command: str) -> str:
    """What ``keyring get HOST USER`` prints, as uv and pip ask as well."""
    hint = f"`{command} set {host} {user}` puts it there; [network] keyring in roost's config names another command."
    try:
        process = await asyncio.create_subprocess_exec(
            command,
            "get",
            host,
            user,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise KeyringError(f"The keyring can't be asked for {host}: {command}: {error.strerror}", hint=hint) from None
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _KEYRING_SECONDS)
    except BaseException as error:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if isinstance(error, asyncio.TimeoutError):
            raise KeyringError(
                f"The keyring gave no answer for {host} in {_KEYRING_SECONDS:.0f} s: it may wait to be unlocked",
                hint="Unlock it and try again.",
            ) from None
        raise
    password = said.decode("utf-8", "replace").rstrip("\r\n")
    if process.returncode != 0 or not password:
        raise KeyringError(f"The keyring has no password of {user} for {host}", hint=hint)
    return password
