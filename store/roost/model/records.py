"""What the index remembers, as values. Times are RFC 3339 UTC strings, sizes bytes, digests ``sha256:…``."""

from __future__ import annotations

from typing import Literal

import msgspec

from roost.model.definition import Defaults, Definition, Settings

ArtifactKind = Literal["prefix", "image"]
ArtifactState = Literal["building", "ready", "retired", "deleting"]
"""``retired``: found broken; no plan picks it any more, and it goes when nobody uses it."""
BuildState = Literal["queued", "solving", "building", "succeeded", "failed", "cancelled", "joined", "not-needed"]
RunState = Literal["queued", "preparing", "running", "succeeded", "failed", "cancelled", "lost"]


class VariableChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change to an environment variable that activation makes."""

    name: str
    action: Literal["set", "unset", "prepend", "append"]
    value: str = ""
    separator: str = ":"


class FileStamp(msgspec.Struct, frozen=True, kw_only=True):
    """A path whose state a warm start checks. ``identity`` is ``device:inode:size:mtime:ctime`` as ``stat -L`` of GNU
    coreutils prints ``%d:%i:%s:%.9Y:%.9Z``, ``device:inode`` for a folder, or ``absent``."""

    path: str
    identity: str


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix or an image. ``key`` is the lock digest (prefix) or the image key."""

    id: str
    kind: ArtifactKind
    key: str
    platform: str
    state: ArtifactState
    path: str
    """Absolute prefix path, or the image reference."""
    lease_path: str = ""
    """Absolute path of the prefix's lease file."""
    bytes: int = 0
    shared_bytes: int = 0
    """Of ``bytes``, those that other names link to (the package cache, other prefixes)."""
    created: str = ""
    last_used: str = ""
    activation: tuple[VariableChange, ...] = ()
    stamps: tuple[FileStamp, ...] = ()
    """What a hit checks for drift."""


HOST_SCOPE = "+host"
"""Follows the platform of generations that are of use on this machine only: their prefixes rest on a Python of this
machine or hold an editable folder of it."""


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """The n-th result for a definition on a platform of this machine."""

    definition_digest: str
    platform: str
    number: int
    lock_digest: str
    created: str
    current: bool = True
    as_of: str | None = None
    base_digest: str | None = None
    steps_digest: str | None = None


class NewGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """What a generation is before the index numbers it."""

    definition_digest: str
    platform: str
    as_of: str | None = None
    base_digest: str | None = None
    steps_digest: str | None = None


class BuildRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a build."""

    id: str
    definition_digest: str
    platform: str
    state: BuildState
    created: str
    name: str | None = None
    source: str | None = None
    lock_digest: str | None = None
    generation: int | None = None
    artifact_id: str | None = None
    reasons: tuple[str, ...] = ()
    ended: str | None = None
    seconds: float | None = None
    error: dict[str, object] | None = None


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a command."""

    id: str
    state: RunState
    target: str
    command: tuple[str, ...]
    cwd: str
    definition_digest: str
    settings_digest: str
    created: str
    platform: str = ""
    environment_name: str | None = None
    environment_version: int | None = None
    lock_digest: str | None = None
    generation: int | None = None
    artifact_id: str | None = None
    interpreter: dict[str, object] | None = None
    """User-managed: ``path``, ``version``, ``mtime``."""
    experiment: str | None = None
    rerun_of: str | None = None
    """The run that this one repeats."""
    variables: dict[str, str] = {}
    secrets: tuple[str, ...] = ()
    """Names only."""
    detached: bool = False
    started: str | None = None
    ended: str | None = None
    exit_status: int | None = None
    error: dict[str, object] | None = None


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What past executions of a step took: ``seconds`` and ``bytes`` are medians over the latest ones."""

    step: str
    seconds: float | None
    bytes: int | None
    samples: int


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, numbered without a gap."""

    seq: int
    time: str
    kind: str
    fields: dict[str, object] = {}


class KnownDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A definition that was seen before, for the nearest miss."""

    digest: str
    canonical: bytes
    name: str | None
    source: str | None


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Temporary protection of ``subject`` (an artifact's id, or a lock digest) until ``expires``."""

    id: str
    subject: str
    holder: str
    expires: str


class IndexFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan for one definition and platform needs of the index, read in one go."""

    known: bool
    """Whether the definition was ever seen."""
    generation: Generation | None = None
    """The current one."""
    lock_known: bool = False
    """Whether the lock's body is here."""
    artifact: Artifact | None = None
    """The ready prefix of that lock."""
    estimates: dict[str, Estimate] = {}


