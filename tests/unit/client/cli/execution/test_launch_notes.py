"""What is said of a definition before a shell or a command of ``roost exec`` begins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from roost.client.cli.execution import launches


class Caller:
    """Gets the ``answers`` in turn, and keeps what it is told."""

    options = SimpleNamespace(target="auto")

    def __init__(self, answers: list[dict[str, Any]]) -> None:
        self.answers = answers
        self.said: list[object] = []

    def take_begun(self, request: object) -> None:
        return None

    def request(self, *request: object) -> dict[str, Any]:
        return self.answers.pop(0)

    def note_source(self, source: object) -> None:
        self.said.append(source)

    def note_warnings(self, warnings: list[object]) -> None:
        self.said += warnings


@pytest.mark.parametrize(
    ("is_ready", "always_named", "said"),
    [
        (True, True, ["a.yml", "stale"]),
        (True, False, ["stale"]),
        (False, True, ["a.yml", "stale", "built"]),
        (False, False, ["a.yml", "stale", "built"]),
    ],
)
def test_the_definition_is_named_once_and_before_its_warnings(
    is_ready: bool, always_named: bool, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = {"launch": {"prefix": "/p"}, "source": "a.yml", "warnings": ["stale"]}
    caller: Any = Caller([ready] if is_ready else [{**ready, "launch": None}, ready])
    monkeypatch.setattr(launches, "build_selector", lambda *ignored: {})
    monkeypatch.setattr(launches, "run_build", lambda *ignored, **options: caller.said.append("built"))
    assert launches._request_launch(caller, [], always_named=always_named) == ({"prefix": "/p"}, "a.yml")
    assert caller.said == said
