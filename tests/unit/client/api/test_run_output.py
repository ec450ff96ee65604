"""What is printed of a run or a build whose daemon ends while it is followed: all of it, even if the run or the build
has ended by the time that the next daemon answers. The daemons are doubles, since no real one ends at such a moment on
request."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from roost.client.api import builds, run_output
from roost.client.api.builds import ImageBuildDetails
from roost.client.api.errors import DaemonUnreachableError
from roost.client.api.run_output import RunOutput

UNREACHABLE = {"code": "daemon-unreachable", "message": "It went away", "exit_status": 5}


class EndingDaemons:
    """Daemons of which the first ``deaths`` end after so many messages of a stream, while what they tell of ends."""

    def __init__(self, messages: list[Any], deaths: list[int], record: dict[str, Any]) -> None:
        self._messages = messages
        self._deaths = deaths
        self._record = record

    def _stream_bytes(self, target: str) -> Iterator[bytes]:
        if "follow" not in target:
            yield self._messages[0]
            return
        yield from self._stream_messages("GET", target)

    def _stream_messages(self, method: str, target: str) -> Iterator[Any]:
        until = self._deaths.pop(0) if self._deaths else None
        yield from self._messages[:until]
        if until is not None:
            raise DaemonUnreachableError(UNREACHABLE)

    def _request(self, method: str, target: str) -> dict[str, Any]:
        return {"build": self._record, **self._record}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (builds, run_output):
        monkeypatch.setattr(module, "POLL_SECONDS", 0)


@pytest.mark.parametrize("deaths", [[], [0], [1], [2, 1], [3, 3, 0]])
def test_the_output_of_a_run_is_printed_to_its_end_and_once(deaths: list[int]) -> None:
    printed = io.StringIO()
    workspace: Any = EndingDaemons([b"one\n", b"two\n", b"three\n"], deaths, {"state": "succeeded", "exit_status": 0})
    RunOutput(workspace, "r1", printed).follow()
    assert "one\ntwo\nthree\n\nExecution Summary" in printed.getvalue()


@pytest.mark.parametrize("deaths", [[], [0], [1], [2, 1], [3, 3, 0]])
def test_the_log_of_a_build_is_printed_to_its_end_and_once(
    deaths: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[Any] = [{"event": "log", "line": line} for line in ("one", "two", "three")]
    workspace: Any = EndingDaemons(lines, deaths, {"state": "succeeded"})
    ImageBuildDetails(workspace, "b1").wait_for_completion()
    assert capsys.readouterr().out == "one\ntwo\nthree\n"
