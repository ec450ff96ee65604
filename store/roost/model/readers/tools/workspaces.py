"""uv's workspaces: the root that a project belongs to, and the folder of a member."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterator, Sequence

from roost.model.documents.toml_text import TomlError, TomlText
from roost.model.errors import Location
from roost.model.readers.source import ReadContext, decode_text
from roost.model.syntax.pip_lines import normalise_name

_FILE = "pyproject.toml"
_ALL = "*"
"""Key that says that every member is known."""
_WILDCARDS = "*?["


def load_project(reading: ReadContext, folder: str, location: Location | None = None) -> TomlText | None:
    """Return the ``pyproject.toml`` of a folder; ``None`` if it has none.

    Raises: InvalidDefinitionError if it can't be read or is not valid TOML.
    """
    path = posixpath.join(folder, _FILE)
    if not reading.files.covers(path) or not reading.files.exists(path):
        return None
    return TomlText(decode_text(reading.load_file(path, location), path), path)


def find_root(reading: ReadContext, project: TomlText) -> TomlText | None:
    """Return the file of the workspace that ``project`` is the root or a member of, as uv searches it: upwards, to the
    first workspace. ``None`` if there is none."""
    if "workspace" in project.table("tool", "uv"):
        return project
    folder = posixpath.dirname(project.path)
    for above in _iterate_parents(folder):
        found = load_project(reading, above)
        if found is not None and "workspace" in found.table("tool", "uv"):
            return found if _is_member(found, posixpath.relpath(folder, above)) else None
    return None


def find_member(reading: ReadContext, root: TomlText, name: str, location: Location, known: dict[str, str]) -> str:
    """Return the folder of the member called ``name``. Raises: TomlError if there is none.

    ``known`` are the members that were found, by name; once all are, the folders are not searched again.
    """
    top = posixpath.dirname(root.path)
    if name not in known and _ALL not in known:
        for folder in dict.fromkeys(_iterate_candidates(reading, root, name, top)):
            project = load_project(reading, folder, location)
            own = project.table("project").get("name") if project is not None else None
            if isinstance(own, str):
                known.setdefault(normalise_name(own), folder)
            if name in known:
                break
        else:
            known[_ALL] = ""
    if name in known:
        return known[name]
    raise TomlError(
        f"{name} is not a member of the workspace of {root.path}",
        hint="List its folder in members of [tool.uv.workspace], or name it by path.",
        location=location,
    )


def _iterate_parents(folder: str) -> Iterator[str]:
    while (above := posixpath.dirname(folder)) != folder:
        yield above
        folder = above


def _patterns(root: TomlText, key: str) -> Sequence[str]:
    found = root.table("tool", "uv", "workspace").get(key, [])
    return [posixpath.normpath(pattern) for pattern in found if isinstance(pattern, str)]


def _is_member(root: TomlText, folder: str) -> bool:
    def matches(key: str) -> bool:
        return any(_match(folder, pattern) for pattern in _patterns(root, key))

    return matches("members") and not matches("exclude")


def _match(folder: str, pattern: str) -> bool:
    """Return whether a relative path matches a glob, whose ``*`` does not match ``/`` and whose ``**`` does."""
    parts, wanted = folder.split("/"), pattern.split("/")
    if "**" in wanted:
        return fnmatch.fnmatchcase(folder, pattern.replace("**/", "*"))
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _iterate_candidates(reading: ReadContext, root: TomlText, name: str, top: str) -> Iterator[str]:
    """Yield folders that may be the member: those called as it is first, because listing a folder is seldom needed."""
    yield top
    for pattern in _patterns(root, "members"):
        head, _, last = pattern.rpartition("/")
        if not any(mark in pattern for mark in _WILDCARDS):
            yield posixpath.join(top, pattern)
        elif not any(mark in head for mark in _WILDCARDS):
            for spelling in (name, name.replace("-", "_")):
                if fnmatch.fnmatchcase(spelling, last) and _is_member(root, posixpath.join(head, spelling)):
                    yield posixpath.join(top, head, spelling)
    for pattern in _patterns(root, "members"):
        yield from _expand(reading, root, top, pattern)


def _expand(reading: ReadContext, root: TomlText, top: str, pattern: str) -> Iterator[str]:
    folders = [""]
    for part in pattern.split("/"):
        following = []
        for folder in folders:
            if not any(mark in part for mark in _WILDCARDS):
                following.append(posixpath.join(folder, part))
                continue
            names = reading.files.list_folder(posixpath.join(top, folder))
            following += [posixpath.join(folder, each) for each in names if fnmatch.fnmatchcase(each, part)]
        folders = following
    for folder in folders:
        if _is_member(root, folder):
            yield posixpath.join(top, folder)
