"""What a user wrote, parsed: the definition (what is built) and the settings (how it is run).

These are plain values. Readers (``roost.model.readers``) make them from files, ``roost.model.canonical.form`` writes
them in their canonical form, engines execute them. Fields that affect no build (absolute paths, where a line stood)
are marked "not digested"; all others are.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from roost.model.errors import Location


class Base(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The image below everything. At most one of ``image``, ``dockerfile`` and ``context`` is set."""

    image: str | None = None
    """Reference as written (tag or digest)."""
    dockerfile: str | None = None
    """The Dockerfile's text, line endings normalised."""
    context: str | None = None
    """``sha256:`` of the build context's content."""
    context_path: str | None = None
    """Absolute folder of the build context; not digested."""
    steps: tuple[str, ...] = ()
    """Instructions on top of the base, in order."""
    platform: str | None = None
    """``linux/amd64`` and the like."""


class Conda(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The conda part. ``channels`` empty means the configured default."""

    channels: tuple[str, ...] = ()
    """In order of priority; credentials taken out; ``${VAR}`` left as written."""
    dependencies: tuple[str, ...] = ()
    """Match specs, lexically normalised, in order."""
    explicit: dict[str, tuple[str, ...]] = {}
    """Conda subdir to package URLs (``#sha256:…`` or ``#md5`` behind each), from explicit specs and lock files."""


PipKind = Literal["requirement", "option", "requirements", "constraints", "wheel", "source", "editable", "url"]


class PipItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a requirements list."""

    kind: PipKind
    """``requirement``: PEP 508 by name; ``option``: ``--index-url …``; ``requirements``/``constraints``: a nested
    ``-r`` or ``-c``; ``wheel``, ``source``: a local file or folder; ``editable``: ``-e``; ``url``: direct or git."""
    text: str
    """The line, lexically normalised and without credentials; for a local thing its file name (with extras)."""
    digest: str | None = None
    """``sha256:`` of a local thing's content (editable: of its build files)."""
    items: tuple[PipItem, ...] = ()
    """The lines of a nested local file."""
    path: str | None = None
    """Absolute path of a local thing; digested for ``editable`` only."""
    location: Location | None = None
    """Where it was written; not digested."""


class Pip(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The pip part, in order."""

    requirements: tuple[PipItem, ...] = ()


class Python(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who provides Python."""

    user_managed: bool = False
    """True: roost installs nothing and uses ``interpreter``."""
    interpreter: str = "python"
    """Path or name of the interpreter of a user-managed definition."""
    requires: str | None = None
    """A PEP 440 specifier set (``requires-python``)."""


class Spark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Spark packages as ``group:artifact:version``, and where they come from."""

    repositories: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


class R(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The R section; kept and digested."""

    version: str | None = None
    cran: tuple[str, ...] = ()
    bioconductor: tuple[str, ...] = ()
    github: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    snapshot: str | None = None


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that affects a build. ``base`` is ``None`` where the file names no base (the configured default)."""

    base: Base | None = None
    conda: Conda = Conda()
    pip: Pip = Pip()
    python: Python = Python()
    system: dict[str, str] = {}
    """What packages may count on beyond the baseline: ``cuda``, ``glibc``, ``linux``, ``archspec``."""
    spark: Spark = Spark()
    r: R | None = None
    inference_stack: str | None = None


class ContainerSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a container is started."""

    shm_size: str | None = None
    arguments: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What shapes a run and not a build."""

    variables: dict[str, str] = {}
    container: ContainerSettings = ContainerSettings()
    interpreter: str | None = None
    """Of a user-managed definition: ``Definition.python.interpreter``, which is a setting and not part of a build."""
    passthrough: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict, name="kept")
    """By tool (``azure``), what its file says and roost does not act on: JSON values without nulls or credentials. They
    survive until the environment is exported to that tool's format again."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something in a file that roost does not use, and where."""

    code: str
    message: str
    location: Location | None = None


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was read for a definition (or looked for and not there: ``digest`` is ``None``)."""

    path: str
    digest: str | None


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """Configured defaults that the canonical form spells out."""

    channels: tuple[str, ...] = ("conda-forge",)
    base_image: str = "debian:12-slim"
    index: str = "pypi"


class DefaultOverrides(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Defaults that a definition brings along, and that go before those of a machine."""

    channels: tuple[str, ...] = ()
    base_image: str | None = None
    index: str | None = None

    def over(self, defaults: Defaults) -> Defaults:
        """``defaults``, but for what is said here."""
        return Defaults(
            channels=self.channels or defaults.channels,
            base_image=self.base_image or defaults.base_image,
            index=self.index or defaults.index,
        )

    def beside(self, other: DefaultOverrides) -> DefaultOverrides:
        """What is said here and not the same in ``other``."""
        return DefaultOverrides(
            channels=self.channels if self.channels != other.channels else (),
            base_image=self.base_image if self.base_image != other.base_image else None,
            index=self.index if self.index != other.index else None,
        )


class ReadResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader makes of one source."""

    definition: Definition
    settings: Settings = Settings()
    defaults: DefaultOverrides = DefaultOverrides()
    name: str | None = None
    """The environment's name as the file gives it; never digested."""
    format: str = ""
    """``conda``, ``requirements``, ``pep723``, ``pyproject``, ``explicit``, ``conda-lock``, ``roost``."""
    path: str | None = None
    """Absolute path of the file."""
    warnings: tuple[Notice, ...] = ()
    locations: dict[str, Location] = {}
    """Match spec, as in the definition, to where it was written."""
    inputs: tuple[InputFile, ...] = ()
    """Every file that was read, the first is the source itself."""
    credentials: dict[str, str] = {}
    """``scheme://host[:port]`` to ``user:password`` or ``/t/TOKEN``, for the engines' use in this request only: never
    stored, logged or digested."""
