"""``run``, ``exec`` and ``shell``: commands in an environment, which is built first where it must be."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.execution.building import build
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_what, readable, utf8, what
from roost.client.errors import ClientError, client_error, usage_error
from roost.client.launch import activate, shells

Json = dict[str, Any]
ATTEMPTS = 3
"""A prefix may be collected, or its file edited, between the build and the start; not for ever."""


def add(subparsers: Subparsers) -> None:
    """The three commands."""
    run = add_command(
        subparsers,
        "run",
        run_command,
        "Run a command in its environment, and record the run.",
        "roost run train.py --epochs 3",
    )
    run.usage = (
        "roost run [WHAT] [-t TARGET] [--var K=V]… [--secret NAME]… [--experiment NAME] [--detach] [--] COMMAND…"
    )
    add_what(run)
    run.add_argument("--var", action="append", default=[], metavar="K=V", help="a variable for the command")
    run.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="NAME",
        help="a variable whose value is never kept (in a container, docker inspect shows it while that lives)",
    )
    run.add_argument("--experiment", metavar="NAME", help="what the run belongs to")
    run.add_argument("--detach", action="store_true", help="print the run's id and do not wait")
    execute = add_command(
        subparsers,
        "exec",
        exec_command,
        "Become a command in its environment; nothing is recorded.",
        "roost exec -- python -V",
    )
    execute.usage = "roost exec [WHAT] [--] COMMAND…"
    add_what(execute)
    shell = add_command(
        subparsers, "shell", shell_command, "An interactive shell in the environment.", "roost shell -f environment.yml"
    )
    add_what(shell)


def exec_command(context: Context) -> int:
    command = _command(context)
    launch, _ = _launch(context, command)
    return _start(context, launch, lambda: _become(command, launch))


def _become(command: Sequence[str], launch: Json) -> int:
    environ = activate.activated_environment(launch, os.environ)
    activate.replace_process(activate.resolve_command(command, launch.get("python"), environ), environ)


def shell_command(context: Context) -> int:
    launch, source = _launch(context, [])
    context.note_source(source)
    name = str(source.get("name") or "roost")
    return _start(context, launch, lambda: _enter(launch, name))


def _enter(launch: Json, name: str) -> int:
    program = os.environ.get("SHELL") or "/bin/sh"
    environ = activate.activated_environment(launch, os.environ, {"ROOST_PROMPT": name})
    command, environ = shells.shell_command_line(program, launch, environ, name)
    activate.replace_process(activate.resolve_command(command, None, environ), environ)


def _command(context: Context) -> list[str]:
    command: list[str] = context.options.command
    if not command or not command[0]:
        raise usage_error("No command was given.", "Name one, as in `roost exec -- python -V`.")
    return command


def _start(context: Context, launch: Json, begin: Callable[[], int]) -> int:
    """Hold the lease and begin; a command that can't be started ends as in a shell."""
    try:
        activate.hold_lease(launch["lease"])
        return begin()
    except activate.LeaseGoneError as error:
        raise gone() from error
    except activate.CommandError as error:
        return _refused(error)


def _refused(error: activate.CommandError) -> int:
    print(f"roost: {error}\n  {error.hint}", file=sys.stderr)
    return error.status


def gone() -> ClientError:
    return client_error("prefix-gone", "The prefix was removed while the command was about to start.", "Try again.", 1)


def _launch(context: Context, command: Sequence[str]) -> tuple[Json, Json]:
    """How to start, and what was chosen; built first where it must be."""
    asked = what(context, command)
    target = "local" if context.options.target == "auto" else context.options.target
    for _ in range(ATTEMPTS):
        answer = context.request("POST", "/v1/exec", {"what": asked, "target": target})
        if answer["launch"] is not None:
            return answer["launch"], answer["source"]
        _build_first(context, answer, {"what": asked, "target": target})
    raise gone()


def _build_first(context: Context, answer: Json, request: Json) -> None:
    context.note_source(answer.get("source"))
    context.note_warnings(answer.get("warnings", []))
    build(context, request)


