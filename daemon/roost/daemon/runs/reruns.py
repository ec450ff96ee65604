"""Running again what a recorded run ran, and a warning about an interpreter that changed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone

import msgspec

from roost.daemon.credentials.commands import describe_hidden, restore_command
from roost.daemon.definitions.resolve import used_image
from roost.daemon.definitions.resolved import ResolvedDefinition, TargetedDefinition
from roost.daemon.planning.planner import PlanWithFacts
from roost.model.errors import CodedError, LookupFailedError
from roost.model.records import RunRecord
from roost.wire.protocol import WarningView

Interpreter = Mapping[str, object]
_COMPARED = ("version", "executable", "mtime")


class RunUnrepeatableError(LookupFailedError):
    """The run recorded nothing that could be run again."""

    code = "run-unrepeatable"


def restore_words(run: RunRecord, values: Mapping[str, str]) -> list[str]:
    """Return the command of a run with ``values`` where its record has ``${NAME}``.

    Raises RunUnrepeatableError if it had a credential that no variable has, or if a variable is missing.
    """
    if run.hidden_words:
        shown = ", ".join(f"`{each}`" for each in describe_hidden(run.command, run.hidden_words))
        raise RunUnrepeatableError(
            f"The command of run {run.id} had credentials, which are not stored: {shown}",
            hint="Start it again with `roost run`. What stands in a variable of yours, as in `--token=$HF_TOKEN`, can "
            "be repeated.",
        )
    missing = [name for name in run.word_variables if name not in values]
    if missing:
        raise RunUnrepeatableError(
            f"The command of run {run.id} had the values of {', '.join(missing)}, which are not set",
            hint="Set them first: " + " ".join(f"{name}=…" for name in missing) + f" roost runs rerun {run.id}",
            fields={"variables": missing},
        )
    return restore_command(run.command, run.masked_words, values)


def check_repeatable(run: RunRecord) -> None:
    """Raise RunUnrepeatableError if neither a lock nor an image nor an interpreter was recorded."""
    if run.lock_digest is None and used_image(run) is None and find_own_interpreter(run) is None:
        raise RunUnrepeatableError(
            f"Run {run.id} recorded neither a lock nor an interpreter: it never started",
            hint="Start it again with `roost run`; `roost runs show` has its command and folder.",
        )


def with_project(run: RunRecord, resolved: TargetedDefinition, found: ResolvedDefinition | None) -> TargetedDefinition:
    """Return ``resolved``, which has the lock of ``run``, with the project that the run had on top of it, as it is now.

    ``found``: what the file of the project is read as now, if it can be read. Its sources are never recorded, so what
    has changed in them goes into the new run unnoticed; changes of its build files are warned of.
    """
    before = run.project
    if before is None:
        return resolved
    project = found.project if found is not None else None
    if project is None or project.name != before.name:
        code, text = "project-gone", f"{before.folder} has no project {before.name} any more, as run {run.id} had"
    elif project.digest != before.digest:
        code, text = (
            "project-changed",
            f"The build files of {before.name} in {before.folder} have changed since run {run.id}",
        )
    else:
        return msgspec.structs.replace(resolved, project=project)
    warning = WarningView(code=code, message=text)
    kept = project if code == "project-changed" else None
    return msgspec.structs.replace(resolved, project=kept, warnings=[*resolved.warnings, warning])


def find_own_interpreter(run: RunRecord) -> Interpreter | None:
    """Return the user-managed interpreter of this machine that a run used."""
    used = run.interpreter
    return used if used and run.lock_digest is None and used_image(run) is None and used.get("path") else None


def warn_of_changes(
    run: RunRecord, resolved: TargetedDefinition, planned: PlanWithFacts
) -> tuple[TargetedDefinition, PlanWithFacts]:
    """Return both arguments; if the interpreter changed since ``run``, with a warning for the new run and with the
    changes for its record."""
    before, now = find_own_interpreter(run), planned.facts.interpreter
    changes = find_interpreter_changes(before, now) if before is not None and now is not None else {}
    if not changes or now is None:
        return resolved, planned
    warning = WarningView(code="interpreter-changed", message=_changes_text(run, now, changes))
    found = {**now, "changed_since": {"run": run.id, **changes}}
    return (
        msgspec.structs.replace(resolved, warnings=[*resolved.warnings, warning]),
        msgspec.structs.replace(planned, facts=msgspec.structs.replace(planned.facts, interpreter=found)),
    )


def find_interpreter_changes(before: Interpreter, now: Interpreter) -> dict[str, dict[str, object]]:
    """Return ``{"version": {"before", "after"}, …}`` of what was recorded then and differs now."""
    return {
        name: {"before": before[name], "after": now[name]}
        for name in _COMPARED
        if name in before and name in now and before[name] != now[name]
    }


def add_missing_interpreter_hint(run: RunRecord, error: CodedError) -> CodedError:
    """Return ``error``, which planning raised, with a hint what to do if the interpreter no longer exists."""
    if find_own_interpreter(run) is not None and error.code == "interpreter-missing":
        name = f"{run.environment_name}:{run.environment_version}" if run.environment_version else "its environment"
        error.hint = f"Run {run.id} used it: restore that Python, or run {name} with an existing interpreter."
    return error


def _changes_text(run: RunRecord, now: Interpreter, changes: Mapping[str, Mapping[str, object]]) -> str:
    return f"{now['path']} has changed since run {run.id} used it: {', '.join(_describe_changes(changes))}"


def _describe_changes(changes: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    for name, change in changes.items():
        before, after = (_format_change(name, change[when]) for when in ("before", "after"))
        what = {"version": "Python", "executable": "it led to", "mtime": "changed on disk, from"}[name]
        yield f"{what} {before} then, {after} now" if name != "mtime" else f"{what} {before} to {after}"


def _format_change(name: str, value: object) -> str:
    if name != "mtime" or not isinstance(value, (int, float)):
        return str(value)
    return datetime.fromtimestamp(value, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
