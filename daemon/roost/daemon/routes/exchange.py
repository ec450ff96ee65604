"""Routes to import and export environments."""

from __future__ import annotations

from roost.daemon.credentials.host import dropped_credentials_warnings
from roost.daemon.exchange.exports import export_environment
from roost.daemon.exchange.imports import import_environment
from roost.daemon.routes.environments import environment_view
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.wire.exchange import ExportRequest, ExportResponse, ImportRequest, ImportResponse


async def imports(call: Call[ImportRequest]) -> ImportResponse:
    work = call.app[SERVICES]
    imported = await import_environment(work, call.body)
    return ImportResponse(
        environment=await environment_view(work, imported.registered.version),
        created=imported.registered.created,
        source=imported.source,
        format=imported.resolved.source.format,
        warnings=[*imported.resolved.warnings, *dropped_credentials_warnings(imported.resolved.parsed.credentials)],
    )


async def exports(call: Call[ExportRequest]) -> ExportResponse:
    return await export_environment(call.app[SERVICES], call.body)


ROUTES_EXCHANGE = [
    Route(
        "POST",
        "/v1/imports",
        imports,
        request=ImportRequest,
        response=ImportResponse,
        summary="Register what a file, folder, archive or conda environment holds",
    ),
    Route(
        "POST",
        "/v1/exports",
        exports,
        request=ExportRequest,
        response=ExportResponse,
        summary="Write a definition in another tool's format",
    ),
]
