"""Which pip distributions conda packages bring: their names differ (``python-tzdata`` brings ``tzdata``)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import msgspec
from rattler import Client, PathsJson

from roost.daemon.engines.conda import cache
from roost.daemon.engines.conda.errors import translated
from roost.model.locks.lock import CondaPackage

_INFO = re.compile(r"(?:^|/)site-packages/([^/-]+)-([^/-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info(?:/|$)")
_AT_ONCE = 8


async def provided_by(
    packages: Sequence[CondaPackage], cache_dir: str, fetch_url: Callable[[str], Awaitable[str]], client: Client
) -> dict[str, str]:
    """Normalised name to version. Only packages that depend on Python can bring one, and Python itself does not."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(package: CondaPackage) -> list[str]:
        async with limit:
            return await _paths(package, cache_dir, await fetch_url(package.url), client)

    candidates = [package for package in packages if _may_provide(package)]
    found: dict[str, str] = {}
    for paths in await asyncio.gather(*(one(package) for package in candidates)):
        found |= distributions(paths)
    return found


def _may_provide(package: CondaPackage) -> bool:
    depends = package.record.get("depends", [])
    names = [str(spec).split()[0] for spec in depends] if isinstance(depends, list) else []
    return package.record.get("noarch") == "python" or any(n in ("python", "python_abi", "pypy") for n in names)


def distributions(paths: Iterable[str]) -> dict[str, str]:
    """The distributions whose ``.dist-info`` folders are among ``paths``: the folder's name says both (PyPA's spec)."""
    found = {match.groups() for path in paths if (match := _INFO.search(path))}
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in sorted(found)}


async def _paths(package: CondaPackage, cache_dir: str, url: str, client: Client) -> list[str]:
    if await asyncio.to_thread(cache.is_cached, cache_dir, package):
        folder = cache.entry_folder(cache_dir, package)
        try:
            return [entry.path for entry in await asyncio.to_thread(cache.read_paths, folder)]
        except (OSError, msgspec.MsgspecError):
            pass  # changed under our feet: the channel knows it too
    with translated(f"reading the list of files of {package.file_name}"):
        content: PathsJson | None
        if url.startswith("file://"):
            content = await asyncio.to_thread(PathsJson.from_package_archive, Path(url.removeprefix("file://")))
        else:
            content = await PathsJson.from_remote_url(client, url)
    return [str(entry.relative_path) for entry in content.paths] if content is not None else []
