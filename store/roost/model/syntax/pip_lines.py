"""Lines of a requirements list as text: the kind of each, and its normal form.

The grammar is pip's requirements file format (pip documentation, "Requirements File Format") around PEP 508. Names are
normalised by PEP 503, extras sorted, white space and quotes unified; the order of version clauses stays as written.
"""

from __future__ import annotations

import re
import shlex
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement

from roost.model.definition import PipKind
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.syntax.bounds import MAX_DEPTH, MAX_TEXT
from roost.model.syntax.wheel_references import SCHEME, parse_wheel_reference

EXPECTED_REQUIREMENT = (
    "a requirement such as 'six==1.16.0', a path, a URL or an option of pip's requirements file format"
)
ARCHIVE_SUFFIXES = (".whl", ".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")
_NESTED_KINDS: dict[str, PipKind] = {
    "--requirement": "requirements",
    "--constraint": "constraints",
    "--editable": "editable",
}
_LONG_OPTIONS = {
    "-r": "--requirement",
    "-c": "--constraint",
    "-e": "--editable",
    "-i": "--index-url",
    "-f": "--find-links",
}
_INDEX_OPTIONS = "--index-url --extra-index-url --find-links --no-binary --only-binary --trusted-host --use-feature"
_WITH_VALUE = frozenset((*_INDEX_OPTIONS.split(), *_NESTED_KINDS))
_FLAGS = frozenset(("--no-index", "--pre", "--prefer-binary", "--require-hashes"))
CHOICE_OPTIONS = frozenset(
    (
        *("--index", "--index-strategy", "--prerelease", "--prerelease-package", "--resolution"),
        *(
            "--exclude-newer",
            "--exclude-newer-package",
            "--override",
            "--exclude-dependency",
            "--constraint-dependency",
        ),
        *("--build-constraint", "--no-build", "--no-build-package", "--dependency-metadata"),
    )
)
"""Options that pip does not have: what ``[tool.uv]`` says about the choice of packages. Their value is the rest of the
line, unquoted."""
_REMOTE_URL = re.compile(r"(?:(?:git|hg|svn|bzr)\+|(?:https?|ftp|ssh|git)://)", re.IGNORECASE)
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?P<extras>\[[^\]]*\])?\s*(?P<rest>.*)", re.DOTALL
)
_LINE_INDEX = re.compile(r" --index=(\S+)")
_COMMENT = re.compile(r"(?:^|\s)#")
_OPTION_START = re.compile(r"\s--?[a-z]")
_OPTION_VALUE = re.compile(r"(?<!\S)(--[\w-]+)\s+(?!-)")
_MARKER_START = re.compile(r"\s;")
_MARKER_TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|[<>=!~]+|[()]|[^\s<>=!~()\"']+")


class RequirementError(InvalidDefinitionError):
    """A line of a requirements list is not valid; ``column`` counts from 0 within the line."""

    code = "requirement-invalid"

    def __init__(self, message: str, column: int = 0) -> None:
        super().__init__(message, hint=f"Expected {EXPECTED_REQUIREMENT}.")
        self.column = column


class LogicalLine(NamedTuple):
    """A logical line, where it begins, and where the parts of it are that were joined."""

    text: str
    location: Location
    end: Location | None = None
    """Where it ends (exclusive), if that is known."""
    parts: tuple[tuple[int, Location], ...] = ()
    """Offset in ``text`` and location of each part, if they are known."""

    def locate(self, offset: int) -> Location:
        """Return where a character of ``text`` is written."""
        index = bisect_right(self.parts, offset, key=lambda part: part[0]) - 1
        begin, location = self.parts[index] if index >= 0 else (0, self.location)
        return shift_location(location, offset - begin)


class PipLine(NamedTuple):
    """A parsed line: its kind, its normal form, and the path or URL of what it refers to."""

    kind: PipKind
    text: str
    target: str = ""
    """Of ``requirements``, ``constraints``, ``wheel``, ``source`` and ``editable``: the path or URL as written; of a
    wheel of the store: the reference."""
    known: bool = True
    """False for an option that roost does not know."""


