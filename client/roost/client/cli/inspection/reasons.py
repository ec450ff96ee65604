"""``why``: the reasons for which a package is in an environment."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.inspection.packages import format_ask
from roost.client.cli.paging import row_limit
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_selector_options, build_selector
from roost.client.terminal.text import format_size, paint

Json = dict[str, Any]


def add(subparsers: Subparsers) -> None:
    """Add ``why``."""
    about = "Show why a package is there: who needs it, and which line of the file asks for that."
    parser = add_command(subparsers, "why", why_command, about, "roost why libblas")
    parser.add_argument("package", metavar="PKG")
    parser.add_argument("--all", action="store_true", help="every way, and not only the shortest for each line")
    parser.add_argument("--limit", type=row_limit(1000), default=50, metavar="N", help="at most N ways (50)")
    add_selector_options(parser, "whose packages: local or docker (auto)")


def why_command(context: Context) -> int:
    options = context.options
    request: Json = {
        "what": build_selector(context),
        "target": options.target,
        "package": options.package,
        "limit": options.limit,
        **({"all": True} if options.all else {}),
    }
    answer = context.request("POST", "/v1/packages/why", request)
    context.note_source(answer["source"])
    context.note_warnings(answer["warnings"])
    if context.json:
        context.print_json(answer)
        return 0
    context.print_lines(_why_lines(answer, options.package))
    for note in _notes(answer):
        context.note(note)
    return 0


def _why_lines(answer: Json, name: str) -> Iterator[str]:
    if not answer["packages"]:
        kind = answer["paths"][0]["steps"][-1]["kind"] if answer["paths"] else "virtual"
        what = "a property of the machine" if kind == "virtual" else "needed, and not in the lock"
        yield f"{paint(name, 'bold', sys.stdout)} is {what}"
    for package in answer["packages"]:
        facts = [package["kind"], package.get("build", ""), f"from {package['source']}"]
        facts += [format_size(package["bytes"])] if package["bytes"] else []
        name_version = f"{paint(package['name'], 'bold', sys.stdout)} {package['version']}"
        yield f"{name_version}  ({', '.join(filter(None, facts))})"
    for path in answer["paths"]:
        yield from _path_lines(path)
    if not answer["paths"]:
        yield "  nothing that is known asks for it"


def _path_lines(path: Json) -> Iterator[str]:
    first, *others = path["steps"]
    for ask in path["asks"]:
        yield f"  {format_ask(ask)} asks for {ask['text']}"
    if not path["asks"]:
        added = "roost adds it, for packages of pip" if first["name"] == "pip" else "the definition does not name it"
        yield f"  {first['name']}: {added}"
    before = first
    for depth, step in enumerate(others):
        of = f"{before['name']} {before['version']}".rstrip()
        yield f"  {'  ' * depth}  {of} needs {step['text'] or step['name']}"
        before = step


def _notes(answer: Json) -> Iterator[str]:
    if answer["more"]:
        yield f"there are more ways ({answer['more']} at least): --limit shows them"
    if answer["unknown"]:
        yield f"what {', '.join(answer['unknown'][:5])} needs is not known before it is fetched; it may be a reason too"
