"""Hot path of ``roost run``: supervise a command of a ready prefix, or attach to a container, without the imports of
the command line.

Whatever is out of the ordinary is left to the command line before anything is recorded; a failure after the run was
recorded is reported here, in the same words.
"""

from __future__ import annotations

import os
import sys

from roost.client import paths
from roost.client.caller import HEADER, caller_header, current_terminal, find_word_values
from roost.client.launch import hot

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing itself costs as much as the request does
    from _socket import socket
    from collections.abc import Sequence
    from typing import Any

    from roost.client.launch.attach import AttachmentLostError, AttachRefusedError
    from roost.client.launch.begun import BegunBuild

SELECTOR_FIELDS = {"-f": "file", "-e": "environment", "-n": "environment", "--image": "image"}


class _RunWords:
    """What the words after ``run`` ask for."""

    def __init__(self) -> None:
        self.field = self.value = ""
        """Field of the selector, and its value."""
        self.target = "auto"
        self.experiment = ""
        self.variables: dict[str, str] = {}
        self.quiet = False
        self.command: Sequence[str] = ()


def attempt_run(arguments: Sequence[str]) -> int | BegunBuild | None:
    """Run the command that ``arguments`` (those after ``run``) name and return its exit status.

    If the command line must do it, return the build that it has to wait for, or ``None``.
    """
    words = _parse_run(arguments)
    if words is None or find_word_values(words.command):
        return None
    if not _is_text(*arguments, os.environ.get("PYTHONPATH", "")):
        return None
    terminal = current_terminal() if words.target != "local" else None
    try:
        selector = _write_selector(words)
    except FileNotFoundError:  # the working folder no longer exists; the command line reports it
        return None
    connection = _request_run(words, selector, terminal)
    from roost.client.launch import supervise  # noqa: F401  # while the daemon works

    reply = hot.read_reply(connection)
    if reply is None:
        return None
    answer = reply.body
    if not answer.get("run"):
        from roost.client.launch.begun import begin_build

        return begin_build(hot.send, reply.header("roost-version"), answer, selector, words.target)
    if not words.quiet:
        _print_notes(answer)
    if answer.get("attach"):
        return _attach(answer["run"]["id"], at_terminal=terminal is not None)
    return _supervise(answer, words)


def _is_text(*words: str) -> bool:
    """Return whether the bytes of all words are UTF-8, which a request carries unchanged."""
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        return False
    return True


def _supervise(answer: dict[str, Any], words: _RunWords) -> int | None:
    """Run the command to its end. Return ``None`` if the prefix was removed: the command line requests another run."""
    from roost.client.launch import activate
    from roost.client.launch.supervise import Supervisor

    specification = {
        "command": words.command,
        "cwd": answer["run"]["cwd"],
        "launch": answer["launch"],
        "environ": dict(os.environ),
        "variables": words.variables,
        "socket": paths.socket_path(),
        "run_id": answer["run"]["id"],
        "watched": answer.get("watched", False),
    }
    supervisor = Supervisor(answer["folder"], specification)
    try:
        return supervisor.run()
    except activate.LeaseGoneError:
        supervisor.report_failure(125)
        return None


def _attach(run_id: str, *, at_terminal: bool) -> int | None:
    from roost.client.launch import attach

    try:
        return attach.attach(paths.socket_path(), run_id, at_terminal=at_terminal)
    except (attach.AttachmentLostError, attach.AttachRefusedError) as error:
        return _failure_status(run_id, error)
    except OSError as error:
        from roost.client.terminal.console import lost_output_status

        return lost_output_status(error, launching=True)


def _parse_run(arguments: Sequence[str]) -> _RunWords | None:
    """Parse ``-q``, ``-t local`` or ``-t docker``, ``--experiment NAME``, ``--var K=V``, at most one option that
    selects an environment, and the command. Return ``None`` for anything else."""
    words, found = list(arguments), _RunWords()
    while words and words[0].startswith("-") and words[0] != "--":
        word = words.pop(0)
        if word == "-q":
            found.quiet = True
        elif word == "-t" and words:
            found.target = words.pop(0)
        elif word in SELECTOR_FIELDS and words and not found.field:
            found.field, found.value = SELECTOR_FIELDS[word], words.pop(0)
        elif word == "--experiment" and words and not words[0].startswith("-"):
            found.experiment = words.pop(0)
        elif word == "--var" and words and words[0].find("=") > 0 and not words[0].startswith("-"):
            name, _, found.variables[name] = words.pop(0).partition("=")
        else:
            return None
    if words and words[0] == "--":
        del words[0]
    found.command = words
    return found if found.target in ("auto", "local", "docker") and words and words[0] else None


def _write_selector(words: _RunWords) -> str:
    """Return the ``wire.EnvironmentSelector`` as JSON. Raises: FileNotFoundError if there is no working folder."""
    from _json import encode_basestring_ascii as quote

    selector = f'"cwd":{quote(os.getcwd())},"command":[{",".join(map(quote, words.command))}]'
    if words.field:
        selector += f',"{words.field}":{quote(words.value)}'
    return "{" + selector + "}"


def _request_run(words: _RunWords, selector: str, terminal: dict[str, Any] | None) -> socket | None:
    """Send the request for a ``wire.RunResponse``."""
    from _json import encode_basestring_ascii as quote

    command = ",".join(map(quote, words.command))
    body = f'"what":{selector},"command":[{command}],"target":"{words.target}"'
    if words.experiment:
        body += f',"experiment":{quote(words.experiment)}'
    if words.variables:
        body += f',"variables":{{{",".join(f"{quote(key)}:{quote(value)}" for key, value in words.variables.items())}}}'
    if python_path := os.environ.get("PYTHONPATH"):
        body += f',"python_path":{quote(python_path)}'
    if terminal:
        size = f'"rows":{terminal["rows"]},"columns":{terminal["columns"]}'
        body += f',"terminal":{{"kind":{quote(terminal["kind"])},{size}}}'
    header = f"{HEADER}: {caller_header()}\r\n"  # the container is created in the caller's engine
    return hot.send("POST", "/v1/runs", f"{{{body}}}", more_headers=header)


def _print_notes(answer: dict[str, Any]) -> None:
    """Print which file was chosen, and warnings, as ``Console`` does, which is imported if there is more to it."""
    source = answer["source"]
    path, form = source.get("path"), source.get("format")
    if not answer.get("warnings"):
        if not path or form == "run":
            return
        relative = os.path.relpath(path)
        text = f"{path if relative.startswith('..') else relative} ({form})"
        if text.isascii() and text.isprintable():
            sys.stderr.write(f"roost: using {text}\n")
            sys.stderr.flush()
            return
    from roost.client.terminal.console import Console

    console = Console()
    console.note_source(answer["source"])
    console.note_warnings(answer.get("warnings", []))


def _failure_status(run_id: str, error: AttachmentLostError | AttachRefusedError) -> int | None:
    """Report a failure and return its exit status; ``None`` if the image was removed, so that planning again helps."""
    from roost.client.errors import LAUNCH_FAILED_STATUS, ClientError
    from roost.client.launch.attach_failure import resolve_attach_failure
    from roost.client.terminal.console import Console
    from roost.client.transport.session import Session

    console = Console()
    try:
        return resolve_attach_failure(console, Session(console.note), run_id, error)
    except ClientError as failure:
        console.report_error(failure)
        return LAUNCH_FAILED_STATUS
