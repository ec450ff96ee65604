"""What the pip engine is asked, and what it returns. Values only, so that callers need not load the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from roost.daemon.engines.host_python.interpreters import Interpreter
from roost.daemon.engines.uv.unpacked.content import FileState
from roost.model.definition import PipItem
from roost.model.locks.lock import RemoteInput, Wheel


class PythonFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The Python that wheels are for."""

    version: str
    """``X.Y.Z``"""
    executable: str | None = None
    """``None`` if conda will provide the Python."""
    libc: str = ""
    """``glibc 2.36`` for a Python of this machine."""


def describe_python(interpreter: Interpreter) -> PythonFacts:
    """Return the facts about a Python of this machine."""
    return PythonFacts(version=interpreter.version, executable=interpreter.executable, libc=interpreter.libc)


class PipLockRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which pip lines to lock, and under which conditions."""

    items: Sequence[PipItem]
    python: PythonFacts
    platform: str
    glibc: str
    """The glibc that wheels for Linux may count on: ``X.Y``."""
    provided: Mapping[str, str] = {}
    """What conda provides: normalised name to version. It is never locked again."""
    preferences: Mapping[str, str] = {}
    """Versions to choose if the lines leave the choice: normalised name to version."""
    as_of: datetime | None = None
    """Ignore what was uploaded later."""
    allow_builds: bool = False
    """Whether wheels may be built from sources, which runs code of packages."""
    credentials: Mapping[str, str] = {}
    """By origin, as :func:`roost.model.syntax.urls.strip_credentials` takes them out of URLs."""
    variables: Mapping[str, str] = {}
    """Values for ``${NAME}`` in URLs."""
    index: str | None = None
    """The default index that the definition was digested with (``Defaults.index``); ``None``: the config's."""
    editables_as_wheels: bool = False
    """Whether a wheel of its content replaces an editable folder, for a place where the folder does not exist."""


class InstallResult(msgspec.Struct, frozen=True, kw_only=True):
    """What installing wheels showed of their files."""

    modified: Sequence[str]
    """Names of wheels whose unpacked files had been modified and were fetched again: other prefixes share the modified
    files."""
    content: Mapping[FileState, str]
    """sha256 (hex) of files that were read, by the state in which each has this content."""


class PipLock(msgspec.Struct, frozen=True, kw_only=True):
    """The locked wheels, by name, and the remote files that were read for them."""

    wheels: list[Wheel]
    inputs: list[RemoteInput] = []
    unanswered: dict[str, str] = {}
    """Places of ``--find-links`` that did not answer, and why."""
