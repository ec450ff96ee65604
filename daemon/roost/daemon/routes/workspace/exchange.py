"""Routes that import and export environments: other tools' formats, bills of materials, and bundles.

Separate from ``environments``, whose view of a version they return.
"""

from __future__ import annotations

from functools import partial

from aiohttp import web

from roost.daemon.credentials.host import dropped_credentials_warnings
from roost.daemon.exchange.exports import export_environment
from roost.daemon.routes.workspace.environments import view_environment
from roost.daemon.server.routing import Call, Route
from roost.daemon.server.streams import send_messages
from roost.daemon.services import SERVICES
from roost.wire.bundles import BundleExportRequest, BundleImportRequest, BundleMessage
from roost.wire.exchange import (
    ExportRequest,
    ExportResponse,
    ImportRequest,
    ImportResponse,
    SbomRequest,
    SbomResponse,
)


async def import_from_path(call: Call[ImportRequest]) -> ImportResponse:
    from roost.daemon.exchange.imports import EnvironmentImporter  # tar and zip archives are 0.8 MB of modules

    services = call.app[SERVICES]
    importer = EnvironmentImporter(
        services.store, services.engines, services.reloader, services.resolver, services.planner, services.versions
    )
    imported = await importer.import_environment(call.body)
    return ImportResponse(
        environment=await view_environment(services, imported.registered.version),
        created=imported.registered.created,
        source=imported.source,
        format=imported.resolved.source.format,
        warnings=[*imported.resolved.warnings, *dropped_credentials_warnings(imported.resolved.parsed.credentials)],
    )


async def export_to_format(call: Call[ExportRequest]) -> ExportResponse:
    services = call.app[SERVICES]
    return await export_environment(services.store, services.engines, services.resolver, services.planner, call.body)


async def write_bill(call: Call[SbomRequest]) -> SbomResponse:
    from roost.daemon.sbom.sboms import write_sbom  # few daemons ever write one

    services = call.app[SERVICES]
    return await write_sbom(services.store, services.engines, services.resolver, services.planner, call.body)


async def export_bundle(call: Call[BundleExportRequest]) -> web.StreamResponse:
    from roost.daemon.bundles.exports import BundleExporter  # few daemons ever write one
    from roost.daemon.bundles.session import stream_bundle

    services = call.app[SERVICES]
    exporter = BundleExporter(
        services.store,
        services.engines,
        services.resolver,
        services.planner,
        services.builds,
        services.ledger.request_comparison,
    )
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
        services.ledger.request_comparison,
    )
    return await send_messages(call.request, stream_bundle(partial(importer.import_bundle, call.body), "import"))


ROUTES_EXCHANGE = [
    Route(
        "POST",
        "/v1/imports",
        import_from_path,
        request=ImportRequest,
        response=ImportResponse,
        summary="Register what a file, folder, archive or conda environment contains",
    ),
    Route(
        "POST",
        "/v1/exports",
        export_to_format,
        request=ExportRequest,
        response=ExportResponse,
        summary="Write a definition in another tool's format",
    ),
    Route(
        "POST",
        "/v1/sboms",
        write_bill,
        request=SbomRequest,
        response=SbomResponse,
        withdrawable=True,
        summary="Write what is in an environment as a bill of materials",
    ),
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
