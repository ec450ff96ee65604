"""References to environments as people type them, and the routes of the resources that they name.

Apart from the commands, because most modules of this package need it.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode

from roost.client.cli.context import Context
from roost.client.errors import usage_error

Json = dict[str, Any]
REFERENCE = "NAME[:VERSION|@LABEL]"
VERSION = re.compile(r"[1-9][0-9]{0,17}")
"""The store's limit too: SQLite's integers hold no larger number."""


def split_reference(text: str) -> tuple[str, dict[str, str]]:
    """Return the name, and the version or label as a query. The daemon validates the name and the label.

    Raises: ClientError if the version is not a number.
    """
    for mark, key in ((":", "version"), ("@", "label")):
        name, found, rest = text.partition(mark)
        if found and not (mark == ":" and "@" in name):
            if key == "version" and not VERSION.fullmatch(rest):
                raise usage_error(f"{text!r} names no version.", "Write NAME:VERSION as in train:3, or NAME@LABEL.")
            return name, {key: rest}
    return text, {}


def route(reference: str, *parts: str, **query: object) -> str:
    """Return the path of an environment's resource for the version that ``reference`` names.

    Raises: ClientError if a name or label can't be a part of a path.
    """
    name, chosen = split_reference(reference)
    if name in ("", ".", ".."):
        raise usage_error(f"{name!r} is not a valid environment name.", f"Write {REFERENCE}.")
    if invalid := [part for part in parts if part in ("", ".", "..")]:
        raise usage_error(f"{invalid[0]!r} is not a valid label.", "Write letters, digits, '.', '_' and '-'.")
    path = "/".join(["/v1/environments", *(quote(part, safe="") for part in (name, *parts))])
    sent = {**chosen, **{key: value for key, value in query.items() if value is not None}}
    return f"{path}?{urlencode(sent)}" if sent else path


def request_version(context: Context, reference: str) -> Json:
    """Return the version that ``reference`` names (``wire.EnvironmentView``)."""
    return context.request("GET", route(reference))
