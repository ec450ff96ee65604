"""What an edited definition changed in its lock: what came, what went, and what moved, on request or by itself. Pure.

``differences`` compares two locks file by file; here a package is one thing, whether conda or pip provides it, and the
two definitions say what was requested.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from roost.model.canonical.form import parse_canonical
from roost.model.locks.differences import PackageView, compare_locks, compare_versions_naturally, index_packages
from roost.model.locks.lock import HostPython, Lock, PackageKind
from roost.model.syntax.match_specs import MatchSpecError, spec_name

MOST_LINES = 10
"""Lines of a list for people; what is left is counted."""


class PackageMove(msgspec.Struct, frozen=True, kw_only=True):
    """A package that differs between two locks. ``before`` and ``after`` are versions, with the build if only that
    differs, and equal if only the files differ."""

    name: str
    kind: Literal["conda", "pip", "jar", "r", "python"]
    """Of the new lock, if that has the package; ``python``: the Python of a machine."""
    change: Literal["added", "removed", "moved"]
    asked: bool
    """Whether the definition now says something else of the package itself."""
    before: str | None = None
    after: str | None = None
    was: PackageKind | None = None
    """The former kind, if conda provides it in place of pip or the other way round."""
    needed_by: str | None = None
    """A package that came or moved as well and does not fit the former version, with what it needs."""
    text: str = ""
    """One line for people."""


def find_moves(
    before: Lock, after: Lock, defined_before: bytes | None, defined_after: bytes
) -> tuple[PackageMove, ...]:
    """Return what differs: what moved by itself first, then what was requested, then what came and went with it.

    ``defined_before`` and ``defined_after`` are the canonical forms of the definitions; ``None`` if the former one is
    not known, so that whatever the new one names counts as requested.
    """
    old_lines = _list_lines(defined_before) if defined_before is not None else {}
    new_lines = _list_lines(defined_after)
    differing = _pair_kinds(before, after)
    moves = [
        _describe(name, pair, old_lines.get(bare, ()) != new_lines.get(bare, ()), after, differing)
        for name, pair in differing.items()
        for bare in [str(canonicalize_name(name.partition(" (")[0]))]
    ]
    provider = compare_locks(before, after, compare_versions_naturally).provider
    if provider is not None and "conda" not in (provider.before, provider.after):
        was, now = _without_common_word(provider.before, provider.after)
        moves.append(PackageMove(name="python", kind="python", change="moved", asked=False, before=was, after=now))
    ordered = sorted(moves, key=lambda move: (_rank(move), move.name, move.kind))
    return tuple(msgspec.structs.replace(move, text=format_move(move)) for move in ordered)


def format_move(move: PackageMove) -> str:
    """Return one line: ``~ numpy 1.26.4 -> 2.1.0 (torch 2.4 needs >=2)``."""
    if move.change == "added":
        return f"+ {move.name} {move.after}"
    if move.change == "removed":
        return f"- {move.name} {move.before}"
    if move.before == move.after and not move.was:
        return f"~ {move.name} {move.before}: another build"
    kinds = f", from {move.kind} in place of {move.was}" if move.was else ""
    reason = f" ({move.needed_by})" if move.needed_by else ""
    return f"~ {move.name} {move.before} -> {move.after}{kinds}{reason}"


def count_rest(lines: list[str], most: int) -> list[str]:
    """Return at most ``most`` lines, and one more that counts the rest."""
    left = len(lines) - most
    return lines if left <= 0 else [*lines[:most], f"and {left} more change{'s'[left == 1 :]}"]


_Pair = tuple[tuple[PackageKind, PackageView] | None, tuple[PackageKind, PackageView] | None]


def _pair_kinds(before: Lock, after: Lock) -> dict[str, _Pair]:
    """Return what differs by normalised name: what each lock has under it. A package that both conda and pip provide
    (in one lock) is two entries, the second by ``name (pip)``.

    Another Python takes other wheels of the same versions, and a wheel that is yet to be built is the same as the one
    that is made of it: neither is told."""
    old, new = index_packages(before), index_packages(after)
    is_other_python = _find_python(before) != _find_python(after)
    pairs: dict[str, _Pair] = {}
    for kind, name in sorted({*old, *new}):
        was, now = old.get((kind, name)), new.get((kind, name))
        if was is not None and now is not None and _same(was, now, has_other_files=is_other_python and kind == "pip"):
            continue
        key = str(canonicalize_name(name)) if kind in ("conda", "pip") else name
        entry: _Pair = ((kind, was) if was else None, (kind, now) if now else None)
        other = pairs.get(key)
        if other is None:
            pairs[key] = entry
        elif _completes(other, entry):
            pairs[key] = (other[0] or entry[0], other[1] or entry[1])
        else:
            pairs[f"{name} ({kind})"] = entry
    return pairs


def _completes(one: _Pair, other: _Pair) -> bool:
    """Return whether one is what went and the other what came, of another kind."""
    if (one[0] is None) == (one[1] is None) or (one[0] is None) == (other[0] is None):
        return False
    first, second = one[0] or one[1], other[0] or other[1]
    return (
        (other[0] is None) != (other[1] is None) and first is not None and second is not None and first[0] != second[0]
    )


def _same(was: PackageView, now: PackageView, *, has_other_files: bool) -> bool:
    if (was.version, was.build, was.place) != (now.version, now.build, now.place):
        return False
    return was.sha256 == now.sha256 or has_other_files or not (was.sha256 and now.sha256)


def _find_python(lock: Lock) -> tuple[str, ...]:
    """Return what wheels are chosen for: the Python of a machine, or X.Y of conda's."""
    if isinstance(lock.provider, HostPython):
        return lock.provider.implementation, lock.provider.version, lock.provider.threading
    return tuple(".".join(each.version.split(".")[:2]) for each in lock.conda if each.name == "python")


