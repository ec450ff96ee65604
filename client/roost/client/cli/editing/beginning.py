"""``init``: a new environment file."""

from __future__ import annotations

import os
import shlex
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import require_utf8, working_folder
from roost.client.errors import usage_error
from roost.client.terminal.text import format_path

Json = dict[str, Any]


def add(subparsers: Subparsers) -> None:
    """Add ``init``."""
    parser = add_command(
        subparsers,
        "init",
        init_command,
        "Begin an environment file, of the kind that the folder suggests.",
        "roost init --conda",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--conda", dest="kind", action="store_const", const="conda", help="an environment.yml")
    kind.add_argument("--pip", dest="kind", action="store_const", const="pip", help="a requirements.txt")
    kind.add_argument("--pyproject", dest="kind", action="store_const", const="pyproject", help="a pyproject.toml")
    kind.add_argument("--script", metavar="FILE", help="a script that names its own packages (PEP 723)")
    parser.add_argument("--python", metavar="X.Y", help="the Python to name in it")
    parser.add_argument("path", nargs="?", metavar="PATH", help="a folder, or the file itself (default: this folder)")


def init_command(context: Context) -> int:
    options = context.options
    if options.script is not None and options.path is not None:
        raise usage_error("--script FILE and PATH each name a file.", "Give one of them.")
    path, kind = (options.script, "script") if options.script is not None else (options.path, options.kind)
    request: Json = {"cwd": require_utf8(working_folder(), "The working folder"), "umask": _umask()}
    request.update({"path": require_utf8(path, "PATH")} if path is not None else {})
    request.update({"kind": kind} if kind is not None else {})
    request.update({"python": options.python} if options.python is not None else {})
    answer = context.request("POST", "/v1/edits/begin", request)
    context.note_warnings(answer.get("warnings", []))
    if context.json:
        context.print_json(answer)
        return 0
    path = format_path(answer["file"])
    context.print(f"wrote {path}")
    is_hidden = any(warning["code"] == "file-hidden" for warning in answer.get("warnings", []))
    is_found = answer["is_searched"] and os.sep not in path and not is_hidden
    named = "" if is_found else f"-f {shlex.quote(path)} "
    command = f"{named}python"
    if answer["kind"] == "script":
        command = shlex.quote(path) if path.endswith(".py") else f"{named}python {shlex.quote(path)}"
    context.note(f"`roost add {named}PKG` adds packages, `roost run {command}` runs in the environment")
    return 0


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
