"""What a Python answers when uv asks what it is, and a command that gives this answer. Blocking, except where pure.

uv runs a script of its own in the Python (``get_interpreter_info``) and caches the answer by path, so for each new venv
it asks again. Anything else that uv may run is passed on to the Python.
"""

from __future__ import annotations

import os
import shlex
from contextlib import suppress

import msgspec

_MOST_BYTES = 1 << 18
_QUESTION = "get_interpreter_info"
_GIVE = f"""#!/bin/sh
case "$*" in *{_QUESTION}*) exec cat {{answer}};; esac
exec {{python}} "$@"
"""
_KEEP = f"""#!/bin/sh
case "$*" in
*{_QUESTION}*)
    {{python}} "$@" >{{answer}}; status=$?
    cat {{answer}}
    exit $status;;
esac
exec {{python}} "$@"
"""


class Answer(msgspec.Struct, frozen=True):
    """What the Python of a venv answered. ``name``: the last part of the venv's path, which is in the answer."""

    name: bytes
    text: bytes


class _Document(msgspec.Struct):
    result: str


def write_command(folder: str, prefix: str, python: str, answer: Answer | None) -> str:
    """Return the path of a command in ``folder`` that stands for ``python``, that of the venv ``prefix``.

    It gives ``answer`` for that venv, or the Python's own, which ``read_answer`` then returns.
    """
    command, text = os.path.join(folder, "python"), os.path.join(folder, "answer.json")
    if answer is not None:
        _write(text, answer.text.replace(answer.name, os.path.basename(prefix).encode()), 0o600)
    script = (_GIVE if answer is not None else _KEEP).format(answer=shlex.quote(text), python=shlex.quote(python))
    _write(command, script.encode(), 0o700)
    return command


def read_answer(folder: str, prefix: str) -> Answer | None:
    """Return what the Python of the venv ``prefix`` answered to the command in ``folder``; ``None`` if that is not
    understood."""
    name = os.path.basename(prefix).encode()
    with suppress(OSError, msgspec.DecodeError), open(os.path.join(folder, "answer.json"), "rb") as stream:
        text = stream.read(_MOST_BYTES)
        if msgspec.json.decode(text, type=_Document).result == "success" and name in text:
            return Answer(name, text)
    return None


def _write(path: str, content: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as stream:
        stream.write(content)