def run_command(context: Context) -> int:
    command = _command(context)
    asked = what(context, command)
    said = [utf8(w, "A word of a detached run's command") if context.options.detach else readable(w) for w in command]
    request = {"what": asked, "command": said, "target": context.options.target, **_run_options(context)}
    for _ in range(ATTEMPTS):
        answer = context.request("POST", "/v1/runs", request)
        context.note_source(answer.get("source"))
        context.note_warnings(answer.get("warnings", []))
        if answer["run"] is None:
            build(context, {"what": asked, "target": context.options.target})
            continue
        status = see_through(context, answer, request, command)
        if status is not None:
            return status
    raise gone()


def see_through(context: Context, answer: Json, request: Json, command: Sequence[str] | None = None) -> int | None:
    """A run that was begun, to its end or until it goes on by itself: its exit status. ``None`` where what it was to
    run in went away before it began: it is to be made ready again, for another run."""
    if request.get("detach"):
        return _detached(context, answer["run"])
    if answer.get("attach"):
        return attached(context, answer, request)
    try:
        return supervise(context, answer, request.get("variables", {}), command)
    except activate.LeaseGoneError:
        _failed(context, answer["run"]["id"])
        return None


def attached(context: Context, answer: Json, request: Json) -> int | None:
    """In a container; ``None`` where its image went away since the plan: plan again."""
    from roost.client.launch import attach
    from roost.client.launch.attach_failure import resolve_attach_failure

    context.clear_progress()
    run_id = answer["run"]["id"]
    try:
        status: int | None = attach.attach(context.session.daemon.path, run_id, at_terminal="terminal" in request)
    except (attach.AttachmentLostError, attach.AttachRefusedError) as error:
        status = resolve_attach_failure(context, context.session, run_id, error)
    if context.json and status is not None:
        print_record(context, run_id)
    return status


def _run_options(context: Context) -> Json:
    options = context.options
    secrets = {name: _secret(name) for name in options.secret}
    result: Json = {"variables": dict(map(_pair, options.var)), "secrets": secrets}
    result.update({"experiment": options.experiment} if options.experiment else {})
    if options.detach:
        return {**result, "detach": True, "environ_of_client": handed_on(context)}
    if options.target == "local":  # the command inherits them: no need to tell anybody
        return {**result, "secrets": dict.fromkeys(secrets, "")}
    return {**result, **at_terminal()}


def at_terminal() -> Json:
    """This process's terminal, where it has one, for a command in a container."""
    from roost.client.launch import attach

    terminal = attach.current_terminal()
    return {"terminal": terminal} if terminal else {}


def handed_on(context: Context) -> dict[str, str]:
    """This process's variables for a detached run. What is no UTF-8 stays behind, and is named."""
    kept = {name: value for name, value in os.environ.items() if readable(name + value) == name + value}
    for name in sorted(set(os.environ) - set(kept)):
        context.note(f"{readable(name)} is no UTF-8, and a detached run does not get it")
    return kept


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise usage_error(f"--var {text}: not of the form K=V.", "Write it as in `--var EPOCHS=3`.")
    return name, value


def _secret(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise usage_error(
            f"--secret {name}: there is no such variable.", f"Set {name} first; roost passes its value on."
        )
    return value


def _detached(context: Context, run: Json) -> int:
    context.print_json(run) if context.json else context.print(str(run["id"]))
    return 0


def supervise(
    context: Context, answer: Json, variables: Mapping[str, str], command: Sequence[str] | None = None
) -> int:
    """Start the run that ``answer`` describes, with ``command`` as it was typed, and see it to its end; its exit
    status."""
    from roost.client.launch.supervise import Supervisor

    launch, run = answer["launch"], answer["run"]
    spec = {
        "command": command or run["command"],
        "cwd": run["cwd"],
        "environ": activate.activated_environment(launch, os.environ, variables),
        "lease": launch["lease"],
        "python": launch.get("python"),
        "socket": context.session.daemon.path,
        "run_id": run["id"],
    }
    status = Supervisor(answer["folder"], spec).run()
    if context.json:
        print_record(context, run["id"])
    return status


def print_record(context: Context, run_id: str) -> None:
    """On standard error: standard output was the command's."""
    import json

    print(json.dumps(context.request("GET", f"/v1/runs/{run_id}")), file=sys.stderr)


def _failed(context: Context, run_id: str) -> None:
    context.request("PATCH", f"/v1/runs/{run_id}", {"state": "failed", "exit_status": 125})
