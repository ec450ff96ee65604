"""The hot path of ``roost run -t docker``: a container that can start at once, without the command line's own imports.

While the engine makes the container, this process has nothing to load. Whatever is out of the ordinary goes the long
way, before anything was recorded; what fails once the run is recorded is told in the long way's words.
"""

from __future__ import annotations

import os

from roost.client import paths
from roost.client.launch import attach, hot

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing itself costs as much as the request does
    from collections.abc import Sequence
    from typing import Any

NAMES = {"-f": "file", "-e": "environment", "-n": "environment", "--image": "image"}


def attempt(arguments: Sequence[str]) -> int | None:
    """The exit status; ``None`` where the long way must be taken."""
    asked = _parse(arguments)
    if asked is None:
        return None
    field, value, command, quiet = asked
    terminal = attach.terminal()
    try:
        answer = _ask(field, value, command, terminal)
    except FileNotFoundError:  # the working folder is gone: that is said on the long way
        return None
    if not answer or not answer.get("attach"):
        return None
    if not quiet and (answer.get("warnings") or answer["source"]["path"]):
        _tell(answer)
    try:
        return attach.attach(paths.socket_path(), answer["run"]["id"], at_terminal=terminal is not None)
    except (attach.AttachmentLostError, attach.Refused) as error:
        return _explain(answer["run"]["id"], error)
    except OSError as error:
        from roost.client.cli.main import output_lost

        return output_lost(error, launching=True)


def _parse(arguments: Sequence[str]) -> tuple[str, str, Sequence[str], bool] | None:
    """``-q``, ``-t docker`` and one name for WHAT, then the command; ``None`` for anything more or less."""
    words = list(arguments)
    field = value = target = ""
    quiet = False
    while words and words[0].startswith("-") and words[0] != "--":
        word = words.pop(0)
        if word == "-q":
            quiet = True
        elif word == "-t" and words:
            target = words.pop(0)
        elif word in NAMES and words and not field:
            field, value = NAMES[word], words.pop(0)
        else:
            return None
    if words and words[0] == "--":
        del words[0]
    docker = target == "docker" or (not target and field == "image")  # of others only the daemon knows
    return (field, value, words, quiet) if docker and words and words[0] else None


def _ask(field: str, value: str, command: Sequence[str], terminal: dict[str, Any] | None) -> dict[str, Any] | None:
    import _json
    import _socket

    quote = _json.encode_basestring_ascii
    words = ",".join(map(quote, command))
    what = f'"cwd":{quote(os.getcwd())},"command":[{words}]'
    if field:
        what += f',"{field}":{quote(value)}'
    body = f'"what":{{{what}}},"command":[{words}],"target":"docker"'
    if terminal:
        size = f'"rows":{terminal["rows"]},"columns":{terminal["columns"]}'
        body += f',"terminal":{{"kind":{quote(terminal["kind"])},{size}}}'
    reply = hot.exchange(_socket.socket, "/v1/runs", f"{{{body}}}".encode())
    return hot.decode(_json.make_scanner, reply) if reply else None


def _context() -> Any:  # noqa: ANN401 - importing its type is what this avoids
    from argparse import Namespace

    from roost.client.cli.context import Context

    return Context(Namespace(json=False, quiet=False))


def _tell(answer: dict[str, Any]) -> None:
    context = _context()
    context.announce(answer["source"])
    context.warn(answer.get("warnings", []))


def _explain(run_id: str, error: attach.AttachmentLostError | attach.Refused) -> int | None:
    """``None``: the image went away since the plan, and the long way plans again."""
    from roost.client.errors import ClientError

    context = _context()
    try:
        return attach.explained(context, run_id, error)
    except ClientError as failure:
        context.report(failure)
        return 125
