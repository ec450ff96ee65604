"""Reader of roost's own file, ``roost.toml`` or ``[tool.roost]``, which can express every definition and setting.

An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from roost.model.definition import (
    Base,
    Conda,
    ContainerSettings,
    DefaultOverrides,
    Definition,
    Pip,
    PipItem,
    Python,
    R,
    ReadResult,
    Settings,
    Spark,
)
from roost.model.documents.dockerfile import DOCKERFILE
from roost.model.documents.document import ItemKind
from roost.model.documents.places import TextPlaces
from roost.model.documents.toml_places import TomlPath
from roost.model.documents.toml_text import TomlText
from roost.model.errors import Location
from roost.model.readers.choices.lists import check_strings, read_text_line
from roost.model.readers.docker import normalise_dockerfile_path, read_context_base, report_context_uses
from roost.model.readers.projects.find import find_project
from roost.model.readers.pyproject import check_requires_python, record_keys
from roost.model.readers.roost_keys import SECTIONS, SYSTEM_KEYS, Shape
from roost.model.readers.source import ReadContext, check_variables, decode_text
from roost.model.readers.tools.uv_sources import UvProject
from roost.model.syntax.match_specs import normalise_channels
from roost.model.syntax.secret_keys import drop_secrets

_ITEM_KINDS: dict[tuple[str, str], ItemKind] = {
    ("base", "image"): "image",
    ("base", "dockerfile"): "step",
    ("base", "context"): "setting",
    ("base", "steps"): "step",
    ("conda", "channels"): "channel",
    ("conda", "dependencies"): "spec",
    ("conda", "explicit"): "package",
    ("defaults", "channels"): "channel",
    ("defaults", "base_image"): "image",
    ("python", "interpreter"): "setting",
    ("variables", ""): "variable",
    ("container", ""): "setting",
}
"""What the texts of a section or key are."""
_LONGEST_KEY = 100
"""Characters of a key that a near one is searched for."""
_CONTEXT_HINT = 'Put it into a folder with its files, and name that: context = "FOLDER" under [base].'
_STEP_HINT = 'Write it into a Dockerfile in a folder with its files, and name that: context = "FOLDER" under [base].'
T = TypeVar("T")


class ContextTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A build context with a Dockerfile of another name, or one that is stored elsewhere, by its digest."""

    digest: str | None = None
    path: str | None = None
    dockerfile: str | None = None
    """Path of the Dockerfile in it."""


