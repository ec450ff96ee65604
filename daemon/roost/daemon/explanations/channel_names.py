"""What channels have of the names that a solve did not find.

Apart from ``explain``, since it is about one engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from roost.daemon.engines.conda import jobs
from roost.daemon.engines.conda.channels import resolve_channels
from roost.daemon.engines.conda.engine import SILENT, CondaEngine
from roost.daemon.engines.conda.platforms import conda_subdir


async def find_names(
    engine: CondaEngine,
    names: Sequence[str],
    *,
    channels: Sequence[str],
    platform: str,
    variables: Mapping[str, str],
    credentials: Mapping[str, str],
    cached_only: bool = False,
) -> dict[str, jobs.NameFacts]:
    """Return what ``channels`` have of each name, as far as that can be told: it only makes hints.

    ``cached_only``: from indexes in the cache, without a request. Raises WorkerTimeoutError, and what a solve raises
    for channels that can't be named.
    """
    resolved = resolve_channels(channels, variables, engine.config.channel_alias)
    secrets = engine.channel_credentials(channels, variables, credentials)
    request = jobs.NamesRequest(
        channels=tuple(engine.mask_path(url, variables) for url in resolved.urls),
        names=tuple(names),
        subdir=conda_subdir(platform),
        index_dir=engine.index_dir,
        access=engine.access(secrets, engine.config.index_timeout),
        cached_only=cached_only,
    )
    return await engine.run_with_cache(jobs.FIND_NAMES, request, engine.index_gate, SILENT)
