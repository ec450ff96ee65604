"""What all writers share: what they are given and make, pip's lines with the files that they need, and what gets lost.

Nothing is lost in silence. What a format has no place for is a warning that names it where the rest still makes sense,
and an error where it would not.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Container, Iterable
from typing import Any

import msgspec
import yaml

from roost.model.definition import Base, Conda, Defaults, Definition, Notice, PipItem, Python, R, Settings, Spark
from roost.model.errors import CodedError
from roost.model.locks.lock import Lock
from roost.model.syntax.pip_lines import ARCHIVES

WHEELS, SOURCES = "wheels", "sources"
"""The folders for local wheels and archives, and for local projects, beside an exported file."""
CONSTRAINTS = "constraints"
_WHERE = ("--index-url", "--extra-index-url", "--no-index", "--find-links")
CONTEXT = "context"
"""The folder of a build context."""


class ExportImpossibleError(CodedError):
    """The format has no place for something without which the rest would be another environment."""

    code = "export-impossible"
    exit_status = 1
    http_status = 409


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder that goes along as it is."""

    digest: str
    """``sha256:`` of its content."""
    path: str | None
    """Absolute; ``None``: the store keeps it, by that digest."""
    folder: bool = False
    context: bool = False
    """Whether what its ``.dockerignore`` leaves out stays behind; of another folder it is what no project needs."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """An environment in another tool's format. The first file is the one to name when importing it."""

    files: dict[str, bytes]
    """Relative path to content."""
    copies: dict[str, Copy] = {}
    warnings: tuple[Notice, ...] = ()


