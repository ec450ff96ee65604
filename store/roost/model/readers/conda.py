"""conda environment files, read as conda's own reader does (lenient, YAML 1.2)."""

from __future__ import annotations

from collections.abc import Iterable

from roost.model.definition import Conda, Definition, Pip, PipItem, ReadResult, Settings
from roost.model.errors import Location
from roost.model.readers.requirements import read_requirement_lines
from roost.model.readers.source import ReadContext
from roost.model.readers.yaml_nodes import YamlNode
from roost.model.syntax.match_specs import (
    EXPECTED_SPEC,
    MatchSpecError,
    is_package_file,
    normalise_match_spec,
    to_rattler,
)
from roost.model.syntax.pip_lines import LogicalLine, split_logical_lines

_KNOWN = ("name", "channels", "dependencies", "prefix", "variables")


def read_conda(reading: ReadContext, root: YamlNode) -> ReadResult:
    """A conda environment file. Raises ``InvalidDefinitionError``."""
    if root.kind == "null":
        root.fail("The file is empty; expected a conda environment with 'dependencies:'", "Add dependencies.")
    definition, settings, name = read_environment(reading, root)
    return reading.parsed(definition, "conda", settings=settings, name=name)


def read_environment(reading: ReadContext, root: YamlNode) -> tuple[Definition, Settings, str | None]:
    """The mapping that a conda environment file, or a ``conda_file:`` of Azure's, holds."""
    pairs = root.pairs("a conda environment")
    for key, (place, _) in pairs.items():
        if key not in _KNOWN:
            reading.warn("key-unknown", f"key {key!r} is none of a conda environment; it has no effect", place.location)
    values = {key: value for key, (_, value) in pairs.items()}
    nothing = YamlNode(None, root.path)
    specs, items = _dependencies(reading, values.get("dependencies", nothing))
    conda = Conda(channels=_channels(reading, values.get("channels", nothing)), dependencies=specs)
    name = values.get("name", nothing).optional("'name'")
    settings = Settings(variables=_variables(values.get("variables", nothing)))
    return Definition(conda=conda, pip=Pip(requirements=items)), settings, name


def normalise_channels(names: list[str]) -> tuple[str, ...]:
    """In order, each once; ``nodefaults`` says nothing here, where there are no hidden defaults."""
    kept = [name.strip() for name in names if name.strip() and name.strip() != "nodefaults"]
    return tuple(dict.fromkeys(name.rstrip("/") for name in kept))


def read_spec(reading: ReadContext, text: str, location: Location) -> str:
    """One match spec, normalised. Raises :class:`MatchSpecError` with its place."""
    try:
        spec = normalise_match_spec(reading.clean(text))
        _check_spec(spec)
    except MatchSpecError as error:
        error.location = location
        raise
    reading.locations.setdefault(spec, location)
    return spec


def _check_spec(spec: str) -> None:
    if is_package_file(spec) and "://" not in spec:
        raise MatchSpecError(
            f"{spec!r} is a package file on disk; expected {EXPECTED_SPEC}",
            hint="Put the file into a channel (a folder will do: file:///path/to/channel) and name the package.",
        )
    to_rattler(spec)


def _channels(reading: ReadContext, item: YamlNode) -> tuple[str, ...]:
    members = [item] if item.kind == "scalar" else item.items("'channels'")
    return normalise_channels([reading.clean(member.text("a channel")) for member in members if member.kind != "null"])


def _dependencies(reading: ReadContext, item: YamlNode) -> tuple[tuple[str, ...], tuple[PipItem, ...]]:
    specs: list[str] = []
    items: list[PipItem] = []
    for member in item.items("'dependencies'"):
        if member.kind == "scalar":
            specs.append(read_spec(reading, member.text("a dependency"), member.location))
        elif member.kind == "mapping":
            items.extend(_section(reading, member))
        elif member.kind == "null":
            reading.warn("item-empty", "an empty item of 'dependencies' has no effect", member.location)
        else:
            member.fail(f"A dependency is {member.described()}; expected {EXPECTED_SPEC}")
    return tuple(specs), tuple(items)


def _section(reading: ReadContext, member: YamlNode) -> list[PipItem]:
    """``pip:`` is read; ``sel(win):`` and other installers' lists (``npm:``) are not, as in conda."""
    items: list[PipItem] = []
    for key, (place, value) in member.pairs("a dependency").items():
        if key == "pip":
            items.extend(read_pip(reading, value))
        else:
            reading.warn("section-unknown", f"section {key!r} of 'dependencies' has no effect", place.location)
    return items


def read_pip(reading: ReadContext, value: YamlNode) -> list[PipItem]:
    """The items of a ``pip:`` section: a list, one text, or nothing; each item is a line of a requirements file."""
    members = [value] if value.kind == "scalar" else value.items("'pip'")
    lines: list[LogicalLine] = []
    for member in members:
        if member.kind != "null":
            text = member.text("a requirement")
            lines.extend(_placed(split_logical_lines(text, reading.path), member.location))
    return list(read_requirement_lines(reading, lines, reading.path))


def _placed(lines: Iterable[LogicalLine], location: Location) -> list[LogicalLine]:
    return [LogicalLine(line.text, location) for line in lines]


def _variables(item: YamlNode) -> dict[str, str]:
    """Text as written: ``on`` and ``1.10`` are no YAML 1.1 values here."""
    pairs = item.pairs("'variables'")
    return {key: value.optional(f"variable {key!r}") or "" for key, (_, value) in pairs.items()}
