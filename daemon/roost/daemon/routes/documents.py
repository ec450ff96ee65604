"""Route that reads a definition as a document, which a client can change before it registers anything."""

from __future__ import annotations

import asyncio

import msgspec

from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.model.canonical.form import select_effective_defaults
from roost.model.definition import Defaults
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
    """A conda environment of this machine, by path (with a ``/``) or by name. ``what`` then has only the client's
    folder, and in ``environ`` the variables from which conda environments are located."""
    exact: bool = False
    """For ``prefix``: every package by version and build, instead of the requested specs."""


class ReadResponse(msgspec.Struct, kw_only=True):
    """A complete definition in the shape of ``roost.toml``, as ``EnvironmentSelector.document`` accepts it; with a name
    if the file has one."""

    name: str | None
    """The name in the file, or that of its folder."""
    document: dict[str, object]
    source: SourceView
    warnings: list[WarningView]


async def read_as_document(call: Call[ReadRequest]) -> ReadResponse:
    services, body = call.app[SERVICES], call.body
    if body.prefix is None:
        resolved = await services.resolver.resolve(body.what)
        return _write_definition(resolved, services.planner.defaults)
    if "\0" in body.prefix:
        raise InvalidRequestError(
            "The name of a conda environment contains a NUL character", hint="Remove the NUL character."
        )
    return await asyncio.to_thread(_write_prefix, body.what, body.prefix, body.exact)


def _write_definition(resolved: ResolvedDefinition, current: Defaults) -> ReadResponse:
    """Write ``resolved``, with those of its defaults that the current configuration would not give."""
    effective = select_effective_defaults(resolved.definition, current)
    own = select_effective_defaults(resolved.definition, resolved.defaults).without(effective)
    return ReadResponse(
        name=resolved.source.name,
        document=to_document(resolved.definition, resolved.settings, resolved.parsed.name, own),
        source=resolved.source,
        warnings=resolved.warnings,
    )


def _write_prefix(selector: EnvironmentSelector, prefix: str, exact: bool) -> ReadResponse:
    path = find_prefix(prefix, selector.cwd, selector.environ)
    parsed = read_prefix(path, pinned=exact)
    return ReadResponse(
        name=parsed.name,
        document=to_document(parsed.definition, parsed.settings),
        source=SourceView(path=path, format=parsed.format, name=parsed.name),
        warnings=[msgspec.convert(msgspec.to_builtins(notice), WarningView) for notice in parsed.warnings],
    )


ROUTES_DOCUMENTS = [
    Route(
        "POST",
        "/v1/documents",
        read_as_document,
        request=ReadRequest,
        response=ReadResponse,
        summary="Read a definition of any format, or a conda environment, as a document",
    ),
]
