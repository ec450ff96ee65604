"""Where ``roost-client`` begins: the hot paths of ``exec`` and ``run`` if they can answer, the command line otherwise.

Every import here is paid for by each start, so there is next to none.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing itself costs as much as a request does
    from typing import NoReturn


def main() -> None:
    """Run the command line of this process and end with its status."""
    arguments = sys.argv[1:]
    _open_standard_streams()
    try:
        if arguments[:1] == ["exec"]:
            from roost.client.launch import hot

            hot.attempt(arguments[1:])
        if arguments[:1] == ["run"]:
            from roost.client.launch import hot_run

            ended = hot_run.attempt(arguments[1:])
            if ended is not None:
                _leave(ended)
        from roost.client.cli.main import run

        status = run(arguments)
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def _open_standard_streams() -> None:
    """Where the caller closed one, the next file or connection would take its number, and be written to as output."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def _leave(status: int) -> NoReturn:
    """End at once: taking an interpreter apart that did next to nothing costs a sixth of its start. What the command
    printed went past Python's buffers."""
    if sys.stderr is not None:
        sys.stderr.flush()
    os._exit(status)
