"""``tree``: who needs whom in an environment."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.inspection.packages import absent_error, format_places, matches, request_packages
from roost.client.cli.inspection.trees import CUT, CYCLE, REPEATED, render_tree
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_selector_options
from roost.client.terminal.text import paint

Json = dict[str, Any]
Node = tuple[str, str]
"""Kind and name."""
Children = dict[Node, list[tuple[Node, str]]]
_LEGEND = {
    REPEATED: "(*): shown in full above",
    CYCLE: "(cycle): needs what needs it",
    CUT: "(…): more below; --depth shows it",
}
_MOST_UNKNOWN = 5


def add(subparsers: Subparsers) -> None:
    """Add ``tree``."""
    about = "Show which package needs which; builds and locks nothing."
    parser = add_command(subparsers, "tree", tree_command, about, "roost tree --invert numpy")
    parser.add_argument(
        "patterns", nargs="*", metavar="NAME", help="trees of these packages only; * stands for anything"
    )
    parser.add_argument("--invert", action="store_true", help="show who needs a package, and not what it needs")
    parser.add_argument("--depth", type=_parse_depth, metavar="N", help="at most N levels below the first")
    add_selector_options(parser, "whose packages: local or docker (auto)")


def _parse_depth(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is not a depth: expected a number from 0")
    return int(text)


def tree_command(context: Context) -> int:
    """Raises: ClientError with exit status 7 if names are given and nothing has one."""
    options = context.options
    answer = request_packages(context, needs=True)
    packages = {(row["kind"], row["name"]): row for row in answer["packages"]}
    children = _list_children(answer)
    users = _invert(children)
    if options.patterns:
        roots = [node for node in children if matches(node[1], options.patterns)]
        if not roots:
            raise absent_error(options.patterns, answer["packages"])
    elif options.invert:
        roots = [node for node in children if not children[node]] or list(children)
    else:
        asked = [node for node, row in packages.items() if row["asked"]]
        roots = find_roots(children, sorted(asked, key=lambda node: (node[1], node[0])))
    if context.json:
        context.print_json({**answer, "roots": [{"kind": kind, "name": name} for kind, name in roots]})
        return 0
    versions = {("virtual", each["name"]): each["version"] for each in answer["virtual"]}
    versions |= {node: row["version"] for node, row in packages.items()}

    def describe(node: Node, text: str) -> str:
        return _describe(node, text, versions.get(node, ""), packages.get(node), inverted=options.invert)

    shown = users if options.invert else children
    lines = list(render_tree(shown, roots, describe, options.depth))
    context.print_lines(lines)
    for note in _notes(lines, answer["unknown"]):
        context.note(note)
    return 0


def find_roots(children: Children, asked: Sequence[Node]) -> list[Node]:
    """Return what is asked for, then what none of these needs."""
    roots = list(asked)
    reached = _reach(children, roots)
    users = _invert(children)
    others = [node for node in children if node not in reached]
    for node in [*(each for each in others if not users[each]), *others]:
        if node not in reached:
            roots.append(node)
            reached |= _reach(children, [node])
    return roots


def _list_children(answer: Json) -> Children:
    children: Children = {}
    for row in answer["packages"]:
        needs = row.get("needs") or []
        found = (((need["kind"], need["name"]), need["text"]) for need in needs)
        children[row["kind"], row["name"]] = sorted(found, key=lambda need: (need[0][1], need[0][0]))
    for needs in list(children.values()):
        for node, _ in needs:
            children.setdefault(node, [])
    return children


def _invert(children: Children) -> Children:
    users: Children = {node: [] for node in children}
    for user, needs in children.items():
        for node, text in needs:
            users[node].append((user, text))
    return {node: sorted(found, key=lambda use: (use[0][1], use[0][0])) for node, found in users.items()}


def _reach(children: Children, roots: Sequence[Node]) -> set[Node]:
    reached: set[Node] = set()
    pending = list(roots)
    while pending:
        node = pending.pop()
        if node not in reached:
            reached.add(node)
            pending += [child for child, _ in children[node]]
    return reached


def _describe(node: Node, text: str, version: str, row: Json | None, *, inverted: bool) -> str:
    kind, name = node
    label = paint(name, "bold", sys.stdout) + (f" {version}" if version else "")
    label += {"conda": "", "virtual": " (of the machine)", "missing": " (not in the lock)"}.get(kind, f" ({kind})")
    constraint = text if inverted else _without_name(text, name)
    if constraint:
        label += f"  {'needs ' if inverted else ''}{constraint}"
    elif not text and row is not None and row["asked"]:
        label += f"  asked for: {format_places(row)}"
    if row is not None and row.get("needs") is None:
        label += " (?)"
    return label


def _without_name(text: str, name: str) -> str:
    """Return a requirement without the name of what it is on, if it begins with that."""
    return text[len(name) :].strip() if text.lower().startswith(name.lower()) else text


def _notes(lines: Sequence[str], unknown: Sequence[str]) -> Iterator[str]:
    marks = [legend for mark, legend in _LEGEND.items() if any(line.endswith(mark) for line in lines)]
    if marks:
        yield "; ".join(marks)
    if unknown:
        names = ", ".join(unknown[:_MOST_UNKNOWN]) + (f" and {len(unknown) - _MOST_UNKNOWN} more" * (len(unknown) > 5))
        yield (
            f"(?): what {names} needs is not known before it is fetched: locks do not say it of wheels (`roost build` "
            "fetches them)"
        )
