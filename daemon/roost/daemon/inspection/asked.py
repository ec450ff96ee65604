"""Which packages of a lock its definition names, and where each is written. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from roost.daemon.inspection.graph import Key
from roost.model.definition import Definition, PipItem, ReadResult
from roost.model.errors import Location
from roost.model.locks.lock import Lock, Wheel
from roost.model.syntax.match_specs import MatchSpecError, spec_name
from roost.model.syntax.pip_lines import split_line_index, split_local_text


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a definition that names a package of the lock."""

    key: Key
    text: str
    location: Location | None = None
    extras: frozenset[str] = frozenset()


def list_asked(parsed: ReadResult, lock: Lock) -> list[Asked]:
    """Return what the definition names of ``lock``, in the order in which it is written. A line whose package the lock
    does not have (its marker excludes this platform) is left out."""
    return [
        *_list_conda(parsed.definition, parsed.locations, lock),
        *_list_python(parsed, lock),
        *_list_pip(parsed.definition.pip.requirements, lock),
    ]


def collect_extras(asked: Sequence[Asked]) -> dict[str, frozenset[str]]:
    """Return the extras of wheels that the definition asks for, by name."""
    found: dict[str, frozenset[str]] = {}
    for each in asked:
        if each.key[0] == "pip" and each.extras:
            found[each.key[1]] = found.get(each.key[1], frozenset()) | each.extras
    return found


def _list_conda(definition: Definition, locations: Mapping[str, Location], lock: Lock) -> Iterator[Asked]:
    names = {package.name.lower(): package.name for package in lock.conda}
    for spec in definition.conda.dependencies:
        try:
            name = names.get(spec_name(spec))
        except MatchSpecError:
            continue
        if name is not None:
            yield Asked(key=("conda", name), text=spec, location=locations.get(spec))
    if definition.conda.explicit:  # a list of all packages: each is asked for
        files = {package.file_name: package.name for package in lock.conda}
        for urls in definition.conda.explicit.values():
            for url in urls:
                bare = url.partition("#")[0]
                if (name := files.get(bare.rpartition("/")[2])) is not None:
                    yield Asked(key=("conda", name), text=bare, location=locations.get(url))


def _list_python(parsed: ReadResult, lock: Lock) -> Iterator[Asked]:
    requires = parsed.definition.python.requires
    if requires and any(package.name == "python" for package in lock.conda):
        yield Asked(key=("conda", "python"), text=f"python {requires}", location=parsed.python_location)


def _list_pip(items: Sequence[PipItem], lock: Lock) -> Iterator[Asked]:
    conda = {str(canonicalize_name(package.name)): package.name for package in lock.conda}
    wheels = {wheel.name: wheel for wheel in lock.wheels}
    for item in items:
        if item.kind == "requirements":
            yield from _list_pip(item.items, lock)
        if item.kind in ("option", "requirements", "constraints"):
            continue
        name, extras = _find_name(item, lock)
        key: Key | None = ("pip", name) if name in wheels else None
        if key is None and name in conda:
            key = ("conda", conda[name])
        if key is not None:
            yield Asked(key=key, text=item.text, location=item.location, extras=extras)


def _find_name(item: PipItem, lock: Lock) -> tuple[str, frozenset[str]]:
    """Return the normalised name of what a line installs, and its extras; no name if nothing shows it."""
    text = split_line_index(item.text.partition(" --")[0])[0]
    try:
        requirement = Requirement(text) if item.kind in ("requirement", "url") else None
    except InvalidRequirement:
        requirement = None
    if requirement is not None:
        return str(canonicalize_name(requirement.name)), frozenset(map(str, map(canonicalize_name, requirement.extras)))
    bare = split_local_text(item)[1].partition(";")[0].strip()
    extras = bare.strip("[]").split(",") if bare.startswith("[") else []
    name = item.name or next((wheel.name for wheel in lock.wheels if _is_made_of(wheel, item)), "")
    return str(canonicalize_name(name)), frozenset(str(canonicalize_name(each)) for each in extras if each)


def _is_made_of(wheel: Wheel, item: PipItem) -> bool:
    """Return whether ``wheel`` is what a line without a name installs: a local file, a folder or a URL."""
    if item.kind == "editable" and item.path is not None:
        return item.path in (wheel.path, wheel.folder)
    if item.digest is not None:
        source = wheel.source.sha256 if wheel.source is not None else ""
        is_file = item.kind == "wheel" and split_local_text(item)[0] == wheel.file_name
        return is_file or item.digest in (f"sha256:{wheel.sha256}", wheel.origin, f"sha256:{source}")
    if item.kind == "url":
        place = item.text.partition("#")[0].removeprefix("git+")
        sources = (wheel.url, wheel.source.url if wheel.source is not None else None)
        return any(each is not None and place.startswith(each) for each in sources)
    return False
