"""Reader of PEP 621 ``pyproject.toml`` (with PEP 735 dependency groups) and of PEP 723 script metadata.

A project's dependencies are the definition; the project itself is found by ``projects``, and not part of it. Which
extras and dependency groups are read, ``choices`` says. What ``[tool.uv]`` and the tables of other tools say of
packages is followed, refused or reported (``readers.tools``).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from roost.model.definition import Definition, Pip, PipItem, ProjectSource, Python, ReadResult
from roost.model.documents.conflicts import check_conflict
from roost.model.documents.toml_text import TomlText
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.choices.lists import check_strings, read_list
from roost.model.readers.choices.project import ProjectReader
from roost.model.readers.mistakes.near_keys import report_misspelled
from roost.model.readers.mistakes.unread_files import find_other_tool, unread_error
from roost.model.readers.projects.find import find_project
from roost.model.readers.script_blocks import ScriptBlock, find_blocks, find_fault
from roost.model.readers.source import ReadContext
from roost.model.readers.tools.judge import check_tools
from roost.model.readers.tools.uv_sources import UvProject, unique_items

_LOCKS = {
    "uv.lock": ": for its versions, name it (-f uv.lock)",
    "pylock.toml": ": for its versions, name it (-f pylock.toml)",
    "poetry.lock": ": roost does not read it; `poetry export` writes a requirements file with its versions",
    "pdm.lock": ": roost does not read it; `pdm export -f pylock` writes a pylock.toml with its versions",
}
_PROJECT_KEYS = (
    *("name", "version", "description", "readme", "requires-python", "license", "license-files", "authors"),
    *("maintainers", "keywords", "classifiers", "urls", "scripts", "gui-scripts", "entry-points", "dependencies"),
    *("optional-dependencies", "dynamic", "import-names", "import-namespaces"),
)
"""All keys of ``[project]``: PEP 621, and ``license-files`` of PEP 639 and ``import-…`` of PEP 794."""
_SCRIPT_KEYS = ("dependencies", "requires-python")
PYPROJECT_TABLES = frozenset(("project", "dependency-groups"))


class ScriptMetadataError(InvalidDefinitionError):
    """The metadata block of a script is missing or not valid."""

    code = "script-metadata-invalid"


def read_pyproject(reading: ReadContext, toml: TomlText) -> ReadResult:
    """Read ``[project]`` and ``[dependency-groups]``. Raises: InvalidDefinitionError if they are not valid."""
    data = toml.data
    if not PYPROJECT_TABLES & set(data):
        if other := find_other_tool(toml):
            raise unread_error(other, toml.locate())
        raise toml.error(
            "There is no [project], [dependency-groups] or [tool.roost] table here",
            hint="Add [project] with dependencies = […], or [tool.roost].",
        )
    project = toml.table("project")
    record_keys(reading, toml)
    _report_misspelled(reading, toml, project)
    _report_unused_locks(reading)
    with reading.recover():
        _check_dynamic(toml, project.get("dynamic", []))
    check_tools(reading, toml)
    uv = UvProject(reading, toml)
    items, own = uv.read_choices(), ProjectReader(reading, toml, uv)
    items += own.read()
    source: ProjectSource | None = None
    with reading.recover():
        source = find_project(reading, toml)
    result = _build_requirements_result(
        reading, toml, unique_items(items), project.get("requires-python"), ("project", "requires-python"), "pyproject"
    )
    python = result.definition.python
    with reading.recover():
        python = Python(requires=own.require_python(python.requires))
    definition = msgspec.structs.replace(result.definition, python=python)
    return msgspec.structs.replace(result, definition=definition, selection=own.selection, project=source)


def _report_unused_locks(reading: ReadContext) -> None:
    """Report the locks beside a ``pyproject.toml``: versions of a lock are only those of an environment that names it,
    as it would otherwise change with a file that the definition does not mention."""
    for name, advice in _LOCKS.items():
        path = posixpath.join(posixpath.dirname(reading.path), name)
        if reading.files.covers(path) and reading.files.exists(path):
            reading.warn("lock-unused", f"{name} beside it is not used{advice}", Location(path=reading.path))


def _report_misspelled(reading: ReadContext, toml: TomlText, project: Mapping[str, object]) -> None:
    """Report near misses of the tables, which every tool passes over, and of the keys of ``[project]``."""
    tables = ("project", "dependency-groups", "build-system", "tool")
    report_misspelled(reading, toml.data, tables, "pyproject.toml", toml.locate)
    report_misspelled(reading, project, _PROJECT_KEYS, "[project]", lambda key: toml.locate("project", key))


def _check_dynamic(toml: TomlText, dynamic: object) -> None:
    keys = ("project", "dynamic")
    if "dependencies" in check_strings(toml, dynamic, keys):
        raise toml.error(
            "'dependencies' is dynamic: a build backend would have to run to compute them, and reading runs no code",
            *keys,
            hint="List the dependencies in [project], or point at a requirements file with -f.",
        )


def read_script(reading: ReadContext, text: str) -> ReadResult:
    """Read a script with PEP 723 metadata. Raises: InvalidDefinitionError if it is missing or not valid."""
    block = find_script_block(text, reading.path)
    if block is None:
        check_script_block(text, reading.path)
        raise ScriptMetadataError(
            f"{reading.path} contains no '# /// script' block; expected PEP 723 metadata",
            hint="Name a script with such a block, or an environment file.",
            location=Location(path=reading.path, line=1, column=1),
        )
    toml = TomlText(block.content, reading.path, first_line=block.line + 1, column_shift=2)
    record_keys(reading, toml)
    misspelled = report_misspelled(reading, toml.data, _SCRIPT_KEYS, "a script's metadata", toml.locate)
    for key in toml.data:
        if key not in (*_SCRIPT_KEYS, "tool") and key not in misspelled:
            reading.warn(
                "key-unknown", f"key {key!r} is not a key of a script's metadata; it has no effect", toml.locate(key)
            )
    if "roost" in toml.table("tool"):
        message = "[tool.roost] in a script's metadata has no effect"
        reading.warn("key-unknown", message, toml.locate("tool", "roost"))
    uv = UvProject(reading, toml, is_script=True)
    items = uv.read_choices()
    with reading.recover():
        items += uv.place(read_list(reading, toml, toml.data.get("dependencies", []), "dependencies"))
    return _build_requirements_result(
        reading, toml, items, toml.data.get("requires-python"), ("requires-python",), "pep723"
    )


def find_script_block(text: str, path: str) -> ScriptBlock | None:
    """Return the ``script`` block; ``None`` if there is none.

    Raises: ScriptMetadataError if there are several blocks, which PEP 723 forbids.
    """
    blocks = [block for block in find_blocks(text) if block.type == "script"]
    if len(blocks) > 1:
        raise ScriptMetadataError(
            f"{path} contains {len(blocks)} '# /// script' blocks; expected one",
            hint="Keep one.",
            location=Location(path=path, line=blocks[1].line, column=1),
        )
    return blocks[0] if blocks else None


def check_script_block(text: str, path: str) -> None:
    """Raise ScriptMetadataError if a script has a block that was meant as its metadata and is none by PEP 723, or
    MergeConflictError if the marks of a merge are in it."""
    if fault := find_fault(text):
        check_conflict(text, path)
        raise ScriptMetadataError(
            fault.message,
            hint="Begin with the line '# /// script', end with '# ///', and begin each line in between with '# '.",
            location=Location(path=path, line=fault.line, column=1),
        )


def check_requires_python(toml: TomlText, value: object, keys: tuple[str, ...]) -> str | None:
    """Return ``requires-python`` without white space. Raises: InvalidDefinitionError if it is not a specifier set."""
    if value is None:
        return None
    try:
        SpecifierSet(str(value))
    except InvalidSpecifier:
        value = [value]
    if not isinstance(value, str):
        found = value[0] if isinstance(value, list) else value
        raise toml.error(f"{keys[-1]!r} is {found!r}; expected version specifiers such as '>=3.10'", *keys)
    return re.sub(r"\s+", "", value)


def record_keys(reading: ReadContext, toml: TomlText, above: tuple[str, ...] = ()) -> None:
    """Record the keys of all tables below the one at ``above``."""
    for key, location, end in toml.list_keys(above):
        reading.record_item("key", key, location, end)


def _build_requirements_result(
    reading: ReadContext, toml: TomlText, items: list[PipItem], requires: object, keys: tuple[str, ...], format: str
) -> ReadResult:
    python, name = Python(), None
    with reading.recover():
        python = Python(requires=check_requires_python(toml, requires, keys))
    with reading.recover():
        name = toml.table("project").get("name") if format == "pyproject" else None
        if name is not None and not isinstance(name, str):
            raise toml.error(f"'name' is {name!r}; expected a string", "project", "name")
    result = reading.build_result(Definition(pip=Pip(requirements=tuple(items)), python=python), format, name=name)
    return msgspec.structs.replace(result, python_location=toml.locate(*keys) if python.requires else None)
