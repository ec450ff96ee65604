"""Which wheel of a lock requires which: the lines of ``Requires-Dist`` whose markers hold. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

_LONGEST_LINE = 10_000
"""Characters."""


def find_requirements(
    lines: Mapping[str, Sequence[str]], asked: Mapping[str, Sequence[str]], environment: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the names that each distribution requires, in the order of its lines.

    ``lines``: the requirements of each distribution, by normalised name. ``asked``: the extras that the definition asks
    for, by name. ``environment``: the variables of markers. Lines behind an extra count if somebody asks for the extra.
    """
    parsed = {name: [each for each in map(_parse, texts) if each is not None] for name, texts in lines.items()}
    extras: dict[str, set[str]] = {name: set(map(canonicalize_name, chosen)) for name, chosen in asked.items()}
    required: dict[str, dict[str, None]] = {name: {} for name in lines}
    pending = dict.fromkeys(lines)
    while pending:  # each round adds an extra to a distribution, of which there are as many as lines name
        name = next(iter(pending))
        del pending[name]
        for requirement in parsed[name]:
            if not _applies(requirement, extras.get(name, set()), environment):
                continue
            target = str(canonicalize_name(requirement.name))
            required[name][target] = None
            new = set(map(canonicalize_name, requirement.extras)) - extras.get(target, set())
            if new and target in parsed:
                extras.setdefault(target, set()).update(new)
                pending[target] = None
    return {name: list(names) for name, names in required.items()}


def _parse(text: str) -> Requirement | None:
    """Return a requirement; ``None`` for a line that older packages may have, and that PEP 508 does not allow."""
    if len(text) > _LONGEST_LINE:
        return None
    try:
        return Requirement(text)
    except (InvalidRequirement, RecursionError):
        return None


def _applies(requirement: Requirement, extras: set[str], environment: Mapping[str, str]) -> bool:
    if requirement.marker is None:
        return True
    try:
        return any(requirement.marker.evaluate({**environment, "extra": extra}) for extra in ("", *sorted(extras)))
    except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion, RecursionError):
        return False