class DockerfileText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The text of a Dockerfile, whatever its number of lines."""

    text: str


def read_roost(reading: ReadContext, toml: TomlText, above: tuple[str, ...] = ()) -> ReadResult:
    """Read the table at ``above`` (``()`` or ``("tool", "roost")``).

    Raises: InvalidDefinitionError if it is not valid.
    """
    reading.has_choices = True
    return _RoostFileReader(reading, toml, above).read()


class _RoostFileReader:
    def __init__(self, reading: ReadContext, toml: TomlText, above: tuple[str, ...]) -> None:
        self.reading, self.toml, self.above = reading, toml, above
        self.data = toml.table(*above)

    def read(self) -> ReadResult:
        recover = self.reading.recover
        record_keys(self.reading, self.toml, self.above)
        self._check_keys(self.data, (), ["name", *SECTIONS, "kept", *(["project"] if self.above else [])])
        name, passthrough, defaults = None, dict[str, dict[str, Any]](), DefaultOverrides()
        with recover():
            name = self._check_shape(self.data["name"], ("name",), "text") if "name" in self.data else None
        sections = {section: self._read_known_section(section) for section in SECTIONS}
        definition = self._read_definition(sections)
        with recover():
            passthrough = self._read_kept_tables(self.data.get("kept", {}))
        python = definition.python
        settings = Settings(
            variables=sections["variables"],
            container=_convert(ContainerSettings, sections["container"]),
            interpreter=python.interpreter if python.user_managed else None,
            passthrough=passthrough,
        )
        project = None
        if self.above:
            with recover():
                project = find_project(self.reading, self.toml, only_explicit=True)
        parsed = self.reading.build_result(definition, "roost", settings=settings, name=name)
        with recover():
            defaults = self._read_defaults(sections["defaults"])
        where = self._locate("python", "requires") if python.requires else None
        return msgspec.structs.replace(parsed, defaults=defaults, project=project, python_location=where)

    def _read_defaults(self, table: dict[str, Any]) -> DefaultOverrides:
        """Read the defaults that apply instead of the configured ones if the other sections do not set them."""
        location = self._locate("defaults", "base_image")
        image = self.reading.require_no_credentials(table.get("base_image", ""), "the base image", location)
        index = self.reading.strip_credentials(table.get("index", ""))
        channels = tuple(self.reading.strip_credentials(channel) for channel in table.get("channels", []))
        return DefaultOverrides(channels=channels, base_image=image or None, index=index or None)

    def _read_definition(self, sections: dict[str, dict[str, Any]]) -> Definition:
        system = sections["system"]
        self._check_keys(system, ("system",), list(SYSTEM_KEYS))
        base, items, python = None, tuple[PipItem, ...](), Python()
        with self.reading.recover():
            base = self._read_base_section(sections["base"])
        conda = self._read_conda_section(sections["conda"])
        with self.reading.recover():
            items = self._read_requirements(sections["pip"].get("requirements", []))
        if self.above:
            with self.reading.recover():
                uv = UvProject(self.reading, self.toml)
                items = (*uv.read_choices(), *uv.place(items))
        with self.reading.recover():
            python = self._read_python(sections["python"])
        return Definition(
            base=base,
            conda=conda,
            pip=Pip(requirements=items),
            python=python,
            system=system,
            spark=_convert(Spark, self._strip_credentials(sections["spark"])),
            r=_convert(R, self._strip_credentials(sections["r"])) if "r" in self.data else None,
            inference_stack=sections["inference"].get("stack"),
        )

    def _read_kept_tables(self, tables: object) -> dict[str, dict[str, Any]]:
        """Read the parts of other tools' files that roost does not act on: any table of tables."""
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            raise self._error("'kept' contains something other than tables; expected one for each tool", "kept")

        def warn_dropped(key: str) -> None:
            self.reading.warn("credentials-unread", f"{key!r} is not stored: files must not contain credentials")

        passthrough: dict[str, dict[str, Any]] = drop_secrets(tables, self.reading.strip_credentials, warn_dropped)
        return passthrough

    def _strip_credentials(self, table: dict[str, Any]) -> dict[str, Any]:
        """Return ``table`` without credentials in the URLs among its texts."""
        clean = self.reading.strip_credentials
        return {
            key: clean(value) if isinstance(value, str) else [clean(text) for text in value]
            for key, value in table.items()
        }

    def _read_known_section(self, section: str) -> dict[str, Any]:
        """Return the valid keys of a section; the others are reported as problems."""
        table, shapes = self.data.get(section, {}), SECTIONS[section]
        values: dict[str, Any] = {}
        with self.reading.recover():
            if not isinstance(table, dict):
                raise self._error(f"{section!r} is {table!r}; expected a table", section)
            if shapes:
                self._check_keys(table, (section,), list(shapes))
            for key, value in table.items():
                if not shapes or key in shapes:
                    with self.reading.recover():
                        values[key] = self._check_shape(value, (section, key), shapes.get(key, "text"))
                        self._record_value(values[key], section, key)
        return values

    def _record_value(self, value: object, section: str, key: str) -> None:
        """Record a text and each text of a list; requirements are recorded as they are read."""
        kind = _ITEM_KINDS.get((section, key)) or _ITEM_KINDS.get((section, ""), "value")
        if (section, key) != ("pip", "requirements"):
            self._record_texts(kind, value, (*self.above, section, key))

    def _record_texts(self, kind: ItemKind, value: object, path: TomlPath) -> None:
        if isinstance(value, str):
            with self.reading.recover():
                self.reading.record(kind, self.toml.find_value(value, *path))
        elif isinstance(value, (list, dict)):
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                self._record_texts(kind, inner, (*path, key))

    def _check_shape(self, value: object, keys: tuple[str, ...], shape: Shape) -> Any:  # noqa: ANN401 - the shape says which
        if shape == "texts":
            return check_strings(self.toml, value, (*self.above, *keys))
        if shape == "lists":
            return self._check_lists(value, keys)
        if shape == "entries":
            return self._check_entries(value, keys)
        if shape == "string or table" and isinstance(value, dict):
            return value
        expected, kind = ("true or false", bool) if shape == "flag" else ("a quoted string", str)
        if not isinstance(value, kind):
            raise self._error(f"{keys[-1]!r} is {_describe_value(value)}; expected {expected}", *keys)
        return value

    def _check_lists(self, value: object, keys: tuple[str, ...]) -> dict[str, Sequence[str]]:
        if not isinstance(value, dict):
            raise self._error(f"{keys[-1]!r} is {_describe_value(value)}; expected a table of lists", *keys)
        return {key: check_strings(self.toml, inner, (*self.above, *keys, key)) for key, inner in value.items()}

    def _check_entries(self, value: object, keys: tuple[str, ...]) -> list[Any]:
        """Check a list of texts and of tables, which ``roost.model.writers.document`` writes for external content."""
        if not isinstance(value, list):
            raise self._error(f"{keys[-1]!r} is {_describe_value(value)}; expected a list of strings", *keys)
        for index, member in enumerate(value):
            if not isinstance(member, (str, dict)):
                message = f"{keys[-1]!r} contains {_describe_value(member)}; expected a list of strings"
                raise self._error(message, *keys, index)
        return value

    def _read_base_section(self, table: dict[str, Any]) -> Base | None:
        if "base" not in self.data:
            return None
        self._check_base(table)
        context = self._read_context(table.get("context")) or Base()
        return Base(
            image=table.get("image"),
            dockerfile=self._read_dockerfile(table),
            context=context.context,
            context_path=context.context_path,
            dockerfile_path=context.dockerfile_path,
            steps=tuple(self._read_step(index, step) for index, step in enumerate(table.get("steps", []))),
            platform=table.get("platform"),
        )

    def _read_context(self, value: str | dict[str, Any] | None) -> Base | None:
        """Read a build context: a path, or a table with the path and the Dockerfile, or with its digest."""
        if value is None:
            return None
        location = self._locate("base", "context")
        form = value if isinstance(value, dict) else {"path": value}
        table = self._convert_table(ContextTable, form, "base", "context")
        if table.digest is not None:
            dockerfile = normalise_dockerfile_path(table.dockerfile, location)
            return Base(context=table.digest, context_path=table.path, dockerfile_path=dockerfile)
        if table.path is None:
            raise self._error("[base] context lacks its path", "base", "context", hint='Write context = "FOLDER".')
        path = self.reading.resolve_path(table.path, self.reading.path)
        return read_context_base(self.reading, path, table.dockerfile, location, location)

    def _read_step(self, index: int, step: str) -> str:
        written = self.toml.find_value(step, *self.above, "base", "steps", index)
        text = self.reading.require_no_credentials(step.replace("\r\n", "\n"), "this step", written.location)
        report_context_uses(self.reading, text, written.locate, _STEP_HINT)
        return text

    def _check_base(self, table: dict[str, Any]) -> None:
        sources = [key for key in ("image", "dockerfile", "context") if key in table]
        if len(sources) > 1:
            raise self._error(
                f"[base] names {' and '.join(sources)}; expected at most one of image, dockerfile and context",
                "base",
                sources[1],
                hint="Keep one of them.",
            )
        if "steps" in table and sources and sources != ["image"]:
            raise self._error(
                f"[base] has steps on top of a {sources[0]}; expected them on top of an image only",
                "base",
                "steps",
                hint="Write the steps into the Dockerfile.",
            )

    def _read_dockerfile(self, table: dict[str, Any]) -> str | None:
        """Return the text of a Dockerfile: the value is a path, or the text if it has several lines or is a table."""
        value: str | dict[str, Any] | None = table.get("dockerfile")
        if value is None:
            return None
        text, location, hint = value, self._locate("base", "dockerfile"), _CONTEXT_HINT
        written = self.toml.find_value(text if isinstance(text, str) else "", *self.above, "base", "dockerfile")
        locate: Callable[[int], Location] = written.locate
        if isinstance(text, dict):
            text = self._convert_table(DockerfileText, text, "base", "dockerfile").text
        elif "\n" in text:
            text = text.replace("\r\n", "\n")
        else:
            path = self.reading.resolve_path(text, self.reading.path)
            text, location = decode_text(self.reading.load_file(path, location), path), Location(path=path)
            locate, hint = TextPlaces(text, path).locate, _describe_table(value, path)
        self.reading.require_no_credentials(text, "the Dockerfile", location)
        report_context_uses(self.reading, text, locate, hint)
        return text

    def _read_conda_section(self, table: dict[str, Any]) -> Conda:
        channels = [self.reading.strip_credentials(channel) for channel in table.get("channels", [])]
        specs: list[str] = []
        for index, spec in enumerate(table.get("dependencies", [])):
            with self.reading.recover():
                written = self.toml.find_value(spec, *self.above, "conda", "dependencies", index)
                specs.append(self.reading.read_match_spec(spec, written.location))
        explicit = self._strip_credentials(table.get("explicit", {}))
        return Conda(
            channels=normalise_channels(channels),
            dependencies=tuple(specs),
            explicit={platform: tuple(urls) for platform, urls in explicit.items()},
        )

    def _read_requirements(self, entries: list[str | dict[str, Any]]) -> tuple[PipItem, ...]:
        items: list[PipItem] = []
        for index, entry in enumerate(entries):
            path = ("pip", "requirements", index)
            with self.reading.recover():
                if isinstance(entry, dict):
                    items.append(self._check_item(self._convert_table(PipItem, entry, *path), *path))
                elif entry.strip():
                    items += read_text_line(self.reading, self.toml, entry, *self.above, *path)
        return tuple(items)

    def _check_item(self, item: PipItem, *path: str | int) -> PipItem:
        """Check an item given as a table: the name of a local item becomes a file name in exports, and must not be a
        path."""
        name = re.split(r"[\[ ]", item.text, maxsplit=1)[0]
        is_local = item.kind in ("wheel", "source", "editable") and (item.digest or item.path)
        if is_local and ("/" in name or name in (".", "..")):
            hint = "Its text is the last name of the path, with extras and marker behind it."
            raise self._error(f"{name!r} is not a valid file name", *path, hint=hint)
        check_variables(item.text, lambda offset: self._locate(*path))
        inner = tuple(self._check_item(each, *path) for each in item.items)
        return msgspec.structs.replace(item, text=self.reading.strip_credentials(item.text), items=inner)

    def _convert_table(self, kind: type[T], table: Mapping[str, Any], *path: str | int) -> T:
        names = [field.name for field in msgspec.structs.fields(kind)]  # type: ignore[arg-type]
        self._check_keys(table, path, names)
        try:
            return msgspec.convert(dict(table), kind, strict=True)
        except msgspec.ValidationError as error:
            key = next(part for part in reversed(path) if isinstance(part, str))
            raise self._error(f"{key!r} contains a table that is not one of roost's: {error}", *path) from None

    def _read_python(self, table: dict[str, Any]) -> Python:
        requires = check_requires_python(self.toml, table.get("requires"), (*self.above, "python", "requires"))
        return _convert(Python, {**table, "requires": requires})

    def _locate(self, *path: str | int) -> Location:
        return self.toml.locate(*self.above, *path)

    def _check_keys(self, table: Mapping[str, Any], path: tuple[str | int, ...], known: list[str]) -> None:
        """Report each key that is not among ``known`` as a problem."""
        for key in table:
            if key not in known:
                where = f"[{'.'.join(part for part in path if isinstance(part, str))}]" if path else "the file"
                near = difflib.get_close_matches(key[:_LONGEST_KEY], known, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Expected one of: {', '.join(known)}."
                with self.reading.recover():
                    raise self._error(f"Key {key!r} is unknown in {where}", *path, key, hint=hint)

    def _error(self, message: str, *path: str | int, hint: str = "") -> Exception:
        return self.toml.error(message, *self.above, *path, hint=hint)


def _describe_table(value: object, path: str) -> str:
    """Return the advice to name the folder of a Dockerfile, whose path is written as ``value``."""
    folder, name = posixpath.split(str(value))
    if name == DOCKERFILE:
        return f'Name its folder instead, which is then the build context: context = "{folder or "."}"'
    return f'Name its folder instead: context = {{ path = "{folder or "."}", dockerfile = "{name}" }}'


def _convert(kind: type[T], table: Mapping[str, Any]) -> T:
    return msgspec.convert(dict(table), kind)


def _describe_value(value: object) -> str:
    return f"the number {value}" if isinstance(value, (int, float)) and not isinstance(value, bool) else repr(value)
