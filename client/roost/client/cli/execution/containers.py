"""``exec`` and ``shell`` in images: a container for one command, of which nothing is recorded and nothing stays."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.execution.builds import run_build
from roost.client.cli.execution.follow import ATTEMPTS, terminal_field
from roost.client.cli.selector import build_selector, require_utf8
from roost.client.errors import client_error

Json = dict[str, Any]
_SHELL = "/bin/sh"
_NOT_FOUND = 127
_MOST_BEGIN = 512
"""Bytes of the output of a shell that are looked at."""
_START_SHELL = """\
name=$1
PS1="($name) \\$ "
export PS1
if ! [ -t 0 ]; then exec sh; fi
if command -v bash >/dev/null; then exec bash --norc -i; fi
exec sh -i
"""
"""Starts bash if the image has it, else sh. The start-up files of the image would replace the prompt."""


def is_in_image(context: Context) -> bool:
    """Whether the options ask for a container: ``-t docker``, or an image by its name."""
    options = context.options
    return options.target != "local" and (options.target != "auto" or options.image is not None)


def start_shell_in_container(context: Context) -> int:
    """Start an interactive shell of the image, and return its exit status."""
    selector = build_selector(context, [])
    name = str(selector.get("environment") or selector.get("image") or selector["cwd"]).rpartition("/")[2]
    return _run(context, selector, [_SHELL, "-c", _START_SHELL, "roost-shell", name], is_shell=True)


def run_in_container(context: Context, command: Sequence[str]) -> int:
    """Run ``command`` in a container of the environment's image, and return its exit status."""
    words = [require_utf8(word, "A word of the command") for word in command]
    return _run(context, build_selector(context, command), words)


def _run(context: Context, selector: Json, command: Sequence[str], *, is_shell: bool = False) -> int:
    target = "docker" if context.options.target == "auto" else context.options.target
    what = {"what": selector, "target": target}
    request = {**what, "command": list(command), **terminal_field()}
    is_said = False
    for _ in range(ATTEMPTS):
        answer = context.request("POST", "/v1/exec", request)
        if not is_said:
            if is_shell or answer.get("attach") is None:
                context.note_source(answer.get("source"))
            context.note_warnings(answer.get("warnings", []))
        if answer.get("attach") is None:
            run_build(context, what)
            is_said = True
            continue
        status = _attach(context, answer["attach"], at_terminal="terminal" in request, is_shell=is_shell)
        if status is not None:
            return status
    raise client_error("image-gone", "The image was removed while the command was about to start.", "Try again.", 1)


def _attach(context: Context, command_id: str, *, at_terminal: bool, is_shell: bool) -> int | None:
    """Return the exit status of the command; ``None`` if its image was removed before it began."""
    from roost.client.launch import attach
    from roost.client.launch.attach_failure import resolve_refusal

    context.clear_progress()
    sys.stdout.flush()
    begin = bytearray()

    def store_begin(data: bytes) -> None:
        begin.extend(data[: _MOST_BEGIN - len(begin)])

    store = store_begin if is_shell else None
    try:
        status = attach.attach(context.session.daemon.path, command_id, at_terminal=at_terminal, store=store)
    except attach.AttachmentLostError as error:
        raise client_error(
            "attachment-lost",
            "The connection to the daemon was lost, and with it the command in the container.",
            "`roost daemon logs` may say why. If the daemon was killed, the container stays until roost uses its "
            "Docker engine again; what the command wrote into the working folder is there.",
            1,
        ) from error
    except attach.AttachRefusedError as error:
        return resolve_refusal(context, error)
    if status == _NOT_FOUND and _SHELL.encode() in begin:  # the engine's init could not start it
        context.note("the image has no shell; `roost exec -t docker COMMAND` starts a program of it")
    return status
