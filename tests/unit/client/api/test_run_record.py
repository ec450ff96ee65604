"""A run's record in Azure's terms."""

from __future__ import annotations

from typing import Any

from roost.client.api.run_record import LOG_NAME, run_details, run_failed_error

RECORD: dict[str, Any] = {
    "id": "r1",
    "target": "local",
    "state": "failed",
    "started": "2026-01-01T00:00:00Z",
    "ended": "2026-01-01T00:00:01Z",
    "command": ["python", "train.py"],
    "environment": {"name": "train", "version": 1},
    "exit_status": 3,
    "detached": True,
}


def test_details_name_the_output_that_is_stored() -> None:
    details = run_details(RECORD, "/root")
    assert (details["runId"], details["status"]) == ("r1", "Failed")
    assert details["logFiles"] == {LOG_NAME: "/root/runs/r1/output"}
    assert "error" not in details
    assert run_details({**RECORD, "detached": False}, "/root")["logFiles"] == {}


def test_the_error_of_a_run_has_its_exit_status_and_where_its_output_is() -> None:
    error = run_failed_error(RECORD)
    assert error.message == "Run r1 ended with exit status 3"
    assert error.hint == "Run.get_details_with_logs() has its output."
    assert error.fields == {"run": "r1", "status": "Failed", "exit_status": 3}


def test_the_error_of_a_run_that_never_started_has_the_reason() -> None:
    reason = {"code": "pip-unsolvable", "message": "No such package", "hint": "Rename it."}
    error = run_failed_error({**RECORD, "exit_status": None, "error": reason})
    assert error.message == "Run r1 ended failed: No such package"
    assert (error.hint, error.fields["error"]) == ("Rename it.", reason)