def normalise_name(name: str) -> str:
    """Return the name of a distribution as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def shift_location(location: Location, columns: int) -> Location:
    """Return a location to the right in the same line; the same one if it has no column."""
    if location.column is None:
        return location
    return Location(path=location.path, line=location.line, column=location.column + columns)


def split_logical_lines(text: str, locate: Callable[[int], Location]) -> Iterator[LogicalLine]:
    """Yield the lines of a requirements list with continuations joined, without comments and empty lines.

    ``locate`` returns where the character at an offset of ``text`` is written. As in pip, continuations are joined
    first, so a comment ends with its own line.
    """
    pieces: list[str] = []
    starts: list[int] = []
    offset = 0
    for line in [*text.split("\n"), ""]:
        starts.append(offset)
        offset += len(line) + 1
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            pieces.append(line[:-1])
            continue
        pieces.append(line)
        joined = "".join(pieces)
        comment = _COMMENT.search(joined)
        joined = (joined[: comment.start()] if comment else joined).rstrip()
        if joined.strip():
            yield _locate_line(joined, pieces, starts, locate)
        pieces, starts = [], []


def _locate_line(joined: str, pieces: list[str], starts: list[int], locate: Callable[[int], Location]) -> LogicalLine:
    text = joined.lstrip()
    indent, before = len(joined) - len(text), 0
    parts: list[tuple[int, int]] = []
    """Offsets in the joined line without its indentation, and in the whole text."""
    for piece, start in zip(pieces, starts, strict=True):
        if before + len(piece) > indent and before < len(joined):
            skipped = max(indent - before, 0)
            parts.append((before + skipped - indent, start + skipped))
        before += len(piece)
    begin, start = parts[-1]
    located = tuple((begin, locate(start)) for begin, start in parts)
    end = locate(start + len(text) - begin)
    return LogicalLine(text, located[0][1], end if end != located[-1][1] else None, located)


@lru_cache(maxsize=4096)
def parse_pip_line(line: str) -> PipLine:
    """Parse one logical line (continuations joined, comment removed).

    Raises: RequirementError if the line is not valid.
    """
    line = line.strip()
    if line.startswith("-"):
        return _parse_option(_check_length(line))
    body, options = _split_options(line)
    _check_length(body)
    if body.startswith(SCHEME):
        return _parse_wheel_reference(body, options)
    if _REMOTE_URL.match(body):
        return PipLine("url", _join_marker(*_split_marker(body)) + options)
    if _is_local(body):
        return _parse_local(body, options)
    return _parse_requirement(body, options)


def split_line_index(text: str) -> tuple[str, str | None]:
    """Split a requirement with ``--index=URL`` behind it, the only index that may have it, into the rest and the URL.

    Apart from ``--hash``, pip knows no option of a single requirement; this one is roost's.
    """
    found = _LINE_INDEX.search(text)
    return (text[: found.start()] + text[found.end() :], found[1]) if found else (text, None)


def split_extras(text: str) -> tuple[str, str]:
    """Split ``x.whl[a,b]`` into ``x.whl`` and ``[a,b]`` (names normalised by PEP 503, sorted)."""
    start = _find_extras(text)
    return (text, "") if start is None else (text[:start].rstrip(), _format_extras(text[start + 1 : -1]))


def _find_extras(text: str) -> int | None:
    """Return where the last brackets of a text that ends with them begin."""
    if not text.endswith("]"):
        return None
    start = text.find("[", text.rfind("]", 0, -1) + 1)
    return start if start >= 0 else None


def normalise_marker(marker: str) -> str:
    """Return an environment marker (PEP 508) with single spaces and double quotes."""
    tokens = []
    for token in _MARKER_TOKEN.findall(marker):
        tokens.append(f'"{token[1:-1]}"' if token[0] == "'" and '"' not in token else token)
    return " ".join(tokens).replace("( ", "(").replace(" )", ")")


def strip_file_scheme(place: str) -> str:
    """Return the path that ``file:../x#egg=y&subdirectory=z`` refers to; other paths as they are."""
    if not place.startswith("file:"):
        return place
    path, _, fragment = place.removeprefix("file:").partition("#")
    path = re.sub(r"^//(localhost)?(?=/)", "", path)
    folder = re.search(r"(?:^|&)subdirectory=([^&\[]+)", fragment)
    extras = _find_extras(fragment)
    return path + (f"/{folder.group(1)}" if folder else "") + ("" if extras is None else fragment[extras:])


def _parse_option(line: str) -> PipLine:
    head, _, choice = line.partition(" ")
    if head in CHOICE_OPTIONS:
        return PipLine("option", f"{head} {choice.strip()}".strip())
    name, value, rest = _split_option(line)
    if name in ("--requirement", "--constraint"):
        if not value:
            raise RequirementError(f"Option {name} names no file")
        return PipLine(_NESTED_KINDS[name], value, value)
    if name == "--editable":
        return _parse_editable(" ".join([value, *rest]))
    if name in _WITH_VALUE and value:
        target = value if name == "--find-links" and not _REMOTE_URL.match(value) else ""
        return PipLine("option", f"{name} {value}", target)
    return PipLine("option", " ".join(part for part in (name, value, *rest) if part), known=name in _FLAGS)


