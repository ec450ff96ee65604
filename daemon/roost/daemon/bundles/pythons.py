"""The Python that an environment of pip packages rests on, brought along: conda's, as an environment of its own.

A lock of such an environment names a Python of the machine by implementation, X.Y and threading. On a machine without
one, a conda prefix of the same X.Y takes its place, as in images. Its prefix is pinned, and found with the Pythons of
the machine, which come first.
"""

from __future__ import annotations

import asyncio

import msgspec

from roost.daemon.bundles.contents import PYTHON_NAME
from roost.daemon.bundles.errors import BundleUnportableError
from roost.daemon.definitions.resolved import ENVIRONMENT_FORMAT, ResolvedDefinition, TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.provided import link_python
from roost.daemon.jobs.progress import Progress
from roost.daemon.locks.solve import create_solve_job, solve_lock
from roost.daemon.planning.planner import Planner
from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.definition import Conda, Definition, ReadResult, Settings
from roost.model.locks.lock import HostPython, Lock
from roost.model.records import NewGeneration
from roost.store.store import Store
from roost.wire.plans import EnvironmentSelector, SourceView


class PythonEnvironments:
    """The locks of Pythons for bundles."""

    def __init__(self, store: Store, engines: Engines, planner: Planner) -> None:
        self._store = store
        self._engines = engines
        self._planner = planner

    async def lock(self, provider: HostPython, platform: str, progress: Progress) -> tuple[TargetedDefinition, Lock]:
        """Return the definition of conda's Python for ``provider``, and its lock: the one that it was first given.

        Raises BundleUnportableError if conda has no such Python, and the errors of solving.
        """
        if provider.implementation != "cpython" or provider.threading != "gil":
            raise BundleUnportableError(
                f"--with-python can't bring {provider.implementation} {provider.version} ({provider.threading})",
                hint="Leave it out, and install that Python on the other machine.",
            )
        targeted = self._define(provider.version, platform)
        generations = self._store.index.generations
        known = await generations.find_current(targeted.digest, targeted.generation_scope)
        found = await self._store.index.locks.find(known.lock_digest) if known is not None else None
        if found is not None:
            return targeted, found
        solved = await solve_lock(self._engines, create_solve_job(targeted, EnvironmentSelector(cwd="/")), progress)
        new = NewGeneration(definition_digest=targeted.digest, platform=targeted.generation_scope)
        await generations.add(new, solved)
        return targeted, solved

    def _define(self, version: str, platform: str) -> TargetedDefinition:
        definition, defaults = Definition(conda=Conda(dependencies=(f"python={version}",))), self._planner.defaults
        canonical, settings = canonicalise_definition(definition, defaults), canonicalise_settings(Settings())
        name = f"{PYTHON_NAME}{version}"
        resolved = ResolvedDefinition(
            parsed=ReadResult(definition=definition, name=name, format=ENVIRONMENT_FORMAT),
            digest=digest_bytes(canonical),
            canonical=canonical,
            settings_digest=digest_bytes(settings),
            settings_canonical=settings,
            source=SourceView(path=None, format=ENVIRONMENT_FORMAT, name=name),
            warnings=[],
            guards=(),
            defaults=defaults,
        )
        return msgspec.structs.replace(resolved.for_prefix(), platform=platform)


async def provide_python(engines: Engines, prefix: str, name: str) -> None:
    """Let the Python of ``prefix`` be found as one of this machine's, under ``name``."""
    await asyncio.to_thread(link_python, engines.pythons_folder, prefix, name)
