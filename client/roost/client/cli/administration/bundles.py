"""``cache bundle``: environments in one file, for machines without a network."""

from __future__ import annotations

import os
import re
import sys
from contextlib import closing
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.cli.selector import add_selector_options, build_selector, require_utf8, working_folder
from roost.client.errors import unreachable_error, usage_error
from roost.client.terminal.progress import ProgressDisplay
from roost.client.terminal.text import format_count, format_size, short_digest

Json = dict[str, Any]
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*([:@][A-Za-z0-9._-]+)?")


def add(family: Subparsers) -> None:
    """Add the family ``cache bundle``."""
    about = "Environments with all that they need, in one file, for machines without a network."
    bundles = add_family(family, "bundle", about, "roost cache bundle export -o environment.bundle")
    about = "Write environments and all that they need to one file."
    example = "roost cache bundle export -f environment.yml --with-python -o environment.bundle"
    export = add_command(bundles, "export", export_command, about, example)
    export.add_argument("what", nargs="*", metavar="WHAT", help="environment files, folders, or names NAME[:VERSION]")
    add_selector_options(export, "where they will run (auto)")
    export.add_argument("-o", dest="output", required=True, metavar="FILE", help="the file to write")
    export.add_argument("--platform", metavar="P", help="for a machine of another platform, such as linux-aarch64")
    export.add_argument(
        "--with-python", action="store_true", help="bring a Python for environments that use one of the machine"
    )
    about = "Use the environments of a bundle; no connection is made."
    example = "roost cache bundle import environment.bundle"
    reading = add_command(bundles, "import", import_command, about, example)
    reading.add_argument("file", metavar="FILE", help="a bundle that an export wrote")
    reading.add_argument("--expect", metavar="sha256:…", help="only if it has the digest that the export printed")


def export_command(context: Context) -> int:
    options = context.options
    if options.output == "-":
        raise usage_error("A bundle can't be written to standard output.", "Name a file with -o.")
    output = os.path.abspath(os.path.join(working_folder(), require_utf8(options.output, "-o")))
    request: Json = {"environments": _build_selectors(context), "output": output, "target": options.target}
    request.update({"platform": options.platform} if options.platform is not None else {})
    request.update({"python": True} if options.with_python else {})
    result = _run(context, "/v1/bundles/export", request)
    _follow_umask(output)
    if context.json:
        context.print_json(result)
        return 0
    _print_environments(context, result)
    context.print(f"{options.output}: {format_count(result['files'], 'file')}, {format_size(result['bytes'])}")
    context.print(f"{result['digest']}")
    return 0


def import_command(context: Context) -> int:
    options = context.options
    path = os.path.abspath(os.path.join(working_folder(), require_utf8(options.file, "FILE")))
    if options.expect is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}", options.expect):
        raise usage_error("--expect is not a digest.", "Give sha256: and the 64 hex digits that the export printed.")
    request: Json = {"path": path, **({"expect": options.expect} if options.expect is not None else {})}
    result = _run(context, "/v1/bundles/import", request)
    if context.json:
        context.print_json(result)
        return 0
    _print_environments(context, result)
    context.print(result["digest"])
    origins = sorted({origin for each in result["environments"] for origin in each.get("origins", [])})
    if origins:
        context.note(f"by its locks, the packages come from {', '.join(origins)}; nobody was asked whether they do")
    return 0


def _build_selectors(context: Context) -> list[Json]:
    """Return a selector for each WHAT, else the one of the options."""
    options = context.options
    if not options.what:
        return [build_selector(context)]
    named = (options.file, options.environment, options.image, options.generation, options.lock)
    if any(value is not None for value in named):
        raise usage_error("WHAT and -f, -e, --image, --generation or --lock each select one.", "Give one of them.")
    return [_select(context, each) for each in options.what]


def _select(context: Context, what: str) -> Json:
    """Return the selector of a path that exists, or else of a name."""
    options = context.options
    is_name = not os.path.exists(what) and _REFERENCE.fullmatch(what)
    options.environment, options.file = (what, None) if is_name else (None, what)
    try:
        return build_selector(context)
    finally:
        options.environment = options.file = None


def _run(context: Context, target: str, request: Json) -> Json:
    """Request an export or an import, show its progress, and return its result (``wire.BundleResult``)."""
    display = context.display = ProgressDisplay(sys.stderr, quiet=context.quiet)
    try:
        with closing(context.session.messages(target, request)) as messages:
            for message in messages:
                if message["event"] == "result":
                    result: Json = message["result"]
                    break
                context.note_source(message.get("source"))
                if not context.json:
                    display.show(message)
                elif message["event"] != "heartbeat":
                    context.print_json(message)
            else:
                raise unreachable_error(
                    "The daemon closed the connection before it was done.", "Run the command again."
                )
    finally:
        display.close()
    context.note_warnings(result.get("warnings", []))
    return result


def _follow_umask(path: str) -> None:
    """Give the new file the mode that a file of this process would have: the daemon's own is for its user only."""
    mask = os.umask(0o022)
    os.umask(mask)
    os.chmod(path, 0o666 & ~mask)


def _print_environments(context: Context, result: Json) -> None:
    for each in result["environments"]:
        version = f":{each['version']}" if each.get("version") else ""
        packages = format_count(each.get("packages", 0), "package")
        line = f"{each['name']}{version} ({each['platform']}): {packages}, lock {short_digest(each['lock_digest'])}"
        context.print(line)
        if each.get("current") is False:
            context.note(
                f"{each['name']} has another lock here, which it keeps; "
                f"--generation {each['generation']} uses the bundle's"
            )
