"""``env import`` and ``env export``: environments from and to the files of other tools."""

from __future__ import annotations

import argparse
import os
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.environments.registration import format_registered
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_selector_options, build_selector, require_utf8, working_folder
from roost.client.errors import usage_error
from roost.client.transport.variables import conda_variables

Json = dict[str, Any]
FORMATS = ("azure", "azure-v2", "conda", "conda-builds", "conda-lock", "explicit", "pixi", "requirements", "roost")
FOLDER_FORMATS = ("azure", "azure-v2")
FORMATS_BY_NAME = {
    "environment.yml": "conda",
    "environment.yaml": "conda",
    "conda-lock.yml": "conda-lock",
    "pixi.lock": "pixi",
    "requirements.txt": "requirements",
    "explicit.txt": "explicit",
    "roost.toml": "roost",
}
"""The format by the file's name."""


def add(family: Subparsers) -> None:
    """Add ``env import`` and ``env export``."""
    about = "Register what a file, folder, archive or conda environment contains; no code of it is run."
    command = add_command(family, "import", import_command, about, "roost env import saved_environment/ --name train")
    command.add_argument("path", nargs="?", metavar="PATH", help="a file, a folder, or a .tar or .zip archive")
    command.add_argument("--prefix", metavar="PATH|NAME", help="a conda environment of this machine instead")
    exact = "with --prefix: every package by version and build, not only the requested ones"
    command.add_argument("--exact", action="store_true", help=exact)
    command.add_argument("--name", metavar="NAME", help="default: the file's name for it, or the folder's name")
    command.add_argument("--label", action="append", default=[], metavar="LABEL", help="put a label on it")
    about = "Write an environment in another tool's format; warns about what that can't express."
    example = "roost env export train:3 --format conda-lock -o conda-lock.yml"
    command = add_command(family, "export", export_command, about, example)
    command.add_argument("reference", nargs="?", metavar="NAME[:VERSION|@LABEL]", help="a registered environment")
    command.add_argument("--format", choices=FORMATS, help="default: by the file's name")
    command.add_argument(
        "-o", dest="output", metavar="PATH", help="a file, or a folder for azure and azure-v2; - is stdout"
    )
    command.add_argument("--platform", metavar="P", help="for formats made from a lock: such as linux-64 or osx-arm64")
    command.add_argument("--force", action="store_true", help="overwrite existing files")
    add_selector_options(command, "whose lock to export (auto)")


def import_command(context: Context) -> int:
    options = context.options
    if (options.path is None) == (options.prefix is None):
        raise usage_error("Name one thing to import: PATH, or --prefix.", "As in: roost env import environment.yml")
    if options.exact and options.prefix is None:
        raise usage_error("--exact requires --prefix.", "Leave it out for files.")
    request: Json = {
        "cwd": require_utf8(working_folder(), "The working folder"),
        "name": options.name,
        "labels": options.label,
    }
    if options.path is not None:
        request["path"] = require_utf8(options.path, "PATH")
    else:
        prefix = require_utf8(options.prefix, "--prefix")
        request.update({"prefix": prefix, "exact": options.exact, "environ": conda_variables()})
    answer = context.request("POST", "/v1/imports", {key: value for key, value in request.items() if value is not None})
    context.note_warnings(answer.get("warnings", []))
    if context.json:
        context.print_json(answer)
        return 0
    context.note(f"read {answer['source']} ({answer['format']})")
    context.print(format_registered(answer))
    return 0


def export_command(context: Context) -> int:
    options = context.options
    if options.reference is not None:
        others = (options.environment, options.file, options.image)
        if any(value is not None for value in others):
            raise usage_error("NAME and -e, -f or --image each name an environment.", "Give one of them.")
        options.environment = options.reference
    format = _export_format(options)
    request = {"what": build_selector(context), "format": format, "platform": options.platform}
    answer = context.request("POST", "/v1/exports", {key: value for key, value in request.items() if value is not None})
    context.note_warnings(answer.get("warnings", []))
    if options.output in (None, "-"):
        _print_export(context, answer)
        return 0
    from roost.client.export_files import write_export  # imports tempfile, which only a written export needs

    written = write_export(answer, require_utf8(options.output, "-o"), force=options.force)
    if context.json:
        context.print_json({**answer, "written": written})
    else:
        context.note(f"wrote {format}")
        context.print_lines(written)
    return 0


def _export_format(options: argparse.Namespace) -> str:
    """Return the format of ``--format``, else of the file's name. Raises: ClientError if there is none."""
    output = options.output
    chosen = options.format or FORMATS_BY_NAME.get(os.path.basename(output or ""))
    if chosen is None:
        raise usage_error("No format is named.", f"Name one with --format: {', '.join(FORMATS)}.")
    if chosen in FOLDER_FORMATS and output in (None, "-") and not options.json:
        raise usage_error(f"The format {chosen} writes a folder.", "Name one with -o, as in -o saved_environment.")
    return str(chosen)


def _print_export(context: Context, answer: Json) -> None:
    if context.json:
        context.print_json(answer)
        return
    if len(answer["files"]) > 1 or answer["copies"]:
        beside = ", ".join([*list(answer["files"])[1:], *answer["copies"]])
        raise usage_error(f"The export has additional files: {beside}.", "Name a folder with -o.")
    context.write_file(next(iter(answer["files"].values())))
