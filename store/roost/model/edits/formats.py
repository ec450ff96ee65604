"""Which list of which format an order means, and what is said of formats that are not edited."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

from roost.model.documents.toml_text import TomlText
from roost.model.edits.change import EditOrder, EditRefusedError, PackageSection
from roost.model.edits.item_lists import EditableList, match_spec_name, requirement_name
from roost.model.edits.requirement_lines import RequirementLines
from roost.model.edits.toml_arrays import TomlArray
from roost.model.edits.yaml_lists import YamlList
from roost.model.errors import InvalidRequestError, Location
from roost.model.syntax.pip_lines import normalise_name

_REFUSALS: Mapping[str, tuple[str, str]] = {
    "explicit": ("A list of package files", "Change the environment that it was written from, and write it again"),
    "conda-list": ("A list that conda wrote", "Change the environment that it was written from, and write it again"),
    "conda-lock": (
        "A lock file of conda-lock",
        "Edit the environment.yml that it is made from, and run `conda-lock lock`",
    ),
    "pixi-lock": ("A lock file of pixi", "Run `pixi add` or `pixi remove`"),
    "uv-lock": ("A lock file of uv", "Name the pyproject.toml beside it with -f, and run `uv lock` afterwards"),
    "pylock": ("A lock file of Python", "Edit the file that it is made from, and lock again"),
    "dockerfile": ("A Dockerfile installs packages in steps of its own, and", "Add a step by hand"),
    "context": ("A folder with a Dockerfile or of Azure's", "Name the file with the packages in it with -f"),
    "azure": (
        "An environment as Azure's SDK writes it",
        "Edit its conda file, named with -f, or change the environment where it is written",
    ),
    "azure-run": ("A run configuration of Azure's SDK", "Edit the conda file that it names, named with -f"),
    "azure-v2": (
        "An environment of Azure's CLI",
        "Name its conda_file with -f; one that is written in place is edited by hand",
    ),
    "azure-job": ("A job of Azure's", "Edit the environment that it names"),
}
"""What a format is, and what to do instead."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_CONDA_FILE = re.compile(r"^conda_file:[ \t]*[\"']?(?:file:)?([^\s\"'#{\[]+)", re.MULTILINE)
BOUNDED_FORMATS = ("pyproject", "pep723")
"""Formats in which a new package gets the lower bound of what was solved."""


class PackageList(NamedTuple):
    """A list that a file has or could have: how it is found in a text."""

    section: PackageSection
    format: str
    path: tuple[str, ...] = ()
    """Of an array of TOML."""

    def open(self, text: str) -> EditableList:
        """Return the list in ``text``. Raises: EditRefusedError, InvalidDefinitionError."""
        find_name = match_spec_name if self.section == "conda" else requirement_name
        if self.format == "requirements":
            return RequirementLines(text)
        if self.format == "conda":
            return YamlList(text, find_name, is_pip=self.section == "pip")
        return TomlArray(text, self.path, find_name)


def refuse_format(format: str, text: str, order: EditOrder) -> None:
    """Raise EditRefusedError if files of a format are not edited, with what to do instead."""
    if format in _REFUSALS:
        what, hint = _REFUSALS[format]
        if format == "azure-v2" and (named := _CONDA_FILE.search(text)):
            hint = f"Name its conda file: -f {named[1]}"
        if format == "dockerfile" and order.add:
            raise EditRefusedError(f"{what} is not edited", hint=f"{hint}: RUN pip install {' '.join(order.add)}")
        raise EditRefusedError(f"{what} is not edited", hint=f"{hint}.")


def refuse_guessed(path: str, listed: EditableList) -> None:
    """Raise EditRefusedError for a requirements file which neither its name nor any line of it says to be one."""
    name = posixpath.basename(path)
    if not listed.items and not name.lower().endswith((".txt", ".in")):
        raise EditRefusedError(
            f"{name} lists no packages, and its name is not that of a requirements file",
            hint="Name another file with -f, or begin one: `roost init requirements.txt`.",
            location=Location(path=path),
        )


def choose_lists(
    format: str, text: str, order: EditOrder, *, is_prefixed: bool = False
) -> dict[PackageSection, PackageList]:
    """Return the lists of each section that ``order`` can mean; the first is the one that packages are added to.

    ``text`` is that of the file; of a script, its metadata. ``is_prefixed``: the section is that of one package.

    Raises: EditRefusedError if this file has no such list; InvalidRequestError if the order has options for another
    format.
    """
    if (order.group or order.extra) and format != "pyproject":
        option = "--group" if order.group else "--extra"
        hint = "Leave it out, or name a pyproject.toml with -f."
        if format == "roost":
            hint = "Leave it out: the packages of this environment are in roost's own tables."
        raise InvalidRequestError(
            f"{option} names a part of [project] of a pyproject.toml, which this file is not", hint=hint
        )
    for option, name in (("--group", order.group), ("--extra", order.extra)):
        if name is not None and not _NAME.fullmatch(name):
            raise InvalidRequestError(
                f"{name!r} is not a valid name for {option}", hint="Use letters, digits, - and _."
            )
    if order.section == "conda" and format in ("requirements", "pep723", "pyproject"):
        _refuse_conda(format, "conda:" if is_prefixed else "--conda")
    if format == "requirements":
        return {"pip": PackageList("pip", format)}
    if format == "conda":
        lists: dict[PackageSection, PackageList] = {
            "conda": PackageList("conda", format),
            "pip": PackageList("pip", format),
        }
    elif format == "pep723":
        return {"pip": PackageList("pip", format, ("dependencies",))}
    elif format == "pyproject":
        return {"pip": PackageList("pip", format, _find_project_path(text, order))}
    else:
        lists = _choose_roost_lists(text)
    return {order.section: lists[order.section]} if order.section else lists


