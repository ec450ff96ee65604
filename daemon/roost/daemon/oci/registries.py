"""The registries in effect: those of ``config.toml``, and those that ``roost registry add`` added.

Added ones are in ``registries.json`` in the root, which only the daemon writes, completely, by rename. The config file
belongs to its owner: roost never writes to it.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from typing import Literal

import msgspec

from roost.daemon.config.config import Config
from roost.daemon.config.schema import RegistriesSettings
from roost.daemon.oci.references import is_loopback, parse_reference
from roost.model.errors import MALFORMED_JSON, InvalidRequestError, LookupFailedError, StoreError
from roost.store.disk.regular_files import read_regular

RegistryKind = Literal["workspace", "catalogue"]
LOCATIONS_FILE = "registries.json"
_ANY_REPOSITORY = "locks"
"""A repository name: a location is valid if repositories below it are."""


class RegistryFileError(StoreError):
    """``registries.json`` in the root can't be read."""

    code = "registries-invalid"


class RegistryLocation(msgspec.Struct, frozen=True, kw_only=True):
    """Location and purpose of a registry. ``insecure``: over plain http. ``origin``: where it is configured."""

    location: str
    """``HOST[:PORT][/PREFIX]``."""
    kind: RegistryKind
    insecure: bool = False
    origin: Literal["config", "added"] = "added"


def normalize_location(text: str) -> str:
    """Return ``HOST[:PORT][/PREFIX]`` in its canonical spelling; a name without a host is on Docker's registry.

    Raises: InvalidRequestError if ``text`` is not a valid location.
    """
    bare = text.strip().removeprefix("https://").removeprefix("http://").rstrip("/")
    try:
        reference = parse_reference(f"{bare}/{_ANY_REPOSITORY}")
    except Exception as error:
        raise InvalidRequestError(
            f"{text!r} is not a valid registry", hint="Write it like registry.example.org/team, without a tag."
        ) from error
    prefix = reference.repository.rpartition("/")[0]
    return f"{reference.host}/{prefix}" if prefix else reference.host


def list_locations(settings: RegistriesSettings, added: tuple[RegistryLocation, ...] = ()) -> list[RegistryLocation]:
    """Return the workspace first, then the catalogues, each once. ``added``: those whose origin is ``added``."""
    found: dict[tuple[str, str], RegistryLocation] = {}
    added_keys = {(each.location, each.kind) for each in added}
    workspace = (settings.workspace,) if settings.workspace else ()
    configured: tuple[tuple[RegistryKind, tuple[str, ...]], ...]
    configured = ("workspace", workspace), ("catalogue", tuple(settings.catalogues))
    for kind, texts in configured:
        for text in texts:
            location = normalize_location(text)
            host = location.partition("/")[0]
            entry = RegistryLocation(
                location=location,
                kind=kind,
                insecure=host in settings.insecure or is_loopback(host),
                origin="added" if (location, kind) in added_keys else "config",
            )
            found.setdefault((location, kind), entry)
    return list(found.values())


def find_workspace_location(settings: RegistriesSettings) -> RegistryLocation | None:
    """Return the workspace's registry, if there is one."""
    return next((each for each in list_locations(settings) if each.kind == "workspace"), None)


def merge_added(config: Config, added: tuple[RegistryLocation, ...]) -> Config:
    """Return ``config`` with the added registries; a workspace in the config file takes precedence."""
    settings = config.settings.registries
    workspace = next((each.location for each in added if each.kind == "workspace"), None)
    catalogues = [each.location for each in added if each.kind == "catalogue"]
    insecure = [each.location.partition("/")[0] for each in added if each.insecure]
    merged = msgspec.structs.replace(
        settings,
        workspace=settings.workspace or workspace,
        catalogues=tuple(dict.fromkeys((*settings.catalogues, *catalogues))),
        insecure=tuple(dict.fromkeys((*settings.insecure, *insecure))),
    )
    return replace(config, settings=msgspec.structs.replace(config.settings, registries=merged))


def read_added_locations(root: str) -> tuple[RegistryLocation, ...]:
    """Return the added registries. Blocks. Raises: RegistryFileError if the file can't be read."""
    path = os.path.join(root, LOCATIONS_FILE)
    try:
        return msgspec.json.decode(read_regular(path), type=tuple[RegistryLocation, ...])
    except FileNotFoundError:
        return ()
    except (OSError, *MALFORMED_JSON) as error:
        raise RegistryFileError(
            f"{path} can't be read: {error}", hint="Remove it and add the registries again."
        ) from error


def write_added_locations(root: str, added: tuple[RegistryLocation, ...]) -> None:
    """Store ``added``. Blocks."""
    descriptor, temporary = tempfile.mkstemp(dir=root, prefix=".registries-")
    try:
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.encode(added) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, os.path.join(root, LOCATIONS_FILE))
    except BaseException:
        os.unlink(temporary)
        raise


def add_location(
    settings: RegistriesSettings, added: tuple[RegistryLocation, ...], new: RegistryLocation
) -> tuple[RegistryLocation, ...]:
    """Return ``added`` with ``new``. Raises: InvalidRequestError if ``new`` is a second workspace."""
    if new.kind == "workspace" and settings.workspace and normalize_location(settings.workspace) != new.location:
        raise InvalidRequestError(
            f"The workspace's registry is {settings.workspace}, and only one is supported",
            hint="Remove that first (`roost registry remove`, or the config file's workspace).",
        )
    others = tuple(each for each in added if (each.location, each.kind) != (new.location, new.kind))
    return (*others, new)


def remove_location(
    settings: RegistriesSettings, added: tuple[RegistryLocation, ...], location: str
) -> tuple[RegistryLocation, ...]:
    """Return ``added`` without ``location``.

    Raises: InvalidRequestError if the config file names it; LookupFailedError if there is no such registry.
    """
    left = tuple(each for each in added if each.location != location)
    if len(left) < len(added):
        return left
    if any(each.location == location for each in list_locations(settings)):
        raise InvalidRequestError(f"{location} is in the config file", hint="Remove it from [registries] there.")
    raise LookupFailedError(f"There is no registry {location}", hint="`roost registry list` shows them.")
