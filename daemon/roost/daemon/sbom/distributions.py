"""What wheels state of themselves in ``METADATA``: licence and requirements. Pure."""

from __future__ import annotations

import msgspec

from roost.daemon.sbom.inventory import Licence
from roost.daemon.sbom.licences import choose_licence


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel whose metadata is on this machine."""

    licence: Licence | None
    requires: tuple[str, ...]
    """The lines of ``Requires-Dist`` (PEP 508), as written."""


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
        licence=choose_licence(
            "".join(headers.get("license-expression", [])[:1]),
            "".join(headers.get("license", [])[:1]),
            headers.get("classifier", []),
        ),
        requires=tuple(headers.get("requires-dist", [])),
    )
