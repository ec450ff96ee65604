"""The page about exit statuses, with every error code that the daemon, the store and the model have."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator

from tests import house

from roost.model.errors import CodedError

STATUSES = {
    0: "it is done",
    1: "it failed, or a check found something: `roost lock --check`, `roost env diff --exit-code`, `roost doctor`",
    2: "wrong usage: an unknown command, topic or option, options that exclude each other",
    3: "the definition is wrong: the error says where (file, line, column) and what was expected",
    4: "the build failed: solving, fetching, linking, installing, a docker step",
    5: "the daemon can't be reached or started, or its configuration is not valid",
    6: "a target, engine, channel, index or registry can't be reached, or refuses the credentials",
    7: "not found: an environment, version, run, build, file or lock of that name",
    130: "interrupted (Ctrl-C), or the build was cancelled",
}
HEAD = """# Exit statuses and errors

`roost run`, `roost exec` and `roost shell` end with the status of their command. If roost itself failed, they end with

| status | meaning |
|---|---|
| 125 | roost failed, and the command was not started |
| 126 | the command was found, and can't be started (as in a shell) |
| 127 | the command was not found (as in a shell) |
| 128 + n | the command was ended by signal n (as in a shell) |

Every other command ends with

| status | meaning |
|---|---|
"""
ERRORS = """
## Errors

An error is one line on standard error that says what happened and where, and one that says what to do. With `--json` it
is one document on standard output:

    {"code": "definition-invalid", "message": "…", "hint": "…", "retryable": false, "fields": {},
     "location": {"path": "/home/ann/proj/environment.yml", "line": 4, "column": 5}, "exit_status": 3}

Scripts can rely on `code`, on `exit_status` and on `retryable`: whether the same request may succeed later without a
change. `run`, `exec` and `shell` report status 125 for all of these.

| code | status | retry | when |
|---|---|---|---|
"""


def format_page() -> str:
    """Return the page."""
    statuses = "".join(f"| {status} | {meaning} |\n" for status, meaning in STATUSES.items())
    return HEAD + statuses + ERRORS + "".join(_format_errors())


def list_errors() -> list[type[CodedError]]:
    """Return every class of errors that has a code of its own, by code."""
    for name in house.modules():
        if name.startswith(("roost.daemon", "roost.store", "roost.model")) and ".native" not in name:
            importlib.import_module(name)
    found: dict[str, type[CodedError]] = {}
    for kind in _subclasses(CodedError):
        if "code" in vars(kind) and kind.__module__.startswith("roost."):
            found.setdefault(kind.code, kind)
    return [found[code] for code in sorted(found)]


def _subclasses(base: type[CodedError]) -> Iterator[type[CodedError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _subclasses(kind)


def _format_errors() -> Iterator[str]:
    for kind in list_errors():
        assert kind.exit_status in STATUSES, kind
        words = " ".join((kind.__doc__ or "").split("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")
        words = re.sub(r":\w+:`[\w.]*?(\w+)`", r"`\1`", words)
        meaning = words.split("; `location`")[0].rstrip(".")
        yield f"| `{kind.code}` | {kind.exit_status} | {'yes' if kind.retryable else 'no'} | {meaning} |\n"
