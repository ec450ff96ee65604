"""The application and the list of all its routes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web

from roost.daemon.config.config import Config
from roost.daemon.config.paths import socket_path
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.launch.folder import find_tools, link_launcher
from roost.daemon.routes.builds import ROUTES_BUILDS
from roost.daemon.routes.collection import ROUTES_COLLECTION
from roost.daemon.routes.daemon import ROUTES_DAEMON
from roost.daemon.routes.definitions import ROUTES_DEFINITIONS
from roost.daemon.routes.documents import ROUTES_DOCUMENTS
from roost.daemon.routes.edits import ROUTES_EDITS
from roost.daemon.routes.images import ROUTES_IMAGES
from roost.daemon.routes.inspection import ROUTES_INSPECTION
from roost.daemon.routes.leases import ROUTES_LEASES
from roost.daemon.routes.lock_files import ROUTES_LOCK_FILES
from roost.daemon.routes.registries import ROUTES_REGISTRIES
from roost.daemon.routes.run_history import ROUTES_RUN_HISTORY
from roost.daemon.routes.runs import ROUTES_RUNS
from roost.daemon.routes.store import ROUTES_STORE
from roost.daemon.routes.watches import ROUTES_WATCHES
from roost.daemon.routes.workspace.compare import ROUTES_COMPARE
from roost.daemon.routes.workspace.curated import ROUTES_CURATED
from roost.daemon.routes.workspace.environments import ROUTES_ENVIRONMENTS
from roost.daemon.routes.workspace.exchange import ROUTES_EXCHANGE
from roost.daemon.routes.workspace.wheels import ROUTES_WHEELS
from roost.daemon.server.app import create_app
from roost.daemon.server.keys import CALLER, CONFIG, EVENTS, LIFECYCLE, ROUTES, STORE
from roost.daemon.server.routing import Route
from roost.daemon.services import SERVICES, create_services
from roost.daemon.watch.files.watcher import FileWatcher
from roost.model.records import FileStamp
from roost.store.store import Store

ALL_ROUTES: Sequence[Route] = (
    *ROUTES_DAEMON,
    *ROUTES_DEFINITIONS,
    *ROUTES_BUILDS,
    *ROUTES_EDITS,
    *ROUTES_LOCK_FILES,
    *ROUTES_INSPECTION,
    *ROUTES_RUNS,
    *ROUTES_RUN_HISTORY,
    *ROUTES_STORE,
    *ROUTES_COLLECTION,
    *ROUTES_LEASES,
    *ROUTES_REGISTRIES,
    *ROUTES_IMAGES,
    *ROUTES_ENVIRONMENTS,
    *ROUTES_CURATED,
    *ROUTES_WHEELS,
    *ROUTES_EXCHANGE,
    *ROUTES_DOCUMENTS,
    *ROUTES_COMPARE,
    *ROUTES_WATCHES,
)


def build_app(
    store: Store, config: Config, lifecycle: Lifecycle, routes: Sequence[Route] = ALL_ROUTES
) -> web.Application:
    """Return the application over an open store. Hooks for the stop are added to ``lifecycle``."""
    app = create_app(routes)
    app[CONFIG], app[STORE], app[LIFECYCLE], app[ROUTES] = config, store, lifecycle, routes
    app[EVENTS] = _create_events(store, config, lifecycle)
    app.on_startup.append(_start_services)
    return app


async def _start_services(app: web.Application) -> None:
    """Create the services, import the curated environments of this version, and watch the runs that outlived the last
    daemon."""
    config, lifecycle = app[CONFIG], app[LIFECYCLE]
    # The first request reads the config again, after the state of its file: a change since the start is noticed.
    unseen = FileStamp(path=config.expected_path, identity="")
    socket = socket_path(app[STORE].layout.root)
    tools = await asyncio.to_thread(find_tools, app[STORE].layout.prefixes)
    await asyncio.to_thread(link_launcher, app[STORE].layout.programs)
    services = create_services(app[STORE], config, unseen, app[EVENTS], lifecycle, socket, tools, app[CALLER])
    app[SERVICES] = services
    lifecycle.on_stop(services.stop)
    await services.curated.register_shipped()
    await services.leases.load()
    await services.runs.reattach()
    await services.bytecode.start()
    services.watches.start(FileWatcher, app[EVENTS])
    services.completions.start(app[EVENTS])
    services.idle_work.start()


def _create_events(store: Store, config: Config, lifecycle: Lifecycle) -> Events:
    events = Events(store.index, keep=config.daemon.event_retention)

    async def end() -> None:
        events.end()

    lifecycle.on_stop(end)
    return events
