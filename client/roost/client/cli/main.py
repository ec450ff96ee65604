"""The command line."""

from __future__ import annotations

import errno
import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from roost.client.cli.context import Context
from roost.client.cli.parser import LAUNCHING, parse
from roost.client.errors import ClientError

__all__ = ["output_lost", "run"]

INTERRUPTED = 130
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a write to standard output may end with, besides a reader that is gone."""
FAILED_ITSELF = 125
"""What ``run``, ``exec`` and ``shell`` end with when roost failed and not the command, as ``env`` and docker do."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    launching = bool(arguments) and arguments[0] in LAUNCHING
    try:
        options = parse(arguments)
    except SystemExit as error:  # --help and --version
        return int(error.code or 0)
    except ClientError as error:
        error = _of_launch(error) if launching else error
        Context(Namespace(json="--json" in arguments)).report(error)
        return error.exit_status
    return _run(Context(options), launching=launching)


def _run(context: Context, *, launching: bool) -> int:
    try:
        status: int = context.options.handler(context)
    except ClientError as error:
        error = _of_launch(error) if launching and error.exit_status != INTERRUPTED else error
        context.report(error)
        return error.exit_status
    except KeyboardInterrupt:
        context.close()
        return INTERRUPTED
    except OSError as error:
        return output_lost(error, launching=launching)
    return status


def output_lost(error: OSError, *, launching: bool) -> int:
    """The exit status of a command whose output nobody reads any more, or that there is no room for, which is said.
    Raises ``error`` where it is about something else."""
    if not isinstance(error, BrokenPipeError) and (error.errno not in NO_ROOM or error.filename is not None):
        raise error
    _write_no_more()
    if isinstance(error, BrokenPipeError):
        return 1
    said = f"roost: The output can't be written: {error.strerror}.\n  Make room, or send it elsewhere."
    print(said, file=sys.stderr)
    return FAILED_ITSELF if launching else 1


def _write_no_more() -> None:
    """Or the interpreter complains at its end about what it could not write."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _of_launch(error: ClientError) -> ClientError:
    """The same with the status that the process ends with: what is told and what is returned agree."""
    return ClientError({**error.body, "exit_status": FAILED_ITSELF})
