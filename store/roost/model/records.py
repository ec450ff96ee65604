"""Rows of the index as values. Times are RFC 3339 UTC strings, sizes are bytes, digests are ``sha256:…``.

``name=`` gives the key in stored JSON if it differs from the attribute.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from roost.model.definition import Defaults, Definition, ProjectSource, Settings
from roost.model.history import RunNotes

ArtifactKind = Literal["prefix", "image"]
ArtifactState = Literal["building", "ready", "retired", "deleting"]
"""``retired``: found broken. No plan selects it any more, and it is deleted once it is not in use."""
BuildState = Literal["queued", "solving", "building", "succeeded", "failed", "cancelled", "joined", "not-needed"]
RunState = Literal["queued", "preparing", "running", "succeeded", "failed", "cancelled", "lost"]


class VariableChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of an environment variable by activation."""

    name: str
    action: Literal["set", "unset", "prepend", "append"]
    value: str = ""
    separator: str = ":"


class FileStamp(msgspec.Struct, frozen=True, kw_only=True):
    """A path and the state that a warm start expects of it.

    ``identity`` is ``device:inode:size:mtime:ctime`` as ``stat -L`` of GNU coreutils prints ``%d:%i:%s:%.9Y:%.9Z``,
    the first fields of that if the others may change (``device:inode:size:mtime`` of a folder in a prefix,
    ``device:inode`` of one elsewhere), or ``absent``.
    """

    path: str
    identity: str


class PrefixPython(msgspec.Struct, frozen=True, kw_only=True):
    """The Python of this machine that a prefix rests on. The lock only names its implementation and X.Y."""

    executable: str
    """Absolute path with symlinks resolved."""
    version: str
    """``X.Y.Z``"""


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix or an image. ``key`` is the lock digest of a prefix, or the image key."""

    id: str
    kind: ArtifactKind
    key: str
    platform: str
    state: ArtifactState
    path: str
    """Absolute path of the prefix, or the image reference."""
    lease_path: str = ""
    """Absolute path of the prefix's lease file."""
    bytes: int = 0
    shared_bytes: int = 0
    """The part of ``bytes`` that other hard links share (the package cache, other prefixes)."""
    created: str = ""
    last_used: str = ""
    activation: tuple[VariableChange, ...] = ()
    stamps: tuple[FileStamp, ...] = ()
    """Files that a cache hit checks for drift."""
    python: PrefixPython | None = None
    """``None`` if the prefix has a Python of its own, and of prefixes made before this was recorded."""
    manifest: str = ""
    """Digest of the manifest beside the prefix: ``sha256:…``, or empty for a prefix of format 1."""
    bytecode_due: bool = False
    """Whether byte-code of a ready prefix is still to be compiled."""


HOST_SCOPE = "+host"
"""Follows the platform of generations whose prefixes rest on a Python of a machine or hold an editable folder: an image
of the same definition has another lock. Locks with an editable folder are of use on this machine only."""


GenerationOrigin = Literal["solve", "file"]
"""``file``: a lock file has the lock. Such a generation is never current: requests without the file do not get it."""


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """The n-th solve of a definition for a platform on this machine."""

    definition_digest: str
    platform: str
    number: int
    lock_digest: str
    created: str
    current: bool = True
    as_of: str | None = None
    base_digest: str | None = None
    steps_digest: str | None = None
    origin: GenerationOrigin = "solve"
    file_lock: str | None = None
    """The lock digest that the lock file states, if it is another one: sources in it were built here."""
    unvouched: str | None = None  # empty until somebody vouches for the lock of a file, or why it was refused


class NewGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """A generation that the index has not numbered yet."""

    definition_digest: str
    platform: str
    as_of: str | None = None
    base_digest: str | None = None
    steps_digest: str | None = None
    origin: GenerationOrigin = "solve"
    file_lock: str | None = None
    unvouched: str | None = None


class BuildRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A build: queued, in progress or ended."""

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


class RunRecord(RunNotes, frozen=True, kw_only=True):
    """A run of a command: queued, in progress or ended."""

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
    """``path``, ``version`` and ``mtime`` of the interpreter of a user-managed environment."""
    project: ProjectSource | None = None
    experiment: str | None = None
    rerun_of: str | None = None
    """The run that this one repeats."""
    options: dict[str, object] = msgspec.field(default_factory=dict)
    """What the request chose of the definition and added to it: ``python``, ``extras``, ``groups``, ``with``."""
    engine: dict[str, str] = msgspec.field(default_factory=dict)
    """The variables (``DOCKER_HOST`` …) that name the engine of a run in a container, if the config did not."""
    variables: dict[str, str] = msgspec.field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    """Names only."""
    word_variables: tuple[str, ...] = ()
    """Names of the variables of which ``command`` has ``${NAME}`` in place of the value."""
    masked_words: tuple[int, ...] = ()
    """Positions in ``command`` with such a reference."""
    hidden_words: tuple[int, ...] = ()
    """Positions in ``command`` with ``***`` in place of a credential that no variable has."""
    python_path: str | None = None
    """The caller's ``PYTHONPATH``, which the command got."""
    detached: bool = False
    started: str | None = None
    ended: str | None = None
    exit_status: int | None = None
    error: dict[str, object] | None = None


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Predicted duration and amounts of a step."""

    step: str
    seconds: float | None
    bytes: int | None
    samples: int
    """Number of past executions that the prediction rests on; 0: on what is usual on other machines."""
    files: int | None = None
    packages: int | None = None


class StepObservation(msgspec.Struct, frozen=True, kw_only=True):
    """How long a step took, and what it had to do."""

    step: str
    seconds: float
    amounts: dict[str, float] = {}
    """Names (``bytes``, ``files`` …) to numbers."""
    subject: str = ""
    """What was done, if only that tells how long it takes: the digest of docker steps."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event, numbered without gaps."""

    seq: int
    time: str
    kind: str
    fields: dict[str, object] = {}


class KnownDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A definition that was used before, as a candidate for the nearest miss."""

    digest: str
    canonical: bytes
    name: str | None
    source: str | None


LeaseKind = Literal["environment", "generation", "prefix", "image", "artifact"]


BUILD_HOLDER = "build:"
"""Start of the holder of leases of builds."""
BUILD_LEASE = "build-"
"""Start of their ids."""


class LeaseTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What a lease is requested for. ``subject``: as ``wire.leases.LeaseRequest`` describes it."""

    kind: LeaseKind
    subject: str
    generation: int | None = None


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Temporary protection of a target until ``expires``."""

    id: str
    holder: str
    expires: str
    kind: LeaseKind = "artifact"
    target: str = ""
    """The subject as it was requested."""
    generation: int | None = None
    definition_digest: str | None = None
    """The definition that an environment or a generation had when the lease was put: builds of it go on."""
    created: str = ""

    @property
    def is_of_build(self) -> bool:
        return self.holder.startswith(BUILD_HOLDER)

    def is_on(self, target: LeaseTarget) -> bool:
        """Whether the lease was requested for ``target``."""
        return (self.kind, self.target, self.generation) == (target.kind, target.subject, target.generation)


class IndexFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a plan for one definition and platform reads from the index, in one query."""

    known: bool
    """Whether the definition was used before."""
    generation: Generation | None = None
    """The current generation."""
    lock_known: bool = False
    """Whether the lock of the generation is stored here."""
    artifact: Artifact | None = None
    """The ready prefix of that lock."""


EnvironmentKind = Literal["system-managed", "user-managed", "curated"]
CuratedFilter = Literal["without", "with", "only"]
"""Whether a list includes curated environments."""


