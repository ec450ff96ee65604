"""``lock``: the lock of a definition in another tool's format, or as the ``roost.lock`` beside it, or what is in it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.execution import sboms
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_selector_options, build_selector
from roost.client.errors import unreachable_error, usage_error
from roost.client.terminal.progress import ProgressDisplay
from roost.client.terminal.text import format_count, format_path

Json = dict[str, Any]
LOCK_FORMATS = {".yml": "conda-lock", ".yaml": "conda-lock", ".txt": "explicit", "pixi.lock": "pixi"}
"""The format of a lock by the file's extension or name."""
_STALE_STATUS = 1
_MOST_DIFFERENCES = 10


def add(subparsers: Subparsers) -> None:
    """Add ``lock``."""
    lock = add_command(
        subparsers,
        "lock",
        lock_command,
        "Write roost.lock beside the definition (--write), or print the lock in another tool's format.",
        "roost lock --write --platform osx-arm64",
    )
    add_selector_options(lock, "what to lock it for (auto)")
    lock.add_argument(
        "--platform", action="append", default=[], metavar="P", help="such as linux-64, osx-arm64 or linux-64+cuda12"
    )
    lock.add_argument(
        "--write", action="store_true", help="write roost.lock beside the definition, to commit it; not with --with"
    )
    lock.add_argument("--rebuild", action="store_true", help="with --write: replace it by a new solve")
    lock.add_argument("--check", action="store_true", help="whether roost.lock fits the definition; status 1 if not")
    lock.add_argument(
        "--format",
        choices=("conda-lock", "pixi", "explicit", *sboms.FORMATS),
        help="default: by the file's name, else conda-lock; cyclonedx and spdx are bills of materials",
    )
    lock.add_argument(
        "-o", dest="output", metavar="FILE", help="write another tool's format to FILE, and not to standard output"
    )


def lock_command(context: Context) -> int:
    options = context.options
    _check_options(context)
    if options.write:
        return _write_lock_file(context)
    if options.check:
        return _check_lock_file(context)
    if (bill := _bill_format(options)) is not None:
        return sboms.write_sbom(context, bill)
    request: Json = {"what": build_selector(context), "format": _lock_format(options.format, options.output)}
    request.update({"platform": options.platform[0]} if options.platform else {})
    answer = context.request("POST", "/v1/locks", request)
    context.note_warnings(answer.get("warnings", []))
    if options.output:
        _write_lock(options.output, answer["text"])
        context.note(f"wrote {options.output} ({answer['lock_digest']})")
    if context.json:
        context.print_json(answer)
    elif not options.output:
        context.write_file(answer["text"])
    return 0


def _check_options(context: Context) -> None:
    """Raise ClientError for options that say two things at once."""
    options = context.options
    is_file = options.write or options.check
    if options.write and options.check:
        raise usage_error("--write and --check exclude each other.", "--check changes nothing.")
    if options.rebuild and not options.write:
        raise usage_error("--rebuild is for --write.", "`roost build --rebuild` solves again for this machine.")
    if is_file and (options.output or options.format):
        raise usage_error(
            f"-o and --format are for other tools' formats, not for {'--write' if options.write else '--check'}.",
            "roost.lock has its place beside the definition; leave them out.",
        )
    if len(options.platform) > 1 and not is_file and _bill_format(options) is None:
        raise usage_error(
            "Other tools' formats are written for one platform at a time.",
            "Give one --platform, or add --write; --format cyclonedx and spdx have all of them in one document.",
        )


def _bill_format(options: argparse.Namespace) -> str | None:
    """Return the format of a bill of materials; ``None`` if another one is requested."""
    chosen: str | None = options.format or sboms.find_format(options.output)
    return chosen if chosen in sboms.FORMATS else None


# ------------------------------------------------------------------ roost.lock
def _write_lock_file(context: Context) -> int:
    options = context.options
    request: Json = {"what": build_selector(context), "target": options.target, "platforms": options.platform}
    request.update({"rebuild": True} if options.rebuild else {})
    result = _request_writing(context, {**request, "umask": _umask()})
    context.note_warnings(result.get("warnings", []))
    context.print_json(result) if context.json else context.print_lines(_written_lines(result))
    return 0


def _request_writing(context: Context, request: Json) -> Json:
    """Request the writing, show its progress, and return its result (``wire.LockFileResult``). An interrupt closes the
    stream, which cancels it: the file stays as it was, or has been replaced as a whole."""
    display = context.display = ProgressDisplay(sys.stderr, quiet=context.quiet or context.json)
    try:
        with closing(context.session.messages("/v1/lock-files", request)) as messages:
            for message in messages:
                if message["event"] == "result":
                    result: Json = message["result"]
                    return result
                context.note_source(message.get("source"))
                display.show(message)
    finally:
        display.close()
    raise unreachable_error("The daemon closed the connection before it was done.", "Run the command again.")


def _written_lines(result: Json) -> Iterator[str]:
    verb = "wrote" if result["is_written"] else "unchanged"
    yield f"{verb} {format_path(result['file'])}"
    for section in result["sections"]:
        counted = format_count(section["packages"], "package")
        if section["state"] == "dropped":
            hint = f"--platform {section['scope']}" if not section["scope"].endswith("+host") else "--write there"
            yield f"  {section['scope']}  dropped: it was locked for the definition as it was ({hint} adds it)"
        else:
            yield f"  {section['scope']}  {section['state']}, {counted}"


def _check_lock_file(context: Context) -> int:
    options = context.options
    request: Json = {"what": build_selector(context), "target": options.target, "platforms": options.platform}
    answer = context.request("POST", "/v1/lock-files/check", request)
    context.note_warnings(answer.get("warnings", []))
    context.print_json(answer) if context.json else context.print_lines(_check_lines(answer))
    return 0 if answer["fits"] else _STALE_STATUS


def _check_lines(answer: Json) -> Iterator[str]:
    from roost.client.cli.environments.changes import change_lines

    if answer["fits"]:
        yield f"{format_path(answer['file'])} fits ({', '.join(answer['scopes'])})"
    for reason in answer["reasons"]:
        yield f"{reason['message']} [{reason['code']}]"
    differences = answer["differences"]
    yield from (f"  {line}" for line in change_lines(differences[:_MOST_DIFFERENCES], sys.stdout))
    if len(differences) > _MOST_DIFFERENCES:
        yield f"  and {len(differences) - _MOST_DIFFERENCES} more"


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


# ------------------------------------------------------- other tools' formats
def _lock_format(requested: str | None, output: str | None) -> str:
    """Return the requested format, else the one of the file's name, else conda-lock.

    The name of anything but a plain file (``/dev/stdout``) says nothing.
    Raises: ClientError if the name has no format.
    """
    if requested or output is None or (os.path.exists(output) and not os.path.isfile(output)):
        return requested or "conda-lock"
    name = os.path.basename(output).lower()
    found = LOCK_FORMATS.get(name) or LOCK_FORMATS.get(os.path.splitext(name)[1])
    if found is None:
        raise usage_error(
            f"-o {output}: the name does not show the format.",
            "Name it *.yml for conda-lock, pixi.lock, *.txt for explicit, *.cdx.json or *.spdx.json, or add --format. "
            "roost.lock is written by --write.",
        )
    return found


def _write_lock(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise usage_error(f"{path}: {error.strerror}", "Name a file that can be written with -o.") from error
