"""What follows a refused or lost attachment: an exit status, another plan, or an error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roost.client.errors import ClientError, unreachable_error
from roost.client.launch import attach_failure
from roost.client.launch.attach import AttachmentLostError, AttachRefusedError
from roost.client.launch.attach_failure import resolve_attach_failure
from roost.client.terminal.console import Console


class Answers:
    """A session that gives the next answer to each request, or raises it; the last one again and again."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def request(self, method: str, target: str) -> Any:
        assert (method, target) == ("GET", "/v1/runs/r1")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attach_failure.time, "sleep", lambda seconds: None)


def resolve(error: AttachmentLostError | AttachRefusedError, *answers: Any) -> int | None:
    session: Any = Answers(*answers)
    return resolve_attach_failure(Console(), session, "r1", error)


def refusal(code: str, **fields: Any) -> AttachRefusedError:
    return AttachRefusedError(json.dumps({"code": code, "message": "No.", "hint": "Yes.", "fields": fields}).encode())


def test_a_command_that_could_not_start_is_reported_with_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert resolve(refusal("command-not-started", status=127)) == 127
    assert capsys.readouterr().err == "roost: No.\n  Yes.\n"


def test_a_missing_image_asks_for_another_plan() -> None:
    assert resolve(refusal("image-missing")) is None


def test_any_other_refusal_is_raised() -> None:
    with pytest.raises(ClientError) as caught:
        resolve(refusal("engine-unknown"))
    assert caught.value.code == "engine-unknown"


@pytest.mark.parametrize(("recorded", "status"), [(3, 3), (None, 125)])
def test_a_lost_attachment_waits_for_the_end_of_the_run(
    recorded: int | None, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    away = unreachable_error("The daemon broke off.", "")
    answers = [away, {"state": "running"}, away, {"state": "failed", "exit_status": recorded}]
    assert resolve(AttachmentLostError(), *answers) == status
    assert "waiting for the end of the run" in capsys.readouterr().err


def test_a_daemon_that_never_answers_again_ends_the_wait() -> None:
    with pytest.raises(ClientError) as caught:
        resolve(AttachmentLostError(), unreachable_error("The daemon broke off.", ""))
    assert caught.value.code == "daemon-unreachable"
