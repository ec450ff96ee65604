"""What the application is made of, and the one list of its routes."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from roost.daemon.app import create_app
from roost.daemon.config import Config
from roost.daemon.events import Events
from roost.daemon.keys import CONFIG, EVENTS, LIFECYCLE, ROUTES, STORE
from roost.daemon.lifecycle import Lifecycle
from roost.daemon.routes_daemon import ROUTES_DAEMON
from roost.daemon.routing import Route
from roost.store.store import Store

ALL_ROUTES: Sequence[Route] = (*ROUTES_DAEMON,)


def build_app(
    store: Store, config: Config, lifecycle: Lifecycle, routes: Sequence[Route] = ALL_ROUTES
) -> web.Application:
    """The application over an open store. Hooks for the stop are put into ``lifecycle``."""
    app = create_app(routes)
    app[CONFIG], app[STORE], app[LIFECYCLE], app[ROUTES] = config, store, lifecycle, routes
    app[EVENTS] = _events(store, config, lifecycle)
    return app


def _events(store: Store, config: Config, lifecycle: Lifecycle) -> Events:
    daemon = config.daemon
    events = Events(store.index, keep=daemon.event_retention, limit=daemon.stream_queue, every=daemon.heartbeat_seconds)

    async def end() -> None:
        events.end()

    lifecycle.on_stop(end)
    return events