class ExportSource(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written. ``lock`` is there for the formats that are made of one."""

    definition: Definition
    settings: Settings = Settings()
    name: str | None = None
    defaults: Defaults = Defaults()
    lock: Lock | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """Spelled out: another machine's defaults are others."""
        return self.definition.conda.channels or self.defaults.channels


class Draft:
    """Files and warnings as they gather."""

    def __init__(self, exported: ExportSource, format: str, file: str) -> None:
        """``file``: the one to name when importing it."""
        self.exported = exported
        self.format = format
        self.file = file
        self.files: dict[str, bytes] = {file: b""}
        self.copies: dict[str, Copy] = {}
        self.warnings: list[Notice] = []

    def warn(self, code: str, message: str) -> None:
        self.warnings.append(Notice(code=code, message=message))

    def main(self, content: str) -> None:
        """Write the file to name when importing it."""
        self.text(self.file, content)

    def text(self, name: str, content: str) -> None:
        """Write a text file."""
        self.files[name] = content.encode()

    def written(self) -> Written:
        return Written(files=self.files, copies=self.copies, warnings=tuple(self.warnings))

    def warn_losses(self, says: Container[str]) -> None:
        """A warning for each section that says something and that the format does not know."""
        for section, what in sections(self.exported.definition, self.exported.settings).items():
            if section not in says:
                self.warn("export-lossy", f"{self.format} has no place for {what} [{section}]: it is left out")

    def warn_local(self, item: PipItem) -> None:
        """A warning that a folder does not go along."""
        self.warn("export-local", f"{item.path} stays where it is: the export works on this machine only")

    def refuse_explicit(self) -> None:
        """Raises :class:`ExportImpossibleError` for a definition that is a list of package files."""
        if self.exported.definition.conda.explicit:
            raise ExportImpossibleError(
                f"This environment is a list of package files, which {self.format} can't name",
                hint="Export it with --format explicit, conda-lock, pixi or roost.",
            )

    def pip_lines(self, items: tuple[PipItem, ...]) -> list[str]:
        """The lines of a requirements list; included files' lines stand where they were included."""
        return [line for item in items for line in self._line(item)]

    def _line(self, item: PipItem) -> list[str]:
        if item.kind == "requirements":
            return self.pip_lines(item.items) if item.path is not None else [f"-r {item.text}"]
        if item.kind == "constraints":
            return [f"-c {item.text if item.path is None else self._constraints(item)}"]
        if item.digest is None:
            return [item.text]
        if item.kind == "source" and not _is_file(item):
            return [self._copied_folder(item)]
        return [self._copied(item) if _is_file(item) else self._left(item)]

    def _constraints(self, item: PipItem) -> str:
        number = sum(name.startswith(CONSTRAINTS) for name in self.files)
        name = f"{CONSTRAINTS}{number + 1 if number else ''}.txt"
        self.files[name] = b""  # takes the name before files within take theirs
        self.text(name, "".join(f"{line}\n" for line in self.pip_lines(item.items)))
        return name

    def _copied(self, item: PipItem) -> str:
        assert item.digest is not None
        file_name = item.text.split(" ", 1)[0].partition("[")[0]
        place = f"{WHEELS}/{file_name}"
        if self.copies.get(place, Copy(digest=item.digest, path=None)).digest != item.digest:
            return self._left(item)  # two files of one name
        self.copies[place] = Copy(digest=item.digest, path=item.path)
        return f"./{WHEELS}/{item.text}"

    def _copied_folder(self, item: PipItem) -> str:
        assert item.digest is not None
        name = re.split(r"[\[ ]", item.text, maxsplit=1)[0]
        place = f"{SOURCES}/{name}"
        if self.copies.get(place, Copy(digest=item.digest, path=None)).digest != item.digest:
            return self._left(item)  # two projects of one name
        self.copies[place] = Copy(digest=item.digest, path=item.path, folder=True)
        return f"./{SOURCES}/{item.text}"

    def _left(self, item: PipItem) -> str:
        """A folder stays where it is."""
        if item.path is None:
            raise ExportImpossibleError(
                f"{item.text!r} is known by its content only; there is no folder that {self.format} could name",
                hint="Export it as roost's own file.",
            )
        self.warn_local(item)
        if item.kind == "option":
            return f"{item.text} {item.path}"
        place = posixpath.join(posixpath.dirname(item.path), item.text)
        return f"-e {place}" if item.kind == "editable" else place


def find_index_options(items: Iterable[PipItem]) -> list[str]:
    """pip's options in ``items`` that say where to look, each once; folders of this machine are left out."""
    found: dict[str, None] = {}
    for item in items:
        if item.kind == "option" and item.digest is None and item.text.partition(" ")[0] in _WHERE:
            found[item.text] = None
        found.update(dict.fromkeys(find_index_options(item.items)))
    return list(found)


def remote_lists(items: Iterable[PipItem]) -> list[str]:
    """The ``-r`` and ``-c`` URLs in ``items``, whose own options nobody has read."""
    here = [item.text for item in items if item.kind in ("requirements", "constraints") and item.path is None]
    return here + [text for item in items for text in remote_lists(item.items)]


def sections(definition: Definition, settings: Settings) -> dict[str, str]:
    """The sections that say something, each with a word for people. Keys are those of ``roost.toml``."""
    base, python = definition.base or Base(), definition.python
    said: dict[str, tuple[object, str]] = {
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
        **{f"kept.{tool}": (kept, f"what only {tool} acts on") for tool, kept in settings.kept.items()},
    }
    return {key: words for key, (value, words) in said.items() if value}


def image_of(base: Base, defaults: Defaults) -> str | None:
    """The image that ``base`` begins with; the configured one where it only says what to do with it."""
    if base.dockerfile is not None or base.context is not None:
        return None
    return base.image or (defaults.base_image if base.steps or base.platform else None)


def as_dockerfile(base: Base, defaults: Defaults) -> str | None:
    """The Dockerfile that docker steps on an image come to; the base's own where it has one."""
    if base.dockerfile is not None or not base.steps:
        return base.dockerfile
    return "\n".join([f"FROM {image_of(base, defaults)}", *base.steps]) + "\n"


def dump_yaml(content: dict[str, Any]) -> str:
    """Keys in the order given."""
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)
    return text


def _is_file(item: PipItem) -> bool:
    name = item.text.split(" ", 1)[0].partition("[")[0]
    return item.kind in ("wheel", "source") and name.endswith(ARCHIVES)


Writer = Callable[[Draft], None]
