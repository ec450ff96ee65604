"""``env add-wheel``: private wheels, kept by content."""

from __future__ import annotations

import os

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import working_folder


def add(family: Subparsers) -> None:
    """The command of the family ``env``."""
    about = "Keep a wheel in the store; prints the line for requirements, which holds though the file goes."
    command = add_command(
        family, "add-wheel", add_wheel_command, about, "roost env add-wheel dist/mine-1.0-py3-none-any.whl"
    )
    command.add_argument("wheel", metavar="PATH", help="the wheel's file")


def add_wheel_command(context: Context) -> int:
    path = os.path.normpath(os.path.join(working_folder(), context.options.wheel))
    answer = context.request("POST", "/v1/wheels", {"path": path})
    context.print_json(answer) if context.json else context.print(answer["requirement"])
    return 0
