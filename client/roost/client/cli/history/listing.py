"""``runs list`` and ``runs show``."""

from __future__ import annotations

import os
import shlex
from datetime import datetime, timezone
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.paging import record_route, request_page
from roost.client.cli.selector import require_utf8
from roost.client.terminal.text import format_count, format_record, format_table, format_time, short_digest

Json = dict[str, Any]
COMMAND_WIDTH = 60
SHORT_COMMIT = 12
NO_RUN = "nothing has run: `roost run COMMAND` records each run"


def list_command(context: Context) -> int:
    filters = _read_filters(context)
    answer = request_page(context, "runs", filters)
    if context.json:
        context.print_json(answer)
        return 0
    runs = answer["runs"]
    if not runs:
        context.note("no run is like that" if filters or context.options.before else NO_RUN)
    heads = ["ID", "STATE", "EXIT", "TARGET", "ENVIRONMENT", "LOCK", "STARTED", "COMMAND"]
    has_tags = any(run.get("tags") for run in runs)
    rows = [
        (
            run["id"],
            run["state"],
            run.get("exit_status"),
            run["target"],
            environment_name(run),
            short_digest(run.get("lock_digest")),
            format_time(run.get("started")),
            *([" ".join(run.get("tags", []))] if has_tags else []),
            _shorten(shlex.join(run["command"])),
        )
        for run in runs
    ]
    if has_tags:
        heads.insert(-1, "TAGS")
    context.print_text(format_table(heads, rows))
    return 0


def _read_filters(context: Context) -> dict[str, str]:
    """Return the query of the options that filter."""
    options = context.options
    # The folder as a run records it, which is how the system names the working folder: without links.
    folder = os.path.realpath(options.cwd) if options.cwd is not None else None
    found = {
        "env": options.env,
        "experiment": options.experiment,
        "state": ",".join(options.state) if options.state is not None else None,
        "since": options.since,
        "command": options.words,
        "target": options.target,
        "cwd": folder if options.cwd else options.cwd,
        "tag": ",".join(options.tag) if options.tag is not None else None,
    }
    return {name: require_utf8(value, f"--{name}") for name, value in found.items() if value is not None}


def environment_name(run: Json) -> str | None:
    """Return ``NAME:VERSION`` or ``NAME``."""
    environment = run.get("environment") or {}
    name, version = environment.get("name"), environment.get("version")
    return f"{name}:{version}" if name and version else name


def _shorten(command: str) -> str:
    words = " ".join(command.split())
    return words if len(words) <= COMMAND_WIDTH else words[: COMMAND_WIDTH - 1] + "…"


def show_command(context: Context) -> int:
    run = context.request("GET", record_route("run", context.options.id))
    if context.json:
        context.print_json(run)
        return 0
    fields = {**run, "environment": environment_name(run)}
    fields["git"] = describe_code(run["git"]) if run.get("git") else None
    fields["tags"] = " ".join(run.get("tags", []))
    interpreter = run.get("interpreter") or {}
    if isinstance(interpreter.get("mtime"), (int, float)):
        changed = datetime.fromtimestamp(interpreter["mtime"], timezone.utc)
        fields["interpreter"] = {**interpreter, "mtime": changed.strftime("%Y-%m-%dT%H:%M:%SZ")}
    context.print_text(format_record(fields))
    return 0


def describe_code(code: Json) -> str:
    """Return the state of a git repository in one line."""
    commit = str(code["commit"])[:SHORT_COMMIT] if code["commit"] else "no known commit"
    branch = f" on {code['branch']}" if code.get("branch") else ""
    if code["dirty"] is None:
        state = "unknown whether it was changed"
    elif code["dirty"]:
        changed, untracked = code.get("changed"), code.get("untracked")
        counts = [format_count(changed, "file")] if changed else []
        state = "changed: " + ", ".join([*counts, f"{untracked} untracked"] if untracked else counts)
    else:
        state = "unchanged"
    reason = f" ({code['reason']})" if code.get("reason") else ""
    return f"{commit}{branch}, {state}{reason}, in {code['root']}"
