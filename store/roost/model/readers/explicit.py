"""Reader of conda's own lists: ``@EXPLICIT`` ones of package URLs, with the ``# pip`` lines that conda-lock adds, and
those of ``conda list --export``."""

from __future__ import annotations

import re
from functools import partial

from roost.model.definition import Conda, Definition, Pip, PipItem, ReadResult
from roost.model.documents.conflicts import check_conflict
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.requirements import read_requirement_lines
from roost.model.readers.source import ReadContext, check_variables
from roost.model.syntax.bounds import check_length
from roost.model.syntax.match_specs import PACKAGE_SUFFIXES
from roost.model.syntax.pip_lines import LogicalLine, shift_location

_MARK = "@EXPLICIT"
_PYPI_BUILD = "=pypi_0"
_PIP = re.compile(r"#\s*pip\s+(?=\S)")
_PLATFORM = re.compile(r"#\s*platform:\s*(\S+)\s*$")
_DIGEST = re.compile(r"(?:sha256:)?[0-9a-fA-F]{64}|(?:md5:)?[0-9a-fA-F]{32}")
EXPECTED_URL = "a package URL such as 'https://host/channel/linux-64/name-1.0-0.conda#sha256:…'"


class ExplicitError(InvalidDefinitionError):
    """A line of an explicit list is not valid."""

    code = "explicit-invalid"


def read_explicit(reading: ReadContext, text: str) -> ReadResult:
    """Read an explicit list. Raises: InvalidDefinitionError if it is not valid."""
    check_conflict(text, reading.path)
    urls: list[str] = []
    items: list[PipItem] = []
    platform = ""
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        location = Location(path=reading.path, line=number, column=len(raw) - len(raw.lstrip()) + 1)
        end = shift_location(location, len(line))
        if pip := _PIP.match(line):
            listed = LogicalLine(line[pip.end() :], shift_location(location, pip.end()), end)
            items += read_requirement_lines(reading, [listed], reading.path)
        elif match := _PLATFORM.match(line):
            platform = match.group(1)
        elif line and not line.startswith("#") and line != _MARK:
            with reading.recover():
                reading.record_item("package", line, location, end)
                check_length(line, "This line", location)
                check_variables(line, partial(shift_location, location), conda=True)
                urls.append(_read_listed_url(reading, line, location))
    conda = Conda(explicit={platform or _find_platform(urls): tuple(urls)} if urls else {})
    return reading.build_result(Definition(conda=conda, pip=Pip(requirements=tuple(items))), "explicit")


def read_conda_list(reading: ReadContext, text: str) -> ReadResult:
    """Read what ``conda list --export`` writes, for ``conda create --file``: a match spec on each line. Packages that
    pip installed have the build ``pypi_0``.

    Raises: InvalidDefinitionError if a line is not valid.
    """
    check_conflict(text, reading.path)
    specs: list[str] = []
    items: list[PipItem] = []
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        location = Location(path=reading.path, line=number, column=len(raw) - len(raw.lstrip()) + 1)
        if not line or line.startswith("#"):
            continue
        end = shift_location(location, len(line))
        if line.endswith(_PYPI_BUILD):
            name, _, version = line.removesuffix(_PYPI_BUILD).partition("=")
            items += read_requirement_lines(reading, [LogicalLine(f"{name}=={version}", location)], reading.path)
            continue
        with reading.recover():
            reading.record_item("spec", line, location, end)
            check_length(line, "This line", location)
            check_variables(line, partial(shift_location, location), conda=True)
            specs.append(reading.read_match_spec(line, location))
    message = "a list of `conda list --export` names no channels: the default ones are used"
    reading.warn("channels-unnamed", message, Location(path=reading.path))
    definition = Definition(conda=Conda(dependencies=tuple(specs)), pip=Pip(requirements=tuple(items)))
    return reading.build_result(definition, "conda-list")


def has_explicit_mark(text: str) -> bool:
    """Whether a line of ``text`` says that it is an explicit list."""
    return _MARK in text and any(line.strip() == _MARK for line in text.split("\n"))


def find_subdir(url: str) -> str:
    """Return the subdir in a package URL."""
    return url.partition("#")[0].rsplit("/", 2)[-2] if url.count("/") >= 2 else ""


def normalise_fragment(digest: str) -> str:
    """Return a digest as ``sha256:…`` or a bare md5, in lower case; an empty one stays empty."""
    digest = digest.lower().removeprefix("sha256:").removeprefix("md5:")
    return f"sha256:{digest}" if len(digest) == 64 else digest


def _read_listed_url(reading: ReadContext, line: str, location: Location) -> str:
    place, _, digest = reading.strip_credentials(line).partition("#")
    if digest and not _DIGEST.fullmatch(digest):
        raise ExplicitError(
            f"{digest!r} is not a valid digest; expected an md5 or sha256",
            hint=f"Expected {EXPECTED_URL}.",
            location=location,
        )
    if not place.endswith(PACKAGE_SUFFIXES):
        raise ExplicitError(f"{line!r} is not a package; expected {EXPECTED_URL}", location=location)
    if "://" not in place:
        path = reading.resolve_path(place, reading.path)
        place, digest = "file://" + path, reading.compute_digest("file", path, location)
    elif place.startswith("file://") and not digest:
        digest = reading.compute_digest("file", place.removeprefix("file://"), location)
    return place + ("#" + normalise_fragment(digest) if digest else "")


def _find_platform(urls: list[str]) -> str:
    """Return the subdir of the packages that are not ``noarch``; a list of noarch packages fits any platform."""
    return next((subdir for url in urls if (subdir := find_subdir(url)) != "noarch"), "noarch")
