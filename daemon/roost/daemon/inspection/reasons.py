"""Why a package is in an environment, or where else it is. Separate: the latter searches the whole index."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from packaging.utils import canonicalize_name

from roost.daemon.inspection.contents import Contents, list_packages, view_ask
from roost.daemon.inspection.graph import Key
from roost.daemon.inspection.paths import Path, find_near_names, find_shortest_paths, list_all_paths, list_top
from roost.model.errors import LookupFailedError
from roost.model.package_uses import Uses
from roost.store.index.index import Index
from roost.wire.inspection.packages import PathStep, WhyPath, WhyRequest, WhyView

_MOST_PLACES = 3
"""Environments that an error names."""


class PackageAbsentError(LookupFailedError):
    """A package is not in an environment."""

    code = "package-absent"


async def explain_package(index: Index, contents: Contents, request: WhyRequest) -> WhyView:
    """Return why a package is in the environment. Raises PackageAbsentError with near names, and where else it is."""
    targets = _find_nodes(contents, request.package)
    if not targets:
        raise await _create_absence(index, contents, request.package)
    graph = contents.graph
    roots = [each.key for each in contents.asked]
    paths: list[Path] = []
    for target in targets:
        found = _find_paths(contents, roots, target, request)
        paths += found or _find_paths(contents, list_top(graph, roots), target, request)
    shown = sorted(paths, key=len)[: request.limit]
    names = {(key[0], key[1]) for key in targets}
    return WhyView(
        definition_digest=contents.resolved.digest,
        lock_digest=contents.lock_digest,
        platform=contents.lock.platform,
        packages=[each for each in list_packages(contents) if (each.kind, each.name) in names],
        paths=[_view_path(contents, path) for path in shown],
        more=len(paths) - len(shown),
        unknown=contents.unknown,
        source=contents.resolved.source,
        warnings=contents.resolved.warnings,
    )


def _find_paths(contents: Contents, roots: Sequence[Key], target: Key, request: WhyRequest) -> list[Path]:
    if request.all:
        return list_all_paths(contents.graph, roots, target, request.limit + 1)
    return find_shortest_paths(contents.graph, roots, target)


def _find_nodes(contents: Contents, name: str) -> list[Key]:
    """Return the nodes of that name, in any spelling: packages of the lock before what it lacks."""
    wanted = name.strip().lower()
    normal = str(canonicalize_name(wanted))
    return [key for key in contents.graph if key[1].lower() == wanted or str(canonicalize_name(key[1])) == normal]


def _view_path(contents: Contents, path: Path) -> WhyPath:
    graph = contents.graph
    texts = [""]
    for user, needed in pairwise(path):
        texts.append(next(need.text for need in graph[user].needs if need.key == needed))
    return WhyPath(
        asks=[view_ask(each) for each in contents.asked if each.key == path[0]],
        steps=[
            PathStep(kind=key[0], name=key[1], version=graph[key].version, text=text)
            for key, text in zip(path, texts, strict=True)
        ],
    )


async def _create_absence(index: Index, contents: Contents, name: str) -> PackageAbsentError:
    resolved = contents.resolved
    near = find_near_names(name, [key[1] for key in contents.graph if key[0] not in ("virtual", "missing")])
    versions = await index.packages.list_versions(name)
    uses: Uses | None = None
    if versions:
        uses = await index.packages.find_uses(str(canonicalize_name(name)), [each.id for each in versions], 100, None)
    places = list(dict.fromkeys(each.name for each in uses.environments)) if uses is not None else []
    hints = [f"Did you mean {_join(near)}?"] if near else []
    if places:
        more = f" and {len(places) - _MOST_PLACES} more" if len(places) > _MOST_PLACES else ""
        hints.append(f"It is in {_join(places[:_MOST_PLACES], 'and')}{more} (`roost env who {name}`).")
    elif versions:
        hints.append(f"Another environment of this machine has it: `roost env who {name}`.")
    return PackageAbsentError(
        f"{name} is not in {resolved.source.path or resolved.source.name or 'this environment'} for "
        f"{contents.lock.platform}",
        hint=" ".join(hints) or "`roost list` shows what is; `roost add` adds a package to the file.",
        fields={"package": name, "near": near, "environments": places[:100]},
    )


def _join(names: Sequence[str], word: str = "or") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
