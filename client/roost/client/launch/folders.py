"""``-C DIR``: the folder that a command is called in.

Separate, because the hot paths and the command line need it, and few calls do.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def enter_folder(path: str) -> None:
    """Make ``path`` the working folder, also in the variable that shells have for it. Raises: OSError, ValueError."""
    os.chdir(path)
    if "PWD" in os.environ:
        os.environ["PWD"] = os.getcwd()


def enter_leading_folders(arguments: Sequence[str]) -> list[str]:
    """Enter the folders of ``-C`` before and directly after the command, and return the arguments without them.

    One that can't be entered stays, for the command line to report.
    """
    rest = list(arguments)
    while "-C" in rest[:2]:
        position = rest.index("-C")
        try:
            enter_folder(rest[position + 1])
        except (OSError, ValueError, IndexError):
            break
        del rest[position : position + 2]
    return rest
