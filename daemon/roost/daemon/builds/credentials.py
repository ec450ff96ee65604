"""Credentials of a build: what must be there before it begins, and what its downloads use."""

from __future__ import annotations

from collections.abc import Mapping

from roost.daemon.config.config import Config
from roost.daemon.credentials.host import find_lock_urls, find_solve_urls, find_url_credentials, require_host_variables
from roost.daemon.credentials.substitution import require_variables, substitute_credentials
from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.model.locks.lock import Lock


def require_credentials(resolved: ResolvedDefinition, environ: Mapping[str, str], config: Config) -> None:
    """Raise VariableMissingError if a variable that holds credentials of ``resolved`` or of the configuration was not
    sent: a client that waits for a build can send more, and one that does not gets the error at once."""
    substitute_credentials(resolved.parsed.credentials, environ)
    require_host_variables(find_solve_urls(resolved.definition, config), config, environ)


def require_unattended_credentials(
    resolved: ResolvedDefinition, environ: Mapping[str, str], config: Config, lock: Lock | None
) -> None:
    """Raise VariableMissingError if anything that a build of ``resolved`` may need was not sent.

    For builds that nobody waits for, which can't ask later. ``lock``: the one that is built, if it is known.
    """
    require_variables(resolved.definition, environ)
    substitute_credentials(resolved.parsed.credentials, environ)
    urls = find_solve_urls(resolved.definition, config) | (find_lock_urls(lock) if lock is not None else set())
    require_host_variables(urls, config, environ)


async def download_credentials(
    engines: Engines, resolved: ResolvedDefinition, environ: Mapping[str, str], lock: Lock
) -> Mapping[str, str]:
    """Return URL prefixes to credentials for the packages of ``lock``.

    Sources: the definition's own URLs, the values of variables in its channels, and where the user stores credentials
    for the hosts that the packages are on.
    """
    found = await engines.find_credentials(find_lock_urls(lock), environ)
    found |= find_url_credentials(resolved.definition, environ)
    credentials = {**found, **substitute_credentials(resolved.parsed.credentials, environ)}
    conda = resolved.definition.conda
    written = [*conda.channels, *conda.dependencies]
    if not environ or not written:
        return credentials
    return (await engines.conda()).channel_secrets(written, environ, credentials)
