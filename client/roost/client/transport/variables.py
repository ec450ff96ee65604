"""What a request takes from this process's environment variables.

Apart from ``session``, which needs the first of the two functions only.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

from roost.client.errors import ClientError

Json = dict[str, Any]
CONDA_NAMES = (
    *("HOME", "XDG_CONFIG_HOME", "CONDARC", "CONDA_ENVS_PATH", "CONDA_ENVS_DIRS", "CONDA_ROOT", "CONDA_EXE"),
    *("CONDA_PREFIX", "MAMBA_ROOT_PREFIX", "USER", "LOGNAME"),
)


def add_missing_variables(body: Json, error: ClientError) -> Json | None:
    """Return ``body`` with the values of the variables that ``error`` reports as missing from its definition.

    Return ``None`` if the error is another one or this process has none of them. The variables belong to the selector
    (``what``); a body without one, as of a rerun, takes them itself.
    """
    selector = body.get("what", body)
    if error.code != "variable-missing" or not isinstance(selector, dict):
        return None
    sent = selector.get("environ", {})
    names = error.body["fields"].get("variables", [])
    found = {name: os.environ[name] for name in names if name in os.environ and name not in sent}
    if not found:
        return None
    selector = {**selector, "environ": {**sent, **found}}
    return {**body, "what": selector} if "what" in body else selector


def conda_variables() -> dict[str, str]:
    """Return the variables that locate this user's conda environments, which the daemon's own can't.

    ``CONDA_EXE`` is set in shells that conda has initialised; otherwise it is searched on PATH.
    """
    found = {name: os.environ[name] for name in CONDA_NAMES if os.environ.get(name)}
    if "CONDA_EXE" not in found and (path := shutil.which("conda")):
        found["CONDA_EXE"] = os.path.realpath(path)
    return found
