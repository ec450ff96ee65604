"""Which dependency groups and extras of a file are read: those that a request chooses, and the default groups.

As in uv, the default groups are those of ``default-groups`` in ``[tool.uv]``, or ``dev`` if there is such a group, and
the chosen ones come on top. Names are compared as PEP 503 normalises them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from roost.model.definition import Choices, ReadResult, Selection
from roost.model.documents.toml_text import TomlText
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.mistakes.near_keys import find_near_key
from roost.model.syntax.pip_lines import normalise_name

ChoiceKind = Literal["extra", "group"]
DEFAULT_GROUP = "dev"
_MOST_NAMES = 20


class ChoiceUnknownError(InvalidDefinitionError):
    """The file has no extra or no dependency group of the name that was chosen."""

    code = "choice-unknown"


class ChoiceUnavailableError(InvalidDefinitionError):
    """A file of this format has no such choice."""

    code = "choice-unavailable"


class ChoicesConflictError(InvalidDefinitionError):
    """Extras or groups that exclude each other are chosen together."""

    code = "choices-conflict"


def find_chosen(kind: ChoiceKind, chosen: Iterable[str], offered: Sequence[str], location: Location) -> list[str]:
    """Return the names among ``offered`` that ``chosen`` means, in the order of the file. ``location``: where it
    lists them.

    Raises: ChoiceUnknownError if there is none of a name.
    """
    names = {normalise_name(name): name for name in reversed(offered)}
    wanted = set()
    for name in chosen:
        found = names.get(normalise_name(name))
        if found is None:
            raise _unknown_error(kind, name, offered, location)
        wanted.add(found)
    return [name for name in offered if name in wanted]


def _unknown_error(kind: ChoiceKind, name: str, offered: Sequence[str], location: Location) -> ChoiceUnknownError:
    what = "extra" if kind == "extra" else "dependency group"
    near = find_near_key(name, offered)
    listed = ", ".join(offered[:_MOST_NAMES]) + (" …" if len(offered) > _MOST_NAMES else "")
    plural = "s" if len(offered) > 1 else ""
    hint = f"It has the {what}{plural} {listed}." if offered else f"It has no {what}s: leave out --{kind}."
    return ChoiceUnknownError(
        f"There is no {what} {name!r} in {location.path}" + (f"; did you mean {near!r}?" if near else ""),
        hint=hint,
        location=location,
        fields={"kind": kind, "name": name, "offered": list(offered), "near": near},
    )


def list_default_groups(toml: TomlText, stated: object, offered: Sequence[str]) -> list[str]:
    """Return the groups that are read without being chosen. ``stated``: ``default-groups``, ``None`` if it is not set.

    Raises: InvalidDefinitionError if it is neither "all" nor a list of groups of the file.
    """
    keys = ("tool", "uv", "default-groups")
    if stated is None:
        return [name for name in offered if normalise_name(name) == DEFAULT_GROUP]
    if stated == "all":
        return list(offered)
    if not isinstance(stated, list) or not all(isinstance(name, str) for name in stated):
        message = f"'default-groups' is {stated!r}; expected \"all\" or a list of dependency groups"
        raise toml.error(message, *keys, hint='Write something like default-groups = ["dev"].')
    names = {normalise_name(name): name for name in reversed(offered)}
    for index, name in enumerate(stated):
        if normalise_name(name) not in names:
            near = find_near_key(name, offered)
            message = f"There is no dependency group {name!r}" + (f"; did you mean {near!r}?" if near else "")
            raise toml.error(message, *keys, index, hint="Correct the name, or add the group.")
    wanted = {normalise_name(name) for name in stated}
    return [name for name in offered if normalise_name(name) in wanted]


def make_selection(
    groups: Collection[str], extras: Collection[str], offered_groups: Iterable[str], offered_extras: Iterable[str]
) -> Selection | None:
    """Return what was read and what was left out, in the order of the file; ``None`` if there was nothing to choose."""
    selection = Selection(
        groups=tuple(name for name in offered_groups if name in groups),
        extras=tuple(name for name in offered_extras if name in extras),
        other_groups=tuple(name for name in offered_groups if name not in groups),
        other_extras=tuple(name for name in offered_extras if name not in extras),
    )
    return selection if selection != Selection() else None


def check_conflicts(
    sets: object,
    projects: Iterable[object],
    extras: Collection[str],
    groups: Collection[str],
    toml: TomlText,
    path: tuple[str, ...],
) -> None:
    """Raise ChoicesConflictError if two members of one of ``sets``, the value of ``conflicts`` at ``path``, are read.

    ``projects``: the names that members of these projects have; others are of other projects of a workspace.
    """
    own = {normalise_name(name) for name in projects if isinstance(name, str)}
    read = {"extra": {normalise_name(name) for name in extras}, "group": {normalise_name(name) for name in groups}}
    for number, members in enumerate(sets if isinstance(sets, list) else []):
        found = []
        for member in members if isinstance(members, list) else []:
            if not isinstance(member, dict) or not _is_of(member.get("package"), own):
                continue
            found += [f"{kind} {name!r}" for kind in read if (name := _find_read(member.get(kind), read[kind]))]
        if len(found) > 1:
            raise ChoicesConflictError(
                f"{' and '.join(found)} exclude each other by {'.'.join(path)}, and both are read",
                hint="Choose one of them; `default-groups` in [tool.uv] names the groups that are read without being "
                "chosen.",
                location=toml.locate(*path, number),
                fields={"conflict": found},
            )


def _is_of(package: object, own: Collection[str]) -> bool:
    return package is None or normalise_name(str(package)) in own


def _find_read(stated: object, read: Collection[str]) -> str | None:
    return str(stated) if stated is not None and normalise_name(str(stated)) in read else None


def check_available(choices: Choices, result: ReadResult) -> None:
    """Raise ChoiceUnavailableError if extras or groups are chosen of a file whose format has none."""
    chosen = [f"--extra {name}" for name in choices.extras] + [f"--group {name}" for name in choices.groups]
    if not chosen:
        return
    raise ChoiceUnavailableError(
        f"{result.path or 'This definition'} has neither extras nor dependency groups, and {chosen[0]} chooses one",
        hint="Extras are [project.optional-dependencies] and groups [dependency-groups] of a pyproject.toml: name that "
        f"with -f, or leave out {' and '.join(chosen)}.",
        location=Location(path=result.path) if result.path else None,
        fields={"format": result.format, "chosen": chosen},
    )
