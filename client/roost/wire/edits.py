"""Changes of environment files: packages added and removed, files that are begun, and the lock file beside one."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from roost.wire.builds import WorkMessage
from roost.wire.plans import Difference, EnvironmentSelector, PackageMoveView, Reason
from roost.wire.protocol import WarningView

PackageTexts = Annotated[list[Annotated[str, msgspec.Meta(max_length=10_000)]], msgspec.Meta(max_length=1000)]
Platforms = Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=100)]], msgspec.Meta(max_length=50)]


class EditRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Add packages to an environment file and remove others; the result is solved before the file is replaced."""

    what: EnvironmentSelector
    """Names the file by ``file``, or the nearest one by ``cwd``."""
    add: PackageTexts = []
    """Match specs of conda or requirements of pip; ``conda:`` and ``pip:`` before one decide."""
    remove: PackageTexts = []
    """Names of packages."""
    section: Literal["conda", "pip"] | None = None
    """For all packages without a prefix; ``None``: what the kind of file suggests."""
    group: str | None = None
    """The dependency group of a pyproject."""
    extra: str | None = None
    """The extra of a pyproject."""
    dry_run: bool = False
    """Solve, and change nothing."""


class EditedItemView(msgspec.Struct, kw_only=True):
    """One package of the request, in the file before and after the change."""

    action: Literal["added", "removed", "changed", "present"]
    section: Literal["conda", "pip"]
    name: str
    before: str | None = None
    after: str | None = None
    line: int | None = None
    """Where it is in the changed file, counted from 1; of a removed one, where it was."""
    version: str | None = None
    """The version that the lock has; ``None`` if it has none."""
    file: str | None = None
    """The file that lists it, if that is one that the edited file includes."""


class EditResult(msgspec.Struct, kw_only=True):
    """What an edit did, or would do."""

    file: str
    format: str
    is_written: bool
    """Whether the file was replaced: not if it had all that was asked for already, nor with ``dry_run``."""
    items: list[EditedItemView]
    changes: list[PackageMoveView] = []
    """What differs in the lock from the one that the file had before; empty if that is not known."""
    definition_digest: str
    lock_digest: str | None
    """``None`` if roost installs nothing for the definition."""
    packages: int | None = None
    """Number of packages in the lock."""
    diff: str = ""
    """The change of the text, as a unified diff."""
    reasons: list[Reason] = []
    warnings: list[WarningView] = []


class EditMessage(WorkMessage, kw_only=True, omit_defaults=True):
    """One line of the stream of an edit. The last line is ``result`` or ``error``."""

    result: EditResult | None = None


class BeginRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Begin an environment file. One that exists is never changed."""

    cwd: str
    """Absolute working folder of the client."""
    path: str | None = None
    """A folder, which is created if it does not exist, or a file; absolute, or relative to ``cwd``."""
    kind: Literal["conda", "pip", "pyproject", "script"] | None = None
    """``None``: by the name of the file, or what the folder suggests."""
    python: str | None = None
    """X.Y, for kinds of files that name one."""
    umask: Annotated[int, msgspec.Meta(ge=0, le=0o777)] = 0o077
    """Of the client: the daemon's own is not that of the caller."""


class BeginResponse(msgspec.Struct, kw_only=True):
    """The file that was begun."""

    file: str
    kind: Literal["conda", "pip", "pyproject", "script"]
    text: str
    is_searched: bool
    """Whether commands in its folder find it by its name; otherwise it has to be named."""
    warnings: list[WarningView] = []
    """Which other environment file it comes before, or which one comes before it."""


class LockFileRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Write the lock file of a definition, for one target on this machine and for further platforms."""

    what: EnvironmentSelector
    target: str = "auto"
    platforms: Platforms = []
    rebuild: bool = False
    """Replace the file by new solves: for what is requested, and for the platforms that the file has."""
    umask: Annotated[int, msgspec.Meta(ge=0, le=0o777)] = 0o077
    """Of the client, for a file that is created."""


class LockFileCheckRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Compare the lock file of a definition with the definition."""

    what: EnvironmentSelector
    target: str = "auto"
    platforms: Platforms = []


class LockSectionView(msgspec.Struct, kw_only=True):
    """The lock of a lock file for one platform."""

    scope: str
    """The platform, with ``+host`` for a Python of the machine."""
    state: Literal["kept", "new", "changed", "dropped"]
    lock_digest: str
    packages: int


class LockFileResult(msgspec.Struct, kw_only=True):
    """What was written."""

    file: str
    is_written: bool
    """Whether the file was replaced: not if it had all of this already."""
    definition_digest: str
    sections: list[LockSectionView]
    reasons: list[Reason] = []
    warnings: list[WarningView] = []


class LockFileMessage(WorkMessage, kw_only=True, omit_defaults=True):
    """One line of the stream of writing. The last line is ``result`` or ``error``."""

    result: LockFileResult | None = None


class LockFileCheck(msgspec.Struct, kw_only=True):
    """Whether a lock file fits its definition."""

    file: str
    fits: bool
    definition_digest: str
    locked_digest: str
    """Digest of the definition that the file is for."""
    reasons: list[Reason]
    """What does not fit."""
    differences: list[Difference]
    """What the definition says otherwise than it did when it was locked."""
    scopes: list[str]
    warnings: list[WarningView] = []
