"""``runs diff``: in what two runs differ."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.environments.changes import change_lines, lock_lines
from roost.client.cli.selector import require_utf8, working_folder
from roost.client.terminal.text import paint

Json = dict[str, Any]


def diff_command(context: Context) -> int:
    """Return 1 if the runs differ and ``--exit-code`` is given."""
    options = context.options
    cwd = require_utf8(working_folder(), "The working folder")
    before, after = ({"cwd": cwd, "run": require_utf8(text, "An id")} for text in (options.before, options.after))
    answer = context.request("POST", "/v1/diffs", {"cwd": cwd, "before": before, "after": after})
    context.note_warnings(answer.get("warnings", []))
    context.print_json(answer) if context.json else context.print_lines(_diff_lines(answer))
    return int((answer["differ"] or bool(answer["runs"])) and options.exit_code)


def _diff_lines(answer: Json) -> Iterator[str]:
    """Yield the differences: of what was run, of its code, then of its environment."""
    before, after = answer["before"], answer["after"]
    yield f"{paint(before['title'], 'bold', sys.stdout)} -> {paint(after['title'], 'bold', sys.stdout)}"
    code = [change for change in answer["runs"] if change["field"].startswith("git.")]
    command = [change for change in answer["runs"] if change not in code]
    parts = (("run", command), ("code", code), ("settings", answer["settings"]), ("definition", answer["definition"]))
    for part, changes in parts:
        yield f"{part}: {'' if changes else 'the same'}".rstrip()
        yield from (f"  {line}" for line in change_lines(changes, sys.stdout))
    yield from (f"  {line}" for line in _git_hints(code))
    if answer["lock"] is not None:
        yield from lock_lines(answer["lock"], sys.stdout)
    missing = (operand["lock_missing"] for operand in (before, after) if operand.get("lock_missing"))
    for reason in dict.fromkeys(missing):
        yield f"packages: not compared: {reason}"


def _git_hints(code: list[Json]) -> Iterator[str]:
    """Yield how to see what has changed between two commits."""
    for change in code:
        if change["field"] == "git.commit" and change["before"] and change["after"]:
            yield f"{shlex.join(['git', 'diff', change['before'][:12], change['after'][:12]])} shows what has changed"
