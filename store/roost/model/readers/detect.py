"""Detection of a source's format by content, with its name as a hint if the content is ambiguous.

The search for a definition on disk uses ``classify_pyproject`` and ``has_script_metadata``.
"""

from __future__ import annotations

import posixpath
import re
from typing import Literal

from roost.model.documents.conflicts import MergeConflictError
from roost.model.documents.toml_text import TomlError, TomlText
from roost.model.documents.yaml_nodes import YamlNode
from roost.model.errors import Location
from roost.model.readers.azure_jobs import is_azure_job
from roost.model.readers.explicit import has_explicit_mark
from roost.model.readers.mistakes.other_files import FormatUnreadError as FormatUnreadError
from roost.model.readers.mistakes.other_files import (
    format_unread_error,
    is_conda_environment,
    reject_list,
    reject_other_file,
    reject_without_environment,
)
from roost.model.readers.mistakes.unread_files import (
    CONDA_LIST,
    classify_conda_list,
    find_other_text,
    find_other_tool,
    find_other_yaml,
    unread_error,
)
from roost.model.readers.pyproject import PYPROJECT_TABLES, check_script_block
from roost.model.readers.script_blocks import find_blocks
from roost.model.readers.source import EncodingError, decode_text
from roost.model.syntax.azure import V2_BASE_KEYS

Syntax = Literal["toml", "yaml", "requirements", "explicit", "conda-list", "pep723", "dockerfile", "json"]
_YAML_KEY = re.compile(r"""[\w$][\w $.\t-]*:(?:\s|$)|(?:"[^"]*"|'[^']*')\s*:(?:\s|$)|-\s+\S|---|%YAML|<<<<|\{%|\{""")
_METADATA_MARK = re.compile(rb"^# /// script[ \t]*\r?$", re.MULTILINE)
_TOML_LINE = re.compile(r"""\[\[?[\w.\"-]+\]\]?\s*(?:#.*)?$|[\w-]+ = (?:["'\[{]|\d+$|(?:true|false)$)""")
_LINE = re.compile(r"^[ \t]*[^\s#]", re.MULTILINE)
_FROM = re.compile(r"(?:FROM|ARG)\s+\S+", re.IGNORECASE)
_RUN_CONFIGURATION = {"environment", "target", "framework", "script", "history", "communicator", "argumentvector"}
_SDK_SECTION_KEYS = {
    *("userManagedDependencies", "interpreterPath", "condaDependencies", "condaDependenciesFile"),
    *("baseImage", "baseDockerfile", "baseImageRegistry", "buildContext", "sharedVolumes", "shmSize"),
}
_SDK_TOP_KEYS = {"environmentVariables", "inferencingStackVersion", "databricks", "assetId"}


def detect_syntax(path: str, text: str) -> Syntax:
    """Return the syntax of ``text`` in the file ``path``.

    Raises: FormatUnreadError if roost recognises the format but does not read it.
    """
    name = posixpath.basename(path).lower()
    if name.endswith(".toml"):
        return "toml"
    blocks = find_blocks(text)
    if not blocks and (other := find_other_text(path, text)):
        raise unread_error(other, Location(path=path, line=1, column=1))
    if name.endswith(".py") or blocks:
        return "pep723"
    if has_explicit_mark(text):
        return "explicit"
    if name.endswith((".yml", ".yaml", ".json", ".runconfig")):
        return "yaml" if classify_conda_list(text) is None else _detect_list(path, text)
    if name in ("dockerfile", "containerfile") or name.startswith("dockerfile.") or name.endswith(".dockerfile"):
        return "dockerfile"
    syntax: Syntax = "requirements" if name.endswith((".txt", ".in")) else _detect_by_first_line(text)
    if name.endswith(".lock") and not _LINE.search(text):
        return "yaml"  # whose reader says that the file is empty
    return _detect_list(path, text) if syntax == "requirements" else syntax


def _detect_list(path: str, text: str) -> Syntax:
    """Return the syntax of a list of packages, pip's or conda's."""
    is_conda = classify_conda_list(text)
    if is_conda is False:
        raise unread_error(CONDA_LIST, Location(path=path, line=1, column=1))
    return "conda-list" if is_conda else "requirements"


def _detect_by_first_line(text: str) -> Syntax:
    line = next((row.strip() for row in text.split("\n") if row.strip() and not row.lstrip().startswith("#")), "")
    if _FROM.match(line):
        return "dockerfile"
    if _TOML_LINE.match(line):
        return "toml"
    return "yaml" if _YAML_KEY.match(line) else "requirements"


