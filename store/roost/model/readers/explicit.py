"""conda's ``@EXPLICIT`` lists of package URLs, with the ``# pip`` lines that conda-lock adds."""

from __future__ import annotations

import re

from roost.model.definition import Conda, Definition, Pip, PipItem, ReadResult
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.requirements import read_requirement_lines
from roost.model.readers.source import ReadContext
from roost.model.syntax.match_specs import PACKAGE_SUFFIXES
from roost.model.syntax.pip_lines import LogicalLine

EXPLICIT_MARK = re.compile(r"^\s*@EXPLICIT\s*$", re.MULTILINE)
_PIP = re.compile(r"#\s*pip\s+(?=\S)")
_PLATFORM = re.compile(r"#\s*platform:\s*(\S+)\s*$")
_DIGEST = re.compile(r"(?:sha256:)?[0-9a-fA-F]{64}|(?:md5:)?[0-9a-fA-F]{32}")
EXPECTED = "a package URL such as 'https://host/channel/linux-64/name-1.0-0.conda#sha256:…'"


class ExplicitError(InvalidDefinitionError):
    """A line of an explicit list is none."""

    code = "explicit-invalid"


def read_explicit(reading: ReadContext, text: str) -> ReadResult:
    """An explicit list. Raises ``InvalidDefinitionError``."""
    urls: list[str] = []
    items: list[PipItem] = []
    platform = ""
    for number, raw in enumerate(text.split("\n"), start=1):
        line, location = raw.strip(), Location(path=reading.path, line=number, column=1)
        if pip := _PIP.match(line):
            items += read_requirement_lines(reading, [LogicalLine(line[pip.end() :], location)], reading.path)
        elif told := _PLATFORM.match(line):
            platform = told.group(1)
        elif line and not line.startswith("#") and line != "@EXPLICIT":
            urls.append(_url(reading, line, location))
    conda = Conda(explicit={platform or _platform(urls): tuple(urls)} if urls else {})
    return reading.parsed(Definition(conda=conda, pip=Pip(requirements=tuple(items))), "explicit")


def subdir_of(url: str) -> str:
    """The subdir that a package URL lies in."""
    return url.partition("#")[0].rsplit("/", 2)[-2] if url.count("/") >= 2 else ""


def normalise_fragment(digest: str) -> str:
    """``sha256:…`` or a bare md5, in lower case; nothing of nothing."""
    digest = digest.lower().removeprefix("sha256:").removeprefix("md5:")
    return f"sha256:{digest}" if len(digest) == 64 else digest


def _url(reading: ReadContext, line: str, location: Location) -> str:
    place, _, digest = reading.clean(line).partition("#")
    if digest and not _DIGEST.fullmatch(digest):
        raise ExplicitError(
            f"{digest!r} is no digest; expected an md5 or sha256", hint=f"Expected {EXPECTED}.", location=location
        )
    if not place.endswith(PACKAGE_SUFFIXES):
        raise ExplicitError(f"{line!r} is no package; expected {EXPECTED}", location=location)
    if "://" not in place:
        path = reading.beside(place, reading.path)
        place, digest = "file://" + path, reading.digest("file", path, location)
    elif place.startswith("file://") and not digest:
        digest = reading.digest("file", place.removeprefix("file://"), location)
    return place + ("#" + normalise_fragment(digest) if digest else "")


def _platform(urls: list[str]) -> str:
    """The subdir of the packages that are not ``noarch``; a list of noarch ones alone fits any platform."""
    return next((subdir for url in urls if (subdir := subdir_of(url)) != "noarch"), "noarch")
