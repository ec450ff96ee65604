"""A parsed definition (what is built) and its settings (how it is run), as plain values.

Readers (``roost.model.readers``) parse them from files, ``roost.model.canonical.form`` writes them in canonical form,
engines execute them. Every field is part of the digest, except those marked "not digested" (absolute paths, locations).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from roost.model.errors import Location

BASELINE_GLIBC = "2.28"
"""The glibc that packages for Linux may depend on, wheels too, unless ``[system]`` states another."""


class Base(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base image. At most one of ``image``, ``dockerfile`` and ``context`` is set."""

    image: str | None = None
    """Reference as written (tag or digest)."""
    dockerfile: str | None = None
    """Text of the Dockerfile, with normalised line endings."""
    context: str | None = None
    """``sha256:`` of the build context's content."""
    context_path: str | None = None
    """Absolute path of the build context; not digested."""
    dockerfile_path: str | None = None
    """Path of the Dockerfile in the build context; ``None``: it is ``Dockerfile``."""
    steps: tuple[str, ...] = ()
    """Dockerfile instructions that run on top of the base, in order."""
    platform: str | None = None
    """OCI platform, such as ``linux/amd64``."""


class Conda(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The conda section. Empty ``channels`` mean the configured default."""

    channels: tuple[str, ...] = ()
    """In order of priority, without credentials; ``${VAR}`` is left as written."""
    dependencies: tuple[str, ...] = ()
    """Match specs, lexically normalised, in order."""
    explicit: dict[str, tuple[str, ...]] = {}
    """Conda subdir to package URLs (each followed by ``#sha256:…`` or ``#md5``), from explicit lists and lock files."""


PipKind = Literal["requirement", "option", "requirements", "constraints", "wheel", "source", "editable", "url"]


class PipItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a requirements list."""

    kind: PipKind
    """``requirement``: PEP 508 by name; ``option``: ``--index-url …``; ``requirements``/``constraints``: a nested
    ``-r`` or ``-c``; ``wheel``, ``source``: a local file or folder; ``editable``: ``-e``; ``url``: direct or git."""
    text: str
    """The line, lexically normalised and without credentials; for a local file or folder its name (with extras)."""
    name: str | None = None
    """The name in ``name @ place`` of a local file or folder, whose project must have it; not digested."""
    digest: str | None = None
    """``sha256:`` of the content of a local file or folder (of ``editable``: of its build files)."""
    items: tuple[PipItem, ...] = ()
    """The lines of a nested local file."""
    path: str | None = None
    """Absolute path of a local file or folder; digested for ``editable`` only."""
    location: Location | None = None
    """Where the line was written; not digested."""


class Pip(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The pip section, in order."""

    requirements: tuple[PipItem, ...] = ()


class Python(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The provider of Python."""

    user_managed: bool = False
    """If true, roost installs nothing and uses ``interpreter``."""
    interpreter: str = "python"
    """Path or name of the interpreter of a user-managed definition."""
    requires: str | None = None
    """A PEP 440 specifier set (``requires-python``)."""


class Spark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Spark packages as ``group:artifact:version``, and the repositories that they come from."""

    repositories: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


class R(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The R section, which is stored and digested; roost installs nothing from it."""

    version: str | None = None
    cran: tuple[str, ...] = ()
    bioconductor: tuple[str, ...] = ()
    github: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    snapshot: str | None = None


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that affects a build. If ``base`` is ``None``, the configured default applies."""

    base: Base | None = None
    conda: Conda = Conda()
    pip: Pip = Pip()
    python: Python = Python()
    system: dict[str, str] = {}
    """Virtual packages that exist beyond the baseline: ``cuda``, ``glibc``, ``linux``, ``archspec``."""
    spark: Spark = Spark()
    r: R | None = None
    inference_stack: str | None = None


class ContainerSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Options for starting a container."""

    shm_size: str | None = None
    arguments: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that affects a run but not a build."""

    variables: dict[str, str] = {}
    container: ContainerSettings = ContainerSettings()
    interpreter: str | None = None
    """``Definition.python.interpreter`` of a user-managed definition: there it is a setting and not part of a build."""
    passthrough: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict, name="kept")
    """By tool (``azure``), the part of its file that roost does not act on: JSON values without nulls or credentials.
    They survive until the environment is exported to that tool's format again. The key in files is ``kept``."""


class Choices(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request chooses among the things that a file offers. The choice is part of the definition that is read."""

    python: str | None = None
    """X.Y or X.Y.Z, in place of the version that the file asks for."""
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Dependency groups, beyond those that are selected by default."""


NO_CHOICES = Choices()


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which of the extras and dependency groups that a file offers were read, and which were left out."""

    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    other_extras: tuple[str, ...] = ()
    other_groups: tuple[str, ...] = ()


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A warning about something in a file that roost does not use."""

    code: str
    message: str
    location: Location | None = None


def find_idle_sections(definition: Definition, settings: Settings) -> tuple[str, ...]:
    """Return the sections that name packages which roost stores and digests, and installs nowhere yet."""
    libraries = settings.passthrough.get("azure", {}).get("databricks")
    sections = {"spark": definition.spark.packages, "r": definition.r not in (None, R()), "databricks": libraries}
    return tuple(name for name, content in sections.items() if content)


def make_idle_notice(section: str, location: Location | None = None) -> Notice:
    """Return the warning about a section of ``find_idle_sections``."""
    message = f"section {section!r} is kept, but roost does not install what it lists yet: a run has none of it"
    return Notice(code="section-idle", message=message, location=location)


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was read for a definition; ``digest`` is ``None`` if it was looked for and does not exist."""

    path: str
    digest: str | None


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """Configured defaults, which the canonical form spells out."""

    channels: tuple[str, ...] = ("conda-forge",)
    base_image: str = "debian:12-slim"
    index: str = "pypi"


class DefaultOverrides(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Defaults in a definition, which take precedence over the configured ones. Empty values override nothing."""

    channels: tuple[str, ...] = ()
    base_image: str | None = None
    index: str | None = None

    def apply_to(self, defaults: Defaults) -> Defaults:
        """Return ``defaults`` with these overrides."""
        return Defaults(
            channels=self.channels or defaults.channels,
            base_image=self.base_image or defaults.base_image,
            index=self.index or defaults.index,
        )

    def without(self, other: DefaultOverrides) -> DefaultOverrides:
        """Return the overrides that differ from those in ``other``."""
        return DefaultOverrides(
            channels=self.channels if self.channels != other.channels else (),
            base_image=self.base_image if self.base_image != other.base_image else None,
            index=self.index if self.index != other.index else None,
        )


class RegisteredEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """An environment that a file names instead of containing one."""

    reference: str
    """``NAME``, ``NAME:VERSION`` or ``NAME@LABEL``."""
    location: Location


class ProjectSource(msgspec.Struct, frozen=True, kw_only=True):
    """The project of a ``pyproject.toml``: what is installed on top of its dependencies, in a prefix of its own. It is
    neither in the definition nor in its lock."""

    name: str
    """Normalised by PEP 503."""
    version: str = ""
    """Empty if only its build backend knows it."""
    folder: str
    """Absolute, and without links: what is installed names the sources by it."""
    digest: str
    """``sha256:`` of its build files."""
    location: Location
    """Where it is written that there is a project: its ``[build-system]``, if it has one."""


class ReadResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of reading one source."""

    definition: Definition
    settings: Settings = Settings()
    defaults: DefaultOverrides = DefaultOverrides()
    name: str | None = None
    """Name of the environment in the file; never digested."""
    format: str = ""
    """One of ``readers.read.READ_FORMATS``, or the name of another origin."""
    path: str | None = None
    """Absolute path of the source."""
    warnings: tuple[Notice, ...] = ()
    locations: dict[str, Location] = {}
    """Match spec, as in the definition, to where it was written."""
    inputs: tuple[InputFile, ...] = ()
    """Every file that was read; the first is the source itself."""
    credentials: dict[str, str] = {}
    """``scheme://host[:port]`` to ``user:password`` or ``/t/TOKEN``, for the engines in this request only: never
    stored, logged or digested."""
    project: ProjectSource | None = None
    python_location: Location | None = None
    """Where ``requires-python`` is written."""
    selection: Selection | None = None
    """The extras and groups that were read; ``None`` if the file offers none."""
    registered: RegisteredEnvironment | None = None
    """The registered environment that the file names; ``definition`` is then empty, and ``settings`` come on top."""
