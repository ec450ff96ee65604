"""Environments as folders of files that people can edit, in the layout of Azure's ``save_to_directory``."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Collection, Mapping
from typing import Any

from roost.client.api.errors import translated
from roost.client.api.workspace import Workspace
from roost.client.export_files import write_export

Json = dict[str, Any]
FILE = "azureml_environment.json"
PARTS = ("conda_dependencies.yml", "BaseDockerfile")
"""What may stand beside it, and is read with it."""
logger = logging.getLogger("roost")


def save(what: Json, folder: str, *, overwrite: bool) -> None:
    """Write what ``what`` names. Raises ``FileExistsError``, ``RoostError``."""
    if os.path.lexists(folder) and not overwrite:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), folder)
    answer = Workspace()._request("POST", "/v1/exports", {"what": what, "format": "azure"})
    tell(folder, answer)
    os.makedirs(os.path.dirname(os.path.abspath(folder)), exist_ok=True)
    with translated():
        write_export(answer, folder, force=overwrite)


def check(folder: str) -> None:
    """Raises ``FileNotFoundError`` where it is no such folder."""
    if not os.path.isfile(os.path.join(folder, FILE)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.path.join(folder, FILE))


def read(request: Json, called: str, *, silent: Collection[str] = ()) -> Json:
    """What the daemon reads, as a document; warnings with ``silent`` codes are none here. Raises ``DefinitionError``,
    ``NotFoundError``."""
    answer = Workspace()._request("POST", "/v1/documents", request)
    told = [warning for warning in answer["warnings"] if warning["code"] not in silent]
    tell(called, {"warnings": told})
    return answer


def tell(called: str, answer: Mapping[str, Any]) -> None:
    """Log what was odd."""
    for warning in answer.get("warnings", ()):
        logger.warning("%s: %s", called, warning["message"])
