"""From the text of a ``roost.lock`` to its locks: all of it, or an error with the line.

A line is accepted only as it would be written, so that nothing in a file is passed over.
"""

from __future__ import annotations

import re

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.definition import NO_CHOICES, Choices
from roost.model.errors import MALFORMED_JSON, InvalidDefinitionError, Location
from roost.model.lock_files.lock_file import (
    END,
    LOCK_FILE_FORMAT,
    PACKAGE_KINDS,
    LockFile,
    LockSummary,
    digest_lines,
    normalise_choices,
    scope_of,
)
from roost.model.lock_files.writing import format_line, list_asked_lines, list_lock_lines
from roost.model.locks.lock import LOCK_FORMAT, Lock, MarkerOutcome, RemoteInput, digest_lock

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SECTION = re.compile(r"\[([a-z0-9][a-z0-9.+-]{0,99})\]")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_NUMBER = re.compile(r"[0-9]{1,9}")
_CONFLICT = re.compile(r"(<{7}|>{7}|\|{7})( |$)|={7}$")
_REWRITE = (
    "Nothing of it is used. `git checkout` puts it back; `roost lock --write --rebuild` replaces it by a new solve."
)
_TYPES: dict[str, type[msgspec.Struct]] = {
    "about": LockSummary,
    "input": RemoteInput,
    "marker": MarkerOutcome,
    **PACKAGE_KINDS,
}


class LockFileInvalidError(InvalidDefinitionError):
    """A ``roost.lock`` is not as roost writes it; nothing of it is used."""

    code = "lock-file-invalid"


class LockFileConflictError(LockFileInvalidError):
    """A ``roost.lock`` has the marks of a merge conflict."""

    code = "lock-file-conflict"


class LockFileNewerError(InvalidDefinitionError):
    """A ``roost.lock`` has the format of a later version of roost."""

    code = "lock-file-newer"


def parse_lock_file(data: bytes, path: str) -> LockFile:
    """Return what the file ``path`` with the content ``data`` holds. Line ends may be those of Windows.

    Raises: LockFileConflictError, LockFileNewerError, LockFileInvalidError.
    """
    return _LockFileParser(_decode(data, path), path).parse()


