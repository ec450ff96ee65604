"""From the words of an engine that found no set of packages to the requirements that they are about. Pure.

rattler and uv explain in sentences and trees: ``engines.conda.translation`` and ``engines.uv.translation`` make the
messages that are read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from roost.model.definition import Definition, PipItem
from roost.model.errors import Location
from roost.model.syntax.match_specs import spec_name

Kind = Literal["missing", "versions", "conflict", "python", "build"]
_NO_CANDIDATES = re.compile(
    r"No candidates were found for (?P<name>[^\s:]+?)(?: (?P<bound>[^\n]*?))?\.?$", re.MULTILINE
)
_ROOT = re.compile(
    r"^(?:[├└]─ )?(?P<name>[^\s│├└]+)(?: (?P<bound>.*?))? (?P<what>cannot|can) be installed", re.MULTILINE
)
_INNER = re.compile(r"(?:[├└]─ )(?P<name>\S+?)(?: (?P<bound>[^\n]*?))?, for which no candidates were found")
_NOWHERE = re.compile(r"(?<!\S)(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])? is in none of the package indexes asked")
_REQUIRED = re.compile(r"you require (?P<all>.+?)(?:, we can|, and |\.$|\.\s|$)", re.MULTILINE)
_BOUND = re.compile(r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*(?P<bound>[<>=!~].*)?$", re.DOTALL)
_OTHER_PYTHON = re.compile(r"(?:current|requested) Python version \([^)]*\) does not satisfy Python(?P<bound>[^\s,]+)")
_NO_VERSION = re.compile(r"only (?P<name>[A-Za-z0-9._-]+)\S* is available|there (?:is|are) no versions? of")


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """A requirement as a definition has it."""

    name: str
    """Normalised."""
    text: str
    is_conda: bool
    location: Location | None = None


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why a solve failed."""

    kind: Kind
    """``missing``: there is no package of that name; ``versions``: none of its versions fits by itself; ``conflict``:
    requirements exclude each other; ``python``: what is chosen needs another Python; ``build``: its source can't be
    built."""
    name: str
    """The package that is missing or has no version, else that of ``requirement``."""
    bound: str = ""
    """The versions that are required of it."""
    requirement: Requirement | None = None
    """What in the definition requires it; ``None`` if that is not known, or added by the request."""
    others: tuple[Requirement, ...] = ()
    """The requirements that it conflicts with."""


