"""Which pip distributions conda packages contain: the names differ (``python-tzdata`` contains ``tzdata``)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path

from rattler import Client, PathsJson

from roost.daemon.engines.conda import cache
from roost.daemon.engines.conda.jobs import DistributionRequest
from roost.daemon.engines.conda.native.client import open_client
from roost.daemon.engines.conda.native.solving import channel_routes
from roost.daemon.engines.conda.translation import translate_errors
from roost.daemon.workers.context import JobContext
from roost.model.errors import MALFORMED_JSON
from roost.model.locks.lock import CondaPackage
from roost.store.disk.regular_files import require_regular

_INFO_FOLDER = re.compile(r"(?:^|/)site-packages/([^/-]+)-([^/-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info(?:/|$)")
_CONCURRENCY = 8


async def find_distributions(request: DistributionRequest, context: JobContext) -> dict[str, str]:
    """Return the distributions in packages: normalised name (PEP 503) to version.

    Only packages that depend on Python can contain one; Python itself contains none.
    """
    limit = asyncio.Semaphore(_CONCURRENCY)
    routes = channel_routes(request.access)
    client = open_client(request.access, routes)

    async def list_with_limit(package: CondaPackage) -> list[str]:
        async with limit:
            return await _list_files(package, request.cache_dir, routes.fetch_url(package.url), client)

    candidates = [package for package in request.packages if _depends_on_python(package)]
    found: dict[str, str] = {}
    for paths in await asyncio.gather(*(list_with_limit(package) for package in candidates)):
        found |= parse_distributions(paths)
    return found


def _depends_on_python(package: CondaPackage) -> bool:
    depends = package.record.get("depends", [])
    names = [str(spec).split()[0] for spec in depends] if isinstance(depends, list) else []
    return package.record.get("noarch") == "python" or any(n in ("python", "python_abi", "pypy") for n in names)


def parse_distributions(paths: Iterable[str]) -> dict[str, str]:
    """Return the distributions whose ``.dist-info`` folders are among ``paths``.

    The name of the folder has both name and version (PyPA's "Recording installed projects").
    """
    found = {match.groups() for path in paths if (match := _INFO_FOLDER.search(path))}
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in sorted(found)}


async def _list_files(package: CondaPackage, cache_dir: str, url: str, client: Client) -> list[str]:
    if await asyncio.to_thread(cache.is_cached, cache_dir, package):
        folder = cache.entry_folder(cache_dir, package)
        try:
            return [entry.path for entry in await asyncio.to_thread(cache.read_paths, folder)]
        except (OSError, *MALFORMED_JSON):
            pass  # dropped from the cache meanwhile: the channel has the list too
    with translate_errors(f"reading the list of files of {package.file_name}"):
        content: PathsJson | None
        if url.startswith("file://"):
            path = url.removeprefix("file://")
            await asyncio.to_thread(require_regular, path)
            content = await asyncio.to_thread(PathsJson.from_package_archive, Path(path))
        else:
            content = await PathsJson.from_remote_url(client, url)
    return [str(entry.relative_path) for entry in content.paths] if content is not None else []
