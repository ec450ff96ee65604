"""The wiring of the daemon's parts, made once. Only routes take ``Services`` apart: they find it by one key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from aiohttp import web

from roost.daemon.background.code import KnownCode
from roost.daemon.builds.builds import Builds
from roost.daemon.caches.ledger import INVENTORY_SECONDS, CacheLedger
from roost.daemon.caches.remover import TRASH_SECONDS, CacheRemover
from roost.daemon.caller.current import LastCaller
from roost.daemon.completions.completions import CompletionFiles
from roost.daemon.config.config import Config
from roost.daemon.config.schema import WatchSettings
from roost.daemon.config.source import ConfigSource
from roost.daemon.curated.versions import CuratedVersions
from roost.daemon.definitions.config_reloader import ConfigReloader
from roost.daemon.doctor.deadlines import Examiners
from roost.daemon.edits.editor import EnvironmentEditor
from roost.daemon.engines.engine_set import Engines
from roost.daemon.gc.collector import Collector
from roost.daemon.gc.engine_images import ImagesInEngine
from roost.daemon.gc.gathering import FactsGatherer
from roost.daemon.gc.pauses import Pauses
from roost.daemon.gc.triggers import EVERY_SECONDS, IDLE_WORK, CollectionTriggers
from roost.daemon.images.builds import ImageBuilds
from roost.daemon.images.jobs import ImageJobs
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.idle_work import IdleWork
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.jobs.space import SpaceGate
from roost.daemon.launch.folder import LaunchFolder
from roost.daemon.launch.plan import Tools
from roost.daemon.leases.interest import LeaseInterest
from roost.daemon.leases.leases import ClientLeases
from roost.daemon.lock_writing.writer import LockFileWriter
from roost.daemon.locks.registry import LockRegistry
from roost.daemon.planning.planner import Planner
from roost.daemon.prebuilding.prebuilds import Prebuilds
from roost.daemon.prefixes import idle_check
from roost.daemon.prefixes.adoption import Adoption
from roost.daemon.prefixes.builds import PrefixBuilds
from roost.daemon.prefixes.idle_check import IdleVerification
from roost.daemon.prefixes.late_bytecode import LateBytecode
from roost.daemon.retention import ages, compaction, index_copy
from roost.daemon.runs.runs import Runs
from roost.daemon.watch.driver import WatchDriver
from roost.daemon.watch.news import DAY_SECONDS, NEWS_WORK, WatchNews
from roost.daemon.watch.reading import DefinitionReader
from roost.daemon.watch.saving import WatchSaver
from roost.daemon.watch.watches import Watches
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.daemon.workspace.versions import EnvironmentVersions
from roost.model.records import FileStamp
from roost.store.store import Store


@dataclass(frozen=True)
class Services:
    """The parts that the routes work with."""

    store: Store
    config: ConfigSource
    reloader: ConfigReloader
    resolver: EnvironmentResolver
    engines: Engines
    planner: Planner
    builds: Builds
    editor: EnvironmentEditor
    lock_writer: LockFileWriter
    prebuilds: Prebuilds
    leases: ClientLeases
    prefixes: PrefixBuilds
    adoption: Adoption
    bytecode: LateBytecode
    runs: Runs
    launches: LaunchFolder
    lifecycle: Lifecycle
    idle_work: IdleWork
    collector: Collector
    engine_images: ImagesInEngine
    collections: CollectionTriggers
    ledger: CacheLedger
    remover: CacheRemover
    versions: EnvironmentVersions
    curated: CuratedVersions
    events: Events
    watches: Watches
    examiners: Examiners
    completions: CompletionFiles

    async def stop(self) -> None:
        """Cancel builds and let go of runs, which go on."""
        await self.idle_work.stop()
        await self.collections.stop()
        await self.watches.stop()
        await self.planner.lock_files.late_vouching.stop()
        await self.adoption.stop()
        await self.prebuilds.stop()
        await self.leases.interest.stop()
        await self.builds.stop()
        await self.bytecode.stop()
        await self.runs.stop()
        await self.ledger.stop()
        await self.completions.stop()
        await self.engines.close()


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)


def create_services(
    store: Store,
    config: Config,
    config_file: FileStamp,
    events: Events,
    lifecycle: Lifecycle,
    socket: str,
    tools: Tools | None,
    last_caller: LastCaller,
) -> Services:
    """Wire the parts of one daemon. ``config_file``: the file of ``config`` and its state before it was read.
    ``last_caller``: whose variables work without a caller uses."""
    source = ConfigSource(config)
    reloader = ConfigReloader(source, store.layout.root, config_file)
    engines = Engines(store.layout, source, KnownCode(store.index.code_runs))
    lock_registry = LockRegistry(engines, events, source, store.layout.stage, store.index)
    planner = Planner(store, engines, source, lock_registry)
    launches = LaunchFolder(store.layout.launch, store.layout.trash, tools)
    space = SpaceGate()
    ledger = CacheLedger(store.layout, store.index)
    on_cached = ledger.request_comparison
    bytecode = LateBytecode(store, engines.bytecode_folder, lifecycle, on_cached)
    store.artifacts.before_deletion = bytecode.leave
    concurrency = config.builds.concurrency
    prefixes = PrefixBuilds(store, engines, events, launches, space, concurrency, on_cached, bytecode.request)
    image_builds = ImageBuilds(store, engines, events, planner.bases, space, concurrency)
    images = ImageJobs(store, engines, image_builds, launches, planner.image_probe.steps, on_cached)
    interest = LeaseInterest(lifecycle)
    builds = Builds(store, engines, planner, events, launches, prefixes, images, interest)
    runs = Runs(store, engines, events, lifecycle, builds, planner, socket)
    remover = CacheRemover(store.layout, store.index, engines)
    engine_images = ImagesInEngine(store.index, engines, runs.containers.find_images_in_use)
    collector = _create_collector(store, source, remover, engine_images, Pauses(lifecycle))
    collections = CollectionTriggers(store.layout.root, store.index, source, collector, events, ledger.wait)
    space.keeper = collections
    idle_work = IdleWork(store.index.upkeep, lifecycle, lambda: source.config.daemon.idle_work_seconds)
    idle_work.register(IDLE_WORK, EVERY_SECONDS, collections.run_idle)
    idle_work.register("cache-inventory", INVENTORY_SECONDS, ledger.take_inventory)
    idle_work.register("trash", TRASH_SECONDS, remover.empty_trash)
    adoption = Adoption(store, prefixes, launches)
    _register_upkeep(idle_work, store, source, prefixes, adoption, bytecode, engines)
    resolver = EnvironmentResolver(store, runs, source, reloader, engines.workers, planner.lock_files)
    prebuilds = Prebuilds(builds.wait, lambda: source.config.watch, lambda: last_caller.variables)
    curated = CuratedVersions(store, engines, events, launches)
    reader = DefinitionReader(resolver, planner, config_file.path, lambda: source.config.watch.code == "always")
    watches = _create_watches(store, source, reader, prebuilds, events, lifecycle)
    news = WatchNews(store.index, events, reader, planner.bases.resolver, curated, source, watches.list_targets)
    idle_work.register(NEWS_WORK, DAY_SECONDS, news.look)
    return Services(
        store=store,
        config=source,
        reloader=reloader,
        resolver=resolver,
        engines=engines,
        planner=planner,
        builds=builds,
        editor=EnvironmentEditor(
            store, engines, resolver, planner, builds, partial(watches.note_use, target="auto", ready=None)
        ),
        lock_writer=LockFileWriter(store, engines, resolver, planner, builds),
        prebuilds=prebuilds,
        leases=ClientLeases(store.index, interest),
        prefixes=prefixes,
        adoption=adoption,
        bytecode=bytecode,
        runs=runs,
        launches=launches,
        lifecycle=lifecycle,
        idle_work=idle_work,
        collector=collector,
        engine_images=engine_images,
        collections=collections,
        ledger=ledger,
        remover=remover,
        versions=EnvironmentVersions(store, events, launches),
        curated=curated,
        events=events,
        watches=watches,
        examiners=Examiners(),
        completions=CompletionFiles(store.layout.completions, store.index),
    )


def _create_collector(
    store: Store, source: ConfigSource, caches: CacheRemover, images: ImagesInEngine, pauses: Pauses
) -> Collector:
    gatherer = FactsGatherer(store.layout.root, store.index, store.artifacts, caches, images)
    return Collector(store.layout.root, source, gatherer, store.artifacts, caches, images, pauses)


def _create_watches(
    store: Store,
    source: ConfigSource,
    reader: DefinitionReader,
    prebuilds: Prebuilds,
    events: Events,
    lifecycle: Lifecycle,
) -> Watches:
    def settings() -> WatchSettings:
        return source.config.watch

    saver = WatchSaver(store.index.watches)
    driver = WatchDriver(reader, prebuilds, events, saver, settings)
    watches = Watches(store.index.watches, driver, saver, lifecycle, settings, store.layout.root)
    store.index.artifacts.on_gone = watches.note_gone
    return watches


def _register_upkeep(
    idle_work: IdleWork,
    store: Store,
    config: ConfigSource,
    prefixes: PrefixBuilds,
    adoption: Adoption,
    bytecode: LateBytecode,
    engines: Engines,
) -> None:
    """Register what the daemon does for the root itself while nobody wants anything of it."""
    idle_work.register(ages.AGES, ages.EVERY_SECONDS, ages.AgeLimits(store, config).run)
    idle_work.register(compaction.COMPACTION, compaction.EVERY_SECONDS, compaction.Compaction(store.index).run)
    idle_work.register(index_copy.INDEX_COPY, index_copy.EVERY_SECONDS, index_copy.IndexCopy(store.layout).run)
    verification = IdleVerification(store, prefixes, adoption, bytecode, engines.workers, config)
    idle_work.register(idle_check.IDLE_CHECK, idle_check.EVERY_SECONDS, verification.run)
