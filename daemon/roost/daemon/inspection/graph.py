"""Which package of a lock needs which other ones: conda's, pip's and virtual packages in one graph. Pure.

conda's packages say what they depend on in their records, which are in the lock. Wheels say it in their metadata, with
markers and extras (PEP 508): ``Requires-Dist`` counts if its marker holds on the lock's platform and Python, for no
extra or for one that somebody asks for. An extra of a package is asked for by the definition or by another package that
is in the lock, so extras are followed until nothing new is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from roost.model.locks.lock import Lock
from roost.model.syntax.match_specs import MatchSpecError, spec_name

NodeKind = Literal["conda", "pip", "jar", "r", "virtual", "missing"]
"""``virtual``: a property of the machine that the solve assumed. ``missing``: needed, and not in the lock."""
Key = tuple[NodeKind, str]


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What one package needs of another."""

    key: Key
    text: str
    """As the package says it, without its marker: ``numpy >=1.22,<2``, ``rich[jupyter]>=13``."""


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A package of the graph."""

    key: Key
    version: str
    needs: tuple[Need, ...] = ()
    is_known: bool = True
    """Whether it is known what it needs."""

    @property
    def name(self) -> str:
        return self.key[1]


Graph = Mapping[Key, Package]


class WheelNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of wheels beyond the lock."""

    lines: Mapping[str, tuple[str, ...]] = {}
    """``Requires-Dist`` by name, of every wheel whose metadata was found."""
    extras: Mapping[str, frozenset[str]] = {}
    """The extras that the definition asks for, by name."""
    provided: Mapping[str, str] = {}
    """Distribution to the conda package that has it, if that is called otherwise."""


def build_graph(lock: Lock, environment: Mapping[str, str], known: WheelNeeds) -> dict[Key, Package]:
    """Return all packages of ``lock``, in its order, then what they need beyond it. ``environment``: the variables of
    markers."""
    names = _Names(lock, known.provided)
    packages: dict[Key, Package] = {}
    for conda in lock.conda:
        needs = _list_conda_needs(conda.record.get("depends"), names)
        packages["conda", conda.name] = Package(key=("conda", conda.name), version=conda.version, needs=needs)
    active = _follow_extras(lock, environment, known)
    for wheel in lock.wheels:
        lines = known.lines.get(wheel.name)
        own = active.get(wheel.name, [])
        if lines is None:  # the lock may have names that another tool's lock had; they hold for all platforms
            found = [name for name in wheel.requires if names.find_distribution(name)[0] != "missing"]
            own = _parse(found)
        packages["pip", wheel.name] = Package(
            key=("pip", wheel.name),
            version=wheel.version,
            needs=_list_wheel_needs(own, names),
            is_known=lines is not None or bool(wheel.requires),
        )
    for jar in lock.jars:
        key: Key = ("jar", f"{jar.group}:{jar.name}")
        packages[key] = Package(key=key, version=jar.version, is_known=False)
    for each in lock.r:
        r_names = {other.name for other in lock.r}
        needs = tuple(Need(key=("r", name), text=name) for name in each.requires if name in r_names)
        packages["r", each.name] = Package(key=("r", each.name), version=each.version, needs=needs)
    for name, version in lock.system.items():
        packages["virtual", name] = Package(key=("virtual", name), version=version)
    for package in list(packages.values()):
        for need in package.needs:
            if need.key not in packages:
                packages[need.key] = Package(key=need.key, version="")
    return packages


class _Names:
    """Finds packages of a lock by the names that others call them."""

    def __init__(self, lock: Lock, provided: Mapping[str, str]) -> None:
        self._conda = {package.name.lower(): package.name for package in lock.conda}
        self._spelled = {str(canonicalize_name(name)): name for name in self._conda.values()}
        self._wheels = {wheel.name for wheel in lock.wheels}
        self._provided = provided

    def find_conda(self, name: str) -> Key:
        if name.startswith("__"):
            return "virtual", name
        found = self._conda.get(name)
        return ("conda", found) if found is not None else ("missing", name)

    def find_distribution(self, name: str) -> Key:
        normal = str(canonicalize_name(name))
        if normal in self._wheels:
            return "pip", normal
        conda = self._provided.get(normal) or self._spelled.get(normal)
        return ("conda", conda) if conda is not None else ("missing", normal)


def _list_conda_needs(depends: object, names: _Names) -> tuple[Need, ...]:
    needs: dict[Key, Need] = {}
    for line in depends if isinstance(depends, list | tuple) else ():
        try:
            key = names.find_conda(spec_name(str(line)))
        except MatchSpecError:
            continue
        before = needs.get(key)
        needs[key] = Need(key=key, text=f"{before.text}, {line}" if before else str(line))
    return tuple(needs.values())


def _list_wheel_needs(requirements: Sequence[Requirement], names: _Names) -> tuple[Need, ...]:
    needs: dict[Key, Need] = {}
    for each in requirements:
        key, text = names.find_distribution(each.name), _format(each)
        before = needs.get(key)
        needs[key] = Need(key=key, text=f"{before.text}, {text}" if before and text not in before.text else text)
    return tuple(needs.values())


def _format(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    place = f" @ {requirement.url}" if requirement.url else str(requirement.specifier)
    return f"{requirement.name}{extras}{place}"


def _follow_extras(lock: Lock, environment: Mapping[str, str], known: WheelNeeds) -> dict[str, list[Requirement]]:
    """Return the requirements of each wheel that hold, with all extras that are asked for."""
    parsed = {wheel.name: _parse(known.lines.get(wheel.name, ())) for wheel in lock.wheels}
    extras: dict[str, set[str]] = {name: {""} for name in parsed}
    for name, asked in known.extras.items():
        extras.setdefault(name, {""}).update(asked)
    active: dict[str, list[Requirement]] = {}
    pending = list(parsed)
    while pending:
        name = pending.pop()
        active[name] = [each for each in parsed[name] if _holds(each, environment, extras[name])]
        for each in active[name]:
            other = str(canonicalize_name(each.name))
            new = {str(canonicalize_name(extra)) for extra in each.extras} - extras.get(other, set())
            if new and other in parsed:
                extras[other] |= new
                pending.append(other)
    return active


def _parse(lines: Sequence[str]) -> list[Requirement]:
    found = []
    for line in lines:
        try:
            found.append(Requirement(line))
        except InvalidRequirement:
            continue
    return found


def _holds(requirement: Requirement, environment: Mapping[str, str], extras: set[str]) -> bool:
    """Return whether a requirement counts for one of the extras; ``""`` is none of them."""
    if requirement.marker is None:
        return True
    try:
        return any(requirement.marker.evaluate({**environment, "extra": extra}) for extra in extras)
    except (UndefinedComparison, UndefinedEnvironmentName):
        return True
