"""What conda's own rules say of specs, versions and this machine, as rattler knows them.

A module of its own because it needs neither channels nor a cache.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from roost.daemon.caller.current import caller_variables
from roost.daemon.caller.variables import CERTIFICATES, PROXIES
from roost.daemon.engines.conda import jobs
from roost.daemon.engines.conda.scripts import sanitize_environment
from roost.daemon.workers.pool import WorkerPool
from roost.model.errors import Location
from roost.model.locks.lock import CondaPackage
from roost.model.syntax.match_specs import MatchSpecError

_REMEMBERED_SPECS = 10_000


def worker_variables() -> dict[str, str]:
    """Return the variables of conda workers: the caller's proxies and certificates, the user's home for rattler's auth
    file. Workers with other variables are other processes."""
    caller = caller_variables()
    names = (*PROXIES, *CERTIFICATES)
    return {**sanitize_environment(os.environ), **{name: caller[name] for name in names if name in caller}}


class CondaRules:
    """Asks a worker, in milliseconds; the first one after a pause takes 0.2 s to start."""

    def __init__(self, workers: WorkerPool) -> None:
        self._workers = workers
        self._valid_specs: set[str] = set()

    async def check_specs(self, specs: Iterable[str], locations: Mapping[str, Location] | None = None) -> None:
        """Raise ``MatchSpecError`` for the first that is not a match spec, with its place in ``locations``.

        conda's own spellings are translated. What was valid once is not asked again.
        """
        unknown = tuple(spec for spec in specs if spec not in self._valid_specs)
        if not unknown:
            return
        try:
            await self._workers.run(jobs.CHECK_SPECS, jobs.SpecRequest(specs=unknown), environ=worker_variables())
        except MatchSpecError as error:
            error.location = (locations or {}).get(str(error.fields.pop("spec", "")), error.location)
            raise
        if len(self._valid_specs) > _REMEMBERED_SPECS:
            self._valid_specs.clear()
        self._valid_specs.update(unknown)

    async def find_matches(
        self, specs: Sequence[str], packages: Sequence[CondaPackage], variables: Mapping[str, str]
    ) -> frozenset[tuple[str, str]]:
        """Return the pairs of a spec and the name of a package that satisfies it.

        If a spec names a channel, the package must come from it. Raises an error of roost's tree if a record can't be
        read.
        """
        if not specs:
            return frozenset()
        request = jobs.MatchRequest(specs=tuple(specs), packages=tuple(packages), variables=dict(variables))
        found = await self._workers.run(jobs.FIND_MATCHES, request, environ=worker_variables())
        return frozenset(found)

    async def compare_versions(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Return for each pair of versions a negative number if the first is the earlier one, a positive one if the
        later, 0 if they are equal."""
        asked = list(dict.fromkeys(pairs))
        if not asked:
            return {}
        request = jobs.VersionPairs(pairs=asked)
        orders = await self._workers.run(jobs.COMPARE_VERSIONS, request, environ=worker_variables())
        return dict(zip(asked, orders, strict=True))

    async def match_versions(
        self, name: str, constraint: str, versions: Sequence[tuple[str, str]]
    ) -> list[bool] | None:
        """Return for each version and build whether ``name constraint`` matches it; ``None`` if that is not a match
        spec."""
        request = jobs.VersionRequest(name=name, constraint=constraint, versions=list(versions))
        return await self._workers.run(jobs.MATCH_VERSIONS, request, environ=worker_variables())

    async def detect_virtual_packages(self) -> dict[str, str]:
        """Return the virtual packages of this machine, ignoring ``CONDA_OVERRIDE_*``."""
        found = await self._workers.run(jobs.DETECT_MACHINE, jobs.MachineRequest(), environ=worker_variables())
        return dict(found)
