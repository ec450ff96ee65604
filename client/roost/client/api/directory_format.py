"""Environments as files that people can edit, in the layout of Azure's ``save_to_directory``; the daemon reads and
exports them."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Collection, Mapping
from typing import Any

from roost.client.api.connection import WorkspaceConnection
from roost.client.api.errors import translate_errors
from roost.client.export_files import write_export

Json = dict[str, Any]
FILE = "azureml_environment.json"
PARTS = ("conda_dependencies.yml", "BaseDockerfile")
"""Files that may lie beside ``FILE``, and are read with it."""
logger = logging.getLogger("roost")


def write_directory(selector: Json, folder: str, *, overwrite: bool) -> None:
    """Write the environment of ``selector`` to ``folder``. Raises: FileExistsError if the folder exists and
    ``overwrite`` is false; OSError, RoostError."""
    if os.path.lexists(folder) and not overwrite:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), folder)
    export = request_export(selector)
    _log_warnings(folder, export.get("warnings", ()))
    os.makedirs(os.path.dirname(os.path.abspath(folder)), exist_ok=True)
    with translate_errors():
        write_export(export, folder, force=overwrite)


def check_directory(folder: str) -> None:
    """Raises: FileNotFoundError if ``folder`` is not a folder of this layout."""
    if not os.path.isfile(os.path.join(folder, FILE)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.path.join(folder, FILE))


def request_export(selector: Json) -> Json:
    """Return the files of an environment: the answer of ``POST /v1/exports``. Raises: RoostError."""
    return WorkspaceConnection()._request("POST", "/v1/exports", {"what": selector, "format": "azure"})


def request_document(request: Json, label: str, *, ignored_warnings: Collection[str] = ()) -> Json:
    """Let the daemon read a file, folder or conda environment, and return the answer of ``POST /v1/documents``.

    Its warnings are logged with ``label``, except those with a code in ``ignored_warnings``. Raises: DefinitionError,
    NotFoundError.
    """
    answer = WorkspaceConnection()._request("POST", "/v1/documents", request)
    _log_warnings(label, [warning for warning in answer["warnings"] if warning["code"] not in ignored_warnings])
    return answer


def _log_warnings(label: str, warnings: Collection[Mapping[str, Any]]) -> None:
    for warning in warnings:
        logger.warning("%s: %s", label, warning["message"])
