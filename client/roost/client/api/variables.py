"""Variables of this process: those that a definition asks for, and those that a detached run gets."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from roost.client.api.workspace import Workspace

Json = dict[str, Any]
_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def with_variables(workspace: Workspace, what: Json) -> Json:
    """``what`` with the values of the ``${VAR}`` in the definition that it names, as far as this process has them: what
    goes on by itself can't ask for them later. Raises ``DefinitionError``, ``EnvironmentNotFoundError``."""
    canonical = workspace._request("POST", "/v1/digests", {"what": what})["canonical"]
    names = {*_NAME.findall(json.dumps(what)), *_NAME.findall(json.dumps(canonical))}
    found = {name: os.environ[name] for name in sorted(names) if name in os.environ}
    return {**what, "environ": found} if found else what


def own_variables() -> dict[str, str]:
    """This process's variables; what is no UTF-8 stays behind."""
    return {name: value for name, value in os.environ.items() if _is_text(name + value)}


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
