"""A graph as a tree of lines. Pure.

Every package is expanded once, where it comes first; elsewhere it is marked, and so is one on the way to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

REPEATED = " (*)"
"""Follows what is expanded elsewhere."""
CYCLE = " (cycle)"
CUT = " (…)"
"""Follows what is not expanded because of the depth."""
NodeT = TypeVar("NodeT", bound=Hashable)


def render_tree(
    children: Mapping[NodeT, Sequence[tuple[NodeT, str]]],
    roots: Sequence[NodeT],
    describe: Callable[[NodeT, str], str],
    depth: int | None = None,
) -> Iterator[str]:
    """Yield the lines of a tree. ``children``: of each node, with the text on the way to each. ``describe`` returns the
    text of a node, given that on the way to it. ``depth``: levels below the roots that are shown."""
    expanded: dict[NodeT, int] = {}
    for root in roots:
        yield from _render_root(children, root, describe, depth, expanded)


def _render_root(
    children: Mapping[NodeT, Sequence[tuple[NodeT, str]]],
    root: NodeT,
    describe: Callable[[NodeT, str], str],
    depth: int | None,
    expanded: dict[NodeT, int],
) -> Iterator[str]:
    mark = _find_mark(children, root, (), 0, depth, expanded)
    yield describe(root, "") + mark
    if mark or not children.get(root):
        return
    expanded[root] = 0
    path = [root]
    pending = [list(reversed(children[root]))]
    while pending:
        if not pending[-1]:
            pending.pop()
            path.pop()
            continue
        node, text = pending[-1].pop()
        indent = "".join("│   " if level else "    " for level in pending[:-1])
        branch = "├── " if pending[-1] else "└── "
        mark = _find_mark(children, node, path, len(path), depth, expanded)
        yield f"{indent}{branch}{describe(node, text)}{mark}"
        if not mark and children.get(node):
            expanded[node] = len(path)
            path.append(node)
            pending.append(list(reversed(children[node])))


def _find_mark(
    children: Mapping[NodeT, Sequence[tuple[NodeT, str]]],
    node: NodeT,
    path: Sequence[NodeT],
    level: int,
    depth: int | None,
    expanded: Mapping[NodeT, int],
) -> str:
    """Return why a node is not expanded, if it has anything below it. With a depth, a node is expanded again where more
    of it is shown."""
    if not children.get(node):
        return ""
    if node in path:
        return CYCLE
    if depth is not None and level >= depth:
        return CUT
    is_shown = node in expanded and (depth is None or expanded[node] <= level)
    return REPEATED if is_shown else ""
