"""``run``, ``exec`` and ``shell``: commands in an environment, which is built first if necessary."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from roost.client.caller import find_word_values
from roost.client.cli.context import Context
from roost.client.cli.execution.builds import run_build
from roost.client.cli.execution.containers import is_in_image, run_in_container, start_shell_in_container
from roost.client.cli.execution.follow import (
    ATTEMPTS,
    detached_environ,
    follow_run,
    prefix_gone_error,
    python_path_field,
    terminal_field,
)
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_selector_options, build_selector, replace_undecodable, require_utf8
from roost.client.errors import usage_error
from roost.client.launch import activate, shells

Json = dict[str, Any]


def add(subparsers: Subparsers) -> None:
    """Add ``run``, ``exec`` and ``shell``."""
    run = add_command(
        subparsers,
        "run",
        run_command,
        "Run a command in its environment, and record the run.",
        "roost run train.py --epochs 3",
    )
    run.usage = (
        "roost run [WHAT] [CHOICES] [-t TARGET] [--var K=V]… [--secret NAME]… [--experiment NAME]"
        " [--keep-output | --detach] [--] COMMAND…"
    )
    add_selector_options(run)
    run.add_argument("--var", action="append", default=[], metavar="K=V", help="a variable for the command")
    run.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="NAME",
        help="a variable whose value is never stored (docker inspect shows it while a container exists)",
    )
    run.add_argument("--experiment", metavar="NAME", help="the experiment of the run")
    run.add_argument("--keep-output", action="store_true", help="store the output too, for `roost runs logs`")
    run.add_argument("--detach", action="store_true", help="print the run's id and do not wait")
    execute = add_command(
        subparsers,
        "exec",
        exec_command,
        "Replace this process by a command in its environment; nothing is recorded.",
        "roost exec -- python -V",
    )
    execute.usage = "roost exec [WHAT] [CHOICES] [--] COMMAND…"
    add_selector_options(execute)
    shell = add_command(
        subparsers,
        "shell",
        shell_command,
        "Start an interactive shell in the environment.",
        "roost shell -f environment.yml",
    )
    add_selector_options(shell)


def exec_command(context: Context) -> int:
    command = _typed_command(context, "roost exec -- python -V")
    if is_in_image(context):
        return run_in_container(context, command)
    launch, _ = _request_launch(context, command)

    def become_command() -> NoReturn:
        environ = activate.activated_environment(launch, os.environ)
        program = activate.resolve_command(command, launch.get("python"), environ)
        if program[0] != launch.get("python"):
            print(activate.foreign_program_note(command[0], program[0], launch["prefix"]), end="", file=sys.stderr)
            sys.stderr.flush()
        activate.replace_process(program, environ)

    return _start(launch, become_command)


def shell_command(context: Context) -> int:
    if is_in_image(context):
        return start_shell_in_container(context)
    launch, source = _request_launch(context, [], always_named=True)
    name = str(source.get("name") or "roost")

    def become_shell() -> NoReturn:
        program = os.environ.get("SHELL") or "/bin/sh"
        environ = activate.activated_environment(launch, os.environ, {"ROOST_PROMPT": name})
        command, environ = shells.shell_command_line(program, launch, environ, name)
        activate.replace_process(activate.resolve_command(command, None, environ), environ)

    return _start(launch, become_shell)


def _typed_command(context: Context, example: str) -> list[str]:
    command: list[str] = context.options.command
    if not command or not command[0]:
        raise usage_error("No command was given.", f"Name one, as in `{example}`.")
    return command


def _start(launch: Json, begin: Callable[[], NoReturn]) -> int:
    """Hold the lease and begin. Return a shell's exit status if the command can't be started."""
    try:
        activate.hold_lease(launch["lease"])
        begin()
    except activate.LeaseGoneError as error:
        raise prefix_gone_error() from error
    except activate.CommandError as error:
        print(error.format(), end="", file=sys.stderr)
        return error.status


def _request_launch(context: Context, command: Sequence[str], *, always_named: bool = False) -> tuple[Json, Json]:
    """Return how to start (``wire.Launch``) and which definition was chosen; build first if necessary. That is named
    once: before a build, or in any case."""
    selector = build_selector(context, command)
    target = "local" if context.options.target == "auto" else context.options.target
    request = {"what": selector, "target": target}
    begun, is_said = context.take_begun(request), False
    for _ in range(ATTEMPTS):
        answer = begun.answer if begun is not None else context.request("POST", "/v1/exec", request)
        if answer["launch"] is not None:
            if always_named and not is_said:
                context.note_source(answer["source"])
            context.note_warnings([] if is_said else answer.get("warnings", []))
            return answer["launch"], answer["source"]
        context.note_source(answer.get("source"))
        context.note_warnings(answer.get("warnings", []))
        run_build(context, request, begun=begun)
        begun, is_said = None, True
    raise prefix_gone_error()


def run_command(context: Context) -> int:
    options = context.options
    command = _typed_command(context, "roost run train.py")
    selector = build_selector(context, command)
    if options.detach or options.target not in ("auto", "local"):
        words = [require_utf8(word, "A word of the command") for word in command]
    else:
        words = [replace_undecodable(word) for word in command]
    request = {"what": selector, "command": words, "target": options.target, **_run_fields(context)}
    build = {"what": selector, "target": options.target}
    begun = context.take_begun(build)
    for _ in range(ATTEMPTS):
        answer = begun.answer if begun is not None else context.request("POST", "/v1/runs", request)
        context.note_source(answer.get("source"))
        context.note_warnings(answer.get("warnings", []))
        if answer["run"] is None:
            run_build(context, build, begun=begun)
            begun = None
            continue
        if words != command and answer["run"]["target"] != "local":  # the container has replacement characters
            context.request("DELETE", f"/v1/runs/{answer['run']['id']}")
            for word in command:
                require_utf8(word, "A word of the command")
        status = follow_run(context, answer, request, command)
        if status is not None:
            return status
    raise prefix_gone_error()


def _run_fields(context: Context) -> Json:
    """Return the fields of the request for a run that come from options and from this process."""
    options = context.options
    secrets = {name: _secret_value(name) for name in options.secret}
    fields: Json = {"variables": dict(map(_parse_variable, options.var)), "secrets": secrets, **python_path_field()}
    if word_values := find_word_values(options.command, secrets):
        fields["word_values"] = word_values
    fields.update({"experiment": options.experiment} if options.experiment else {})
    fields.update({"keep_output": True} if options.keep_output and not options.detach else {})
    if options.detach:
        return {**fields, "detach": True, "environ_of_client": detached_environ(context)}
    if options.target == "local":  # the command inherits the secrets: their values need not be sent
        return {**fields, "secrets": dict.fromkeys(secrets, "")}
    return {**fields, **terminal_field()}


def _parse_variable(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise usage_error(f"--var {text}: not of the form K=V.", "Write it as in `--var EPOCHS=3`.")
    return name, value


def _secret_value(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise usage_error(f"--secret {name}: the variable is not set.", f"Set {name} first; roost passes its value on.")
    return value
