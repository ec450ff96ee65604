"""What all writers share: the source of an export, the draft that collects its files, and the warnings about losses.

No loss is silent. If a format cannot express a section, and the rest still makes sense, the draft warns and names the
section; if the rest would be another environment, the writer raises ExportImpossibleError.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Container
from typing import Any

import msgspec
import yaml

from roost.model.definition import Base, Conda, Defaults, Definition, Notice, PipItem, Python, R, Settings, Spark
from roost.model.errors import CodedError
from roost.model.locks.lock import Lock
from roost.model.syntax.pip_lines import ARCHIVE_SUFFIXES, CHOICE_OPTIONS, split_line_index

WHEELS, SOURCES = "wheels", "sources"
"""Folders beside an exported file: one for local wheels and archives, one for local projects."""
CONSTRAINTS = "constraints"
"""Stem of the names of exported constraints files."""
CONTEXT = "context"
"""Folder of an exported build context."""


class ExportImpossibleError(CodedError):
    """The format cannot express something without which the rest would be another environment."""

    code = "export-impossible"
    exit_status = 1
    http_status = 409


class FileCopy(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder that is copied into an export unchanged."""

    digest: str
    """``sha256:`` of its content."""
    path: str | None
    """Absolute path; ``None`` if the store holds the content under that digest."""
    folder: bool = False
    context: bool = False
    """True for a build context: what its ignore file excludes is not copied. From any other folder, what no
    project needs is not copied."""
    dockerfile: str | None = None
    """Path of a context's Dockerfile in it, if that is not ``Dockerfile``."""


def copy_context(digest: str, base: Base) -> FileCopy:
    """Return the copy of the build context of ``base``, which has ``digest``."""
    return FileCopy(digest=digest, path=base.context_path, folder=True, context=True, dockerfile=base.dockerfile_path)


class ExportedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """An environment in another tool's format. The first file is the one to name when importing it."""

    files: dict[str, bytes]
    """Relative path to content."""
    copies: dict[str, FileCopy] = {}
    """Relative path to the file or folder that is copied there."""
    warnings: tuple[Notice, ...] = ()


class ExportSource(msgspec.Struct, frozen=True, kw_only=True):
    """The environment to export. ``lock`` is present for formats that are made from a lock."""

    definition: Definition
    settings: Settings = Settings()
    name: str | None = None
    defaults: Defaults = Defaults()
    lock: Lock | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """The definition's channels, or the configured ones: another machine may have other defaults."""
        return self.definition.conda.channels or self.defaults.channels


class Draft:
    """Collect the files, copies and warnings of one export."""

    def __init__(self, source: ExportSource, format: str, main_file: str) -> None:
        """Start an export whose first file, the one to name when importing it, is ``main_file``."""
        self.source = source
        self.format = format
        self.main_file = main_file
        self.files: dict[str, bytes] = {main_file: b""}
        self.copies: dict[str, FileCopy] = {}
        self.warnings: list[Notice] = []

    def warn(self, code: str, message: str) -> None:
        self.warnings.append(Notice(code=code, message=message))

    def write_main(self, content: str) -> None:
        """Write the file to name when importing the export."""
        self.write_text(self.main_file, content)

    def write_text(self, name: str, content: str) -> None:
        self.files[name] = content.encode()

    def finish(self) -> ExportedFiles:
        return ExportedFiles(files=self.files, copies=self.copies, warnings=tuple(self.warnings))

    def warn_losses(self, supported: Container[str]) -> None:
        """Warn about each section that is set and is not among the ``supported`` ones of the format."""
        for section, what in describe_sections(self.source.definition, self.source.settings).items():
            if section not in supported:
                self.warn("export-lossy", f"{self.format} can't express {what} [{section}]: it is left out")

    def warn_local(self, item: PipItem) -> None:
        """Warn that a folder is not part of the export."""
        self.warn("export-local", f"{item.path} is not copied: the export works only on this machine")

    def reject_explicit(self) -> None:
        """Raises: ExportImpossibleError if the definition is a list of package files."""
        if self.source.definition.conda.explicit:
            raise ExportImpossibleError(
                f"This environment is a list of package files, which {self.format} can't name",
                hint="Export it with --format explicit, conda-lock, pixi or roost.",
            )

    def format_pip_lines(self, items: tuple[PipItem, ...]) -> list[str]:
        """Return the lines of a requirements list; the lines of an included file stand in place of the include.

        Local wheels, archives and projects are added to ``copies``, constraints to ``files``.

        Raises: ExportImpossibleError if an item is known by its content only and the format has no path to name.
        """
        return [line for item in items for line in self._format_pip_item(item)]

    def _format_pip_item(self, item: PipItem) -> list[str]:
        if item.kind == "requirements":
            return self.format_pip_lines(item.items) if item.path is not None else [f"-r {item.text}"]
        if item.kind == "constraints":
            return [f"-c {item.text if item.path is None else self._write_constraints(item)}"]
        self._reject_choices(item)
        if item.digest is None:
            return [item.text]
        if item.kind not in ("wheel", "source"):
            return [self._refer_in_place(item)]
        is_archive = _find_file_name(item).endswith(ARCHIVE_SUFFIXES)
        if item.kind == "wheel" and not is_archive:
            return [self._refer_in_place(item)]
        return [self._copy_beside(item, WHEELS if is_archive else SOURCES, folder=not is_archive)]

    def _reject_choices(self, item: PipItem) -> None:
        """Raises: ExportImpossibleError if ``item`` says where packages come from as only roost's own file can."""
        option = item.text.partition(" ")[0]
        if (item.kind == "option" and option in CHOICE_OPTIONS) or split_line_index(item.text)[1]:
            raise ExportImpossibleError(
                f"{item.text!r} says which packages are chosen, or from where, and {self.format} can't express it",
                hint="Export it with --format roost, or as a lock: conda-lock, pixi or explicit.",
            )

    def _write_constraints(self, item: PipItem) -> str:
        number = sum(name.startswith(CONSTRAINTS) for name in self.files)
        name = f"{CONSTRAINTS}{number + 1 if number else ''}.txt"
        self.files[name] = b""  # reserves the name before nested files take theirs
        self.write_text(name, "".join(f"{line}\n" for line in self.format_pip_lines(item.items)))
        return name

    def _copy_beside(self, item: PipItem, parent: str, *, folder: bool) -> str:
        """Copy a file or project into ``parent``, unless other content of that name is there."""
        assert item.digest is not None
        path = f"{parent}/{_find_file_name(item)}"
        if self.copies.get(path, FileCopy(digest=item.digest, path=None)).digest != item.digest:
            return self._refer_in_place(item)
        self.copies[path] = FileCopy(digest=item.digest, path=item.path, folder=folder)
        return f"./{parent}/{item.text}"

    def _refer_in_place(self, item: PipItem) -> str:
        """Return a line that names the item by its absolute path on this machine."""
        if item.path is None:
            raise ExportImpossibleError(
                f"{item.text!r} is known by its content only; there is no folder that {self.format} could name",
                hint="Export it as roost's own file.",
            )
        self.warn_local(item)
        if item.kind == "option":
            return f"{item.text} {item.path}"
        path = posixpath.join(posixpath.dirname(item.path), item.text)
        return f"-e {path}" if item.kind == "editable" else path