class EnvironmentBody(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a version of an environment: all that is needed to plan, build and export it, independent of the
    configuration at that time."""

    definition: Definition
    settings: Settings = Settings()
    defaults: Defaults = Defaults()
    """The defaults that are part of the definition digest."""


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version that the index has not numbered yet. The digests are those of the canonical forms."""

    name: str
    body: EnvironmentBody
    definition_digest: str
    settings_digest: str
    canonical: bytes
    settings_canonical: bytes
    kind: EnvironmentKind
    labels: tuple[str, ...] = ()
    """Labels to set on the version, whether it is new or exists already."""
    by_hand: bool = True
    """Whether a user registers it by name: then an archived version or environment is restored."""
    number: int | None = None
    """The number that it must get: of a curated version, from its catalogue, or of one that its user numbered;
    ``None``: the next number."""
    origin: str | None = None
    """``NAME:VERSION`` that it was cloned or edited from, or the source of an import."""


class EnvironmentVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable version of a named environment."""

    name: str
    version: int
    definition_digest: str
    settings_digest: str
    created: str
    kind: EnvironmentKind = "system-managed"
    labels: tuple[str, ...] = ()
    """Includes ``latest``."""
    archived: bool = False
    """Whether this version or its environment is archived."""
    origin: str | None = None


class RegistrationResult(msgspec.Struct, frozen=True, kw_only=True):
    """The registered version; ``created`` is false if it existed already."""

    version: EnvironmentVersion
    created: bool


class EnvironmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """An environment in a list: its latest version and the number of versions."""

    latest: EnvironmentVersion
    versions: int


class LayerRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image layer that this machine wrote; its blob is ``layers/<64 hex of digest>.tar.gz``."""

    key: str
    """``sha256:`` over all inputs of the layer."""
    diff_id: str
    """Digest of the uncompressed tar archive; the same on every machine."""
    digest: str
    """Digest of the compressed blob; it may differ between machines."""
    size: int
    """Bytes of the blob."""
    stamp: int
    """mtime of the blob in ns when it was written: while its mtime and size are unchanged, it is not read again."""
    packages: tuple[str, ...] = ()
    """``name version`` of each package in the layer."""
    scripts: tuple[str, ...] = ()
    """Names of the packages that have a link script."""
    activation: tuple[VariableChange, ...] = ()
    """Changes by activating the environment; only in the layer that belongs to no package."""


class BaseLayer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A layer of a base image. If ``digest`` is ``None``, only the engine has the layer."""

    diff_id: str
    digest: str | None = None
    """Digest of the compressed blob."""
    size: int = 0
    media_type: str = ""
    stored: bool = msgspec.field(default=False, name="kept")
    """Whether the blob is ``layers/<64 hex of digest>.tar.gz``; else the registry of the base's ``reference`` has
    it."""


class BaseRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A base image, or the result of docker steps on one."""

    digest: str
    """Digest of the config; the same in every engine and registry."""
    config: bytes
    layers: tuple[BaseLayer, ...]
    """From the bottom."""
    reference: str | None = None
    """``host/repository@sha256:…`` of the manifest, if a registry has it."""
    below: str | None = None
    """The ``digest`` of the base that docker steps ran on."""


class ImageLayer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A layer of an image, as ``roost image show`` displays it."""

    diff_id: str
    size: int = 0
    packages: tuple[str, ...] = ()
    """``name version`` of each package; empty for layers of the base."""


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image that was built or pulled here. Only the engine or registry knows whether it still has the image."""

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
    """From the bottom, including those of the base."""
    interpreter: str | None = None
    """Path in the image, if roost installed it. A user's own interpreter is a setting and may differ by definition."""
    registry_digests: dict[str, str] = msgspec.field(default_factory=dict, name="places")
    """Reference in a registry to the digest of the manifest there."""


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``roost cache df``."""

    kind: ArtifactKind
    id: str
    bytes: int
    shared_bytes: int
    last_used: str
    protected_by: tuple[str, ...] = ()
    """``process:<pid>`` (a process that holds the lease file open), ``process:unknown``, ``lease:<id>`` or ``pin``."""
    state: ArtifactState = "ready"
    path: str = ""
    key: str = ""


class WatchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A watched file or folder."""

    id: str
    path: str
    """The file of the definition, or a folder that is searched for one."""
    origin: Literal["added", "used"]
    """``added``: by a person. ``used``: by a run, build or plan; the latest ones are stored."""
    paused: bool = False
    last_used: str
    body: bytes = b"{}"
    """JSON of ``daemon.watch``: what is watched, and what came of its last content."""
    inputs: bytes | None = None
    """JSON of ``daemon.watch``: paths of the last content, with their states; ``None``: those that are stored."""