def _split_option(line: str) -> tuple[str, str, list[str]]:
    """Return the long name, the value and the remaining words; quotes are those of a shell, as in pip."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise RequirementError(f"Option {line!r} can't be read: {error}") from None
    head, equals, value = words[0].partition("=")
    if not head.startswith("--") and len(head) > 2:
        head, value, equals = words[0][:2], words[0][2:].removeprefix("="), "="
    name = _LONG_OPTIONS.get(head, head)
    if equals or name not in _WITH_VALUE or len(words) == 1:
        return name, value, words[1:]
    return name, words[1], words[2:]


def _parse_editable(value: str) -> PipLine:
    if not value:
        raise RequirementError("Option -e names no folder")
    if _REMOTE_URL.match(value):  # a checkout by tag or commit is installed unchanged: it is not edited in the prefix
        return PipLine("url", value)
    local = _parse_local(value, "")
    return PipLine("editable", local.text, local.target)


def _split_options(line: str) -> tuple[str, str]:
    """Return the requirement, and its ``--hash=…`` options sorted: pip accepts any that matches."""
    match = _OPTION_START.search(line)
    if match is None:
        return line, ""
    words = _OPTION_VALUE.sub(r"\1=", line[match.start() :]).split()
    return line[: match.start()].strip(), "".join(f" {word}" for word in sorted(set(words)))


def _split_marker(body: str) -> tuple[str, str]:
    """Split off the marker; after a URL or path, white space precedes its ``;`` (PEP 508)."""
    match = _MARKER_START.search(body)
    return (body[: match.start()].strip(), body[match.end() :].lstrip()) if match else (body.strip(), "")


def _join_marker(place: str, marker: str) -> str:
    return f"{place} ; {normalise_marker(marker)}" if marker else place


def _is_local(body: str) -> bool:
    place = split_extras(_split_marker(body)[0])[0]
    if body.startswith("file:") or place.startswith((".", "/", "~/")) or place.endswith(ARCHIVE_SUFFIXES):
        return " @ " not in body
    return "/" in place and "@" not in place and ";" not in place


def _parse_local(body: str, options: str) -> PipLine:
    place, marker = _split_marker(body)
    path, extras = split_extras(strip_file_scheme(place))
    kind: PipKind = "wheel" if path.endswith(".whl") else "source"
    name = path.rstrip("/").rpartition("/")[2]
    return PipLine(kind, _join_marker(name + extras, marker) + options, path)


def _parse_wheel_reference(body: str, options: str) -> PipLine:
    place, marker = _split_marker(body)
    target, extras = split_extras(place)
    reference = parse_wheel_reference(target)
    if reference is None:
        raise RequirementError(
            f"{target!r} does not name a wheel by its content, as in {SCHEME}sha256:<64 hex>/<name>.whl"
        )
    return PipLine("wheel", _join_marker(reference.file_name + extras, marker) + options, target)


def _parse_requirement(body: str, options: str) -> PipLine:
    """Parse a requirement by name: ``name[extras] clauses ; marker`` or ``name @ place``."""
    _check_requirement(body)
    match = _REQUIREMENT.fullmatch(body)
    if match is None:
        raise RequirementError(f"{body!r} is not a valid requirement; expected {EXPECTED_REQUIREMENT}")
    name = normalise_name(match["name"]) + _format_extras((match["extras"] or "[]")[1:-1])
    if match["rest"].startswith("@"):
        return _parse_direct_reference(name, match["rest"][1:].strip(), options)
    clauses, _, marker = match["rest"].partition(";")
    clauses = re.sub(r"\s+", "", clauses)
    if clauses.startswith("("):
        clauses = clauses[1:-1]
    return PipLine("requirement", _join_marker(name + clauses, marker.strip()) + options)


def _parse_direct_reference(name: str, place: str, options: str) -> PipLine:
    if not place.startswith(("file:", SCHEME)):
        return PipLine("url", f"{name} @ {_join_marker(*_split_marker(place))}{options}")
    extras = name[name.find("[") :] if "[" in name else ""
    path, marker = _split_marker(place)
    parse = _parse_wheel_reference if place.startswith(SCHEME) else _parse_local
    return parse(f"{path}{extras}{' ; ' + marker if marker else ''}", options)


def _format_extras(inner: str) -> str:
    names = sorted({normalise_name(extra.strip()) for extra in inner.split(",") if extra.strip()})
    return f"[{','.join(names)}]" if names else ""


def _check_length(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise RequirementError(f"This line has {len(text):,} characters; roost reads at most {MAX_TEXT:,} and hashes")
    return text


def _check_requirement(body: str) -> None:
    """Check against PEP 508."""
    if body.count("(") > MAX_DEPTH:
        raise RequirementError(f"This requirement has more than {MAX_DEPTH} parentheses; roost reads at most so many")
    try:
        Requirement(body)
    except InvalidRequirement as error:
        first, *rest = str(error).splitlines()
        column = rest[-1].find("^") if rest else -1
        at = max(0, min([place for place in (rest[-1].find("~"), column) if place >= 0], default=4) - 4) if rest else 0
        raise RequirementError(f"{body!r} is not a valid requirement: {first}", at) from None
    except ValueError:  # Python converts no number of more than 4,300 digits
        raise RequirementError("A version of this requirement has too many digits") from None
