"""roost's own file, ``roost.toml`` or ``[tool.roost]``: all that a definition and its settings can say.

Nothing in it goes unread: an unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

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
from roost.model.errors import Location
from roost.model.readers.conda import normalise_channels, read_spec
from roost.model.readers.docker import context_digest
from roost.model.readers.pyproject import read_requires, strings
from roost.model.readers.requirements import read_requirement_lines
from roost.model.readers.source import ReadContext, decode_text
from roost.model.readers.toml_text import TomlText
from roost.model.syntax.pip_lines import LogicalLine
from roost.model.syntax.secret_keys import drop_secrets

Shape = Literal["text", "texts", "flag", "entries", "lists", "text or table"]
SECTIONS: dict[str, dict[str, Shape]] = {
    "base": {
        "image": "text",
        "dockerfile": "text or table",
        "context": "text or table",
        "steps": "texts",
        "platform": "text",
    },
    "conda": {"channels": "texts", "dependencies": "texts", "explicit": "lists"},
    "pip": {"requirements": "entries"},
    "python": {"user_managed": "flag", "interpreter": "text", "requires": "text"},
    "system": {},
    "spark": {"repositories": "texts", "packages": "texts"},
    "r": {
        "version": "text",
        "cran": "texts",
        "bioconductor": "texts",
        "github": "texts",
        "urls": "texts",
        "snapshot": "text",
    },
    "inference": {"stack": "text"},
    "defaults": {"channels": "texts", "base_image": "text", "index": "text"},
    "variables": {},
    "container": {"shm_size": "text", "arguments": "texts"},
}
"""Every section and key; a section without keys is a table of texts."""
SYSTEM = ("cuda", "glibc", "linux", "archspec", "osx", "win")
T = TypeVar("T")


class KeptContext(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A build context that is kept elsewhere, by its digest."""

    digest: str
    path: str | None = None


class KeptDockerfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Dockerfile's text, however many lines it has."""

    text: str


def read_roost(reading: ReadContext, toml: TomlText, above: tuple[str, ...] = ()) -> ReadResult:
    """The table at ``above`` (``()`` or ``("tool", "roost")``). Raises ``InvalidDefinitionError``."""
    return _RoostFile(reading, toml, above).parsed()


