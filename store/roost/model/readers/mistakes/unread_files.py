"""Files of Python's other tools that roost recognises and does not read: by which content, and what to do instead.

A file that says which packages are meant, in a form that is not read here, must not be mistaken for another one, nor be
passed over for a file further up. Nothing in these files is executed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from typing import NamedTuple

from roost.model.documents.toml_text import TomlText
from roost.model.errors import Location
from roost.model.readers.mistakes.other_files import FormatUnreadError, format_unread_error

_SETUP_HINT = (
    "List the dependencies in [project] of a pyproject.toml, or name a requirements file: its line `-e .` installs the "
    "project with what it depends on."
)
_CONDA_LIST_LINE = re.compile(r"(?:[\w./:-]+::)?[A-Za-z0-9_][\w.-]*(?:(?P<version>=[\w.*+!|,-]+)(?P<build>=[\w.*]+)?)?")
_CONDA_LIST_HEADER = re.compile(r"^# \$ (?:conda|mamba|micromamba) create .*--file", re.MULTILINE)
_SETUP_CALL = re.compile(r"^[ \t]*(?:from|import)[ \t]+(?:setuptools|distutils)\b", re.MULTILINE)
_SETUP_SECTION = re.compile(r"^\[options\][ \t]*$", re.MULTILINE)
_SETUP_KEY = re.compile(r"^(?:install_requires|packages|python_requires)[ \t]*=", re.MULTILINE)
_ROOST_LOCK = re.compile(r"(?:#.*\n)*format [0-9]+\r?\n(?:#.*\n)*definition sha256:")
_OTHER_SUFFIXES = (".toml", ".py", ".yml", ".yaml", ".lock", ".json")


class OtherFile(NamedTuple):
    """A kind of file that is not read: what it is (with its article), and what to do instead."""

    what: str
    hint: str


PIXI_MANIFEST = OtherFile(
    "a pixi manifest",
    "Name its lock file (-f pixi.lock), or write an environment.yml: `pixi workspace export conda-environment`.",
)
PIPFILE = OtherFile(
    "a Pipfile of Pipenv", "Write a requirements file, and name it: `pipenv requirements > requirements.txt`."
)
PIPFILE_LOCK = OtherFile(
    "a lock file of Pipenv", "Write a requirements file, and name it: `pipenv requirements --hash > requirements.txt`."
)
POETRY_LOCK = OtherFile(
    "a lock file of Poetry", "Write a requirements file, and name it: `poetry export -o requirements.txt`."
)
PDM_LOCK = OtherFile("a lock file of PDM", "Write a pylock.toml, and name it: `pdm export -f pylock -o pylock.toml`.")
ROOST_LOCK = OtherFile(
    "a lock file of roost, which belongs to the environment file beside it",
    "Name that file, or no file: its lock file is used by itself. `roost lock -o conda-lock.yml` writes one to import.",
)
CARGO = OtherFile("a file of Cargo, the package manager of Rust", "Name an environment file for Python.")
SETUP_CFG = OtherFile("a configuration of setuptools", _SETUP_HINT)
SETUP_PY = OtherFile("a setup script of setuptools, a program", "Reading runs no code. " + _SETUP_HINT)
CONDA_LIST = OtherFile(
    "a list of packages for `conda --file` (name=version)",
    "Write the lines under `dependencies:` of an environment.yml; if they are for pip, write name==version.",
)

_TOOL_TABLES: dict[tuple[str, ...], OtherFile] = {
    ("poetry", "dependencies"): OtherFile(
        "a pyproject.toml whose dependencies are in [tool.poetry]",
        "Move them to [project], where Poetry reads them since 2.0, or write a requirements file, and name it: "
        "`poetry export -o requirements.txt`.",
    ),
    ("pixi",): OtherFile("a pyproject.toml with a pixi manifest in [tool.pixi]", PIXI_MANIFEST.hint),
    ("flit", "metadata"): OtherFile(
        "a pyproject.toml with its metadata in [tool.flit.metadata]", "Move `requires` to dependencies of [project]."
    ),
    ("uv", "workspace"): OtherFile(
        "the root of a uv workspace, without packages of its own",
        "Name a member's pyproject.toml with -f, or work in its folder.",
    ),
    ("uv", "dev-dependencies"): OtherFile(
        "a pyproject.toml with packages in [tool.uv] only", "Move them to [dependency-groups]."
    ),
    ("pdm", "dev-dependencies"): OtherFile(
        "a pyproject.toml with packages in [tool.pdm] only", "Move them to [dependency-groups]."
    ),
    ("hatch", "envs"): OtherFile(
        "a pyproject.toml with environments of Hatch only",
        "List the packages in [dependency-groups], or in a requirements file.",
    ),
}
"""Tables of tools, below ``tool``, that say which packages are meant without ``[project]``."""


def unread_error(other: OtherFile, location: Location) -> FormatUnreadError:
    """Return the error for a file that is recognised and not read."""
    if other is ROOST_LOCK:
        return FormatUnreadError(f"This is {other.what}", hint=other.hint, location=location)
    return format_unread_error(other.what, location, other.hint)


def find_other_tool(toml: TomlText) -> OtherFile | None:
    """Return what a ``pyproject.toml`` without ``[project]`` is, if only another tool reads its packages."""
    tools = toml.data.get("tool")
    for keys, other in _TOOL_TABLES.items():
        table = tools
        for key in keys:
            table = table.get(key) if isinstance(table, dict) else None
        if table:
            return other
    return None


def find_other_toml(toml: TomlText) -> OtherFile | None:
    """Return what a TOML file is, if it is of another tool and not read."""
    data, project, metadata = toml.data, toml.data.get("project"), toml.data.get("metadata")
    if "workspace" in data or (isinstance(project, dict) and "channels" in project):
        return PIXI_MANIFEST
    if isinstance(metadata, dict) and "content-hash" in metadata:
        return POETRY_LOCK
    if isinstance(metadata, dict) and "content_hash" in metadata:
        return PDM_LOCK
    if any(isinstance(data.get(key), dict) for key in ("packages", "dev-packages")) and "tool" not in data:
        return PIPFILE
    return CARGO if isinstance(data.get("package"), (dict, list)) and "tool" not in data else None


def find_other_yaml(keys: Collection[str]) -> OtherFile | None:
    """Return what a YAML or JSON file with these keys is, if it is of another tool and not read."""
    return PIPFILE_LOCK if {"_meta", "default"} <= set(keys) else None


def find_other_text(path: str, text: str) -> OtherFile | None:
    """Return what a text is by its name or content, if it is neither TOML nor YAML and not read."""
    name = posixpath.basename(path).lower()
    if name == "setup.cfg":
        return SETUP_CFG
    if _ROOST_LOCK.match(text):
        return ROOST_LOCK
    if not name.endswith(_OTHER_SUFFIXES) and _SETUP_SECTION.search(text) and _SETUP_KEY.search(text):
        return SETUP_CFG
    if name == "setup.py" or (name.endswith(".py") and _SETUP_CALL.search(text) and "setup(" in text):
        return SETUP_PY
    return None


def classify_conda_list(text: str) -> bool | None:
    """Return whether a text that may be a requirements file is a list of conda packages: true if it is certain (a
    header of `conda list --export`, or builds), false if it only looks like one, and ``None`` if it is none."""
    lines = [line.strip() for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    matches = [_CONDA_LIST_LINE.fullmatch(line) for line in lines]
    if not any(match and match["version"] for match in matches):
        return None
    if all(matches):
        return _CONDA_LIST_HEADER.search(text) is not None or any(match and match["build"] for match in matches)
    return None
