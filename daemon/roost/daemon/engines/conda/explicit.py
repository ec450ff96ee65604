"""Lock packages that a definition lists by URL (conda's explicit files, conda-lock)."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from rattler import Client, RepoDataRecord
from rattler.package_streaming import download_to_path

from roost.daemon.engines.conda.cache import file_digest
from roost.daemon.engines.conda.channels import expand_variables
from roost.daemon.engines.conda.errors import ExplicitUrlError, PackageDigestMismatchError, PackageMissingError
from roost.daemon.engines.conda.records import to_package
from roost.daemon.engines.conda.translation import translate_errors
from roost.model.locks.lock import CondaPackage
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


def match_records(items: Iterable[ExplicitUrl], indexed: Mapping[str, RepoDataRecord]) -> dict[str, CondaPackage]:
    """Return the packages that the indexes list, by URL; ``indexed`` are the indexes' records by URL.

    Raises:
        PackageDigestMismatchError: if an index has another digest than the list.
    """
    packages: dict[str, CondaPackage] = {}
    for item in items:
        if item.url in indexed:
            packages[item.url] = to_package(indexed[item.url], item.url)
            _check_digests(item, packages[item.url])
    return packages


def _check_digests(item: ExplicitUrl, package: CondaPackage) -> None:
    found = {"sha256": package.sha256, "md5": str(package.record.get("md5") or "")}
    for kind, value in (("sha256", item.sha256), ("md5", item.md5)):
        if value and found[kind] and value != found[kind]:
            raise PackageDigestMismatchError(
                f"{item.file_name} has the {kind} {found[kind]} in its channel and {value} in the list",
                hint="The package was replaced in the channel: create the list again.",
                fields={"url": item.url, "expected": value, "found": found[kind]},
            )


async def read_unlisted(item: ExplicitUrl, fetch_url: str, client: Client) -> CondaPackage:
    """Return the package at ``item.url``, read from the file itself, for a channel whose index does not list it.

    Raises ``PackageMissingError``, ``PackageDigestMismatchError`` and the errors of the translation.
    """
    if fetch_url.startswith("file://"):
        return await _read_archive(item, fetch_url.removeprefix("file://"))
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="roost-explicit-")
    try:
        path = os.path.join(folder, item.file_name)
        with translate_errors(f"fetching {item.file_name}"):
            await download_to_path(client, fetch_url, path)  # type: ignore[arg-type]
        return await _read_archive(item, path)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _read_archive(item: ExplicitUrl, path: str) -> CondaPackage:
    if not await asyncio.to_thread(os.path.isfile, path):
        raise PackageMissingError(f"There is no package at {item.url}", hint="Create the list again.")
    with translate_errors(f"reading {item.file_name}"):
        record = await RepoDataRecord.from_package_archive(path)
    return await asyncio.to_thread(_add_file_facts, item, to_package(record, item.url), path)


def _add_file_facts(item: ExplicitUrl, package: CondaPackage, path: str) -> CondaPackage:
    """Return ``package`` with the digests and the size of its file, which its own record does not have."""
    sha256, md5 = file_digest(path, "sha256"), file_digest(path, "md5")
    package = msgspec.structs.replace(
        package,
        subdir=item.subdir,
        file_name=item.file_name,
        sha256=sha256,
        size=os.path.getsize(path),
        record={**package.record, "md5": md5, "sha256": sha256},
    )
    _check_digests(item, package)
    return package


def explicit_digests(lines: Sequence[str], subdir: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the URL of each package of an explicit list, and its sha256 or md5 in hex (empty if it has none).

    Raises ``ExplicitUrlError``, ``VariableMissingError``.
    """
    parsed = [parse_explicit(expand_variables(line, variables), subdir) for line in lines]
    return {item.url: item.sha256 or item.md5 for item in parsed}
