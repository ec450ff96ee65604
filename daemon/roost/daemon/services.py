"""What decides, builds and runs, wired together once; the routes find it by one key."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from roost.daemon.builds.builds import Builds
from roost.daemon.config.config import Config, load_config
from roost.daemon.credentials.host import missing_variables, urls_of, urls_of_lock
from roost.daemon.credentials.substitution import expand_credentials, require_variables
from roost.daemon.curated.curated import Curated
from roost.daemon.definitions.resolve import (
    ResolvedDefinition,
    WatchedFiles,
    check_what,
    resolve,
    resolve_environment,
    resolve_run,
)
from roost.daemon.definitions.stamps import stamp
from roost.daemon.engines.engine_set import Engines
from roost.daemon.images.builds import ImageBuilds
from roost.daemon.images.jobs import ImageJobs
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.launch.folder import LaunchFolder
from roost.daemon.launch.plan import Tools
from roost.daemon.locks.share import LockRegistry
from roost.daemon.oci.registries import read_added, with_added
from roost.daemon.planning.planner import Planner
from roost.daemon.prefixes.builds import PrefixBuilds
from roost.daemon.runs.containers import DockerRuns
from roost.daemon.runs.runs import Runs
from roost.daemon.workspace.local_content import locate
from roost.daemon.workspace.versions import EnvironmentVersions
from roost.model.definition import Defaults
from roost.model.records import FileStamp
from roost.store.store import Store
from roost.wire.plans import EnvironmentSelector


@dataclass
class Services:
    """The parts that the routes work with."""

    store: Store
    engines: Engines
    planner: Planner
    builds: Builds
    prefixes: PrefixBuilds
    runs: Runs
    containers: DockerRuns
    launches: LaunchFolder
    lifecycle: Lifecycle
    share: LockRegistry
    workspace: EnvironmentVersions
    curated: Curated
    settings: Config
    """What is in force: the config file, and the registries that were added."""
    config: FileStamp
    """The config file that is in force, as it was before it was read."""
    events: Events
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the config file is read: what is in force and the file's state must belong together."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the registries that were added are changed."""

    async def read_config_again(self) -> None:
        """Take the config file's changes as they come: a digest made with old defaults would be a wrong one."""
        async with self.reading:
            now = await asyncio.to_thread(stamp, self.config.path)
            if now != self.config.identity:
                await self.configure(await asyncio.to_thread(load_config))
                self.config = FileStamp(path=self.config.path, identity=now)

    async def configure_again(self) -> None:
        """The config file as it is, and the registries that were added as they are now."""
        await self.configure(await asyncio.to_thread(load_config))

    async def configure(self, config: Config) -> None:
        """Go by ``config`` and the registries that were added from now on."""
        added = await asyncio.to_thread(read_added, self.store.layout.root)
        self.settings = with_added(config, added)
        self.planner.defaults = defaults_of(self.settings)
        self.planner.scout.registries = self.settings.registries
        self.planner.scout.policy = self.settings.docker.base_policy
        self.share.settings = self.settings.registries
        await self.engines.configure(self.settings)

    async def resolve(self, what: EnvironmentSelector, files: WatchedFiles | None = None) -> ResolvedDefinition:
        """The definition that ``what`` names, under the config of now; ``files``: what may be seen of the disk for it,
        where that is not all. Raises what reading it does, and WheelUnknownError."""
        await self.read_config_again()
        if what.run is not None:
            check_what(what)
            return await resolve_run(self.store, await self.runs.get(what.run))
        if what.environment is not None:
            return await locate(self.store.layout, await resolve_environment(self.store, what, self.config))
        return await locate(self.store.layout, await resolve(what, self.planner.defaults, self.config, files))

    async def exact(self, resolved: ResolvedDefinition, what: EnvironmentSelector) -> EnvironmentSelector:
        """``what`` with the generation of the run that it names, where ``resolved`` is aimed at the platform of that.
        Raises LookupFailedError."""
        if what.generation_of is None:
            return what
        run = await self.runs.get(what.generation_of)
        if (run.definition_digest, run.platform) != (resolved.digest, resolved.lineage):
            return what
        return msgspec.structs.replace(what, generation=run.generation, lock=run.lock_digest)

    async def require_credentials(
        self, resolved: ResolvedDefinition, what: EnvironmentSelector, lock_digest: str | None
    ) -> None:
        """For what goes on by itself, and can't ask later. Raises VariableMissingError."""
        require_variables(resolved.definition, what.environ)
        expand_credentials(resolved.parsed.credentials, what.environ)
        lock = await self.store.index.locks.find(lock_digest) if lock_digest is not None else None
        urls = urls_of(resolved.definition, self.settings) | (urls_of_lock(lock) if lock is not None else set())
        missing_variables(urls, self.settings, what.environ)

    async def stop(self) -> None:
        """Cancel builds, let go of runs."""
        await self.builds.stop()
        await self.containers.stop()
        await self.runs.stop()
        await self.engines.close()


SERVICES: web.AppKey[Services] = web.AppKey("work", Services)


def defaults_of(config: Config) -> Defaults:
    """What the canonical form spells out where a definition says nothing."""
    return Defaults(
        channels=tuple(config.conda.channels),
        base_image=config.base.image,
        index=config.pip.index_url or Defaults().index,
    )


def create_services(
    store: Store,
    config: Config,
    config_guard: FileStamp,
    events: Events,
    lifecycle: Lifecycle,
    socket: str,
    tools: Tools | None,
) -> Services:
    """Wire the parts of one daemon."""
    engines = Engines(store.layout, config)
    share = LockRegistry(engines, events, config.registries, store.layout.stage, store.index)
    planner = Planner(store, engines, defaults_of(config), share)
    launches = LaunchFolder(store.layout.launch, store.layout.trash, tools)
    prefixes = PrefixBuilds(store, engines, events, launches, config.builds.concurrency)
    image_builds = ImageBuilds(store, engines, events, planner.bases, config.builds.concurrency)
    images = ImageJobs(store, engines, image_builds, launches, planner.scout.steps)
    runs = Runs(store, events, lifecycle, socket)
    return Services(
        store=store,
        engines=engines,
        planner=planner,
        builds=Builds(store, engines, planner, events, launches, prefixes, images),
        prefixes=prefixes,
        runs=runs,
        containers=DockerRuns(store, engines, runs, lifecycle),
        launches=launches,
        lifecycle=lifecycle,
        share=share,
        workspace=EnvironmentVersions(store, events, launches),
        curated=Curated(store, engines, events, launches),
        settings=config,
        config=config_guard,
        events=events,
    )
