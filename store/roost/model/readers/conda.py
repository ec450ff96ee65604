"""Reader of conda environment files, as lenient as conda's own (YAML 1.2)."""

from __future__ import annotations

from roost.model.definition import Conda, Definition, Pip, PipItem, ReadResult, Settings
from roost.model.readers.requirements import read_requirement_lines
from roost.model.readers.source import ReadContext
from roost.model.readers.yaml_nodes import YamlNode
from roost.model.syntax.match_specs import EXPECTED_SPEC, normalise_channels
from roost.model.syntax.pip_lines import LogicalLine, split_logical_lines

_CONDA_KEYS = ("name", "channels", "dependencies", "prefix", "variables")


def read_conda(reading: ReadContext, root: YamlNode) -> ReadResult:
    """Read a conda environment file. Raises: InvalidDefinitionError if it is not valid."""
    if root.kind == "null":
        root.fail("The file is empty; expected a conda environment with 'dependencies:'", "Add dependencies.")
    definition, settings, name = read_environment(reading, root)
    return reading.build_result(definition, "conda", settings=settings, name=name)


def read_environment(reading: ReadContext, root: YamlNode) -> tuple[Definition, Settings, str | None]:
    """Return the definition, settings and name in a conda environment file or in Azure's ``conda_file:``."""
    pairs = root.pairs("a conda environment")
    for key, (key_node, _) in pairs.items():
        if key not in _CONDA_KEYS:
            message = f"key {key!r} is not a key of a conda environment; it has no effect"
            reading.warn("key-unknown", message, key_node.location)
    values = {key: value for key, (_, value) in pairs.items()}
    null = YamlNode(None, root.path)
    specs, items = _read_dependencies(reading, values.get("dependencies", null))
    conda = Conda(channels=_read_channels(reading, values.get("channels", null)), dependencies=specs)
    name = values.get("name", null).optional_text("'name'")
    settings = Settings(variables=_read_conda_variables(values.get("variables", null)))
    return Definition(conda=conda, pip=Pip(requirements=items)), settings, name


def _read_channels(reading: ReadContext, item: YamlNode) -> tuple[str, ...]:
    members = [item] if item.kind == "scalar" else item.members("'channels'")
    names = [member.text("a channel") for member in members if member.kind != "null"]
    return normalise_channels([reading.strip_credentials(name) for name in names])


def _read_dependencies(reading: ReadContext, item: YamlNode) -> tuple[tuple[str, ...], tuple[PipItem, ...]]:
    specs: list[str] = []
    items: list[PipItem] = []
    for member in item.members("'dependencies'"):
        if member.kind == "scalar":
            specs.append(reading.read_match_spec(member.text("a dependency"), member.location))
        elif member.kind == "mapping":
            items.extend(_read_installer_section(reading, member))
        elif member.kind == "null":
            reading.warn("item-empty", "an empty item of 'dependencies' has no effect", member.location)
        else:
            member.fail(f"A dependency is {member.describe()}; expected {EXPECTED_SPEC}")
    return tuple(specs), tuple(items)


def _read_installer_section(reading: ReadContext, member: YamlNode) -> list[PipItem]:
    """Read ``pip:`` and warn about ``sel(win):`` and other installers' lists (``npm:``), which conda ignores too."""
    items: list[PipItem] = []
    for key, (key_node, value) in member.pairs("a dependency").items():
        if key == "pip":
            items.extend(read_pip(reading, value))
        else:
            reading.warn("section-unknown", f"section {key!r} of 'dependencies' has no effect", key_node.location)
    return items


def read_pip(reading: ReadContext, value: YamlNode) -> list[PipItem]:
    """Read a ``pip:`` section: a list, one text, or null. Each member is a line of a requirements file."""
    members = [value] if value.kind == "scalar" else value.members("'pip'")
    lines: list[LogicalLine] = []
    for member in members:
        if member.kind != "null":
            text = member.text("a requirement")
            logical_lines = split_logical_lines(text, reading.path)
            lines.extend(LogicalLine(line.text, member.location) for line in logical_lines)
    return list(read_requirement_lines(reading, lines, reading.path))


def _read_conda_variables(item: YamlNode) -> dict[str, str]:
    """Return the values as written: ``on`` and ``1.10`` are not values of YAML 1.1 here."""
    pairs = item.pairs("'variables'")
    return {key: value.optional_text(f"variable {key!r}") or "" for key, (_, value) in pairs.items()}