def detect_yaml(root: YamlNode) -> str:
    """Return the YAML format by its keys.

    Raises: FormatUnreadError if roost recognises the format but does not read it, or if there is no environment in it.
    """
    if root.kind == "list":
        reject_list(root)
    if root.kind != "mapping":
        return "conda"
    keys = set(root.pairs("the file"))
    if {"package", "metadata"} <= keys and "version" in keys:
        return "conda-lock"
    if {"environments", "packages", "version"} <= keys:
        return "pixi-lock"
    _reject_unread_formats(root, keys)
    if _is_run_configuration(root, keys):
        return "azure-run"
    if "dependencies" in keys:
        return "conda"
    if is_azure_job(root):
        return "azure-job"
    if keys & _SDK_TOP_KEYS or _has_sdk_section(root):
        return "azure"
    if not _has_azure_schema(root):
        reject_other_file(root, keys)
    if _has_azure_schema(root) or keys & {*V2_BASE_KEYS, "conda_file"}:
        return "azure-v2"
    if not is_conda_environment(keys):
        reject_without_environment(root)
    return "conda"


def _reject_unread_formats(root: YamlNode, keys: set[str]) -> None:
    if other := find_other_yaml(keys):
        raise unread_error(other, root.location)
    if "build_dependencies" in keys:
        raise format_unread_error("an MLflow python_env", root.location)
    if "dependencies" in keys:
        if {"apiVersion", "version"} <= keys:
            raise format_unread_error("a Helm chart", root.location)
        return
    if "environment" not in keys and len({key.lower() for key in keys} & _RUN_CONFIGURATION) > 1:
        raise format_unread_error("an Azure run configuration of an early form", root.location)
    if {"configuration", "packages"} <= keys:
        raise format_unread_error("a list of Spark dependencies", root.location)


def _is_run_configuration(root: YamlNode, keys: set[str]) -> bool:
    """Whether there is a second key of run configurations, or an environment as only Azure's SDK writes it."""
    if "environment" not in keys or "dependencies" in keys:
        return False
    environment = root.value("environment")
    return len(keys & _RUN_CONFIGURATION) > 1 or (bool(_list_keys(environment)) and _has_sdk_section(environment))


def _has_sdk_section(environment: YamlNode) -> bool:
    return any(_SDK_SECTION_KEYS & set(_list_keys(environment.value(section))) for section in ("docker", "python"))


def _list_keys(item: YamlNode) -> list[str]:
    return list(item.pairs("a section")) if item.kind == "mapping" else []


def _has_azure_schema(root: YamlNode) -> bool:
    schema = root.value("$schema")
    return schema.kind == "scalar" and "environment.schema.json" in schema.text("'$schema'")


def check_text(text: str, path: str) -> None:
    """Reject a binary file before parsing. Raises: EncodingError if ``text`` contains a NUL character."""
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise EncodingError(
            "This is not a text file", location=Location(path=path, line=line), hint="Name a text file."
        )


def classify_pyproject(data: bytes, path: str) -> Literal["roost", "pyproject"] | None:
    """Return the format of a ``pyproject.toml``; ``None`` if it defines no environment.

    ``pyproject`` is also the answer for a file whose environment only another tool reads, and for one that is no valid
    TOML: the reader reports what is wrong with it.
    """
    try:
        toml = TomlText(decode_text(data, path), path)
        has_roost = has_definition_table(toml)
        has_project = bool(PYPROJECT_TABLES & set(toml.data)) or find_other_tool(toml) is not None
    except (TomlError, MergeConflictError, EncodingError):
        text = data.decode("utf-8", "replace")
        has_roost, has_project = re.search(r"^[ \t]*\[tool\.roost\b", text, re.MULTILINE) is not None, True
    return "roost" if has_roost else "pyproject" if has_project else None


def has_definition_table(toml: TomlText) -> bool:
    """Whether ``[tool.roost]`` has a definition: more than whether the project is installed."""
    table = toml.table("tool").get("roost")
    return table is not None and not (isinstance(table, dict) and set(table) == {"project"})


def has_script_metadata(data: bytes, path: str) -> bool:
    """Whether a script has a PEP 723 block.

    Raises: InvalidDefinitionError if it has one that can't be read: in another encoding than UTF-8, or without its end.
    """
    try:
        text = decode_text(data, path)
    except EncodingError as error:
        if _METADATA_MARK.search(data) is None:
            return False
        error.hint = "Save the script as UTF-8: its metadata is read by other tools than Python, which expect that."
        raise
    if any(block.type == "script" for block in find_blocks(text)):
        return True
    check_script_block(text, path)
    return False
