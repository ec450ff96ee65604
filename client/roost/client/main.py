"""Where ``roost-client`` begins: the hot path of ``exec`` if it can answer, the command line otherwise.

Every import here is paid for by each start, so there is next to none.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process and end with its status."""
    arguments = sys.argv[1:]
    try:
        if arguments[:1] == ["exec"]:
            from roost.client import hot

            hot.attempt(arguments[1:])
        from roost.client.cli import run

        status = run(arguments)
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
