"""``env edit``: a version in the user's editor, and what comes of it registered as the next one."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from roost.client.cli.context import Context
from roost.client.errors import ClientError, client_error

Json = dict[str, Any]
WRONG_DEFINITION = 3


def edit(context: Context, before: Json, name: str, register: Callable[[Context, Json], int]) -> int:
    """Let the document ``before`` be edited and hand it to ``register``; its exit status. The text is kept where it
    can't be registered: nobody types it twice. Raises ``ClientError``."""
    path = _written(before)
    while True:
        _edit(path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if text == before["text"]:
            context.note("nothing was changed")
            os.unlink(path)
            return 0
        asked = {"cwd": os.getcwd(), "file": f"<{before['name']}>.toml", "text": text}
        origin = f"{before['name']}:{before['version']}"
        try:
            status = register(context, {"what": asked, "name": name, "origin": origin})
        except ClientError as error:
            if error.exit_status != WRONG_DEFINITION or not _again(context, error):
                context.note(f"what you wrote is kept in {path}")
                raise
        else:
            os.unlink(path)
            return status


def _written(before: Json) -> str:
    descriptor, path = tempfile.mkstemp(prefix=f"{before['name']}-", suffix=".toml")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(before["text"])
    return path


def _edit(path: str) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
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
    context.report(error)
    return input("Edit it again? [Y/n] ").strip().lower() in ("", "y", "yes")
