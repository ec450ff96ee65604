"""What kind of file a source is: told by its content, with the name as a help where content leaves it open."""

from __future__ import annotations

import posixpath
import re
from typing import Literal

from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.explicit import EXPLICIT_MARK
from roost.model.readers.pyproject import SCRIPT_BLOCK
from roost.model.readers.source import EncodingError
from roost.model.readers.yaml_nodes import YamlNode

Syntax = Literal["toml", "yaml", "requirements", "explicit", "pep723", "dockerfile", "json"]
_YAML_KEY = re.compile(r"""(?:[\w$][\w $.-]*|"[^"]*"|'[^']*')\s*:(?:\s|$)|-\s+\S|---|%YAML|<<<<|\{%|\{""")
_FROM = re.compile(r"(?:FROM|ARG)\s+\S+", re.IGNORECASE)
_RUN_CONFIGURATION = {"environment", "target", "framework", "script", "history", "communicator", "argumentvector"}
_SDK = {
    *("userManagedDependencies", "interpreterPath", "condaDependencies", "condaDependenciesFile"),
    *("baseImage", "baseDockerfile", "baseImageRegistry", "buildContext", "sharedVolumes", "shmSize"),
}
_SDK_KEYS = {"environmentVariables", "inferencingStackVersion", "databricks", "assetId"}


class FormatUnreadError(InvalidDefinitionError):
    """The file is of a format that roost knows by sight and does not read."""

    code = "definition-format-unread"


def detect_syntax(path: str, text: str) -> Syntax:
    """How the text is to be parsed."""
    name = posixpath.basename(path).lower()
    if name.endswith(".toml"):
        return "toml"
    if name.endswith(".py") or SCRIPT_BLOCK.search(text):
        return "pep723"
    if EXPLICIT_MARK.search(text):
        return "explicit"
    if name.endswith((".yml", ".yaml", ".lock", ".json", ".runconfig")):
        return "yaml"
    if name in ("dockerfile", "containerfile") or name.startswith("dockerfile.") or name.endswith(".dockerfile"):
        return "dockerfile"
    if name.endswith((".txt", ".in")):
        return "requirements"
    return _by_first_line(text)


def _by_first_line(text: str) -> Syntax:
    line = next((row.strip() for row in text.split("\n") if row.strip() and not row.lstrip().startswith("#")), "")
    if _FROM.match(line):
        return "dockerfile"
    if re.fullmatch(r"\[[\w.\"-]+\]\s*(#.*)?", line):
        return "toml"
    return "yaml" if _YAML_KEY.match(line) else "requirements"


def detect_yaml(root: YamlNode) -> str:
    """Which of the YAML formats: ``conda`` unless the keys say otherwise. Raises :class:`FormatUnreadError`."""
    if root.kind != "mapping":
        return "conda"
    keys = set(root.pairs("the file"))
    if {"package", "metadata"} <= keys and "version" in keys:
        return "conda-lock"
    if {"environments", "packages", "version"} <= keys:
        return "pixi-lock"
    _check_known_by_sight(root, keys)
    if _is_run_configuration(root, keys):
        return "azure-run"
    if "dependencies" in keys:
        return "conda"
    if keys & _SDK_KEYS or any(_SDK & set(_keys(root.value(key))) for key in ("docker", "python")):
        return "azure"
    return "azure-v2" if keys & {"image", "build", "conda_file", "docker"} or _names_schema(root) else "conda"


def _check_known_by_sight(root: YamlNode, keys: set[str]) -> None:
    if "build_dependencies" in keys:
        raise format_unread_error("an MLflow python_env", root.location)
    if "dependencies" in keys:
        return
    if "environment" not in keys and len({key.lower() for key in keys} & _RUN_CONFIGURATION) > 1:
        raise format_unread_error("an Azure run configuration of an early form", root.location)
    if {"configuration", "packages"} <= keys:
        raise format_unread_error("a list of Spark dependencies", root.location)


def _is_run_configuration(root: YamlNode, keys: set[str]) -> bool:
    """By a second key of its own, or by an environment as only Azure's SDK writes it."""
    if "environment" not in keys or "dependencies" in keys:
        return False
    sections = (
        [root.value("environment").value(key) for key in ("docker", "python")]
        if _keys(root.value("environment"))
        else []
    )
    return len(keys & _RUN_CONFIGURATION) > 1 or any(_SDK & set(_keys(section)) for section in sections)


def _keys(item: YamlNode) -> list[str]:
    return list(item.pairs("a section")) if item.kind == "mapping" else []


def _names_schema(root: YamlNode) -> bool:
    schema = root.value("$schema")
    return schema.kind == "scalar" and "environment.schema.json" in schema.text("'$schema'")


def format_unread_error(what: str, location: Location) -> FormatUnreadError:
    return FormatUnreadError(
        f"This is {what}, which roost does not read yet",
        hint="Name a conda environment file, requirements.txt, pyproject.toml, lock file or roost.toml.",
        location=location,
    )


def check_text(text: str, path: str) -> None:
    """A binary file is refused before a parser stumbles over it. Raises :class:`EncodingError`."""
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise EncodingError("This is no text file", location=Location(path=path, line=line), hint="Name a text file.")
