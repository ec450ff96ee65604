"""A run's record, as ``GET /v1/runs/{id}`` answers it, in Azure's terms."""

from __future__ import annotations

import os
from typing import Any

from roost.client.api.errors import RunFailedError

Json = dict[str, Any]
RUN_STATUSES = {
    "queued": "Queued",
    "preparing": "Preparing",
    "running": "Running",
    "succeeded": "Completed",
    "failed": "Failed",
    "cancelled": "Canceled",
    "lost": "NotResponding",
}
"""State of a run to the status that Azure's scripts compare with."""
ENDED_STATES = frozenset({"succeeded", "failed", "cancelled", "lost"})
LOG_NAME = "user_logs/std_log.txt"
"""Azure's name for the output of a run."""


def run_details(record: Json, root: str) -> Json:
    """Return the value of ``Run.get_details``. ``root``: the folder of the workspace."""
    error = record.get("error")
    log_files = {LOG_NAME: os.path.join(root, "runs", record["id"], "output")} if record["detached"] else {}
    return {
        "runId": record["id"],
        "target": record["target"],
        "status": RUN_STATUSES[record["state"]],
        "startTimeUtc": record["started"],
        "endTimeUtc": record["ended"],
        "runDefinition": {
            "command": list(record["command"]),
            "target": record["target"],
            "environment": dict(record["environment"]),
            "environmentVariables": dict(record.get("variables") or {}),
        },
        "logFiles": log_files,  # the output of a run at a terminal is not stored
        **({"error": dict(error)} if error else {}),
        "roost": dict(record),
    }


def run_failed_error(record: Json) -> RunFailedError:
    """Return the error for the record of a run that has ended and did not succeed."""
    exit_status, error = record["exit_status"], record.get("error") or {}
    message = f"Run {record['id']} ended " + (
        f"with exit status {exit_status}" if exit_status is not None else record["state"]
    )
    fields = {"run": record["id"], "status": RUN_STATUSES[record["state"]], "exit_status": exit_status}
    if error:
        message, fields = f"{message}: {error['message']}", {**fields, "error": error}
    hint = error.get("hint") or "Run.get_details_with_logs() has its output."
    return RunFailedError({"code": "run-failed", "message": message, "hint": hint, "fields": fields})
