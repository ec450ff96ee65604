"""Lock packages that a definition lists by URL (conda's explicit files, conda-lock)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from roost.daemon.engines.conda.channels import expand_variables
from roost.daemon.engines.conda.errors import ExplicitUrlError
from roost.model.syntax.urls import strip_credentials

_FILE_NAME = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-(?P<build>[^-]+?)(\.conda|\.tar\.bz2)$")


class ExplicitUrl(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an explicit list."""

    url: str
    """Without the digest and without secrets."""
    channel: str
    subdir: str
    name: str
    file_name: str
    sha256: str = ""
    """64 hex digits; empty if the line has none."""
    md5: str = ""
    """32 hex digits; empty if the line has none."""


def parse_explicit(line: str, subdir: str) -> ExplicitUrl:
    """Parse ``https://host/channel/linux-64/name-1.0-0.conda#<md5>`` (or ``#sha256:<hex>``, ``#sha256=<hex>``).

    Raises:
        ExplicitUrlError: for anything else, and for a package of another platform than ``subdir``.
    """
    bare, _ = strip_credentials(line.strip())
    url, _, digest = bare.partition("#")
    parts = url.rsplit("/", 2)
    match = _FILE_NAME.match(parts[-1])
    if len(parts) != 3 or match is None or "://" not in url:
        raise ExplicitUrlError(
            f"{bare!r} is not the URL of a conda package; expected CHANNEL/PLATFORM/NAME-VERSION-BUILD.conda",
            hint="`roost lock` and `conda list --explicit --sha256` write such lists.",
        )
    if parts[1] not in (subdir, "noarch"):
        raise ExplicitUrlError(
            f"{bare!r} is for {parts[1]}, but {subdir} is requested", hint="List packages for that platform."
        )
    kind, value = _parse_digest(digest)
    return ExplicitUrl(
        url=url, channel=parts[0], subdir=parts[1], name=match["name"].lower(), file_name=parts[2],
        sha256=value if kind == "sha256" else "", md5=value if kind == "md5" else "",
    )  # fmt: skip


def _parse_digest(text: str) -> tuple[str, str]:
    """Return the algorithm and the hex digits of a digest; both empty for an empty ``text``."""
    value = re.sub(r"^(sha256|md5)[:=]", "", text.strip().lower())
    kinds = {64: "sha256", 32: "md5", 0: ""}
    if len(value) not in kinds or not re.fullmatch(r"[0-9a-f]*", value):
        raise ExplicitUrlError(f"{text!r} after a package's URL is neither an md5 nor a sha256")
    return kinds[len(value)], value


def explicit_digests(lines: Sequence[str], subdir: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the URL of each package of an explicit list, and its sha256 or md5 in hex (empty if it has none).

    Raises ``ExplicitUrlError``, ``VariableMissingError``.
    """
    parsed = [parse_explicit(expand_variables(line, variables), subdir) for line in lines]
    return {item.url: item.sha256 or item.md5 for item in parsed}
