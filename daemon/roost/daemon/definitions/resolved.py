"""A definition with its digest, as one request named it, and the same definition for one target."""

from __future__ import annotations

import msgspec

from roost.daemon.decision.decide import choose_target
from roost.daemon.decision.facts import IMAGE_TARGETS, Request
from roost.daemon.definitions.editables import has_editables
from roost.daemon.oci.target_platforms import local_platform, target_image_platform
from roost.model.definition import Defaults, Definition, InputFile, ProjectSource, ReadResult, Settings
from roost.model.locks.lock import Lock
from roost.model.origins import NameOrigin
from roost.model.records import HOST_SCOPE, FileStamp
from roost.wire.plans import Reason, SourceView
from roost.wire.protocol import WarningView

ENVIRONMENT_FORMAT = "environment"
"""Format of a registered version."""
DOCUMENT_FORMAT = "document"
"""Format of a definition that was sent as a document."""
IMAGE_FORMAT = "image"
"""Format of a definition that is ``--image REF`` and nothing else."""
ADDITIONS_FORMAT = "additions"
"""Format of a definition that consists of added packages, where there is no environment file."""
RUN_FORMAT = "run"
"""Format of what a recorded run used."""


class FormerLock(msgspec.Struct, frozen=True, kw_only=True):
    """The lock that a definition had before it was edited: what a solve prefers."""

    lock: Lock
    canonical: bytes | None = None
    """The canonical form of the definition as it was; ``None`` if that is not known."""
    is_compared: bool = True
    """Whether what moved since is reported; not so for the lock of another platform."""


class LockFilePlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where the lock file of a definition is, or would be."""

    path: str
    exists: bool
    """Whether there is anything of that name, be it no file at all."""


class FileLock(msgspec.Struct, frozen=True, kw_only=True):
    """A lock that a lock file has for a definition and its target: used as if by ``--lock``."""

    path: str
    shown: str
    """The path as people are told it."""
    lock: Lock
    digest: str
    """That of the lock as the file has it. Where wheels have to be built first, the prefix has another one."""
    is_unvouched: bool = False
    """Whether channels or indexes did not answer when it was about to be built from."""


class BaseDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """What options made another definition of, for one request: a solve prefers the versions of its lock."""

    digest: str
    canonical: bytes


class ResolvedDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A request's definition with its digest, its settings and the state of the files that it was read from."""

    parsed: ReadResult
    digest: str
    canonical: bytes
    settings_digest: str
    settings_canonical: bytes
    source: SourceView
    warnings: list[WarningView]
    absent: tuple[str, ...] = ()
    """Paths that would have been chosen instead, had they existed."""
    guards: tuple[FileStamp, ...] | None = None
    """The state of every file that was read, taken before reading; ``None`` if stats can't show a change (whole
    folders were read)."""
    defaults: Defaults = Defaults()
    """What the canonical form spells out if the definition leaves it open; a solve must use the same values."""
    config: FileStamp | None = None
    """The config file that the defaults come from."""
    project: ProjectSource | None = None
    """What is installed on top of the definition for a target that runs prefixes, unless the request leaves it out."""
    environment: tuple[str, int] | None = None
    """Name and version of a registered environment."""
    origin: NameOrigin | None = None
    """Where the name is from, unless the definition states it or it belongs to the origin already."""
    chosen: dict[str, object] = {}
    """The options by which it is another one than its file or environment says, as runs record them. It belongs to the
    request: no version of an environment is registered for it."""
    base: BaseDefinition | None = None
    """The definition without the packages that the request added; the version that its options changed. ``None`` for a
    file with other choices, whose former definitions are found by its path."""
    former: FormerLock | None = None
    """What a solve is to prefer; ``None``: what this machine had for the same path or environment, if anything."""

    lock_file: LockFilePlace | None = None
    """``None`` for a definition that was not read from a file."""

    @property
    def definition(self) -> Definition:
        return self.parsed.definition

    @property
    def settings(self) -> Settings:
        return self.parsed.settings

    @property
    def sighted_path(self) -> str | None:
        """The path that has this definition, for what prefers the versions of the path's last one. What was added for
        one request is at no path."""
        return self.source.path if self.base is None else None

    @property
    def inputs(self) -> tuple[InputFile, ...]:
        return self.parsed.inputs

    def for_prefix(self) -> TargetedDefinition:
        """Return the definition for a target that runs prefixes on this machine. What a recorded run used stays as the
        run had it."""
        return self._targeted(local_platform(self.definition.system), is_image=False)

    def for_image(self) -> TargetedDefinition:
        """Return the definition for a target that runs images. Raises ReferenceInvalidError if conda has no packages
        for the platform of the base."""
        base = self.definition.base
        platform = target_image_platform(self.definition.system, base.platform if base else None)
        return self._targeted(platform, is_image=True)

    def _targeted(self, platform: str, *, is_image: bool) -> TargetedDefinition:
        fields = {**msgspec.structs.asdict(self), "platform": platform, "is_image": is_image}
        if self.project is not None and (is_image or self.definition.python.user_managed):
            code, why = "project-not-in-image", "part of the image, which has its dependencies only"
            if not is_image:
                code, why = "project-not-installed", "installed into a Python that its user manages"
            left_out = WarningView(code=code, message=f"The project {self.project.name} is not {why}")
            fields.update(project=None, warnings=[*self.warnings, left_out])
        return TargetedDefinition(**fields)


class TargetedDefinition(ResolvedDefinition, frozen=True, kw_only=True):
    """A definition for one target: with the platform that is solved for, and as a prefix or as an image."""

    platform: str
    """A conda subdir, with ``+cuda<major>`` if an accelerator is requested (``linux-64+cuda12``)."""
    is_image: bool = False
    """Whether the target runs images; ``platform`` is then the platform of the image."""
    file_lock: FileLock | None = None
    """The lock of the lock file, if that has one for this target and nothing else is requested."""
    lock_reasons: tuple[Reason, ...] = ()
    """What a plan says of the lock file, beyond that its lock is used."""

    @property
    def generation_scope(self) -> str:
        """What generations are counted under: the platform, with ``HOST_SCOPE`` appended for results that are of use
        on this machine only, because they rest on a Python of this machine or hold an editable folder.

        An image of the same definition has a Python from conda, and a wheel of the folder, and so another lock.
        """
        if self.is_image or self.parsed.format == RUN_FORMAT:
            return self.platform
        local = self.uses_host_python or has_editables(self.definition.pip.requirements)
        return self.platform + HOST_SCOPE if local else self.platform

    @property
    def lock_scope(self) -> str:
        """What a lock file calls the section for this target."""
        return self.platform + HOST_SCOPE if self.uses_host_python else self.platform

    @property
    def uses_host_python(self) -> bool:
        """Whether a prefix of this definition is built on a Python of this machine."""
        conda = self.definition.conda
        return not (conda.dependencies or conda.explicit or self.is_image)

    def for_prefix(self) -> TargetedDefinition:
        return self

    def for_image(self) -> TargetedDefinition:
        return self if self.is_image else super().for_image()


def target_definition(resolved: ResolvedDefinition, request: Request) -> TargetedDefinition:
    """Return ``resolved`` for the target of ``request``. Raises what ``choose_target`` raises, and
    ReferenceInvalidError if there are no images for the platform."""
    return resolved.for_image() if choose_target(request) in IMAGE_TARGETS else resolved.for_prefix()
