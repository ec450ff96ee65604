"""Routes of the workspace: register environments, find their versions, label, archive."""

from __future__ import annotations

from typing import Annotated

import msgspec
import tomli_w
from msgspec import Meta

from roost.daemon.compare.version_changes import add_changes, find_changes_since_origin
from roost.daemon.credentials.host import dropped_credentials_warnings
from roost.daemon.jobs.views import generation_view
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES, Services
from roost.model.canonical.form import select_effective_defaults
from roost.model.definition import DefaultOverrides
from roost.model.names import NameInvalidError, VersionReference, check_label, check_name, check_new_name
from roost.model.records import CuratedFilter, EnvironmentBody, EnvironmentVersion
from roost.model.writers.document import definition_to_document, settings_to_document, to_document
from roost.wire.environments import (
    ArchiveRequest,
    DocumentResponse,
    EnvironmentsResponse,
    EnvironmentSummary,
    EnvironmentView,
    LabelRequest,
    LabelsRequest,
    RegisterRequest,
    RegisterResponse,
    VersionNumber,
    VersionsResponse,
)


class ListQuery(msgspec.Struct, kw_only=True):
    """A page by name; ``archived``: with what is archived; ``curated``: with those, or those alone."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: str = ""
    archived: bool = False
    curated: CuratedFilter = "without"


class VersionsQuery(msgspec.Struct, kw_only=True):
    """A page of versions, the newest first."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: VersionNumber | None = None
    archived: bool = False


class VersionQuery(msgspec.Struct, kw_only=True):
    """Which version: by number or by label; neither: the latest."""

    version: VersionNumber | None = None
    label: str | None = None


class DocumentQuery(VersionQuery, kw_only=True):
    """``new``: refuse unless it may be registered under that name when it was changed; empty: under its own."""

    new: str | None = None


async def register(call: Call[RegisterRequest]) -> RegisterResponse:
    work, body = call.app[SERVICES], call.body
    resolved = await work.resolver.resolve(body.what)
    if await work.store.index.definitions.find(resolved.digest) is None:
        await work.planner.check_specs(resolved)
    registered = await work.versions.register(resolved, body.name, body.labels, body.origin)
    return RegisterResponse(
        environment=await environment_view(work, registered.version),
        created=registered.created,
        warnings=[*resolved.warnings, *dropped_credentials_warnings(resolved.parsed.credentials)],
    )


async def environments(call: Call[None]) -> EnvironmentsResponse:
    query = call.query(ListQuery)
    index = call.app[SERVICES].store.index
    rows = await index.environments.list_page(
        query.limit + 1, query.after, archived=query.archived, curated=query.curated
    )
    shown = [_summary(row.latest, row.versions) for row in rows[: query.limit]]
    return EnvironmentsResponse(environments=shown, next=shown[-1].name if len(rows) > query.limit else None)


async def show(call: Call[None]) -> EnvironmentView:
    work = call.app[SERVICES]
    return await environment_view(work, await work.store.index.environments.get(_reference(call)))


async def document(call: Call[None]) -> DocumentResponse:
    work, query = call.app[SERVICES], call.query(DocumentQuery)
    index = work.store.index
    version = await index.environments.get(_named(call, query))
    if query.new is not None:
        _check_renamed(version, query.new)
    body = await index.environments.load_body(version.name, version.version)
    said = to_document(body.definition, body.settings, version.name, await _own_defaults(work, body))
    text = tomli_w.dumps(said, multiline_strings=True)
    return DocumentResponse(name=version.name, version=version.version, text=text)


async def versions(call: Call[None]) -> VersionsResponse:
    query, name = call.query(VersionsQuery), check_name(call.path("name"))
    rows = await call.app[SERVICES].store.index.environments.list_versions(
        name, query.limit + 1, query.before, archived=query.archived
    )
    shown = await add_changes(call.app[SERVICES].store.index, rows, [_summary(each) for each in rows[: query.limit]])
    return VersionsResponse(versions=shown, next=shown[-1].version if len(rows) > query.limit else None)


async def put_label(call: Call[LabelRequest]) -> EnvironmentSummary:
    versions = call.app[SERVICES].versions
    return _summary(await versions.set_labels(check_name(call.path("name")), [call.path("label")], call.body.version))


async def put_labels(call: Call[LabelsRequest]) -> EnvironmentSummary:
    versions, body = call.app[SERVICES].versions, call.body
    return _summary(await versions.set_labels(check_name(call.path("name")), body.labels, body.version))


async def drop_label(call: Call[None]) -> dict[str, str]:
    await call.app[SERVICES].versions.remove_label(check_name(call.path("name")), call.path("label"))
    return {"dropped": call.path("label")}


