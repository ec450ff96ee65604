"""The page about exit statuses, with every error code that the daemon, the store and the model have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from tests import house

ROOTS = ("roost.daemon", "roost.store", "roost.model")
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

`roost run`, `roost exec` and `roost shell` end with the status of their command, `roost runs wait` with that of the
run. If roost itself failed, they end with

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


class ErrorClass(NamedTuple):
    """A class of errors as its source has it."""

    bases: tuple[str, ...]
    values: dict[str, object]
    """Class variables with constant values."""
    doc: str


def list_errors() -> Iterator[tuple[str, int, bool, str]]:
    """Yield code, exit status, whether a retry may help, and docstring of every class of errors with a code of its own.

    Read from the source: importing all of it takes seconds.
    """
    paths = {name: path for name, path in house.modules().items() if name.startswith(ROOTS)}
    named = [name for name, path in paths.items() if "Error(" in path.read_text(encoding="utf-8")]
    found = {name: kind for each in named for name, kind in _read_classes(each)}
    own = [(str(kind.values["code"]), name) for name, kind in found.items() if "code" in kind.values]
    for code, name in sorted(each for each in own if _is_error(found, each[1])):
        status, retryable = _find_value(found, name, "exit_status"), _find_value(found, name, "retryable")
        assert isinstance(status, int), name
        yield code, status, bool(retryable), found[name].doc


def _read_classes(module: str) -> Iterator[tuple[str, ErrorClass]]:
    for node in house.tree(module).body:
        if isinstance(node, ast.ClassDef):
            pairs = [(each.targets[0], each.value) for each in node.body if isinstance(each, ast.Assign)]
            pairs += [(each.target, each.value) for each in node.body if isinstance(each, ast.AnnAssign) and each.value]
            values = {
                target.id: value.value
                for target, value in pairs
                if isinstance(target, ast.Name) and isinstance(value, ast.Constant)
            }
            yield node.name, ErrorClass(tuple(map(ast.unparse, node.bases)), values, ast.get_docstring(node) or "")


def _is_error(found: dict[str, ErrorClass], name: str) -> bool:
    return name == "CodedError" or any(_is_error(found, base) for base in found.get(name, _NOTHING).bases)


def _find_value(found: dict[str, ErrorClass], name: str, key: str) -> object:
    """Return what a class or the first of its bases says."""
    kind = found.get(name, _NOTHING)
    if key in kind.values:
        return kind.values[key]
    return next((value for base in kind.bases if (value := _find_value(found, base, key)) is not None), None)


_NOTHING = ErrorClass((), {}, "")


def _format_errors() -> Iterator[str]:
    for code, status, retryable, doc in list_errors():
        assert status in STATUSES, code
        words = " ".join(doc.split("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")
        words = re.sub(r":\w+:`[\w.]*?(\w+)`", r"`\1`", words)
        meaning = words.split("; `location`")[0].rstrip(".")
        yield f"| `{code}` | {status} | {'yes' if retryable else 'no'} | {meaning} |\n"
