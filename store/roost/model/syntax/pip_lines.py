"""Lines of a requirements list as text: the kind of each, and its normal form.

The grammar is pip's requirements file format (pip documentation, "Requirements File Format") around PEP 508. Names are
normalised by PEP 503, extras sorted, white space and quotes unified; the order of version clauses stays as written.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement

from roost.model.definition import PipItem, PipKind
from roost.model.errors import Location
from roost.model.syntax.bounds import MAX_DEPTH, MAX_TEXT
from roost.model.syntax.direct_urls import check_place, check_url, is_url, lower_scheme
from roost.model.syntax.pip_options import (
    EXPECTED_REQUIREMENT,
    RequirementError,
    Word,
    WrittenOption,
    is_option,
    parse_options,
    split_words,
    unknown_option,
)
from roost.model.syntax.wheel_references import SCHEME, parse_wheel_reference

LIST_SUFFIXES = (".txt", ".in")
ARCHIVE_SUFFIXES = (".whl", ".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")
_NESTED_KINDS: dict[str, PipKind] = {
    "--requirement": "requirements",
    "--constraint": "constraints",
    "--editable": "editable",
}
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
_REMOTE_URL = re.compile(r"(?:git\+(?:https?|ssh|git|file)|https?)://", re.IGNORECASE)
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?P<extras>\[[^\]]*\])?\s*(?P<rest>.*)", re.DOTALL
)
_LINE_INDEX = re.compile(r" --index=(\S+)")
_COMMENT = re.compile(r"(?:^|\s)#")
_OPTION_START = re.compile(r"\s(?=--?[A-Za-z])")
_EDITABLE = re.compile(r"(?:--editable(?:=|\s|$)|-e(?:=|(?!xtra-index-url|ditable)))\s*")
_NAME_AT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?P<extras>\[[^\]]*\])?"
    r"(?P<at>\s+@\s*|@\s+|@(?=\.{0,2}/|[A-Za-z][A-Za-z0-9+.-]*:))(?P<place>.*)",
    re.DOTALL,
)
_MARKER_START = re.compile(r"\s;")
_SHOWN = 40
_MARKER_TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|[<>=!~]+|[()]|[^\s<>=!~()\"']+")


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
    name: str = ""
    """Of a local file or folder behind ``name @``: the name, normalised; the project there must have it. Of a
    requirement whose name ends like that of a requirements file: the name as written."""
    offset: int = 0
    """Where it begins in the line."""
    leftover: tuple[Word, ...] = ()
    """Words behind an option that it does not take. pip passes over them."""


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
        if pieces and line.lstrip().startswith("#"):  # a comment, also behind a line that ends without a space
            pieces[-1] += " "
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


def parse_pip_line(line: str) -> PipLine:
    """Parse one logical line that is one requirement or one option.

    Raises: RequirementError if the line is not valid, or has several options.
    """
    parsed, *more = parse_pip_lines(line)
    if more:
        raise RequirementError("There are several options in this line", more[0].offset, hint="Write one option.")
    return parsed


@lru_cache(maxsize=4096)
def parse_pip_lines(line: str) -> tuple[PipLine, ...]:
    """Parse one logical line (continuations joined, comment removed): a requirement, or one or more options.

    Raises: RequirementError if the line is not valid.
    """
    indent = len(line) - len(line.lstrip())
    line = line.strip()
    try:
        return tuple(parsed._replace(offset=parsed.offset + indent) for parsed in _parse_line(line))
    except RequirementError as error:
        error.column += indent
        raise


def _parse_line(line: str) -> list[PipLine]:
    if line.startswith("-"):
        return _parse_options(_check_length(line))
    body, options = _split_options(line)
    _check_length(body)
    body = lower_scheme(body)
    if body.startswith(SCHEME):
        return [_parse_wheel_reference(body, options)]
    check_place(body)
    if _REMOTE_URL.match(body):
        return [PipLine("url", _join_marker(*_split_marker(body)) + options)]
    if _is_local(body):
        return [_parse_local(body, options)]
    return [_parse_requirement(body, options)]


def split_line_index(text: str) -> tuple[str, str | None]:
    """Split a requirement with ``--index=URL`` behind it, the only index that may have it, into the rest and the URL.

    Apart from ``--hash``, pip knows no option of a single requirement; this one is roost's.
    """
    found = _LINE_INDEX.search(text)
    return (text[: found.start()] + text[found.end() :], found[1]) if found else (text, None)


def split_local_text(item: PipItem) -> tuple[str, str]:
    """Split the text of a local file or folder into its name, which may look like anything, and what the line says
    behind it: extras, marker, options."""
    name = (item.path or "").rpartition("/")[2]
    if name and item.text.startswith(name):
        return name, item.text[len(name) :]
    match = re.search(r"\[|\s;|\s--", item.text)  # its content was copied to another place
    return (item.text[: match.start()], item.text[match.start() :]) if match else (item.text, "")


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
    path = unquote(re.sub(r"^//(localhost)?(?=/)", "", path), errors="surrogateescape")
    folder = re.search(r"(?:^|&)subdirectory=([^&\[]+)", fragment)
    extras = _find_extras(fragment)
    return path + (f"/{unquote(folder.group(1))}" if folder else "") + ("" if extras is None else fragment[extras:])


def _parse_options(line: str) -> list[PipLine]:
    head, _, choice = line.partition(" ")
    if head in CHOICE_OPTIONS:
        return [PipLine("option", f"{head} {choice.strip()}".strip())]
    if match := _EDITABLE.match(line):
        return [_parse_editable(line[match.end() :], match.end())]
    parsed = parse_options(line)
    lines: list[PipLine] = []
    for option in parsed.options:
        if any(option.name == other.name for other in parsed.options if other.offset < option.offset):
            hint = "Write it in a line of its own: pip reads the first one only, or the last one."
            raise RequirementError(f"{option.name} is here twice", option.offset, hint=hint)
        lines.append(_convert_option(option))
    if len(lines) > 1 and (nested := [line for line in lines if line.kind != "option"]):
        hint = "Write each in a line of its own: pip passes over options beside it."
        raise RequirementError("A file is included in a line with other options", nested[0].offset, hint=hint)
    return [*lines[:-1], lines[-1]._replace(leftover=parsed.leftover)]


def _convert_option(option: WrittenOption) -> PipLine:
    name, value, offset = option
    if name in _NESTED_KINDS:
        return PipLine(_NESTED_KINDS[name], lower_scheme(value), lower_scheme(value), offset=offset)
    target = value if name == "--find-links" and not _REMOTE_URL.match(value) else ""
    if target and is_url(target):
        check_url(target, offset)
    return PipLine("option", f"{name} {value}".rstrip(), target, offset=offset)


def _parse_editable(written: str, offset: int) -> PipLine:
    """Parse what stands behind ``-e``, at ``offset``; as in uv, a folder may have spaces and a marker."""
    if not written:
        raise RequirementError("Option -e names no folder", hint="Write it as -e FOLDER.")
    words = split_words(written)
    end = next((index for index, word in enumerate(words) if written[word.offset] == ";"), len(words))
    for word in words[1:end]:
        if _OPTION_START.match(f" {written[word.offset :]}"):
            hint = "Write another option in a line of its own; roost has no settings for builds."
            raise RequirementError(f"{word.text} can't stand behind -e", offset + word.offset, hint=hint)
    place = " ".join(word.text for word in words[:end])
    marker = written[words[end].offset + 1 :].strip() if end < len(words) else ""
    named = _NAME_AT.fullmatch(place)
    target = lower_scheme(named["place"] if named else place)
    check_place(target if named else place, offset, named=named is not None)
    if _REMOTE_URL.match(target):  # a checkout by tag or commit is installed unchanged: it is not edited in the prefix
        if not target.startswith("git+"):
            hint = "Remove -e to install the archive, or name a folder."
            raise RequirementError("An archive behind a URL can't be edited", offset, hint=hint)
        name = normalise_name(named["name"]) + _format_extras((named["extras"] or "[]")[1:-1]) if named else ""
        return PipLine("url", _join_marker(f"{name} @ {target}" if name else target, marker))
    extras = _format_extras((named["extras"] or "[]")[1:-1]) if named else ""
    local = _create_local(target, extras, marker, "")
    return local._replace(kind="editable", name=normalise_name(named["name"]) if named else "")


def _split_options(line: str) -> tuple[str, str]:
    """Return the requirement, and its ``--hash=…`` options sorted: pip accepts any that matches."""
    match = _OPTION_START.search(line)
    if match is None:
        return line, ""
    words = iter(split_words(line[match.end() :], match.end()))
    options = set()
    for word in words:
        name, equals, value = word.text.partition("=")
        if name not in ("--hash", "--index", "--config-settings"):  # the last is refused when it is locked
            raise _behind_requirement_error(name, word.offset)
        options.add(f"{name}={value if equals else next(words, Word('', 0)).text}")
    return line[: match.start()].strip(), "".join(f" {option}" for option in sorted(options))


def _behind_requirement_error(name: str, offset: int) -> RequirementError:
    if not name.startswith("-"):
        return RequirementError(f"{name[:_SHOWN]!r} is not an option", offset, hint="Remove it.")
    if name in ("-C", "--config-setting"):
        hint = "Remove it: roost has no settings for builds."
        return RequirementError(f"{name} can't be used: roost installs pip packages with uv", offset, hint=hint)
    if not is_option(name):
        return unknown_option(name, offset)
    hint = "Write it in a line of its own: it applies to all requirements."
    return RequirementError(f"{name} can't stand behind a requirement", offset, hint=hint)


def _split_marker(body: str) -> tuple[str, str]:
    """Split off the marker; after a URL or path, white space precedes its ``;`` (PEP 508)."""
    match = _MARKER_START.search(body)
    return (body[: match.start()].strip(), body[match.end() :].lstrip()) if match else (body.strip(), "")


def _split_local_marker(body: str) -> tuple[str, str]:
    """Split off the marker of a path; as in pip, it may follow without white space, if it is one."""
    place, marker = _split_marker(body)
    if marker or ";" not in place:
        return place, marker
    path, _, rest = place.partition(";")
    try:
        Marker(rest)
    except InvalidMarker:
        return place, ""
    return path, rest.strip()


def _join_marker(place: str, marker: str) -> str:
    return f"{place} ; {normalise_marker(marker)}" if marker else place


def _is_local(body: str) -> bool:
    place = split_extras(_split_local_marker(body)[0])[0]
    if _NAME_AT.fullmatch(body):
        return False
    if body.startswith("file:") or place.startswith((".", "/", "~/")) or place.endswith(ARCHIVE_SUFFIXES):
        return True
    return "/" in place and "@" not in place and ";" not in place


def _parse_local(body: str, options: str) -> PipLine:
    place, marker = _split_local_marker(body)
    return _create_local(place, "", marker, options)


def _create_local(place: str, extras: str, marker: str, options: str) -> PipLine:
    path, own_extras = split_extras(strip_file_scheme(place))
    kind: PipKind = "wheel" if path.endswith(".whl") else "source"
    name = path.rstrip("/").rpartition("/")[2]
    return PipLine(kind, _join_marker(name + (extras or own_extras), marker) + options, path)


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
    written = match["name"] if match["name"].endswith(LIST_SUFFIXES) else ""
    return PipLine("requirement", _join_marker(name + clauses, marker.strip()) + options, name=written)


def _parse_direct_reference(name: str, place: str, options: str) -> PipLine:
    """Parse the place behind ``name[extras] @``: a URL, or a path as uv accepts it."""
    place, marker = _split_marker(lower_scheme(place))
    if place.startswith(SCHEME):
        extras = name[name.find("[") :] if "[" in name else ""
        return _parse_wheel_reference(f"{place}{extras}" + (f" ; {marker}" if marker else ""), options)
    check_place(place, named=True)
    if is_url(place) and not place.startswith("file:"):
        return PipLine("url", f"{name} @ {_join_marker(place, marker)}{options}")
    bare, _, extras = name.partition("[")
    line = _create_local(place, f"[{extras}" if extras else "", marker, options)
    return line._replace(name=bare)


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
        found = Requirement(body)
    except InvalidRequirement as error:
        first, *rest = str(error).splitlines()
        column = rest[-1].find("^") if rest else -1
        at = max(0, min([place for place in (rest[-1].find("~"), column) if place >= 0], default=4) - 4) if rest else 0
        raise RequirementError(f"{body!r} is not a valid requirement: {first}", at) from None
    except ValueError:  # Python converts no number of more than 4,300 digits
        raise RequirementError("A version of this requirement has too many digits") from None
    if not all(name[-1].isalnum() for name in (found.name, *found.extras)):  # packaging lets it pass, uv does not
        raise RequirementError(f"{body!r} is not a valid requirement: a name ends with a letter or a digit")
