"""Routes that write and read bundles.

Separate from ``exchange``: nothing of another tool is read or written, and what happens is streamed.
"""

from __future__ import annotations

from functools import partial

from aiohttp import web

from roost.daemon.server.routing import Call, Route
from roost.daemon.server.streams import send_messages
from roost.daemon.services import SERVICES
from roost.wire.bundles import BundleExportRequest, BundleImportRequest, BundleMessage


async def export_bundle(call: Call[BundleExportRequest]) -> web.StreamResponse:
    from roost.daemon.bundles.exports import BundleExporter  # few daemons ever write one
    from roost.daemon.bundles.session import stream_bundle

    services = call.app[SERVICES]
    exporter = BundleExporter(services.store, services.engines, services.resolver, services.planner, services.builds)
    return await send_messages(call.request, stream_bundle(partial(exporter.export, call.body), "export"))


async def import_bundle(call: Call[BundleImportRequest]) -> web.StreamResponse:
    from roost.daemon.bundles.imports import BundleImporter
    from roost.daemon.bundles.session import stream_bundle

    services = call.app[SERVICES]
    importer = BundleImporter(
        services.store,
        services.engines,
        services.resolver,
        services.planner,
        services.builds,
        services.events,
        services.launches,
    )
    return await send_messages(call.request, stream_bundle(partial(importer.import_bundle, call.body), "import"))


ROUTES_BUNDLES = [
    Route(
        "POST",
        "/v1/bundles/export",
        export_bundle,
        request=BundleExportRequest,
        response=BundleMessage,
        stream=True,
        summary="Write environments with all that they need to one file",
    ),
    Route(
        "POST",
        "/v1/bundles/import",
        import_bundle,
        request=BundleImportRequest,
        response=BundleMessage,
        stream=True,
        summary="Use the environments of a bundle, without a connection",
    ),
]