def _decode(data: bytes, path: str) -> list[str]:
    """Return the lines of ``data``."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LockFileInvalidError(
            "The lock file is not valid UTF-8", hint=_REWRITE, location=Location(path=path, line=line)
        ) from error
    if not text.strip():
        raise LockFileInvalidError("The lock file is empty", hint=_REWRITE, location=Location(path=path))
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    for number, text_line in enumerate(lines, 1):
        if _CONFLICT.match(text_line):
            raise LockFileConflictError(
                "The lock file has an unresolved merge conflict",
                hint="Take either side of the whole file (`git checkout --ours` or `--theirs`), then run "
                "`roost lock --write`.",
                location=Location(path=path, line=number),
            )
    return lines


class _LockFileParser:
    """Reads the lines of one file in order."""

    def __init__(self, lines: list[str], path: str) -> None:
        self._path = path
        self._lines = [(n, line) for n, line in enumerate(lines, 1) if line and not line.startswith("#")]
        self._last = len(lines)
        self._next = 0

    def parse(self) -> LockFile:
        """Return the file. The end must be there: without it, whole sections may be missing."""
        line, number = self._take("format", _NUMBER)
        if int(number) > LOCK_FILE_FORMAT:
            raise LockFileNewerError(
                f"The lock file has format {number}; this version of roost reads up to {LOCK_FILE_FORMAT}",
                hint="Update roost, or replace the file: `roost lock --write --rebuild`.",
                location=Location(path=self._path, line=line),
            )
        if int(number) != LOCK_FILE_FORMAT:
            raise self._error(line, f"There is no format {number} of lock files")
        canonical, choices = self._parse_definition()
        locks: dict[str, Lock] = {}
        while (peeked := self._peek())[1] != END:
            line, scope = self._take_section()
            if scope in locks:
                raise self._error(line, f"The section [{scope}] is there twice")
            locks[scope] = self._parse_lock(line, scope)
        if self._next + 1 != len(self._lines):
            raise self._error(self._lines[self._next + 1][0], f"There is more after `{END}` in line {peeked[0]}")
        return LockFile(canonical=canonical, choices=choices, locks=locks)

    def _parse_definition(self) -> tuple[bytes, Choices]:
        """Return the canonical form of the definition, which must have the digest that the file states, and the choices
        that it was written with."""
        line, stated = self._take("definition", _DIGEST)
        choices = self._parse_choices()
        sections: dict[str, object] = {}
        found: list[str] = []
        while (peeked := self._peek())[1].startswith("asked "):
            self._next += 1
            _, name, data = (*peeked[1].split(" ", 2), "", "")[:3]
            try:
                sections[name] = msgspec.json.decode(data)
            except MALFORMED_JSON as error:
                raise self._error(peeked[0], f"The `asked` line can't be read: {error}") from error
            found.append(peeked[1])
        canonical = msgspec.json.encode(sections, order="sorted")
        if found != list_asked_lines(canonical):
            raise self._error(line, "The `asked` lines are not as roost writes them")
        if digest_bytes(canonical) != stated:
            raise self._error(line, "The `asked` lines do not have the definition digest that the file states")
        return canonical, choices

    def _parse_choices(self) -> Choices:
        line, text = self._peek()
        kind, _, data = text.partition(" ")
        if kind != "choices":
            return NO_CHOICES
        self._next += 1
        try:
            choices = msgspec.json.decode(data, type=Choices)
        except MALFORMED_JSON as error:
            raise self._error(line, f"The `choices` line can't be read: {error}") from error
        is_name = all(map(_NAME.fullmatch, (*choices.extras, *choices.groups)))
        is_valid = is_name and (choices.python is None or _VERSION.fullmatch(choices.python))
        if not is_valid or choices != normalise_choices(choices) or format_line(kind, choices) != text or data == "{}":
            raise self._error(line, "The `choices` line is not as roost writes it")
        return choices

    def _parse_lock(self, header: int, scope: str) -> Lock:
        """Return the lock of a section, which must have the digests that the section states."""
        lock_line, stated = self._take("lock", _DIGEST)
        content_line, content = self._take("content", _DIGEST)
        values: dict[str, list[msgspec.Struct]] = {kind: [] for kind in _TYPES}
        body: list[tuple[int, str]] = []
        while not (peeked := self._peek())[1].startswith("[") and peeked[1] != END:
            self._next += 1
            kind, value = self._parse_value(*peeked)
            values[kind].append(value)
            body.append(peeked)
        if len(values["about"]) != 1:
            raise self._error(header, f"The section [{scope}] has {len(values['about'])} `about` lines")
        summary = values["about"][0]
        assert isinstance(summary, LockSummary)
        if summary.format > LOCK_FORMAT:
            raise LockFileNewerError(
                f"The lock in [{scope}] has format {summary.format}; this version of roost reads up to {LOCK_FORMAT}",
                hint="Update roost.",
                location=Location(path=self._path, line=header),
            )
        lock = msgspec.convert(
            {
                **msgspec.structs.asdict(summary),
                "inputs": tuple(values["input"]),
                "markers": tuple(values["marker"]),
                "conda": tuple(values["conda"]),
                "wheels": tuple(values["wheel"]),
                "jars": tuple(values["jar"]),
                "r": tuple(values["r"]),
            },
            type=Lock,
        )
        if scope_of(lock) != scope:
            raise self._error(header, f"The section [{scope}] has a lock for {scope_of(lock)}")
        for (line, found), expected in zip(body, list_lock_lines(lock), strict=True):
            if found != expected:
                raise self._error(line, "The lines are not in the order in which roost writes them")
        if digest_lines([text for _, text in body]) != content:
            raise self._error(content_line, f"The section [{scope}] was changed after roost had written it")
        if digest_lock(lock) != stated:
            raise self._error(lock_line, f"The section [{scope}] does not have the lock digest that it states")
        return lock

    def _parse_value(self, line: int, text: str) -> tuple[str, msgspec.Struct]:
        kind, _, data = text.partition(" ")
        if kind not in _TYPES:
            raise self._error(line, "This line is not one that roost writes")
        try:
            value = msgspec.json.decode(data, type=_TYPES[kind])
            is_as_written = format_line(kind, value) == text
        except (*MALFORMED_JSON, OverflowError) as error:
            raise self._error(line, f"The `{kind}` line can't be read: {error}") from error
        if not is_as_written:
            raise self._error(line, f"The `{kind}` line is not as roost writes it")
        return kind, value

    # ----------------------------------------------------------------- lines
    def _peek(self) -> tuple[int, str]:
        if self._next == len(self._lines):
            raise self._error(self._last, f"The lock file was cut: its last line is not `{END}`")
        return self._lines[self._next]

    def _take(self, key: str, pattern: re.Pattern[str]) -> tuple[int, str]:
        line, text = self._peek()
        word, _, value = text.partition(" ")
        if word != key or not pattern.fullmatch(value):
            raise self._error(line, f"`{key}` and its value belong here")
        self._next += 1
        return line, value

    def _take_section(self) -> tuple[int, str]:
        line, text = self._peek()
        match = _SECTION.fullmatch(text)
        if match is None:
            raise self._error(line, "A section such as [linux-64] belongs here")
        self._next += 1
        return line, match[1]

    def _error(self, line: int, message: str) -> LockFileInvalidError:
        return LockFileInvalidError(message, hint=_REWRITE, location=Location(path=self._path, line=line))
