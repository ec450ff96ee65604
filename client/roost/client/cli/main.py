"""The command line: parse, run the command, report errors, and return the exit status.

Apart from ``parser``, which the modules of the commands import.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from roost.client.cli.context import Context
from roost.client.cli.parser import LAUNCH_COMMANDS, find_command_word, parse
from roost.client.errors import LAUNCH_FAILED_STATUS, ClientError, home_error, usage_error
from roost.client.launch.begun import BegunBuild
from roost.client.launch.folders import enter_folder
from roost.client.paths import NoHomeError
from roost.client.terminal.console import lost_output_status
from roost.wire.visible import make_visible

INTERRUPTED_STATUS = 130


def run(arguments: Sequence[str], begun: BegunBuild | None = None) -> int:
    """Run one command line and return its exit status. ``begun``: the build that its hot path has requested."""
    launching = find_command_word(arguments) in LAUNCH_COMMANDS
    try:
        options = parse(arguments)
        _enter_folders(options)
    except SystemExit as error:  # --help and --version
        return int(error.code or 0)
    except ClientError as error:
        error = _with_launch_status(error) if launching else error
        Context(Namespace(json="--json" in arguments)).report_error(error)
        return error.exit_status
    return _run_command(Context(options, begun), launching=launching)


def _enter_folders(options: Namespace) -> None:
    """Enter the folders of ``-C``, each within the one before. Raises: ClientError for one that can't be entered."""
    for path in options.folders:
        try:
            enter_folder(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "the name has a NUL character"
            raise usage_error(
                f"-C {make_visible(path)}: {reason}", "Name a folder that exists and that you may enter."
            ) from error


def _run_command(context: Context, *, launching: bool) -> int:
    try:
        status: int = _run_handler(context)
    except ClientError as error:
        error = _with_launch_status(error) if launching and error.exit_status != INTERRUPTED_STATUS else error
        context.report_error(error)
        return error.exit_status
    except KeyboardInterrupt:
        context.clear_progress()
        return INTERRUPTED_STATUS
    except OSError as error:
        return lost_output_status(error, launching=launching)
    return status


def _run_handler(context: Context) -> int:
    try:
        return int(context.options.handler(context))
    except NoHomeError as error:
        raise home_error(error) from error


def _with_launch_status(error: ClientError) -> ClientError:
    """Return the error with the exit status of the process, so that the reported and the actual one agree."""
    return ClientError({**error.body, "exit_status": LAUNCH_FAILED_STATUS})
