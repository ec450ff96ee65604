"""Which ``roost.lock`` belongs to a definition, and whether it is there.

The file that the search finds in a folder has ``roost.lock``; any other file of the folder, and every script, has
``NAME.roost.lock``. So one folder can have several locked definitions, each file has exactly one lock file, and the
name says which: whoever sees ``roost.lock`` need not know with which option it was written.

Another file that comes or goes may change which one the search finds, so it is an input too.
"""

from __future__ import annotations

import os

from roost.daemon.definitions.files import WatchedFiles
from roost.daemon.definitions.resolved import LockFilePlace
from roost.model.errors import CodedError, InvalidDefinitionError
from roost.model.lock_files.lock_file import LOCK_FILE
from roost.store.sources.discover import SEARCHED_NAMES, DiscoveredFile, discover_in


def find_lock_place(found: DiscoveredFile, files: WatchedFiles, *, is_named: bool) -> tuple[LockFilePlace, list[str]]:
    """Return where the lock file of ``found`` is or would be, and the missing files that would give it another name.

    ``is_named``: the file was named, and not found by a search. Blocks.
    """
    path, absent = found.path, list[str]()
    if os.path.isdir(path):
        lock_path = os.path.join(path, LOCK_FILE)
    else:
        is_choice = found.format != "pep723"
        if is_named:
            is_choice = _is_choice(path, files, absent)
        folder, name = os.path.split(path)
        lock_path = os.path.join(folder, LOCK_FILE if is_choice else f"{name}.{LOCK_FILE}")
    return LockFilePlace(path=lock_path, exists=files.is_there(lock_path)), absent


def _is_choice(path: str, files: WatchedFiles, absent: list[str]) -> bool:
    """Return whether a search in the file's own folder finds it. What that depends on is watched, or added to
    ``absent``."""
    folder, name = os.path.split(path)
    if name not in SEARCHED_NAMES:
        return False
    try:
        found = discover_in(folder, files.read_unwatched)
    except InvalidDefinitionError as error:  # two of a rank, or one that can't be read: the search finds none
        _watch_candidates(error, files)
        return False
    if found is None:
        return False
    absent += found.absent
    for each in (*found.consulted, found.path):
        files.watch(each)
    return found.path == path


def _watch_candidates(error: CodedError, files: WatchedFiles) -> None:
    candidates = error.fields.get("candidates")
    paths = [str(each) for each in candidates] if isinstance(candidates, list) else []
    for path in [*paths, *([error.location.path] if error.location is not None else [])]:
        files.watch(path)
