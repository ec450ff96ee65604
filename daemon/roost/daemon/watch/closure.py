"""The inputs of a definition: every path whose change can change what it means.

They are what the readers accessed, also if reading failed: the file itself, files that it includes, local wheels, build
files of local folders, a Dockerfile, the files of a build context; missing files that would be chosen instead; the
config file, whose defaults are part of every digest. Functions here block.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import msgspec

from roost.daemon.definitions.large_inputs import SmallFiles
from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.definitions.stamps import stamp
from roost.model.errors import CodedError
from roost.store.sources.files import LocalFiles

MAX_PATHS = 5_000
"""Files and folders that are watched for one definition."""


class Closure(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of one definition, with the states that they had before they were read."""

    stamps: dict[str, str | None]
    """Path to its state (``definitions.stamps``); ``None`` for a folder whose names matter, and for what is in it."""
    has_trees: bool = False
    """Whether the content of whole folders matters, which the states here do not show."""
    cut: str | None = None
    """A folder with more below it than is watched for one definition."""


NOTHING = Closure(stamps={})


def find_closure(
    path: str,
    files: SmallFiles,
    resolved: ResolvedDefinition | None,
    error: CodedError | None = None,
    config: str | None = None,
) -> Closure:
    """Return the inputs of the definition at ``path`` (a file or folder), which ``files`` read, as far as they came.

    ``resolved``: the result; ``error``: why there is none. ``config``: the config file.
    """
    stamps: dict[str, str | None] = {guard.path: guard.identity for guard in files.guards.values()}
    trees = set(files.folders)
    more = [path, *([config] if config else [])]
    if resolved is not None:
        stamps |= {guard.path: guard.identity for guard in resolved.guards or ()}
        more += [*resolved.absent, *(each.path for each in resolved.inputs)]
        more += [resolved.source.path] if resolved.source.path else []
    if error is not None and error.location is not None:
        more.append(error.location.path)
    for each in more:
        if each not in stamps and os.path.isabs(each):
            is_folder = os.path.isdir(each)
            trees |= {each} if is_folder and each != path else set()
            stamps[each] = None if is_folder else stamp(each)
    if os.path.isdir(path):
        stamps[path] = None  # an environment file may appear in it
    cut = None
    for tree in sorted(trees):
        inner = LocalFiles().list_below(tree, MAX_PATHS)
        stamps |= dict.fromkeys((each for each in inner if each not in stamps), None)
        if len(inner) >= MAX_PATHS or len(stamps) > MAX_PATHS:
            cut, stamps = tree, dict(list(stamps.items())[:MAX_PATHS])
            break
    stamps = {each: state for each, state in stamps.items() if _is_storable(each)}
    return Closure(stamps=stamps, has_trees=bool(trees), cut=cut)


def _is_storable(path: str) -> bool:
    """Return whether JSON can have the path: it is valid UTF-8. Another one may only be somewhere in a tree."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in path


def has_changed(stamps: Mapping[str, str | None]) -> bool:
    """Return whether a path is in another state than it was; what is in whole folders is not compared."""
    return any(identity is not None and stamp(path) != identity for path, identity in stamps.items())


def find_changed(closures: Mapping[str, Closure]) -> list[str]:
    """Return the keys of those whose inputs have changed, or may have: of trees only reading tells."""
    return [key for key, closure in closures.items() if closure.has_trees or has_changed(closure.stamps)]


def is_below(path: str, folders: Iterable[str]) -> bool:
    """Return whether ``path`` is one of ``folders``, or below one."""
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)
