"""Which registries are in force: those of ``config.toml``, and those that ``roost registry add`` put beside them.

What was added lies in ``registries.json`` in the root, which only the daemon writes, whole, by rename. The config file
is its owner's: roost never writes into it.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from typing import Literal

import msgspec

from roost.daemon.config.config import Config
from roost.daemon.config.schema import RegistriesSettings
from roost.daemon.locks.artifact import lock_repository
from roost.daemon.oci.references import is_loopback
from roost.model.errors import InvalidRequestError, LookupFailedError, StoreError

RegistryKind = Literal["workspace", "catalogue"]
LOCATIONS_FILE = "registries.json"


class RegistryFileError(StoreError):
    """``registries.json`` in the root can't be read."""

    code = "registries-invalid"


class RegistryLocation(msgspec.Struct, frozen=True, kw_only=True):
    """One registry: where it is, and what for. ``insecure``: over plain http. ``origin``: who named it."""

    location: str
    kind: RegistryKind
    insecure: bool = False
    origin: Literal["config", "added"] = "added"


def normalize_location(text: str) -> str:
    """``HOST[:PORT][/PREFIX]`` in its one spelling (a name without a host is Docker's). Raises InvalidRequestError."""
    bare = text.strip().removeprefix("https://").removeprefix("http://").rstrip("/")
    try:
        reference = lock_repository(bare)
    except Exception as error:
        raise InvalidRequestError(
            f"{text!r} names no registry", hint="Write it like registry.example.org/team, without a tag."
        ) from error
    prefix = reference.repository.rpartition("/")[0]
    return f"{reference.host}/{prefix}" if prefix else reference.host


def list_locations(settings: RegistriesSettings, added: tuple[RegistryLocation, ...] = ()) -> list[RegistryLocation]:
    """The workspace first, then the catalogues, each once."""
    found: dict[tuple[str, str], RegistryLocation] = {}
    own = {(place.location, place.kind) for place in added}
    for kind, locations in _named(settings):
        for text in locations:
            location = normalize_location(text)
            host = location.partition("/")[0]
            plain = host in settings.insecure or is_loopback(host)
            origin: Literal["config", "added"] = "added" if (location, kind) in own else "config"
            found.setdefault(
                (location, kind), RegistryLocation(location=location, kind=kind, insecure=plain, origin=origin)
            )
    return list(found.values())


def _named(settings: RegistriesSettings) -> tuple[tuple[RegistryKind, tuple[str, ...]], ...]:
    workspace = (settings.workspace,) if settings.workspace else ()
    return ("workspace", workspace), ("catalogue", tuple(settings.catalogues))


def merge_added(config: Config, added: tuple[RegistryLocation, ...]) -> Config:
    """``config`` with what was added; a workspace that the config file names stays."""
    settings = config.settings.registries
    workspace = next((place.location for place in added if place.kind == "workspace"), None)
    catalogues = [place.location for place in added if place.kind == "catalogue"]
    insecure = [place.location.partition("/")[0] for place in added if place.insecure]
    merged = msgspec.structs.replace(
        settings,
        workspace=settings.workspace or workspace,
        catalogues=tuple(dict.fromkeys((*settings.catalogues, *catalogues))),
        insecure=tuple(dict.fromkeys((*settings.insecure, *insecure))),
    )
    return replace(config, settings=msgspec.structs.replace(config.settings, registries=merged))


def read_added_locations(root: str) -> tuple[RegistryLocation, ...]:
    """What was added. Blocks. Raises RegistryFileError."""
    path = os.path.join(root, LOCATIONS_FILE)
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=tuple[RegistryLocation, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        raise RegistryFileError(
            f"{path} can't be read: {error}", hint="Remove it and add the registries again."
        ) from error


def write_added_locations(root: str, added: tuple[RegistryLocation, ...]) -> None:
    """Keep ``added``. Blocks."""
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
    settings: RegistriesSettings, added: tuple[RegistryLocation, ...], place: RegistryLocation
) -> tuple[RegistryLocation, ...]:
    """``added`` with ``place``. Raises InvalidRequestError where there is a workspace already."""
    if place.kind == "workspace" and settings.workspace and normalize_location(settings.workspace) != place.location:
        raise InvalidRequestError(
            f"The workspace's registry is {settings.workspace}, and there is one only",
            hint="Remove that first (`roost registry remove`, or the config file's workspace).",
        )
    others = tuple(each for each in added if (each.location, each.kind) != (place.location, place.kind))
    return (*others, place)


def remove_location(
    settings: RegistriesSettings, added: tuple[RegistryLocation, ...], location: str
) -> tuple[RegistryLocation, ...]:
    """``added`` without ``location``. Raises LookupFailedError, InvalidRequestError for one of the config file."""
    left = tuple(each for each in added if each.location != location)
    if len(left) < len(added):
        return left
    if any(place.location == location for place in list_locations(settings)):
        raise InvalidRequestError(f"{location} is in the config file", hint="Take it out of [registries] there.")
    raise LookupFailedError(f"There is no registry {location}", hint="`roost registry list` shows them.")
