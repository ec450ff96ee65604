"""How requests to the daemon name an environment: the values of their field ``what`` (``wire.EnvironmentSelector``)."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from roost.client.api.connection import WorkspaceConnection
from roost.client.api.description import EnvironmentDescription, Origin
from roost.client.api.documents import to_document
from roost.client.api.passthrough import write_version

Json = dict[str, Any]
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def unchanged_origin(description: EnvironmentDescription) -> Origin | None:
    """Return the registered version that ``description`` came from if neither name nor content has changed since."""
    origin = description._origin
    if origin is None or description.name != origin.name or not _has_content_of(origin, description):
        return None
    return origin


def use_selector(description: EnvironmentDescription, cwd: str | None = None) -> Json:
    """Return the selector for building and running. ``cwd``: by default the working folder.

    An unchanged registered version is named; in the generation of a run, if it was fetched from that.
    """
    folder = cwd or os.getcwd()
    origin = unchanged_origin(description)
    if origin is None:
        return _document_selector(description, folder)
    generation = {"generation_of": origin.run} if origin.run is not None else {}
    return {"cwd": folder, "environment": origin.reference, **generation}


def registration_selector(description: EnvironmentDescription) -> Json:
    """Return the selector for registering. A copy with unchanged content stays tied to the version that it was copied
    from, whatever its name."""
    origin = description._origin
    if origin is not None and _has_content_of(origin, description):
        return {"cwd": os.getcwd(), "environment": origin.reference}
    return _document_selector(description, os.getcwd())


def export_selector(description: EnvironmentDescription) -> Json:
    """Return the selector for files. They contain the name, so that a copy under another name goes by its content."""
    origin = unchanged_origin(description)
    if origin is not None:
        return {"cwd": os.getcwd(), "environment": origin.reference}
    selector = _document_selector(description, os.getcwd())
    write_version(selector["document"], own_version(description))
    return selector


def own_version(description: EnvironmentDescription) -> str | None:
    """Return the version that was read from a file or set by hand; not that of the registered version that
    ``description`` was fetched as."""
    origin = description._origin
    version = None if description.version is None else str(description.version)
    return None if origin is not None and version == str(origin.version) else version


def attach_variables(workspace: WorkspaceConnection, selector: Json) -> Json:
    """Return ``selector`` with the values of the ``${VAR}`` in its definition, as far as this process has them: a
    detached build or run can't request them later. Raises: DefinitionError, EnvironmentNotFoundError."""
    canonical = workspace._request("POST", "/v1/digests", {"what": selector})["canonical"]
    names = {*_VARIABLE.findall(json.dumps(selector)), *_VARIABLE.findall(json.dumps(canonical))}
    values = {name: os.environ[name] for name in sorted(names) if name in os.environ}
    return {**selector, "environ": values} if values else selector


def _has_content_of(origin: Origin, description: EnvironmentDescription) -> bool:
    return to_document(description) == origin.document


def _document_selector(description: EnvironmentDescription, cwd: str) -> Json:
    name = {"name": description.name} if description.name else {}
    return {"cwd": cwd, "document": {**name, **to_document(description)}}
