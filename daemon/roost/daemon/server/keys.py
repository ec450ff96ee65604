"""Keys of the services that every application has, for typed access: ``call.app[KEY]``.

Separate from ``app``, so that a handler can find a service without importing the middlewares.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from roost.daemon.caller.current import LastCaller
from roost.daemon.config.config import Config
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.server.accepting import ConnectionUse
from roost.daemon.server.routing import Route
from roost.store.store import Store

CALLER: web.AppKey[LastCaller] = web.AppKey("caller", LastCaller)
CONFIG: web.AppKey[Config] = web.AppKey("config", Config)
STORE: web.AppKey[Store] = web.AppKey("store", Store)
CONNECTION_USE: web.AppKey[ConnectionUse] = web.AppKey("connection_use", ConnectionUse)
EVENTS: web.AppKey[Events] = web.AppKey("events", Events)
LIFECYCLE: web.AppKey[Lifecycle] = web.AppKey("lifecycle", Lifecycle)
ROUTES: web.AppKey[Sequence[Route]] = web.AppKey("routes", Sequence)