EnvironmentKind = Literal["system-managed", "user-managed", "curated"]
CuratedFilter = Literal["without", "with", "only"]
"""Whether a list holds curated environments."""


class EnvironmentBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a version of an environment is: all that is needed to plan, build and export it, whatever the config says
    by then."""

    definition: Definition
    settings: Settings = Settings()
    defaults: Defaults = Defaults()
    """What the definition digest was made with."""


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What a version is before the index numbers it. The digests are of the canonical forms."""

    name: str
    body: EnvironmentBody
    definition_digest: str
    settings_digest: str
    canonical: bytes
    settings_canonical: bytes
    kind: EnvironmentKind
    labels: tuple[str, ...] = ()
    """To set on it, whether it is new or not."""
    by_hand: bool = True
    """Somebody asked for it by name: what of it is archived is brought back."""
    number: int | None = None
    """Of a curated version, which its catalogue numbers. Of others ``None``: one more than the highest."""
    origin: str | None = None
    """``NAME:VERSION`` that it was cloned or edited from, or where it was imported from."""


class EnvironmentVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable version of a named environment."""

    name: str
    version: int
    definition_digest: str
    settings_digest: str
    created: str
    kind: EnvironmentKind = "system-managed"
    labels: tuple[str, ...] = ()
    """``latest`` among them."""
    archived: bool = False
    """This version, or its environment."""
    origin: str | None = None


class RegistrationResult(msgspec.Struct, frozen=True, kw_only=True):
    """``created`` is false where the version was there already."""

    version: EnvironmentVersion
    created: bool


class EnvironmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One environment in a list: its latest version, and how many there are."""

    latest: EnvironmentVersion
    versions: int


class LayerRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A layer of images that was written here once; its blob is ``layers/<64 hex of digest>.tar.gz``."""

    key: str
    """``sha256:`` over everything that its bytes depend on."""
    diff_id: str
    """Digest of the tar archive, the same on every machine."""
    digest: str
    """Digest of the blob, which is compressed: another machine may have another one."""
    size: int
    """Of the blob."""
    stamp: int
    """The blob's mtime in ns when it was written: while it and the size hold, the blob is not read again."""
    packages: tuple[str, ...] = ()
    """``name version`` of each package in it."""
    scripts: tuple[str, ...] = ()
    """Names of those with a link script."""
    activation: tuple[VariableChange, ...] = ()
    """In the layer that belongs to no package: what activating the environment changes."""


class BaseLayer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A layer of a base image. Without ``digest`` only the engine has it."""

    diff_id: str
    digest: str | None = None
    """Of the compressed blob."""
    size: int = 0
    media_type: str = ""
    stored: bool = msgspec.field(default=False, name="kept")
    """The blob is ``layers/<64 hex of digest>.tar.gz``; else it is in the registry of the base's ``reference``."""


class BaseRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A base image, or what docker steps made on one."""

    digest: str
    """Of the config: the same in every engine and registry."""
    config: bytes
    layers: tuple[BaseLayer, ...]
    """From the bottom."""
    reference: str | None = None
    """``host/repository@sha256:…`` of the manifest, where a registry has it."""
    below: str | None = None
    """The ``digest`` of the base that docker steps ran on."""


class ImageLayer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A layer of an image as ``roost image show`` tells of it."""

    diff_id: str
    size: int = 0
    packages: tuple[str, ...] = ()
    """``name version``; none in layers of the base."""


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image that was made or pulled here. Whether an engine or a registry still has it is for them to say."""

    key: str
    config_digest: str
    definition_digest: str
    lock_digest: str
    platform: str
    base_digest: str
    name: str
    """``roost/<name>:<12 hex of key>``."""
    steps_digest: str | None = None
    created: str = ""
    layers: tuple[ImageLayer, ...] = ()
    """From the bottom, the base's too."""
    interpreter: str | None = None
    """Path in the image, where roost put it there. The user's own is a setting, and another one for each definition."""
    registry_digests: dict[str, str] = msgspec.field(default_factory=dict, name="places")
    """Reference in a registry to the manifest's digest there."""


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``roost cache df``."""

    kind: ArtifactKind
    id: str
    bytes: int
    shared_bytes: int
    last_used: str
    protected_by: tuple[str, ...] = ()
    """``process:<pid>`` (has the lease file open), ``process:unknown``, ``lease:<id>``, ``pin``."""
    state: ArtifactState = "ready"
    path: str = ""
    key: str = ""
