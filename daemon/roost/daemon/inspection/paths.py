"""Ways through the graph of packages: from what is asked for to one package, and names that are near. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from packaging.utils import canonicalize_name

from roost.daemon.inspection.graph import Graph, Key

Path = tuple[Key, ...]
"""From a package that is asked for to the one in question, each needing the next."""
MOST_NEAR = 5
_OTHER_NAMES = (
    ("pytorch", "torch"),
    ("pytorch-cpu", "torch"),
    ("pytorch-gpu", "torch"),
    ("tensorflow-gpu", "tensorflow"),
    ("py-opencv", "opencv", "opencv-python"),
    ("pillow", "pil"),
    ("scikit-learn", "sklearn"),
    ("scikit-image", "skimage"),
    ("pyyaml", "yaml"),
    ("beautifulsoup4", "bs4"),
    ("python-dateutil", "dateutil"),
    ("msgpack-python", "msgpack"),
    ("python-graphviz", "graphviz"),
    ("faiss-cpu", "faiss", "faiss-gpu"),
    ("matplotlib-base", "matplotlib"),
    ("protobuf", "google-protobuf"),
)
"""Names of one thing: conda's, pip's, or that of its module."""


def find_shortest_paths(graph: Graph, roots: Iterable[Key], target: Key) -> list[Path]:
    """Return one shortest path from each of ``roots`` that leads to ``target``, the shortest first.

    A path goes through no other root: that one has its own.
    """
    needed_by = _reverse(graph)
    steps: dict[Key, Key] = {}  # the next package on the way to the target
    queue = deque([target])
    seen, asked = {target}, dict.fromkeys(roots)
    while queue:
        key = queue.popleft()
        if key in asked and key != target:
            continue
        for user in needed_by.get(key, ()):
            if user not in seen:
                seen.add(user)
                steps[user] = key
                queue.append(user)
    found = [tuple(_follow(root, steps)) for root in asked if root == target or root in steps]
    return sorted(found, key=len)


def list_all_paths(graph: Graph, roots: Iterable[Key], target: Key, most: int) -> list[Path]:
    """Return at most ``most`` paths without a cycle from ``roots`` to ``target``, the shortest first. None goes through
    another root."""
    asked = dict.fromkeys(roots)
    needed_by = _reverse(graph)
    found: list[Path] = [(target,)] if target in asked else []
    queue: deque[Path] = deque([(target,)])
    budget = 200 * most  # there may be more ways than atoms; each step of the search yields or ends one
    while queue and len(found) < most and budget:
        path = queue.popleft()
        budget -= 1
        for user in needed_by.get(path[0], ()):
            if user in path:
                continue
            if user in asked:
                found.append((user, *path))
            else:
                queue.append((user, *path))
    return found[:most]


def list_top(graph: Graph, asked: Iterable[Key]) -> list[Key]:
    """Return where a tree of everything begins: what is asked for, then packages that none of these needs, one of each
    cycle."""
    top = [key for key in dict.fromkeys(asked) if key in graph]
    reached = _reach(graph, top)
    needed_by = _reverse(graph)
    others = [key for key in graph if key not in reached and key[0] != "virtual"]
    for key in [*(key for key in others if not needed_by.get(key)), *others]:
        if key not in reached:
            top.append(key)
            reached |= _reach(graph, [key])
    return top


def find_near_names(name: str, known: Iterable[str]) -> list[str]:
    """Return names that ``name`` may be meant to be: other names of the same thing, then similar ones."""
    wanted = str(canonicalize_name(name))
    normal: dict[str, str] = {}
    for each in known:
        normal.setdefault(str(canonicalize_name(each)), each)
    normal.pop(wanted, None)
    found = [other for names in _OTHER_NAMES if wanted in names for other in names if other in normal]
    found += [each for each in normal if wanted in (f"python-{each}", f"py{each}", f"lib{each}")]
    found += [each for each in normal if each in (f"python-{wanted}", f"py{wanted}", f"lib{wanted}", f"{wanted}-base")]
    found += get_close_matches(wanted, list(normal), n=MOST_NEAR, cutoff=0.75)
    return [normal[each] for each in list(dict.fromkeys(found))[:MOST_NEAR]]


def _reverse(graph: Graph) -> Mapping[Key, Sequence[Key]]:
    users: dict[Key, list[Key]] = {}
    for package in graph.values():
        for need in package.needs:
            users.setdefault(need.key, []).append(package.key)
    return users


def _reach(graph: Graph, roots: Iterable[Key]) -> set[Key]:
    reached: set[Key] = set()
    pending = list(roots)
    while pending:
        key = pending.pop()
        if key not in reached:
            reached.add(key)
            pending += [need.key for need in graph[key].needs]
    return reached


def _follow(root: Key, steps: Mapping[Key, Key]) -> Iterator[Key]:
    yield root
    while root in steps:
        root = steps[root]
        yield root
