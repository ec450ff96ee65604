"""What the history of runs records beside their environments, and what it is searched by."""

from __future__ import annotations

import re

import msgspec

MAX_NOTE = 4096
"""Characters of a note."""
MAX_TAG = 100
"""Characters of a tag."""
MAX_TAGS = 50
"""Tags of a run."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class CodeState(msgspec.Struct, frozen=True, kw_only=True):
    """The git repository that a run was started in, as far as it could be found out."""

    root: str
    """Folder of the working tree."""
    commit: str | None = None
    """``None``: unknown (``reason`` says why), or the repository has no commit yet."""
    branch: str | None = None
    """``None`` if no branch is checked out."""
    dirty: bool | None = None
    """Whether the working tree differed from the commit, files included that git neither tracks nor ignores; ``None``:
    unknown."""
    changed: int | None = None
    """Number of tracked files that differed."""
    untracked: int | None = None
    """Number of files and folders that git neither tracked nor ignored."""
    delay: float | None = None
    """Seconds from the record of the run, before its command began, to the moment at which the state of the tree was
    known: what the command itself changed in this time may count."""
    reason: str | None = None
    """Why something of this is unknown."""


class RunNotes(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded of a run beside its command and its environment."""

    host: str = ""
    """Name of the machine."""
    code: CodeState | None = None
    """``None``: it was started outside of a git repository, or that is not known yet."""
    note: str | None = None
    tags: tuple[str, ...] = ()
    output_kept: bool = False
    """Whether the output of a run that was not detached is stored."""


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are meant: those to which all that is given applies."""

    environment: str | None = None
    version: int | None = None
    experiment: str | None = None
    states: tuple[str, ...] = ()
    """One of these."""
    since: str | None = None
    """Recorded then or later (RFC 3339, UTC)."""
    command: str | None = None
    """A part of the command, its words with a space between them. Case counts for no ASCII letter."""
    target: str | None = None
    folder: str | None = None
    """Started in this folder or below it."""
    tags: tuple[str, ...] = ()
    """All of these."""


def find_tag_fault(tag: str) -> str | None:
    """Return why ``tag`` can't be a tag; ``None`` if it can. Pure."""
    if not tag:
        return "it is empty"
    if len(tag) > MAX_TAG:
        return f"it has more than {MAX_TAG} characters"
    if not tag.isprintable() or any(character.isspace() for character in tag):
        return "it has white space or characters that can't be printed"
    if "," in tag:
        return "it has a comma, which separates tags"
    return "it begins with `-`, as options do" if tag.startswith("-") else None


def find_name_fault(name: str) -> str | None:
    """Return why ``name`` can't be that of an experiment; ``None`` if it can. Pure."""
    return "it has control characters" if _CONTROL.search(name) or not is_text(name) else None


def find_note_fault(note: str) -> str | None:
    """Return why ``note`` can't be a note; ``None`` if it can. Pure."""
    if len(note) > MAX_NOTE:
        return f"it has more than {MAX_NOTE} characters"
    has_control = _CONTROL.search(note.replace("\n", "").replace("\t", ""))
    return "it has control characters" if has_control or not is_text(note) else None


def is_text(text: str) -> bool:
    """Return whether ``text`` can be written as UTF-8: it has no lone surrogates. Pure."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
