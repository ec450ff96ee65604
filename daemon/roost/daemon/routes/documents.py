"""Routes that read what others wrote, as documents: for changing before anything is registered."""

from __future__ import annotations

import asyncio

import msgspec

from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.model.canonical.form import select_effective_defaults
from roost.model.definition import Defaults, Notice, ReadResult
from roost.model.errors import InvalidRequestError
from roost.model.writers.document import to_document
from roost.store.sources.conda_environments import find_prefix
from roost.store.sources.conda_prefixes import read_prefix
from roost.wire.plans import EnvironmentSelector, SourceView
from roost.wire.protocol import WarningView


class ReadRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A definition of any format, or the conda environment that ``prefix`` names."""

    what: EnvironmentSelector
    prefix: str | None = None
    """By path (with a ``/``) or by name; ``what`` then says no more than the client's folder, and in ``environ`` its
    variables that say where conda's environments are."""
    exact: bool = False
    """Of ``prefix``: every package by version and build, and not what was asked for."""


class ReadResponse(msgspec.Struct, kw_only=True):
    """What a definition says, whole, in the shape of ``roost.toml``: ``EnvironmentSelector.document`` takes it."""

    name: str | None
    """As the file says, or as its folder is called."""
    document: dict[str, object]
    source: SourceView
    warnings: list[WarningView]


async def documents(call: Call[ReadRequest]) -> ReadResponse:
    what, prefix = call.body.what, call.body.prefix
    if prefix is None:
        resolved = await call.app[SERVICES].resolver.resolve(what)
        return _of_resolved(resolved, call.app[SERVICES].planner.defaults)
    if "\0" in prefix:
        raise InvalidRequestError(
            "The name of a conda environment holds a NUL character", hint="No folder has such a name."
        )
    return await asyncio.to_thread(_of_prefix, what, prefix, call.body.exact)


def _of_resolved(resolved: ResolvedDefinition, now: Defaults) -> ReadResponse:
    counting = select_effective_defaults(resolved.definition, now)
    own = select_effective_defaults(resolved.definition, resolved.defaults).without(counting)
    return ReadResponse(
        name=resolved.source.name,
        document=to_document(resolved.definition, resolved.settings, defaults=own),
        source=resolved.source,
        warnings=resolved.warnings,
    )


def _of_prefix(what: EnvironmentSelector, prefix: str, exact: bool) -> ReadResponse:
    path = find_prefix(prefix, what.cwd, what.environ)
    parsed: ReadResult = read_prefix(path, pinned=exact)
    return ReadResponse(
        name=parsed.name,
        document=to_document(parsed.definition, parsed.settings),
        source=SourceView(path=path, format=parsed.format, name=parsed.name),
        warnings=[_warning(notice) for notice in parsed.warnings],
    )


def _warning(notice: Notice) -> WarningView:
    return msgspec.convert(msgspec.to_builtins(notice), WarningView)


ROUTES_DOCUMENTS = [
    Route(
        "POST",
        "/v1/documents",
        documents,
        request=ReadRequest,
        response=ReadResponse,
        summary="Read a definition of any format, or a conda environment, as a document",
    ),
]
