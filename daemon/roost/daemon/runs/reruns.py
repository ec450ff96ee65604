"""Running again what a run ran: what was recorded of it, and a word on what is no longer as it was then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone

import msgspec

from roost.daemon.definitions.resolve import used_image
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.planning.planner import PlanWithFacts
from roost.model.errors import CodedError, LookupFailedError
from roost.model.records import RunRecord
from roost.wire.protocol import WarningView

Interpreter = Mapping[str, object]
_COMPARED = ("version", "executable", "mtime")


class RunUnrepeatableError(LookupFailedError):
    """Nothing was recorded that could be run again."""

    code = "run-unrepeatable"


def check_repeatable(run: RunRecord) -> None:
    """Raise RunUnrepeatableError where neither a lock nor an image nor an interpreter was recorded."""
    if run.lock_digest is None and used_image(run) is None and own_interpreter(run) is None:
        raise RunUnrepeatableError(
            f"Run {run.id} recorded neither a lock nor an interpreter: it never started",
            hint="Start it anew with `roost run`; `roost runs show` has its command and folder.",
        )


def own_interpreter(run: RunRecord) -> Interpreter | None:
    """The interpreter of this machine that a run used as it was."""
    used = run.interpreter
    return used if used and run.lock_digest is None and used_image(run) is None and used.get("path") else None


def say_what_changed(
    run: RunRecord, resolved: TargetedDefinition, planned: PlanWithFacts
) -> tuple[TargetedDefinition, PlanWithFacts]:
    """Both with what there is to say, before it runs and in its record, of an interpreter that is not as it was."""
    before, now = own_interpreter(run), planned.facts.interpreter
    changes = interpreter_changes(before, now) if before is not None and now is not None else {}
    if not changes or now is None:
        return resolved, planned
    warning = WarningView(code="interpreter-changed", message=_sentence(run, now, changes))
    found = {**now, "changed_since": {"run": run.id, **changes}}
    return (
        msgspec.structs.replace(resolved, warnings=[*resolved.warnings, warning]),
        msgspec.structs.replace(planned, facts=msgspec.structs.replace(planned.facts, interpreter=found)),
    )


def interpreter_changes(before: Interpreter, now: Interpreter) -> dict[str, dict[str, object]]:
    """``{"version": {"before", "after"}, …}`` of what was recorded then and differs now."""
    return {
        name: {"before": before[name], "after": now[name]}
        for name in _COMPARED
        if name in before and name in now and before[name] != now[name]
    }


def explain_missing(run: RunRecord, error: CodedError) -> CodedError:
    """``error``, which planning raised, with what to do about an interpreter that is gone."""
    if own_interpreter(run) is not None and error.code == "interpreter-missing":
        name = f"{run.environment_name}:{run.environment_version}" if run.environment_version else "its environment"
        error.hint = f"Run {run.id} used it: put a Python there again, or run {name} anew with an interpreter that is."
    return error


def _sentence(run: RunRecord, now: Interpreter, changes: Mapping[str, Mapping[str, object]]) -> str:
    return f"{now['path']} is not as run {run.id} used it: {', '.join(_told(changes))}"


def _told(changes: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    for name, change in changes.items():
        before, after = (_shown(name, change[when]) for when in ("before", "after"))
        what = {"version": "Python", "executable": "it led to", "mtime": "changed on disk, from"}[name]
        yield f"{what} {before} then, {after} now" if name != "mtime" else f"{what} {before} to {after}"


def _shown(name: str, value: object) -> str:
    if name != "mtime" or not isinstance(value, (int, float)):
        return str(value)
    return datetime.fromtimestamp(value, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
