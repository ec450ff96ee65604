"""Every command prints what a daemon answers without what acts on a terminal, whatever is in it.

The answers are made from the types of the routes: hostile text in every place that takes text.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
import pytest

from roost.client.cli.main import run
from roost.client.cli.parser import build_parser, commands_of
from roost.client.errors import ClientError
from roost.client.transport.session import Session
from roost.daemon.routes.table import ALL_ROUTES
from roost.wire.builds import Message

HOSTILE = "e\x1b]0;t\x07\x1b[31m\x9b1m\u202e\u2066\u2028\x85\rx\nroost: forged"
ARGUMENTS = {
    "run": ["-t", "local", "--detach", "--", "python"],
    "exec": ["--", "python"],
    "shell": [],
    "build": [],
    "env register": ["--name", "x"],
    "env label": ["x:1", "good"],
    "env clone": ["x:1", "y"],
    "env show": ["x"],
    "env versions": ["x"],
    "env edit": ["x"],
    "env archive": ["x"],
    "env restore": ["x"],
    "env who": ["numpy"],
    "env add-wheel": ["x-1-py3-none-any.whl"],
    "env diff": ["x:1", "x:2"],
    "env outdated": ["x"],
    "env rollback": ["x"],
    "env import": ["x"],
    "env export": ["x", "--format", "conda"],
    "registry add": ["h/x"],
    "registry test": [],
    "registry remove": ["h/x"],
    "curated publish": ["x:1"],
    "completion": ["bash"],
    "events": [],
}
ELSEWHERE = {
    "exec": "becomes the command; tests/unit/client/launch has its messages",
    "shell": "becomes the shell",
    "env edit": "needs an editor; prints by `env register`",
    "runs rerun": "as run",
    "runs logs": "the command's own output",
    "daemon start": "asks a real daemon",
    "daemon stop": "asks a real daemon",
    "daemon status": "asks a real daemon",
}

OF_SEVERAL_LINES = {"runs note": "prints a person's text as it is, and nothing else"}


def list_commands(parser: ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[str]:
    children = commands_of(parser)
    if not children:
        yield " ".join(path)
    for name, child in children.items():
        yield from list_commands(child, (*path, name))


COMMANDS = [name for name in list_commands(build_parser()) if name not in ELSEWHERE]


def make_hostile(kind: Any, depth: int = 0) -> Any:
    """Return JSON of the type, with hostile text wherever text is allowed."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any or kind is object or kind is str:
        return HOSTILE
    if kind is type(None):
        return None
    if kind in (int, float):
        return 1
    if kind is bool:
        return True
    if origin is Literal:
        return arguments[0]
    if origin in (Union, UnionType):
        return make_hostile(next(each for each in arguments if each is not type(None)), depth)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return {field.encode_name: make_hostile(field.type, depth + 1) for field in fields if depth < 9}
    if origin in (list, tuple, frozenset, set) or kind in (list, tuple):
        return [make_hostile(arguments[0] if arguments else str, depth)] * (depth < 9)
    if origin is dict or kind is dict or "Mapping" in str(origin):
        return {HOSTILE: make_hostile(arguments[1] if len(arguments) == 2 else str, depth)}
    if "Annotated" in str(origin) or hasattr(kind, "__metadata__"):
        return make_hostile(arguments[0], depth)
    return HOSTILE


def find_response(method: str, target: str) -> Any:
    path = urlsplit(target).path
    for route in ALL_ROUTES:
        pattern = re.sub(r"\\\{[^/]*\\\}", "[^/]+", re.escape(route.path))
        if route.method == method and re.fullmatch(pattern, path):
            return route.response
    raise AssertionError(f"no route {method} {path}")