def normalise(name: str) -> str:
    """Return the name of a package as it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def list_requirements(definition: Definition, locations: Mapping[str, Location]) -> list[Requirement]:
    """Return all requirements of a definition. ``locations``: of its match specs."""
    conda = [
        Requirement(name=normalise(spec_name(spec)), text=spec, is_conda=True, location=locations.get(spec))
        for spec in definition.conda.dependencies
    ]
    return [*conda, *_list_lines(definition.pip.requirements)]


def _list_lines(items: Sequence[PipItem]) -> Iterator[Requirement]:
    for item in items:
        if item.kind in ("requirements", "constraints"):
            yield from _list_lines(item.items)
        elif found := re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", item.name or item.text):
            yield Requirement(name=normalise(found[0]), text=item.text, is_conda=False, location=item.location)


def find_conda_cause(message: str, requirements: Sequence[Requirement]) -> Cause | None:
    """Return the cause in the message of a SolveError; ``None`` if it names no requirement.

    1. What has no candidates at all, of the definition or of what it requires. 2. The last root of the tree that can't
    be installed; the others are what it conflicts with.
    """
    own = [each for each in requirements if each.is_conda]
    roots = list(_ROOT.finditer(message))
    if found := _NO_CANDIDATES.search(message):
        requirement = _find(own, found["name"], found["bound"])
        return Cause(kind="missing", name=_bare(found["name"]), bound=found["bound"] or "", requirement=requirement)
    failed = [root for root in roots if root["what"] == "cannot"]
    if not failed:
        return None
    last = failed[-1]
    requirement = _find(own, last["name"], last["bound"])
    inner = _INNER.search(message, last.start())
    if inner and not inner["name"].startswith("__"):
        name, bound = _bare(inner["name"]), inner["bound"] or ""
        return Cause(kind="missing", name=name, bound=bound, requirement=requirement)
    others = [_find(own, root["name"], root["bound"]) for root in roots if root is not last]
    return Cause(
        kind="conflict",
        name=_bare(last["name"]),
        bound=last["bound"] or "",
        requirement=requirement,
        others=tuple(dict.fromkeys(each for each in others if each is not None and each != requirement)),
    )


def find_pip_cause(message: str, requirements: Sequence[Requirement]) -> Cause | None:
    """Return the cause in the message of a PipUnsatisfiableError; ``None`` if it names no requirement.

    1. What no index has. 2. What needs another Python. 3. Requirements that exclude each other: the first that has a
    bound; or the only one, of which no version fits.
    """
    text = " ".join(message.split())
    own = [each for each in requirements if not each.is_conda]
    required = [_find(own, *_split(part)) for part in _list_required(text)]
    known = list(dict.fromkeys(each for each in required if each is not None))
    if found := _NOWHERE.search(text):
        direct = _find(own, found["name"], None)
        bound = _split(direct.text)[1] if direct is not None else ""
        return Cause(kind="missing", name=found["name"], bound=bound, requirement=direct or next(iter(known), None))
    if not known:
        return None
    if found := _OTHER_PYTHON.search(text):
        return Cause(kind="python", name=known[-1].name, bound=found["bound"], requirement=known[-1])
    first = next((each for each in known if _split(each.text)[1]), known[0])
    name, bound = _split(first.text)
    kind: Kind = "versions" if len(known) == 1 and _NO_VERSION.search(text) else "conflict"
    return Cause(kind=kind, name=name, bound=bound, requirement=first, others=tuple(k for k in known if k != first))


def find_conflict_cause(package: str, demands: Sequence[str], requirements: Sequence[Requirement]) -> Cause:
    """Return the cause of a ConflictError: conda provides a version of ``package`` that the pip lines ``demands``
    exclude (``numpy>=99``, or ``scipy (which needs numpy>=2)``)."""
    pip = [each for each in requirements if not each.is_conda]
    found = [_find(pip, *_split(demand.partition(" (")[0])) for demand in demands]
    first = next((each for each in found if each is not None), None)
    conda = _find([each for each in requirements if each.is_conda], package, None)
    return Cause(kind="conflict", name=package, requirement=first, others=(conda,) if conda is not None else ())


def _list_required(text: str) -> Iterator[str]:
    """Yield what uv says is required: ``greet>=1`` of ``you require greet>=1 and greet<1``."""
    for found in _REQUIRED.finditer(text):
        first, *others = found["all"].split(" and ")
        yield first
        name = _split(first)[0]
        yield from (other for other in others if normalise(_split(other)[0]) == normalise(name) or " " not in other)


def _split(text: str) -> tuple[str, str]:
    """Return name and bounds of a requirement, without its marker."""
    found = _BOUND.match(text.partition(";")[0].partition(" @ ")[0].partition(" --")[0])
    return (found["name"], (found["bound"] or "").strip()) if found else (text.strip(), "")


def _find(requirements: Sequence[Requirement], name: str, bound: str | None) -> Requirement | None:
    """Return the requirement of ``name``; of several, the one whose bounds are most like ``bound``."""
    named = [each for each in requirements if each.name == normalise(_bare(name))]
    wanted, numbers = re.sub(r"[\s.*]", "", bound or ""), re.findall(r"\d+", bound or "")

    def likeness(requirement: Requirement) -> tuple[bool, bool, int]:
        text = requirement.text.partition("::")[2] or requirement.text
        own = text[len(re.match(r"[A-Za-z0-9._-]*", text)[0]) :]  # type: ignore[index]  # it matches the empty text
        return re.sub(r"[\s.*]", "", own) == wanted, re.findall(r"\d+", own) == numbers, len(text)

    return max(named, key=likeness, default=None)


def _bare(name: str) -> str:
    """Return the name of a package without its channel."""
    return name.rpartition("::")[2]


def format_place(location: Location | None) -> str:
    """Return `` (path:line:column)``; empty without a location."""
    if location is None or location.line is None:
        return ""
    name = location.path.rpartition("/")[2]
    return f" ({':'.join(str(part) for part in (name, location.line, location.column) if part is not None)})"