class _RoostFile:
    def __init__(self, reading: ReadContext, toml: TomlText, above: tuple[str, ...]) -> None:
        self.reading, self.toml, self.above = reading, toml, above
        self.data = toml.table(*above)

    def parsed(self) -> ReadResult:
        self._check_keys(self.data, (), ["name", *SECTIONS, "kept"])
        name = self._shaped(self.data["name"], ("name",), "text") if "name" in self.data else None
        sections = {section: self._section(section) for section in SECTIONS}
        container = sections["container"]
        definition = self._definition(sections)
        python = definition.python
        settings = Settings(
            variables=sections["variables"],
            container=_struct(ContainerSettings, container),
            interpreter=python.interpreter if python.user_managed else None,
            passthrough=self._kept(self.data.get("kept", {})),
        )
        parsed = self.reading.parsed(definition, "roost", settings=settings, name=name)
        return msgspec.structs.replace(parsed, defaults=self._defaults(sections["defaults"]))

    def _defaults(self, table: dict[str, Any]) -> DefaultOverrides:
        """What stands in the digest where the sections above say nothing; else it is the config's."""
        image = self.reading.whole(table.get("base_image", ""), "the base image", self._at("defaults", "base_image"))
        index = self.reading.clean(table.get("index", ""))
        channels = tuple(self.reading.clean(channel) for channel in table.get("channels", []))
        return DefaultOverrides(channels=channels, base_image=image or None, index=index or None)

    def _definition(self, sections: dict[str, dict[str, Any]]) -> Definition:
        system = sections["system"]
        self._check_keys(system, ("system",), list(SYSTEM))
        return Definition(
            base=self._base(sections["base"]),
            conda=self._conda(sections["conda"]),
            pip=Pip(requirements=self._requirements(sections["pip"].get("requirements", []))),
            python=self._python(sections["python"]),
            system=system,
            spark=_struct(Spark, self._cleaned(sections["spark"])),
            r=_struct(R, self._cleaned(sections["r"])) if "r" in self.data else None,
            inference_stack=sections["inference"].get("stack"),
        )

    def _kept(self, tables: object) -> dict[str, dict[str, Any]]:
        """What other tools' files said and roost does not act on: any table of tables."""
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            raise self._fail("'kept' holds something else than tables; expected one for each tool", "kept")

        def dropped(key: str) -> None:
            self.reading.warn("credentials-unread", f"{key!r} is not kept: credentials are not for files")

        kept: dict[str, dict[str, Any]] = drop_secrets(tables, self.reading.clean, dropped)
        return kept

    def _cleaned(self, table: dict[str, Any]) -> dict[str, Any]:
        """Its texts may be URLs with credentials in them."""
        clean = self.reading.clean
        return {
            key: clean(value) if isinstance(value, str) else [clean(text) for text in value]
            for key, value in table.items()
        }

    def _section(self, section: str) -> dict[str, Any]:
        table = self.data.get(section, {})
        if not isinstance(table, dict):
            raise self._fail(f"{section!r} is {table!r}; expected a table", section)
        shapes = SECTIONS[section]
        if not shapes:
            return {key: self._shaped(value, (section, key), "text") for key, value in table.items()}
        self._check_keys(table, (section,), list(shapes))
        return {key: self._shaped(value, (section, key), shapes[key]) for key, value in table.items()}

    def _shaped(self, value: object, keys: tuple[str, ...], shape: Shape) -> Any:  # noqa: ANN401 - the shape says which
        if shape == "texts":
            return strings(self.toml, value, (*self.above, *keys))
        if shape == "lists":
            return self._lists(value, keys)
        if shape == "entries":
            return self._entries(value, keys)
        if shape == "text or table" and isinstance(value, dict):
            return value
        expected, kind = ("true or false", bool) if shape == "flag" else ("a text in quotes", str)
        if not isinstance(value, kind):
            raise self._fail(f"{keys[-1]!r} is {_written(value)}; expected {expected}", *keys)
        return value

    def _lists(self, value: object, keys: tuple[str, ...]) -> dict[str, Sequence[str]]:
        if not isinstance(value, dict):
            raise self._fail(f"{keys[-1]!r} is {_written(value)}; expected a table of lists", *keys)
        return {key: strings(self.toml, inner, (*self.above, *keys, key)) for key, inner in value.items()}

    def _entries(self, value: object, keys: tuple[str, ...]) -> list[Any]:
        """Texts, and the tables that ``document.py`` writes for what lies outside the file."""
        if not isinstance(value, list):
            raise self._fail(f"{keys[-1]!r} is {_written(value)}; expected a list of texts", *keys)
        for member in value:
            if not isinstance(member, (str, dict)):
                raise self._fail(f"{keys[-1]!r} holds {_written(member)}; expected a list of texts", *keys)
        return value

    def _base(self, table: dict[str, Any]) -> Base | None:
        if "base" not in self.data:
            return None
        self._check_base(table)
        dockerfile, context, path = self._dockerfile(table), None, None
        if isinstance(given := table.get("context"), dict):
            kept = self._struct(KeptContext, given, "base", "context")
            context, path = kept.digest, kept.path
        elif given is not None:
            path = self.reading.beside(given, self.reading.path)
            context = context_digest(self.reading, path, self.toml.place(*self.above, "base", "context"))
        return Base(
            image=table.get("image"),
            dockerfile=dockerfile,
            context=context,
            context_path=path,
            steps=tuple(
                self.reading.whole(step.replace("\r\n", "\n"), "this step", self._at("base", "steps", value=step))
                for step in table.get("steps", [])
            ),
            platform=table.get("platform"),
        )

    def _check_base(self, table: dict[str, Any]) -> None:
        named = [key for key in ("image", "dockerfile", "context") if key in table]
        if len(named) > 1:
            raise self._fail(
                f"[base] names {' and '.join(named)}; expected at most one of image, dockerfile and context",
                "base",
                named[1],
                hint="Keep one of them.",
            )
        if "steps" in table and named and named != ["image"]:
            raise self._fail(
                f"[base] has steps on top of a {named[0]}; expected them on top of an image only",
                "base",
                "steps",
                hint="Write the steps into the Dockerfile.",
            )

    def _dockerfile(self, table: dict[str, Any]) -> str | None:
        """The path of a Dockerfile; or its text, if it has more than one line or stands in a table."""
        value: str | dict[str, Any] | None = table.get("dockerfile")
        if value is None:
            return None
        text, place = value, self._at("base", "dockerfile")
        if isinstance(text, dict):
            text = self._struct(KeptDockerfile, text, "base", "dockerfile").text
        elif "\n" in text:
            text = text.replace("\r\n", "\n")
        else:
            path = self.reading.beside(text, self.reading.path)
            text, place = decode_text(self.reading.load(path, place), path), Location(path=path)
        return self.reading.whole(text, "the Dockerfile", place)

    def _conda(self, table: dict[str, Any]) -> Conda:
        channels = [self.reading.clean(channel) for channel in table.get("channels", [])]
        specs = table.get("dependencies", [])
        return Conda(
            channels=normalise_channels(channels),
            dependencies=tuple(
                read_spec(self.reading, spec, self._at("conda", "dependencies", value=spec)) for spec in specs
            ),
            explicit={platform: tuple(urls) for platform, urls in self._cleaned(table.get("explicit", {})).items()},
        )

    def _requirements(self, entries: list[str | dict[str, Any]]) -> tuple[PipItem, ...]:
        return tuple(item for entry in entries for item in self._requirement(entry))

    def _requirement(self, entry: str | dict[str, Any]) -> Iterable[PipItem]:
        if isinstance(entry, dict):
            return [self._known(self._struct(PipItem, entry, "pip", "requirements"))]
        line = LogicalLine(entry.strip(), self._at("pip", "requirements", value=entry))
        return read_requirement_lines(self.reading, [line] if line.text else [], self.reading.path)

    def _known(self, item: PipItem) -> PipItem:
        """An item that a document spells out. A local thing's name becomes a file's in exports: it must not climb."""
        name = re.split(r"[\[ ]", item.text, maxsplit=1)[0]
        local = item.kind in ("wheel", "source", "editable") and (item.digest or item.path)
        if local and ("/" in name or name in (".", "..")):
            hint = "Its text is the last name of the path, with extras and marker behind it."
            raise self._fail(f"{name!r} is no file's name", "pip", "requirements", hint=hint)
        inner = tuple(self._known(each) for each in item.items)
        return msgspec.structs.replace(item, text=self.reading.clean(item.text), items=inner)

    def _struct(self, kind: type[T], table: Mapping[str, Any], *keys: str) -> T:
        self._check_keys(table, keys, [field.name for field in msgspec.structs.fields(kind)])  # type: ignore[arg-type]
        try:
            return msgspec.convert(dict(table), kind, strict=True)
        except msgspec.ValidationError as error:
            raise self._fail(f"{keys[-1]!r} holds a table that is none of roost's: {error}", *keys) from None

    def _python(self, table: dict[str, Any]) -> Python:
        requires = read_requires(self.toml, table.get("requires"), (*self.above, "python", "requires"))
        return _struct(Python, {**table, "requires": requires})

    def _at(self, *keys: str, value: str | None = None) -> Location:
        return self.toml.place(*self.above, *keys, value=value)

    def _check_keys(self, table: Mapping[str, Any], keys: tuple[str, ...], known: list[str]) -> None:
        for key in table:
            if key not in known:
                where = f"[{'.'.join(keys)}]" if keys else "the file"
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Expected one of: {', '.join(known)}."
                raise self._fail(f"Key {key!r} is unknown in {where}", *keys, key, hint=hint)

    def _fail(self, message: str, *keys: str, hint: str = "") -> Exception:
        return self.toml.fail(message, *self.above, *keys, hint=hint)


def _struct(kind: type[T], table: Mapping[str, Any]) -> T:
    return msgspec.convert(dict(table), kind)


def _written(value: object) -> str:
    return f"the number {value}" if isinstance(value, (int, float)) and not isinstance(value, bool) else repr(value)
