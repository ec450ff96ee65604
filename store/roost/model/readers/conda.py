"""Reader of conda environment files, as lenient as conda's own (YAML 1.2)."""

from __future__ import annotations

from roost.model.definition import Conda, Definition, Pip, PipItem, ReadResult, Settings
from roost.model.documents.yaml_nodes import YamlNode
from roost.model.readers.mistakes.dependency_forms import (
    check_dependency_list,
    check_installer_section,
    fail_requirement,
)
from roost.model.readers.mistakes.near_keys import report_near_keys
from roost.model.readers.mistakes.other_files import CONDA_KEYS
from roost.model.readers.requirements import read_requirement_lines
from roost.model.readers.source import ReadContext
from roost.model.syntax.match_specs import EXPECTED_SPEC, normalise_channels
from roost.model.syntax.pip_lines import LogicalLine, split_logical_lines


def read_conda(reading: ReadContext, root: YamlNode) -> ReadResult:
    """Read a conda environment file. Raises: InvalidDefinitionError if it is not valid."""
    if root.kind == "null":
        root.fail("The file is empty; expected a conda environment with 'dependencies:'", "Add dependencies.")
    definition, settings, name = read_environment(reading, root)
    return reading.build_result(definition, "conda", settings=settings, name=name)


def read_environment(reading: ReadContext, root: YamlNode) -> tuple[Definition, Settings, str | None]:
    """Return the definition, settings and name in a conda environment file or in Azure's ``conda_file:``."""
    misspelled = report_near_keys(reading, root, CONDA_KEYS, "a conda environment")
    for key, (key_node, _) in root.pairs("a conda environment").items():
        record_key(reading, key_node)
        if key not in CONDA_KEYS and key not in misspelled:
            reading.warn("key-unknown", _describe_unknown_key(key), key_node.location)
    specs, items = _read_dependencies(reading, root.value("dependencies"))
    channels = _read_channels(reading, root.value("channels"))
    conda = Conda(channels=channels, dependencies=tuple(specs))
    name, variables = None, dict[str, str]()
    with reading.recover():
        name = root.value("name").optional_text("'name'")
    with reading.recover():
        variables = read_variables(reading, root.value("variables"), "'variables'")
    return Definition(conda=conda, pip=Pip(requirements=tuple(items))), Settings(variables=variables), name


def _describe_unknown_key(key: str) -> str:
    place = "; requirements for pip belong into 'dependencies', under '- pip:'" if key == "pip" else ""
    return f"key {key!r} is not a key of a conda environment; it has no effect{place}"


def record_key(reading: ReadContext, key: YamlNode) -> None:
    """Record a key of a mapping; an empty one is no text."""
    if key.kind == "scalar":
        reading.record("key", key.written("a key"))


def read_variables(reading: ReadContext, item: YamlNode, what: str) -> dict[str, str]:
    """Return the values of variables as written: ``on`` and ``1.10`` are not values of YAML 1.1 here.

    Raises: YamlError if ``item``, called ``what`` in the error, is not a mapping.
    """
    variables: dict[str, str] = {}
    for key, (key_node, value) in item.pairs(what).items():
        with reading.recover():
            record_key(reading, key_node)
            variables[key] = value.optional_text(f"variable {key!r}") or ""
            if value.kind == "scalar":
                written = value.written("a variable")
                reading.record_item("variable", written.value, written.location, written.end)
    return variables


def _read_channels(reading: ReadContext, item: YamlNode) -> tuple[str, ...]:
    names: list[str] = []
    with reading.recover():
        for member in [item] if item.kind == "scalar" else item.members("'channels'"):
            with reading.recover():
                if member.kind != "null":
                    names.append(reading.strip_credentials(reading.record("channel", member.written("a channel"))))
    return normalise_channels(names)


def _read_dependencies(reading: ReadContext, item: YamlNode) -> tuple[list[str], list[PipItem]]:
    specs: list[str] = []
    items: list[PipItem] = []
    with reading.recover():
        check_dependency_list(item)
        for member in item.members("'dependencies'"):
            with reading.recover():
                if member.kind == "scalar":
                    written = member.written("a dependency")
                    reading.record("spec", written)
                    specs.append(reading.read_match_spec(written.value, written.location))
                elif member.kind == "mapping":
                    items.extend(_read_installer_section(reading, member))
                elif member.kind == "null":
                    reading.warn("item-empty", "an empty item of 'dependencies' has no effect", member.location)
                else:
                    member.fail(f"A dependency is {member.describe()}; expected {EXPECTED_SPEC}")
    return specs, items


def _read_installer_section(reading: ReadContext, member: YamlNode) -> list[PipItem]:
    """Read ``pip:`` and warn about ``sel(win):`` and other installers' lists (``npm:``), which conda ignores too."""
    items: list[PipItem] = []
    for key, (key_node, value) in member.pairs("a dependency").items():
        record_key(reading, key_node)
        if key == "pip":
            items.extend(read_pip(reading, value))
        else:
            check_installer_section(key_node, key, value)
            reading.warn("section-unknown", f"section {key!r} of 'dependencies' has no effect", key_node.location)
    return items


def read_pip(reading: ReadContext, value: YamlNode) -> list[PipItem]:
    """Read a ``pip:`` section: a list, one text, or null. Each member is a line of a requirements file."""
    members = [value] if value.kind == "scalar" else value.members("'pip'")
    lines: list[LogicalLine] = []
    for member in members:
        with reading.recover():
            if member.kind != "null":
                fail_requirement(member)
                written = member.written("a requirement")
                lines.extend(split_logical_lines(written.value, written.locate))
    return read_requirement_lines(reading, lines, reading.path)
