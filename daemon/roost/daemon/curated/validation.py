"""Checks of a catalogue's entries: from entries of unknown origin to versions that may be registered. Pure."""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Iterable
from typing import NoReturn

import msgspec

from roost.daemon.curated.catalogue import (
    Catalogue,
    CatalogueEntry,
    catalogue_invalid_error,
    check_curated_name,
    make_curated_version,
    quote_shortened,
)
from roost.daemon.curated.portability import find_portability_fault
from roost.model.definition import Defaults, Definition, Settings
from roost.model.errors import CodedError
from roost.model.names import NameInvalidError
from roost.model.readers.read import read_tables
from roost.model.records import NewVersion
from roost.model.syntax.urls import strip_credentials


class NoFiles:
    """File access for definitions from other machines: nothing of this machine's disk is visible. Implements
    ``Files``."""

    def read(self, path: str) -> bytes:
        self._raise_denied(path)

    def file_digest(self, path: str) -> str:
        self._raise_denied(path)

    def tree_digest(self, path: str) -> str:
        self._raise_denied(path)

    def context_digest(self, path: str, dockerfile: str = "") -> str:
        self._raise_denied(path)

    def exists(self, path: str) -> bool:
        return False

    def is_folder(self, path: str) -> bool:
        return False

    def covers(self, path: str) -> bool:
        return False

    def list_folder(self, path: str) -> list[str]:
        return []

    def special_files(self, path: str) -> tuple[str, ...]:
        return ()

    def resolve(self, path: str) -> str:
        return posixpath.normpath(path)

    def resolve_links(self, path: str) -> str:
        return posixpath.normpath(path)

    def _raise_denied(self, path: str) -> NoReturn:
        raise PermissionError(errno.EPERM, "a curated environment can't name files of one machine", path)


def read_versions(catalogue: Catalogue, registry: str) -> list[NewVersion]:
    """Return every version of ``catalogue``, checked. Raises CatalogueInvalidError for the first invalid entry, with
    its place."""
    _check_identities(catalogue.entries, registry)
    return [_read_version(entry, registry, f"entries[{number}]") for number, entry in enumerate(catalogue.entries)]


def _check_identities(entries: Iterable[CatalogueEntry], registry: str) -> None:
    """Check that names are valid and spelled in one way, and that each version occurs once."""
    seen: dict[tuple[str, int], int] = {}
    spellings: dict[str, str] = {}
    for number, entry in enumerate(entries):
        at = f"entries[{number}]"
        try:
            check_curated_name(entry.name)
        except NameInvalidError as error:
            raise catalogue_invalid_error(registry, error.message, f"{at}.name") from None
        first = seen.setdefault((entry.name, entry.version), number)
        if first != number:
            raise catalogue_invalid_error(registry, f"{entry.name}:{entry.version} is entries[{first}] already", at)
        spelling = spellings.setdefault(entry.name.lower(), entry.name)
        if spelling != entry.name:
            raise catalogue_invalid_error(registry, f"{entry.name} is also spelled {spelling}", f"{at}.name")


def _read_version(entry: CatalogueEntry, registry: str, at: str) -> NewVersion:
    title = f"{entry.name}:{entry.version}"
    try:
        parsed = read_tables(entry.document, NoFiles(), f"/{entry.name}.toml")
        fault = "it names a file of one machine" if parsed.inputs else None
        fault = fault or ("it contains credentials" if parsed.credentials else None)
        fault = fault or find_portability_fault(parsed.definition, parsed.settings)
    except CodedError as error:
        raise catalogue_invalid_error(registry, f"{title}: {error.message}", f"{at}.document") from None
    except RecursionError:
        raise catalogue_invalid_error(registry, f"{title} is nested too deeply", f"{at}.document") from None
    if fault is not None:
        raise catalogue_invalid_error(registry, f"{title} can't be used elsewhere: {fault}", f"{at}.document")
    defaults = _read_defaults(entry, registry, at)
    new = make_curated_version(entry.name, entry.version, parsed.definition, parsed.settings, defaults, registry)
    digests = (
        ("definition_digest", entry.definition_digest, new.definition_digest),
        ("settings_digest", entry.settings_digest, new.settings_digest),
    )
    for field, published, computed in digests:
        if published != computed:
            fault = f"{title} says {quote_shortened(published)}, but its digest is {computed}"
            raise catalogue_invalid_error(registry, fault, f"{at}.{field}")
    return new


def _read_defaults(entry: CatalogueEntry, registry: str, at: str) -> Defaults:
    """Return the defaults of ``entry``, whose channels and index are held to the rules of a definition's own."""
    defaults = entry.defaults
    definition = Definition()
    conda = msgspec.structs.replace(definition.conda, channels=defaults.channels)
    fault = find_portability_fault(msgspec.structs.replace(definition, conda=conda), Settings())
    if fault is None and strip_credentials(defaults.index)[0] != defaults.index:
        fault = "the index contains credentials"
    if fault is not None:
        raise catalogue_invalid_error(
            registry, f"{entry.name}:{entry.version} can't be used elsewhere: {fault}", f"{at}.defaults"
        )
    return Defaults(channels=defaults.channels, base_image=defaults.base_image, index=defaults.index)
