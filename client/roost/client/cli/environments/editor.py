"""``env edit``: edit a version in the user's editor and register the result as the next one."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.environments.references import route
from roost.client.cli.environments.registration import register_environment
from roost.client.cli.selector import working_folder
from roost.client.errors import ClientError, client_error, usage_error

Json = dict[str, Any]
INVALID_DEFINITION_STATUS = 3


def edit_command(context: Context) -> int:
    """Edit and register until the text is valid or the user gives up; text that can't be registered is kept."""
    options = context.options
    before = context.request("GET", route(options.reference, "document", new=options.name or ""))
    editor = _choose_editor()
    path = _write_document(before)
    while True:
        _run_editor(editor, path)
        text = _read_document(path)
        if text == before["text"] or not text.strip():  # an emptied file cancels the edit, as in other tools
            context.note("nothing was changed" if text.strip() else "the file is empty: nothing was registered")
            os.unlink(path)
            return _print_unchanged(context, before)
        try:
            selector = {"cwd": working_folder(), "file": f"<{before['name']}>.toml", "text": text}
            origin = f"{before['name']}:{before['version']}"
            request = {"what": selector, "name": options.name or before["name"], "origin": origin}
            status = register_environment(context, request)
        except ClientError as failure:
            error = _locate_in_file(failure, path)
            if error.exit_status != INVALID_DEFINITION_STATUS or not _ask_again(context, error):
                context.note(f"your text is saved in {path}")
                raise error from failure
        else:
            os.unlink(path)
            return status


def _print_unchanged(context: Context, before: Json) -> int:
    if context.json:
        version = context.request("GET", route(f"{before['name']}:{before['version']}"))
        context.print_json({"environment": version, "created": False, "warnings": []})
    return 0


def _write_document(before: Json) -> str:
    """Write the text to a temporary file and return its path."""
    descriptor, path = tempfile.mkstemp(prefix=f"{before['name']}-", suffix=".toml")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(before["text"])
    return path


def _read_document(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError as error:
        message = f"{path} is not valid UTF-8: nothing was registered."
        raise client_error("editor", message, "Save it as UTF-8.", INVALID_DEFINITION_STATUS) from error


def _locate_in_file(error: ClientError, path: str) -> ClientError:
    """Return the error with its location in the file that was edited."""
    location = error.body.get("location")
    return ClientError({**error.body, "location": {**location, "path": path}}) if location else error


def _choose_editor() -> str:
    """Return ``VISUAL``, else ``EDITOR``, else vi. Raises: ClientError if vi would have no terminal."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor and not (sys.stdin.isatty() and sys.stdout.isatty()):
        hint = "Set EDITOR, or write a file and give it to `roost env register --name NAME -f FILE`."
        raise usage_error("There is no terminal to edit at, and EDITOR names no editor.", hint)
    return editor or "vi"


def _run_editor(editor: str, path: str) -> None:
    try:
        status = subprocess.run([*shlex.split(editor), path], check=False).returncode
    except OSError as error:
        hint = "Set EDITOR to the editor's name."
        raise client_error("editor", f"The editor {editor!r} can't be started: {error.strerror}.", hint, 1) from error
    if status != 0:
        message = f"The editor {editor!r} ended with status {status}: nothing was registered."
        raise client_error("editor", message, f"See {path}.", 1)


def _ask_again(context: Context, error: ClientError) -> bool:
    """Report the error and ask at the terminal whether to edit again."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    context.report_error(error)
    try:
        return input("Edit it again? [Y/n] ").strip().lower() in ("", "y", "yes")
    except EOFError:
        return False