def _without_common_word(before: str, after: str) -> tuple[str, str]:
    """Return two names of Pythons without the implementation, if that is the same: ``cpython 3.11``."""
    (first, _, was), (second, _, now) = before.partition(" "), after.partition(" ")
    return (was, now) if first == second and was and now else (before, after)


def _describe(name: str, pair: _Pair, asked: bool, after: Lock, differing: Mapping[str, _Pair]) -> PackageMove:
    was, now = pair
    if was is None or now is None:
        present = was or now
        assert present is not None
        change: Literal["added", "removed"] = "removed" if now is None else "added"
        return PackageMove(
            name=name,
            kind=present[0],
            change=change,
            asked=asked,
            before=was[1].version if was else None,
            after=now[1].version if now else None,
        )
    versions = was[1].version, now[1].version
    if versions[0] == versions[1] and was[0] == now[0]:
        versions = f"{versions[0]} {was[1].build}".strip(), f"{versions[1]} {now[1].build}".strip()
    return PackageMove(
        name=name,
        kind=now[0],
        change="moved",
        asked=asked,
        before=versions[0],
        after=versions[1],
        was=was[0] if was[0] != now[0] else None,
        needed_by=_find_need(name, was[1].version, after, differing),
    )


def _rank(move: PackageMove) -> int:
    if move.change == "moved":
        return 1 if move.asked else 0
    return (2 if move.asked else 4) if move.change == "added" else (3 if move.asked else 5)


def _find_need(name: str, version: str, after: Lock, differing: Mapping[str, _Pair]) -> str | None:
    """Return which package of conda's that came or moved excludes ``version`` of ``name``, and how it says so; ``None``
    if none does, as far as it can be told: wheels do not say in a lock what they depend on."""
    for package in after.conda:
        if str(canonicalize_name(package.name)) not in differing or package.name == name:
            continue
        depends = package.record.get("depends", ())
        for line in depends if isinstance(depends, list | tuple) else ():
            constraint = _constraint_on(str(line), name)
            if constraint and _excludes(constraint, version):
                return f"{package.name} {package.version} needs {constraint}"
    return None


def _constraint_on(line: str, name: str) -> str:
    try:
        if str(canonicalize_name(spec_name(line))) != name:
            return ""
    except MatchSpecError:
        return ""
    words = line.split()
    return words[1] if len(words) > 1 else ""


def _excludes(constraint: str, version: str) -> bool:
    """Return whether a conda constraint excludes a version, if it can be read as one of PEP 440."""
    if constraint[:1].isdigit():
        constraint = f"=={constraint}" if constraint.endswith(".*") or "*" not in constraint else constraint
    try:
        return not SpecifierSet(constraint).contains(Version(version), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False


def _list_lines(form: bytes) -> dict[str, tuple[str, ...]]:
    """Return what a canonical definition says of each package: its lines by normalised name."""
    content = parse_canonical(form)
    found: dict[str, list[str]] = {}
    conda, pip = content.get("conda") or {}, content.get("pip") or {}
    for spec in conda.get("dependencies", ()):
        _add(found, _spec_key(spec), spec)
    for line in _flatten(pip.get("requirements", ())):
        _add(found, _line_key(line), line)
    requires = (content.get("python") or {}).get("requires")
    if requires:
        _add(found, "python", requires)
    return {name: tuple(lines) for name, lines in found.items()}


def _add(found: dict[str, list[str]], name: str | None, line: str) -> None:
    if name is not None:
        found.setdefault(name, []).append(line)


def _flatten(items: Iterable[Any]) -> Iterable[str]:
    for item in items:
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict) and isinstance(item.get("constraints"), list):
            yield from _flatten(item["constraints"])


def _spec_key(spec: str) -> str | None:
    try:
        return str(canonicalize_name(spec_name(spec)))
    except MatchSpecError:
        return None


def _line_key(line: str) -> str | None:
    try:
        return str(canonicalize_name(Requirement(line.partition(" --")[0]).name))
    except InvalidRequirement:
        return None
