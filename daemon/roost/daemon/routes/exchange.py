"""Routes that import and export environments.

Separate from ``environments``, whose view of a version they return: they read and write other tools' formats.
"""

from __future__ import annotations

from roost.daemon.credentials.host import dropped_credentials_warnings
from roost.daemon.exchange.exports import export_environment
from roost.daemon.routes.environments import view_environment
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.wire.exchange import ExportRequest, ExportResponse, ImportRequest, ImportResponse


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
]
