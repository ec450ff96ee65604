"""Dockerfiles as instructions, and which of them need a build context. Pure.

Source: Docker's "Dockerfile reference" (format, parser directives, here-documents, ``ADD``, ``COPY``, ``RUN --mount``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from roost.model.syntax.bounds import MAX_TEXT

DOCKERFILE = "Dockerfile"
"""Name of the Dockerfile in a build context that names no other."""
DOCUMENTS = frozenset({"ADD", "COPY", "RUN"})
"""Instructions that accept here-documents."""
INSTRUCTION_NAME = re.compile(r"\s*([A-Za-z]+)(?=\s|$)")
CONTINUED = re.compile(r"\\[ \t]*$")
DIRECTIVE = re.compile(r"#\s*([A-Za-z]+)\s*=\s*(\S.*)$")
_CONTINUED_BY_TICK = re.compile(r"`[ \t]*$")
_DOCUMENT = re.compile(r"(?:^|\s)\d*<<(-?)([\"']?)([A-Za-z0-9_.]+)\2(?=\s|$)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-[^}]*)?\}|(\w+))")
_QUOTED = re.compile(r"(?<!\\)\"(?:\\.|[^\"\\])*\"|'[^']*'")
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|github\.com/|[\w.-]+@[\w.-]+:")
_FLAG = re.compile(r"--(?P<name>[a-z-]+)(?:=(?P<value>\S*))?\s*")
_LONGEST_SHOWN = 60


class Instruction(NamedTuple):
    """One instruction: its name in upper case, its text on one line, and where it begins."""

    name: str
    text: str
    offset: int
    documents: tuple[tuple[bool, str], ...]
    """Its here-documents: whether leading tabs are removed, and the end mark."""

    @property
    def shown(self) -> str:
        """The beginning of the text, for messages."""
        text = " ".join(self.text.split())
        return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def split_instructions(text: str) -> Iterator[Instruction]:
    """Yield the instructions of a Dockerfile whose lines end in ``\\n``."""
    continued = _CONTINUED_BY_TICK if ("escape", "`") in parse_directives(text) else CONTINUED
    lines, starts = text.split("\n"), [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    at = 0
    while at < len(lines):
        if is_ignored(lines[at]):
            at += 1
            continue
        begin, (joined, at) = at, _join_instruction(lines, at, continued)
        match = INSTRUCTION_NAME.match(joined)
        documents = find_documents(match[1], joined) if match else []
        offset = starts[begin] + len(lines[begin]) - len(lines[begin].lstrip())
        yield Instruction(match[1].upper() if match else "", joined, offset, tuple(documents))
        for tabs, mark in documents:
            ends = (end for end in range(at, len(lines)) if (lines[end].lstrip("\t") if tabs else lines[end]) == mark)
            at = next(ends, len(lines)) + 1


def join_first_instruction(lines: Sequence[str]) -> tuple[str, list[str]]:
    """Return the first instruction with its continuation lines joined, and the lines after it."""
    joined, after = _join_instruction(lines, 0, CONTINUED)
    return joined, list(lines[after:])


def _join_instruction(lines: Sequence[str], begin: int, continued: re.Pattern[str]) -> tuple[str, int]:
    """Return the instruction that begins with a line, and the index of the line after it."""
    parts: list[str] = []
    for at in range(begin, len(lines)):
        line = lines[at]
        if at > begin and is_ignored(line):
            continue  # comments and empty lines inside a continuation
        parts.append(continued.sub("", line))
        if not continued.search(line):
            return "".join(parts), at + 1
    return "".join(parts), len(lines)


def is_ignored(line: str) -> bool:
    """Return whether the line is empty or a comment."""
    return not line.strip() or line.lstrip().startswith("#")


def find_documents(name: str, instruction: str) -> list[tuple[bool, str]]:
    """Return the here-documents that an instruction begins: whether leading tabs are removed, and the end mark."""
    if name.upper() not in DOCUMENTS:
        return []
    return [(bool(dash), mark) for dash, _, mark in _DOCUMENT.findall(instruction)]


def parse_directives(text: str) -> list[tuple[str, str]]:
    """Return the parser directives, which must be the first lines, as lower-case names and values."""
    directives: list[tuple[str, str]] = []
    for line in text.split("\n"):
        directive = DIRECTIVE.match(line.strip())
        if directive is None:
            break
        directives.append((directive[1].lower(), directive[2].strip()))
    return directives


def parse_arg(instruction: str) -> list[tuple[str, str | None]]:
    """Return the names that an ``ARG`` declares, with their defaults; nothing for other instructions."""
    name, _, rest = instruction.strip().partition(" ")
    if name.upper() != "ARG":
        return []
    unquoted = _QUOTED.sub(lambda quoted: "_".join(quoted[0][1:-1].split()), rest)  # quoted text is one word
    parts = (part.partition("=") for part in unquoted.split())
    return [(name, default if equals else None) for name, equals, default in parts]


def substitute_arguments(word: str, defaults: Mapping[str, str]) -> str:
    """Return ``word`` with the defaults of arguments in it; arguments without a default stay.

    So does everything in a word that would be longer than ``MAX_TEXT``: arguments that double each other have no end.
    """
    plain = word.strip("\"'")
    used = [defaults.get(match[1] or match[2], match[0]) for match in _VARIABLE.finditer(plain)]
    if sum(map(len, used)) + len(plain) > MAX_TEXT:
        return plain
    return _VARIABLE.sub(lambda match: defaults.get(match[1] or match[2], match[0]), plain)


def find_context_uses(text: str) -> list[Instruction]:
    """Return the instructions that read files of the build context.

    These are ``COPY``, ``ADD`` and bind mounts of ``RUN``, unless they read another stage or image (``from``), a
    here-document, or with ``ADD`` a URL or a git repository. A source of ``ADD`` with a variable whose value is not in
    the Dockerfile may be a URL, and does not count.
    """
    found, defaults = list[Instruction](), dict[str, str]()
    for instruction in split_instructions(text):
        arguments = parse_arg(instruction.text)
        defaults |= {name: substitute_arguments(value, defaults) for name, value in arguments if value is not None}
        if _reads_context(instruction, defaults):
            found.append(instruction)
    return found


def _reads_context(instruction: Instruction, defaults: Mapping[str, str]) -> bool:
    flags, rest = _split_flags(instruction.text.strip()[len(instruction.name) :].strip())
    if instruction.name == "RUN":
        return any(_is_bind_of_context(value) for name, value in flags if name == "mount")
    if instruction.name not in ("COPY", "ADD") or any(name == "from" and value for name, value in flags):
        return False
    words = [word for word in _split_words(rest)[:-1] if not _DOCUMENT.match(word)]
    sources = [source for word in words if (source := substitute_arguments(word, defaults))]
    if instruction.name == "ADD":
        sources = [source for source in sources if "$" not in source and not _REMOTE.match(source)]
    return bool(sources)


def _split_flags(text: str) -> tuple[list[tuple[str, str]], str]:
    flags: list[tuple[str, str]] = []
    end = 0
    while match := _FLAG.match(text, end):
        flags.append((match["name"], (match["value"] or "").strip("\"'")))
        end = match.end()
    return flags, text[end:]


def _is_bind_of_context(mount: str) -> bool:
    """Return whether a ``--mount`` is a bind mount, which is the default, without ``from``."""
    options = dict(part.strip("\"'").partition("=")[::2] for part in mount.split(","))
    return options.get("type", "bind") == "bind" and not options.get("from")


def _split_words(text: str) -> list[str]:
    """Return the words of an instruction in its shell form or its JSON form."""
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return text.split()