@pytest.fixture(params=["answers", "refuses"])
def daemon(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A daemon whose answers, or whose errors, are hostile."""
    location = {"path": HOSTILE, "line": 1, "column": 1}
    problem = {"severity": "error", "message": HOSTILE, "location": location}
    fields = {"problems": [problem, problem], HOSTILE: HOSTILE}
    error = {"code": HOSTILE, "message": HOSTILE, "hint": HOSTILE, "location": location, "fields": fields}

    def answer(session: Session, method: str, target: str, body: object = None) -> Any:
        if request.param == "refuses":
            raise ClientError(error)
        found = make_hostile(find_response(method, target))
        if target == "/v1/runs":
            found["attach"] = False
        if "wait=" in target:
            found["state"] = "lost"
        if "/locks" in target and "text" in found:
            found["text"] = "a lock\n"
        if "/exports" in target:
            found |= {"files": {"x": "a file\n"}, "copies": {}}
        return found | ({"next": {} if "/who" in target else None} if "next" in found else {})

    def stream(session: Session, method: str, target: str, body: object = None) -> Iterator[Any]:
        if "/events" in target:
            yield {"seq": 2, "time": HOSTILE, "kind": HOSTILE, "fields": {HOSTILE: [HOSTILE], "x": HOSTILE}}
            return
        message = make_hostile(Message) | make_hostile(find_response(method, target))
        for event in ("build", "plan", "log", "step", "progress", "result" if request.param == "answers" else "error"):
            yield {**message, "event": event, "error": error}

    monkeypatch.setattr(Session, "request", answer)
    monkeypatch.setattr(Session, "lines", stream)
    monkeypatch.setattr(Session, "daemon", None)
    monkeypatch.setenv("ROOST_HOME", str(tmp_path / "root"))
    (tmp_path / "root" / "logs").mkdir(parents=True)
    (tmp_path / "root" / "logs" / "daemon.log").write_text(HOSTILE.replace("\n", " "))
    monkeypatch.chdir(tmp_path)


def find_acting(text: str) -> set[str]:
    """Return what in the text acts on a terminal, a line feed apart."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c not in "\n\t"}


def run_command(command: str, *options: str) -> None:
    words = command.split()
    takes_id = words[0] in ("builds", "runs") and words[-1] != "list"
    run([*words, *options, *ARGUMENTS.get(command, ["x"] * takes_id)])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_nothing_that_acts_on_a_terminal(
    command: str, daemon: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_command(command, "--json")
    for line in capsys.readouterr().out.rstrip("\n").split("\n"):
        assert json.loads(line), "JSON is left as it is"
    run_command(command)
    check_printed(command, capsys.readouterr())
    monkeypatch.setattr("roost.client.terminal.text.has_colour", lambda stream: True)
    run_command(command)
    printed = capsys.readouterr()
    check_printed(command, re.sub(r"\x1b\[(?:0|1|2|3[1236])m", "", printed.out + printed.err))


def check_printed(command: str, *printed: Any) -> None:
    text = "".join("".join(each) for each in printed)
    assert text.strip(), "the command printed nothing: what it prints was not tested"
    assert find_acting(text) == set()
    assert command in OF_SEVERAL_LINES or not re.search(r"^roost: forged", text, re.MULTILINE)


def test_the_list_of_commands_is_current() -> None:
    known = set(list_commands(build_parser()))
    assert set(ELSEWHERE) | set(ARGUMENTS) | set(OF_SEVERAL_LINES) <= known


def test_an_export_and_a_lock_reach_programs_unchanged_and_a_terminal_visible(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from roost.client.terminal.console import Console

    Console().write_file(HOSTILE)
    assert capsys.readouterr().out == HOSTILE
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    Console().write_file(HOSTILE)
    assert find_acting(capsys.readouterr().out) == set()


def test_the_log_below_an_error_is_visible(capsys: pytest.CaptureFixture[str]) -> None:
    from roost.client.terminal.console import Console
    from roost.client.terminal.progress import ProgressDisplay

    console = Console()
    console.display = ProgressDisplay(sys.stderr)
    console.display.show({"event": "log", "line": HOSTILE})
    console.report_error(ClientError({"message": HOSTILE}))
    printed = capsys.readouterr().err
    assert find_acting(printed) == set()
    assert "\nroost: forged" not in printed


def test_the_python_api_prints_and_raises_visible_text() -> None:
    import io

    from roost.client.api.builds import print_messages
    from roost.client.api.errors import error_from_body

    stream = io.StringIO()
    events: list[dict[str, Any]] = [
        {"event": "log", "line": HOSTILE},
        {"event": "step", "step": HOSTILE, "state": "started"},
        {"event": "error", "error": {"message": HOSTILE}},
    ]
    print_messages(iter(events), stream)
    assert find_acting(stream.getvalue() + str(error_from_body({"message": HOSTILE, "hint": HOSTILE}))) == set()


@pytest.mark.parametrize("name", [HOSTILE, "python"])
def test_a_command_that_cannot_start_is_named_visibly(name: str) -> None:
    from roost.client.launch import activate

    error = activate.CommandError(f"{name}: no such command", 127, name)
    note = activate.foreign_program_note("python3\x1b[m", f"/x/{name}", "/prefix")
    assert find_acting(error.format() + note) == set()
    assert error.format().count("\n") == note.count("\n") == 2
