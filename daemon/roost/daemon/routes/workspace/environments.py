"""Routes of environments: register them, list and show versions, label, archive and remove them."""

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
from roost.daemon.workspace.removal import describe_removal
from roost.model.canonical.form import select_effective_defaults
from roost.model.definition import DefaultOverrides
from roost.model.errors import InvalidRequestError
from roost.model.names import (
    NameInvalidError,
    VersionReference,
    check_label,
    check_name,
    check_new_name,
    parse_version,
)
from roost.model.records import CuratedFilter, EnvironmentBody, EnvironmentVersion
from roost.model.writers.document import definition_to_document, settings_to_document, to_document
from roost.wire.environments import (
    ArchiveRequest,
    DocumentResponse,
    EnvironmentRemoval,
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
    """A page of environments by name. ``archived``: include archived ones. ``curated``: include curated ones, or list
    only those."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: str = ""
    archived: bool = False
    curated: CuratedFilter = "without"


class VersionsQuery(msgspec.Struct, kw_only=True):
    """A page of versions, the newest first. ``archived``: include archived ones."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: VersionNumber | None = None
    archived: bool = False


class VersionQuery(msgspec.Struct, kw_only=True):
    """A version by number or by label; without either, the latest."""

    version: VersionNumber | None = None
    label: str | None = None


class RemovalQuery(VersionQuery, kw_only=True):
    """A version by number or by label; without either, all versions. ``force``: although runs or labels refer to it."""

    force: bool = False


class DocumentQuery(VersionQuery, kw_only=True):
    """``new``: the name under which the changed version will be registered; refuse if that can't be. Empty: its own
    name."""

    new: str | None = None


async def register_environment(call: Call[RegisterRequest]) -> RegisterResponse:
    services, body = call.app[SERVICES], call.body
    if body.what.additions:
        raise InvalidRequestError(
            "--with adds packages for one request, and a version is for all later ones",
            hint="Write them into the file: `roost add PKG`.",
        )
    resolved = await services.resolver.resolve(body.what)
    if await services.store.index.definitions.find(resolved.digest) is None:
        await services.planner.check_specs(resolved)
    number = parse_version(str(body.version)) if body.version is not None else None
    registered = await services.versions.register(resolved, body.name, body.labels, body.origin, number)
    return RegisterResponse(
        environment=await view_environment(services, registered.version),
        created=registered.created,
        warnings=[*resolved.warnings, *dropped_credentials_warnings(resolved.parsed.credentials)],
    )


async def list_environments(call: Call[None]) -> EnvironmentsResponse:
    query = call.query(ListQuery)
    index = call.app[SERVICES].store.index
    rows = await index.environments.list_page(
        query.limit + 1, query.after, archived=query.archived, curated=query.curated
    )
    summaries = [_summarize(row.latest, row.versions) for row in rows[: query.limit]]
    return EnvironmentsResponse(environments=summaries, next=summaries[-1].name if len(rows) > query.limit else None)


async def show_version(call: Call[None]) -> EnvironmentView:
    services = call.app[SERVICES]
    return await view_environment(
        services, await services.store.index.environments.get(_parse_reference(call, call.query(VersionQuery)))
    )


async def show_document(call: Call[None]) -> DocumentResponse:
    services, query = call.app[SERVICES], call.query(DocumentQuery)
    index = services.store.index
    version = await index.environments.get(_parse_reference(call, query))
    if query.new is not None:
        _check_new_version_name(version, query.new)
    body = await index.environments.load_body(version.name, version.version)
    defaults = await _find_own_defaults(services, body)
    document = to_document(body.definition, body.settings, version.name, defaults)
    text = tomli_w.dumps(document, multiline_strings=True)
    return DocumentResponse(name=version.name, version=version.version, text=text)


async def list_versions(call: Call[None]) -> VersionsResponse:
    query, name = call.query(VersionsQuery), check_name(call.path("name"))
    index = call.app[SERVICES].store.index
    rows = await index.environments.list_versions(name, query.limit + 1, query.before, archived=query.archived)
    summaries = await add_changes(index, rows, [_summarize(each) for each in rows[: query.limit]])
    return VersionsResponse(versions=summaries, next=summaries[-1].version if len(rows) > query.limit else None)


async def put_label(call: Call[LabelRequest]) -> EnvironmentSummary:
    versions = call.app[SERVICES].versions
    return _summarize(await versions.set_labels(check_name(call.path("name")), [call.path("label")], call.body.version))


async def put_labels(call: Call[LabelsRequest]) -> EnvironmentSummary:
    versions, body = call.app[SERVICES].versions, call.body
    return _summarize(await versions.set_labels(check_name(call.path("name")), body.labels, body.version))


async def delete_label(call: Call[None]) -> dict[str, str]:
    await call.app[SERVICES].versions.remove_label(check_name(call.path("name")), call.path("label"))
    return {"dropped": call.path("label")}


async def archive_environment(call: Call[ArchiveRequest]) -> dict[str, str]:
    name = check_name(call.path("name"))
    await call.app[SERVICES].versions.set_archived(name, call.body.version, archived=True)
    return {"archived": _format_reference(name, call.body.version)}


async def remove_environment(call: Call[None]) -> EnvironmentRemoval:
    services, query, name = call.app[SERVICES], call.query(RemovalQuery), check_name(call.path("name"))
    version = query.version
    if query.label is not None:
        version = (await services.store.index.environments.get(_parse_reference(call, query))).version
    removed = await services.versions.remove(name, version, force=query.force)
    removal = await describe_removal(services.store.index, removed)
    digests = set(removed.definitions)
    removal.watched = [each.path for each in await services.watches.list_all() if each.definition_digest in digests]
    return removal


async def restore_environment(call: Call[ArchiveRequest]) -> dict[str, str]:
    name = check_name(call.path("name"))
    await call.app[SERVICES].versions.set_archived(name, call.body.version, archived=False)
    return {"restored": _format_reference(name, call.body.version)}


def _format_reference(name: str, version: int | None) -> str:
    """Return the text for one version, or for all versions of ``name``."""
    return name if version is None else f"{name}:{version}"


async def view_environment(services: Services, version: EnvironmentVersion) -> EnvironmentView:
    """Return one version with its definition and its generations on this machine."""
    index = services.store.index
    body = await index.environments.load_body(version.name, version.version)
    generations = await index.generations.list_by_definition(version.definition_digest)
    return EnvironmentView(
        name=version.name,
        version=version.version,
        labels=list(version.labels),
        kind=version.kind,
        definition_digest=version.definition_digest,
        definition=definition_to_document(body.definition, await _find_own_defaults(services, body)),
        settings={"variables": {}, **settings_to_document(body.settings)},
        settings_digest=version.settings_digest,
        created=version.created,
        archived=version.archived,
        generations=[generation_view(generation) for generation in generations],
        origin=version.origin,
        differences=await find_changes_since_origin(index, version, body),
    )


async def _find_own_defaults(services: Services, body: EnvironmentBody) -> DefaultOverrides:
    """Return the defaults of a version that the current configuration would not give: a client that sends the document
    back must include them, so that the digest stays the same."""
    await services.reloader.refresh()
    current = select_effective_defaults(body.definition, services.planner.defaults)
    return select_effective_defaults(body.definition, body.defaults).without(current)


def _check_new_version_name(version: EnvironmentVersion, new: str) -> None:
    """Check that a changed ``version`` may be registered as ``new``, or under its own name if that is empty. Raises
    NameInvalidError."""
    if version.kind == "curated" and not new:
        raise NameInvalidError(
            f"{version.name} is curated: only its maintainers create versions of it",
            hint=f"Give your version another name: `roost env edit {version.name} --name NAME`.",
        )
    check_new_name(new or version.name)


def _parse_reference(call: Call[None], query: VersionQuery) -> VersionReference:
    label = check_label(query.label) if query.label is not None else None
    return VersionReference(name=check_name(call.path("name")), version=query.version, label=label)


def _summarize(version: EnvironmentVersion, versions: int | None = None) -> EnvironmentSummary:
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


_PATH = "/v1/environments/{name}"
ROUTES_ENVIRONMENTS = [
    Route(
        "POST",
        "/v1/environments",
        register_environment,
        request=RegisterRequest,
        response=RegisterResponse,
        summary="Register a definition as the next version of an environment",
    ),
    Route(
        "GET",
        "/v1/environments",
        list_environments,
        query=ListQuery,
        response=EnvironmentsResponse,
        summary="Registered environments, each with its latest version",
    ),
    Route(
        "GET",
        _PATH,
        show_version,
        query=VersionQuery,
        response=EnvironmentView,
        summary="One version of an environment",
    ),
    Route(
        "GET",
        _PATH + "/document",
        show_document,
        query=DocumentQuery,
        response=DocumentResponse,
        summary="One version as the text of a roost.toml",
    ),
    Route(
        "GET",
        _PATH + "/versions",
        list_versions,
        query=VersionsQuery,
        response=VersionsResponse,
        summary="The versions of an environment",
    ),
    Route(
        "PUT",
        _PATH + "/labels/{label}",
        put_label,
        request=LabelRequest,
        response=EnvironmentSummary,
        summary="Set or move a label",
    ),
    Route(
        "POST",
        _PATH + "/labels",
        put_labels,
        request=LabelsRequest,
        response=EnvironmentSummary,
        summary="Set or move several labels, all of them or none",
    ),
    Route("DELETE", _PATH + "/labels/{label}", delete_label, response=dict[str, str], summary="Remove a label"),
    Route(
        "DELETE",
        _PATH,
        remove_environment,
        query=RemovalQuery,
        response=EnvironmentRemoval,
        summary="Remove a version, or an environment; its numbers are given to no other content",
    ),
    Route(
        "POST",
        _PATH + "/archive",
        archive_environment,
        request=ArchiveRequest,
        response=dict[str, str],
        summary="Hide it",
    ),
    Route(
        "POST",
        _PATH + "/restore",
        restore_environment,
        request=ArchiveRequest,
        response=dict[str, str],
        summary="Show it",
    ),
]
