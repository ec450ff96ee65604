"""What installed wheels state of themselves: licence and requirements, from ``METADATA`` in a prefix. Blocks.

Nothing is imported of the packages, and nothing of them is run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from roost.daemon.engines.uv.prefix import find_site_packages, normalize_name
from roost.daemon.sbom.inventory import Licence
from roost.daemon.sbom.licences import choose_licence
from roost.store.disk.regular_files import read_regular

_SUFFIX = ".dist-info"
_LARGEST = 4 << 20
"""Bytes of a ``METADATA``, most of which is a readme."""


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution in a prefix."""

    version: str
    licence: Licence | None
    requires: tuple[str, ...]
    """The lines of ``Requires-Dist`` (PEP 508), as written."""


def read_distributions(prefix: str) -> dict[str, Distribution]:
    """Return the distributions in ``prefix`` by normalised name. What can't be read is left out: a prefix may be
    deleted meanwhile."""
    found: dict[str, Distribution] = {}
    for folder in find_site_packages(prefix):
        for path in _list_metadata(folder):
            try:
                headers = parse_headers(read_regular(path, _LARGEST))
            except OSError:
                continue
            if name := "".join(headers.get("name", [])[:1]):
                found[normalize_name(name)] = describe_distribution(headers)
    return found


def _list_metadata(folder: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    yield from (os.path.join(folder, name, "METADATA") for name in names if name.endswith(_SUFFIX))


def parse_headers(data: bytes) -> dict[str, list[str]]:
    """Return the headers of core metadata by their names in lower case. Linear, unlike :mod:`email.parser`, and
    without the readme after the first empty line."""
    headers: dict[str, list[str]] = {}
    values: list[str] | None = None
    for line in data.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("utf-8", "replace").split("\n"):
        if line[:1] in (" ", "\t"):
            if values:
                values[-1] += "\n" + line.strip()
            continue
        name, colon, value = line.partition(":")
        values = headers.setdefault(name.strip().lower(), []) if colon else None
        if values is not None:
            values.append(value.strip())
    return headers


def describe_distribution(headers: dict[str, list[str]]) -> Distribution:
    """Return what core metadata states."""
    return Distribution(
        version="".join(headers.get("version", [])[:1]),
        licence=choose_licence(
            "".join(headers.get("license-expression", [])[:1]),
            "".join(headers.get("license", [])[:1]),
            headers.get("classifier", []),
        ),
        requires=tuple(headers.get("requires-dist", [])),
    )
