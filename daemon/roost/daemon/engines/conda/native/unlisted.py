"""Read packages that a definition lists by URL: from the records of an index, or from the file itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping

import msgspec
from rattler import Client, RepoDataRecord
from rattler.package_streaming import download_to_path

from roost.daemon.engines.conda.cache import file_digest
from roost.daemon.engines.conda.errors import PackageDigestMismatchError, PackageMissingError
from roost.daemon.engines.conda.explicit import ExplicitUrl
from roost.daemon.engines.conda.native.records import to_package
from roost.daemon.engines.conda.translation import translate_errors
from roost.model.locks.lock import CondaPackage


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
