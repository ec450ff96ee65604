"""``env edit``: a version in the user's editor, and what comes of it registered as the next one."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from roost.client.cli.context import Context
from roost.client.cli.selector import working_folder
from roost.client.errors import ClientError, client_error, usage_error

Json = dict[str, Any]
WRONG_DEFINITION = 3


def edit(context: Context, before: Json, name: str, register: Callable[[Context, Json], int]) -> int:
    """Let the document ``before`` be edited and hand it to ``register``; its exit status. The text is kept where it
    can't be registered: nobody types it twice. Raises ``ClientError``."""
    editor = _editor()
    path = _written(before)
    while True:
        _edit(editor, path)
        text = _read(path)
        if text == before["text"] or not text.strip():  # an emptied file calls it off, as in other tools
            context.note("nothing was changed" if text.strip() else "the file is empty: nothing was registered")
            os.unlink(path)
            return _unchanged(context, before)
        origin = f"{before['name']}:{before['version']}"
        try:
            asked = {"cwd": working_folder(), "file": f"<{before['name']}>.toml", "text": text}
            status = register(context, {"what": asked, "name": name, "origin": origin})
        except ClientError as failure:
            error = _in_kept(failure, path)
            if error.exit_status != WRONG_DEFINITION or not _again(context, error):
                context.note(f"what you wrote is kept in {path}")
                raise error from failure
        else:
            os.unlink(path)
            return status


def _unchanged(context: Context, before: Json) -> int:
    if context.json:
        there = context.request("GET", f"/v1/environments/{quote(before['name'])}?version={before['version']}")
        context.print_json({"environment": there, "created": False, "warnings": []})
    return 0


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise client_error("editor", f"{path} is no UTF-8: nothing was registered.", "Save it as UTF-8.", 3) from error


def _in_kept(error: ClientError, path: str) -> ClientError:
    """The same, of the file that the text is in."""
    location = error.body.get("location")
    return ClientError({**error.body, "location": {**location, "path": path}}) if location else error


def _written(before: Json) -> str:
    descriptor, path = tempfile.mkstemp(prefix=f"{before['name']}-", suffix=".toml")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(before["text"])
    return path


def _editor() -> str:
    """As other tools choose it. Raises ``ClientError`` where none is named and nobody could work with the usual one."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor and not (sys.stdin.isatty() and sys.stdout.isatty()):
        hint = "Set EDITOR, or write a file and give it to `roost env register --name NAME -f FILE`."
        raise usage_error("There is no terminal to edit at, and EDITOR names no editor.", hint)
    return editor or "vi"


def _edit(editor: str, path: str) -> None:
    try:
        status = subprocess.run([*shlex.split(editor), path], check=False).returncode
    except OSError as error:
        hint = "Set EDITOR to the editor's name."
        raise client_error("editor", f"The editor {editor!r} can't be started: {error.strerror}.", hint, 1) from error
    if status != 0:
        raise client_error(
            "editor", f"The editor {editor!r} ended with status {status}: nothing was registered.", f"See {path}.", 1
        )


def _again(context: Context, error: ClientError) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    context.report_error(error)
    try:
        return input("Edit it again? [Y/n] ").strip().lower() in ("", "y", "yes")
    except EOFError:
        return False