def _refuse_conda(format: str, written: str) -> NoReturn:
    what = {"requirements": "A requirements file", "pep723": "A script's metadata", "pyproject": "[project]"}[format]
    place = "[tool.roost.conda] of pyproject.toml or to an" if format == "pyproject" else "an"
    hint = f"Leave {written} out, or add it to {place} environment.yml, named with -f."
    raise InvalidRequestError(f"{what} lists packages of pip only", hint=hint)


def _find_project_path(text: str, order: EditOrder) -> tuple[str, ...]:
    data = TomlText(text, "<text>").data
    if order.group and order.extra:
        raise InvalidRequestError("--group and --extra name two lists", hint="Name one.")
    if order.group:
        return ("dependency-groups", _find_key(data.get("dependency-groups"), order.group))
    project = data.get("project")
    if not isinstance(project, dict):
        hint = "Add it with name and version, or name a group with --group."
        raise EditRefusedError("The file has no [project] table", hint=hint)
    key = "optional-dependencies" if order.extra else "dependencies"
    if key in project.get("dynamic", ()):
        raise EditRefusedError(f"{key} is dynamic: the project's build backend computes it", hint="Edit its source.")
    return ("project", key, _find_key(project.get(key), order.extra)) if order.extra else ("project", key)


def _find_key(table: object, name: str) -> str:
    """Return the key for ``name`` as the table has it; names are compared as PEP 503 normalises them."""
    keys = table if isinstance(table, dict) else {}
    return next((key for key in keys if normalise_name(key) == normalise_name(name)), name)


def _choose_roost_lists(text: str) -> dict[PackageSection, PackageList]:
    data, above = TomlText(text, "<text>").data, ()
    path: tuple[str, ...] = above
    tool = data.get("tool")
    if isinstance(tool, dict) and "roost" in tool:
        data, path = tool["roost"], ("tool", "roost")
    conda = PackageList("conda", "roost", (*path, "conda", "dependencies"))
    pip = PackageList("pip", "roost", (*path, "pip", "requirements"))
    has_conda = isinstance(data.get("conda"), dict) and bool(data["conda"])
    return {"conda": conda, "pip": pip} if has_conda else {"pip": pip, "conda": conda}


def find_elsewhere(text: str, path: tuple[str, ...], name: str) -> tuple[str, str] | None:
    """Return in which other list of a ``pyproject.toml`` than that at ``path`` a package is, and the option for it."""
    data = TomlText(text, "<text>").data
    project, groups = data.get("project"), data.get("dependency-groups")
    extras = project.get("optional-dependencies") if isinstance(project, dict) else None
    found: list[tuple[tuple[str, ...], str, object]] = []
    if isinstance(project, dict):
        found.append((("project", "dependencies"), "without --group and --extra", project.get("dependencies")))
    for key, members in groups.items() if isinstance(groups, dict) else ():
        found.append((("dependency-groups", key), f"with --group {key}", members))
    for key, members in extras.items() if isinstance(extras, dict) else ():
        found.append((("project", "optional-dependencies", key), f"with --extra {key}", members))
    for where, option, members in found:
        texts = [each for each in members if isinstance(each, str)] if isinstance(members, list) else []
        if where != path and name in map(requirement_name, texts):
            return f"{where[-1]} of [{'.'.join(where[:-1])}]", option
    return None


_TOOLS = (
    ("pixi.toml", "[tool.pixi", "pixi"),
    ("pyproject.toml", "[tool.poetry", "poetry"),
    ("Pipfile", "", "pipenv"),
    ("pyproject.toml", "[tool.pdm", "pdm"),
)
"""Names of files that only another tool reads, a text in them, and the tool."""


def refuse_tool_file(path: str, order: EditOrder) -> None:
    """Raise EditRefusedError for a file whose name says that it is another tool's, whatever is in it."""
    name = posixpath.basename(path)
    for file, _, tool in _TOOLS:
        if name == file and file != "pyproject.toml":
            verb, words = ("add", order.add) if order.add else ("remove", order.remove)
            hint = f"Run `{' '.join([find_command(path, '', verb) or tool, *words])}`."
            raise EditRefusedError(f"{name} is a file of {tool}", hint=hint, location=Location(path=path))


def find_command(path: str, text: str, verb: str) -> str | None:
    """Return the command with which another tool changes its own file; ``None`` if it is not known."""
    name = posixpath.basename(path)
    for file, table, tool in _TOOLS:
        if name == file and (table in text or name == "pixi.toml"):
            words = {"pipenv": {"add": "install", "remove": "uninstall"}}
            return f"{tool} {words.get(tool, {}).get(verb, verb)}"
    return None
