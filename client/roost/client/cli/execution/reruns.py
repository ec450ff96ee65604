"""``runs rerun``: a recorded run once more, in its exact generation."""

from __future__ import annotations

import os
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.execution.builds import run_build
from roost.client.cli.execution.follow import (
    ATTEMPTS,
    detached_environ,
    follow_run,
    prefix_gone_error,
    python_path_field,
    terminal_field,
)
from roost.client.cli.paging import record_route
from roost.client.errors import client_error, usage_error

Json = dict[str, Any]


def rerun_command(context: Context) -> int:
    """Like ``run``: return the command's exit status, or print the id of a detached run."""
    former = context.request("GET", record_route("run", context.options.id))
    _check_rerun(former)
    detach = context.options.detach
    is_local = former["target"] == "local"
    request: Json
    if detach:
        request = {"detach": True, "environ_of_client": detached_environ(context)}
    else:
        request = {} if is_local else terminal_field()
    request.update(python_path_field())
    inherits_secrets = is_local and not detach
    request["secrets"] = {name: "" if inherits_secrets else os.environ[name] for name in former["secrets"]}
    request["word_values"] = {name: os.environ[name] for name in former["word_variables"] if name in os.environ}
    for _ in range(ATTEMPTS):
        if not detach:
            _build_former(context, former)
        answer = context.request("POST", f"/v1/runs/{former['id']}/rerun", request)
        context.note_warnings(answer.get("warnings", []))
        status = follow_run(context, answer, request) if answer["run"] is not None else None
        if status is not None:
            return status
    raise prefix_gone_error()


def _check_rerun(former: Json) -> None:
    """Raises: ClientError if the run's folder no longer exists or a secret is not set."""
    if not os.path.isdir(former["cwd"]):
        message = f"Run {former['id']} ran in {former['cwd']}, which does not exist."
        raise client_error("folder-gone", message, "Create that folder again.", 7)
    unset = [name for name in former["secrets"] if name not in os.environ]
    if unset:
        message = f"Run {former['id']} used secrets that are not set: {', '.join(unset)}."
        raise usage_error(message, "Set them first.")


def _build_former(context: Context, former: Json) -> None:
    """Build what was collected from its lock, with visible progress, before the run is requested."""
    uses_unmodified_image = (former.get("interpreter") or {}).get("image")
    if former["lock_digest"] is not None and not uses_unmodified_image:
        result = {"run": former["id"], "lock": former["lock_digest"], "generation": former["generation"]}
        selector = {"cwd": former["cwd"], **{key: value for key, value in result.items() if value is not None}}
        run_build(context, {"what": selector, "target": former["target"]})
