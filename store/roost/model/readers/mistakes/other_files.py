"""What a YAML or JSON file looks like that contains no environment which roost reads.

conda opens every mapping as an environment and passes over the keys that it does not know, so that a compose file is an
empty environment to it. Here a mapping without ``dependencies`` has to consist of a conda environment's keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from roost.model.documents.yaml_nodes import YamlNode
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.mistakes.file_signatures import PACKAGE_KEYS, SIGNATURES
from roost.model.readers.mistakes.near_keys import MOST_KEYS, find_near_key

CONDA_KEYS = ("name", "channels", "dependencies", "prefix", "variables")
CONDA_TOOL_KEYS = ("platforms", "platform", "category", "pip-repositories", "allow-pypi-requests", "extras")
"""Keys that other tools add to a conda environment file (conda-lock's, mostly) and conda passes over."""
_USUAL_HINT = "Name a conda environment file, requirements.txt, pyproject.toml, lock file or roost.toml."
_NAMING_KEYS = ("conda_env", "python_env", "conda_file")
"""Keys of other tools whose value is an environment file."""
_LONGEST_SHOWN = 60


class FormatUnreadError(InvalidDefinitionError):
    """The file has a format that roost recognises but does not read, or contains no environment."""

    code = "definition-format-unread"


def format_unread_error(what: str, location: Location, hint: str = "") -> FormatUnreadError:
    """Return the error for a file in a format that roost recognises but does not read."""
    return FormatUnreadError(
        f"This is {what}, which roost does not support", hint=hint or _USUAL_HINT, location=location
    )


def is_conda_environment(keys: Iterable[str]) -> bool:
    """Whether a mapping with ``keys`` is a conda environment: it has dependencies, or no key of anything else.

    With a near miss of ``dependencies`` it is meant as one, whatever else is in it.
    """
    names = set(keys)
    if "dependencies" in names or len(names) > MOST_KEYS:
        return "dependencies" in names
    meant = {name: name if name in CONDA_KEYS else find_near_key(name, CONDA_KEYS) for name in names}
    if "dependencies" in meant.values():
        return True
    if names and not any(meant.values()):
        return False
    return all(meant[name] or name in CONDA_TOOL_KEYS for name in names)


def reject_other_file(root: YamlNode, keys: Iterable[str]) -> None:
    """Raise FormatUnreadError if the keys of ``root`` are those of another tool's file."""
    names = set(keys)
    for signature in SIGNATURES:
        if signature.every <= names and (not signature.some or signature.some & names):
            hint = _name_its_environment(root, names) or signature.hint
            raise FormatUnreadError(
                f"This is {signature.what}, not an environment", hint=hint or _USUAL_HINT, location=root.location
            )


def reject_without_environment(root: YamlNode) -> NoReturn:
    """Raise FormatUnreadError for a mapping that nothing recognises, at the first key that no environment has."""
    pairs = root.pairs("the file")
    odd = next((key for key in pairs if key not in (*CONDA_KEYS, *CONDA_TOOL_KEYS)), None)
    if (packages := next((key for key in pairs if key in PACKAGE_KEYS), None)) is not None:
        raise FormatUnreadError(
            f"This file has no 'dependencies', and {packages!r} is not a key of a conda environment",
            hint="Write the packages as a list under 'dependencies', those for pip in it under '- pip:'.",
            location=pairs[packages][0].location,
        )
    shown = repr(odd if odd is None or len(odd) <= _LONGEST_SHOWN else odd[: _LONGEST_SHOWN - 1] + "…")
    raise FormatUnreadError(
        f"This file contains no environment: it has no 'dependencies', and {shown} is not a key of a conda environment",
        hint=_USUAL_HINT,
        location=pairs[odd][0].location if odd is not None else root.location,
    )


def reject_list(root: YamlNode) -> NoReturn:
    """Raise FormatUnreadError for a file that is a list, as an Ansible playbook or a bare list of packages is."""
    members = root.members("the file")
    mappings = [set(member.pairs("a member")) for member in members if member.kind == "mapping"]
    if any(keys & {"hosts", "tasks", "roles", "import_playbook"} or "name" in keys for keys in mappings):
        raise format_unread_error("an Ansible playbook or another list of tasks", root.location)
    raise FormatUnreadError(
        "This file is a list; expected a mapping with 'dependencies'",
        hint="Write 'dependencies:' above the list, or save a list for pip as requirements.txt.",
        location=root.location,
    )


def _name_its_environment(root: YamlNode, names: set[str]) -> str:
    """Return the advice to name the file that ``root`` names as its environment; empty if it names none."""
    for key in _NAMING_KEYS:
        if key in names and (node := root.value(key)).kind == "scalar":
            return f"Its environment is in {node.text(key)!r}: name that file."
    return ""