async def archive(call: Call[ArchiveRequest]) -> dict[str, str]:
    name = check_name(call.path("name"))
    await call.app[SERVICES].versions.set_archived(name, call.body.version, archived=True)
    return {"archived": _hidden(name, call.body.version)}


async def restore(call: Call[ArchiveRequest]) -> dict[str, str]:
    name = check_name(call.path("name"))
    await call.app[SERVICES].versions.set_archived(name, call.body.version, archived=False)
    return {"restored": _hidden(name, call.body.version)}


def _hidden(name: str, version: int | None) -> str:
    """What was hidden or brought back: a version, or all of them."""
    return name if version is None else f"{name}:{version}"


async def environment_view(work: Services, version: EnvironmentVersion) -> EnvironmentView:
    """One version with its definition and the generations of it on this machine."""
    index = work.store.index
    body = await index.environments.load_body(version.name, version.version)
    generations = await index.generations.list_by_definition(version.definition_digest)
    return EnvironmentView(
        name=version.name,
        version=version.version,
        labels=list(version.labels),
        kind=version.kind,
        definition_digest=version.definition_digest,
        definition=definition_to_document(body.definition, await _own_defaults(work, body)),
        settings={"variables": {}, **settings_to_document(body.settings)},
        settings_digest=version.settings_digest,
        created=version.created,
        archived=version.archived,
        generations=[generation_view(generation) for generation in generations],
        origin=version.origin,
        differences=await find_changes_since_origin(index, version, body),
    )


async def _own_defaults(work: Services, body: EnvironmentBody) -> DefaultOverrides:
    """What a version was digested with and the config of now would not give: who sends it back says it too."""
    await work.reloader.refresh()
    now = select_effective_defaults(body.definition, work.planner.defaults)
    return select_effective_defaults(body.definition, body.defaults).without(now)


def _check_renamed(version: EnvironmentVersion, new: str) -> None:
    if version.kind == "curated" and not new:
        raise NameInvalidError(
            f"{version.name} is curated: only those who keep it make versions of it",
            hint=f"Name what you make of it: `roost env edit {version.name} --name NAME`.",
        )
    check_new_name(new or version.name)


def _reference(call: Call[None]) -> VersionReference:
    return _named(call, call.query(VersionQuery))


def _named(call: Call[None], query: VersionQuery) -> VersionReference:
    label = check_label(query.label) if query.label is not None else None
    return VersionReference(name=check_name(call.path("name")), version=query.version, label=label)


def _summary(version: EnvironmentVersion, versions: int | None = None) -> EnvironmentSummary:
    return EnvironmentSummary(
        name=version.name,
        version=version.version,
        labels=list(version.labels),
        kind=version.kind,
        definition_digest=version.definition_digest,
        settings_digest=version.settings_digest,
        created=version.created,
        archived=version.archived,
        versions=versions,
        origin=version.origin,
    )


_NAMED = "/v1/environments/{name}"
ROUTES_ENVIRONMENTS = [
    Route(
        "POST",
        "/v1/environments",
        register,
        request=RegisterRequest,
        response=RegisterResponse,
        summary="Register a definition as the next version of an environment",
    ),
    Route(
        "GET",
        "/v1/environments",
        environments,
        query=ListQuery,
        response=EnvironmentsResponse,
        summary="Registered environments, each with its latest version",
    ),
    Route("GET", _NAMED, show, query=VersionQuery, response=EnvironmentView, summary="One version of an environment"),
    Route(
        "GET",
        _NAMED + "/document",
        document,
        query=DocumentQuery,
        response=DocumentResponse,
        summary="One version as the text of a roost.toml",
    ),
    Route(
        "GET",
        _NAMED + "/versions",
        versions,
        query=VersionsQuery,
        response=VersionsResponse,
        summary="The versions of an environment",
    ),
    Route(
        "PUT",
        _NAMED + "/labels/{label}",
        put_label,
        request=LabelRequest,
        response=EnvironmentSummary,
        summary="Set or move a label",
    ),
    Route(
        "POST",
        _NAMED + "/labels",
        put_labels,
        request=LabelsRequest,
        response=EnvironmentSummary,
        summary="Set or move several labels, all of them or none",
    ),
    Route("DELETE", _NAMED + "/labels/{label}", drop_label, response=dict[str, str], summary="Take a label away"),
    Route("POST", _NAMED + "/archive", archive, request=ArchiveRequest, response=dict[str, str], summary="Hide it"),
    Route("POST", _NAMED + "/restore", restore, request=ArchiveRequest, response=dict[str, str], summary="Show it"),
]
