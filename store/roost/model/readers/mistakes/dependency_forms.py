"""Dependencies of conda that are written in the form of another tool, and how conda has them.

conda's reader accepts a mapping among the dependencies and takes its key for an installer, so that ``- python: 3.11``
installs no Python, or fails later.
"""

from __future__ import annotations

import re

from roost.model.documents.yaml_nodes import YamlError, YamlNode
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.mistakes.near_keys import find_near_key
from roost.model.syntax.match_specs import MatchSpecError, normalise_match_spec

INSTALLERS = frozenset({"pip", "npm", "yarn", "apt", "apt-get", "brew", "cargo", "conda", "cran", "gem", "go", "r"})
"""Keys that are installers, which conda knows nothing of but ``pip``: what is under the others has no effect."""
_PACKAGE = re.compile(r"(?:[\w./-]+::)?[A-Za-z0-9_][\w.-]*")
_OPERATOR = re.compile(r"[<>=!~]")
_LONGEST_VERSION = 100
_VERSION = re.compile(r"(?:\s*[<>=!~]*\s*[\w.*+]+\s*(?:,|$))+")


class DependencyFormError(InvalidDefinitionError):
    """A dependency is written as another tool has it."""

    code = "dependency-form"


def check_installer_section(key_node: YamlNode, key: str, value: YamlNode) -> None:
    """Raise DependencyFormError if ``key: value`` among the dependencies is a package, or a near miss of ``pip``."""
    if key not in INSTALLERS and _is_meant_for_pip(key, value):
        raise DependencyFormError(
            f"{key!r} is not an installer; did you mean 'pip'?",
            hint="Write `- pip:`, and below it one requirement for each line.",
            location=key_node.location,
            fields={"key": key, "near": "pip"},
        )
    if key in INSTALLERS or value.kind == "list" or not _PACKAGE.fullmatch(key):
        return
    spec = _compose_conda_spec(key, value)
    raise DependencyFormError(
        f"{key!r} is a mapping here; conda has a package and its version as one text, such as {spec or 'python=3.11'}",
        hint=f"Write `- {spec}`." if spec else "Write `- NAME`, `- NAME=1.2` or `- NAME>=1.2`.",
        location=key_node.location,
        fields={"key": key, "spec": spec},
    )


def _is_meant_for_pip(key: str, value: YamlNode) -> bool:
    """Whether ``key`` is a near miss of ``pip``; one with a version is a package, such as zip."""
    return key.casefold() == "pip" or (value.kind == "list" and find_near_key(key, ("pip",)) is not None)


def check_dependency_list(item: YamlNode) -> None:
    """Raise DependencyFormError if ``dependencies`` is a mapping from packages to versions, or one text."""
    if item.kind == "mapping":
        pairs = item.pairs("'dependencies'")
        specs = [
            _compose_conda_spec(key, value) for key, (_, value) in list(pairs.items())[:1] if key not in INSTALLERS
        ]
        shown = f"`- {specs[0]}`" if specs and specs[0] else "`- python=3.11`"
        raise DependencyFormError(
            "'dependencies' is a mapping; expected a list",
            hint=f"Write one package for each line, as in {shown}.",
            location=item.location,
        )
    if item.kind == "scalar":
        text = item.text("'dependencies'")
        raise DependencyFormError(
            f"'dependencies' is the string {text!r}; expected a list",
            hint="Write one package for each line, as in `- python=3.11`.",
            location=item.location,
        )


def fail_requirement(member: YamlNode) -> None:
    """Raise YamlError with how pip has it if a requirement of a ``pip:`` section is not a text."""
    if member.kind != "mapping":
        return
    for key, (_, value) in list(member.pairs("a requirement").items())[:1]:
        requirement = _compose_requirement(key, value)
        raise YamlError(
            "A requirement is a mapping; expected a string",
            hint=f"Write `- {requirement}`." if requirement else "Write `- NAME==1.2`; quote a text with a colon.",
            location=member.location,
        )


def _compose_conda_spec(name: str, value: YamlNode) -> str:
    """Return the match spec that was meant; empty if that can't be said."""
    if value.kind == "null":
        return name if _is_spec(name) else ""
    if value.kind != "scalar":
        return ""
    version = _read_version(value)
    if not version:
        return ""
    if version in ("*", "latest", "any"):
        spec = name
    elif _OPERATOR.match(version):
        spec = name + version
    else:
        spec = f"{name}={version}"
    return spec if _is_spec(spec) else ""


def _read_version(value: YamlNode) -> str:
    """Return versions and their operators without spaces; empty for any other text."""
    text = value.text("a version")
    return "".join(text.split()) if len(text) <= _LONGEST_VERSION and _VERSION.fullmatch(text) else ""


def _is_spec(spec: str) -> bool:
    try:
        normalise_match_spec(spec)
    except MatchSpecError:
        return False
    return True


def _compose_requirement(name: str, value: YamlNode) -> str:
    if value.kind == "null":
        return name
    if value.kind != "scalar" or not _PACKAGE.fullmatch(name):
        return ""
    version = _read_version(value)
    if version == "*":
        return name
    if _OPERATOR.match(version) and not version.startswith("=="):
        return name + version.replace("=", "==", 1) if version.startswith("=") else name + version
    return f"{name}=={version.removeprefix('==')}" if version else ""
