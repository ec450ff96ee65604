"""What a ``roost.lock`` holds, and the form of its text.

The text has UTF-8 lines; a line that begins with ``#`` is a comment. In this order::

    format 1
    definition sha256:…             the definition digest that all locks here are for
    choices {…}                     the options that it was written with, if any: python, extras, groups
    asked conda {…}                 a section each of the definition's canonical form, which has that digest; sorted
    [linux-64]                      a section for each scope, sorted: a platform, with +host for a machine's Python
    lock sha256:…                   the lock digest
    content sha256:…                of the section's remaining lines, joined by line feeds
    about {…}                       the lock without its packages
    input {…}, marker {…}           in the lock's order
    conda {…}, wheel {…}, jar {…}, r {…}    a package each, sorted within its kind
    end                             the last line: a file that was cut has none

``{…}`` is the JSON of the value, as msgspec encodes it, without the fields that have their defaults. Both digests
change with every package, so that a merge of two changes conflicts there, and never joins two locks into a third that
nobody solved for. ``content`` also covers what the lock digest leaves out (URLs, records).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.definition import NO_CHOICES, Choices
from roost.model.locks.lock import CondaPackage, HostPython, Jar, Lock, Provider, RPackage, Wheel, with_format
from roost.model.records import HOST_SCOPE
from roost.model.syntax.pip_lines import normalise_name

LOCK_FILE = "roost.lock"
"""Name of the lock file of the definition that a folder's search finds; any other one's is ``NAME.roost.lock``."""
LOCK_FILE_FORMAT = 1
"""The newest format."""
END = "end"
PACKAGE_KINDS: dict[str, type[CondaPackage] | type[Wheel] | type[Jar] | type[RPackage]] = {
    "conda": CondaPackage,
    "wheel": Wheel,
    "jar": Jar,
    "r": RPackage,
}
"""First word of a package's line to its type."""


class LockFile(msgspec.Struct, frozen=True, kw_only=True):
    """The locks of one definition, for several platforms."""

    canonical: bytes
    """The canonical form of the definition. Another machine can say by it what has changed since."""
    choices: Choices = NO_CHOICES
    """What was chosen of the definition, normalised: part of its canonical form, and told by name if that differs."""
    locks: dict[str, Lock] = {}
    """Scope (``scope_of``) to lock."""

    @property
    def definition_digest(self) -> str:
        """What all locks here are for."""
        return digest_bytes(self.canonical)


class LockSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A lock without its packages, inputs and markers."""

    platform: str
    provider: Provider
    system: dict[str, str] = {}
    markers_known: bool = False
    unanswered: dict[str, str] = {}
    bundle: str = ""
    format: int = 1


def normalise_choices(choices: Choices) -> Choices:
    """Return ``choices`` as a file has them: names as PEP 503 normalises them, sorted, each once."""
    extras, groups = (tuple(sorted({*map(normalise_name, names)})) for names in (choices.extras, choices.groups))
    return Choices(python=choices.python, extras=extras, groups=groups)


def scope_of(lock: Lock) -> str:
    """Return the name of the lock's section: its platform, with ``HOST_SCOPE`` for a Python of the machine."""
    return lock.platform + HOST_SCOPE if isinstance(lock.provider, HostPython) else lock.platform


def to_portable(lock: Lock) -> Lock:
    """Return ``lock`` as a file has it: each wheel that was built from an sdist or a commit stands as its source.

    Building is not reproducible in general. The lock of the file therefore has a lock digest of its own, which names
    the sources, and is the same wherever the file is written; whoever takes it builds the wheels, and the prefix has
    the lock digest with their bytes. Wheels whose source is not recorded stay as they are.
    """
    return with_format(msgspec.structs.replace(lock, wheels=tuple(map(_to_source, lock.wheels)), bundle=""))


def _to_source(wheel: Wheel) -> Wheel:
    source = wheel.source
    if wheel.kind != "built" or source is None or wheel.folder is not None or not (source.sha256 or source.commit):
        return wheel
    return msgspec.structs.replace(wheel, file_name="", sha256="", size=0)


def digest_lines(lines: Sequence[str]) -> str:
    """Return the digest of a section's lines: what ``content`` states."""
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()