Writer = Callable[[Draft], None]


def describe_sections(definition: Definition, settings: Settings) -> dict[str, str]:
    """Return the sections that are set, each with a description for people. Keys are those of ``roost.toml``."""
    base, python = definition.base or Base(), definition.python
    sections: dict[str, tuple[object, str]] = {
        "base.image": (base.image, f"the base image {base.image}"),
        "base.dockerfile": (base.dockerfile, "the Dockerfile"),
        "base.context": (base.context, "the build context"),
        "base.steps": (base.steps, "the docker steps"),
        "base.platform": (base.platform, f"the platform {base.platform}"),
        "conda": (definition.conda != Conda(), "the conda packages"),
        "pip": (definition.pip.requirements, "the pip packages"),
        "python.user_managed": (python.user_managed, "that the environment is user-managed"),
        "python.interpreter": (python.interpreter != Python().interpreter, f"the interpreter {python.interpreter}"),
        "python.requires": (python.requires, f"the requirement of Python {python.requires}"),
        "system": (definition.system, f"what packages may count on ({', '.join(definition.system)})"),
        "spark": (definition.spark != Spark(), "the Spark section"),
        "r": ((definition.r or R()) != R(), "the R section"),
        "inference": (definition.inference_stack, f"the inferencing stack {definition.inference_stack}"),
        "variables": (settings.variables, f"the variables ({', '.join(settings.variables)})"),
        "container": (msgspec.to_builtins(settings.container), "the container's options"),
        **{f"kept.{tool}": (values, f"what only {tool} acts on") for tool, values in settings.passthrough.items()},
    }
    return {section: description for section, (value, description) in sections.items() if value}


def find_image(base: Base, defaults: Defaults) -> str | None:
    """Return the image that ``base`` starts from: the configured one if ``base`` has only steps or a platform.

    ``None`` if a Dockerfile or a build context names the image, or if ``base`` is empty.
    """
    if base.dockerfile is not None or base.context is not None:
        return None
    return base.image or (defaults.base_image if base.steps or base.platform else None)


def compose_dockerfile(base: Base, defaults: Defaults) -> str | None:
    """Return the base's own Dockerfile, or one with its docker steps; ``None`` if it has neither."""
    if base.dockerfile is not None or not base.steps:
        return base.dockerfile
    return "\n".join([f"FROM {find_image(base, defaults)}", *base.steps]) + "\n"


def dump_yaml(content: dict[str, Any]) -> str:
    """Return ``content`` as YAML with its keys in the order given."""
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)
    return text


def _find_file_name(item: PipItem) -> str:
    """Return the name of a local item's file or folder, without extras, marker and options."""
    return re.split(r"[\[ ]", item.text, maxsplit=1)[0]
