"""Which markers a choice of wheels depended on, recorded with what they evaluated to, and compared elsewhere.

A lock for a Python of a machine states implementation, X.Y, threading and platform. Most variables of markers (PEP 508)
follow from these. ``VOLATILE`` do not: two machines that fit the lock may differ in them. Only markers with such a
variable are recorded. A version's ``Requires-Python`` is recorded as a marker too, as far as X.Y does not decide it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, Specifier, SpecifierSet
from packaging.version import InvalidVersion

from roost.model.locks.lock import MarkerOutcome

VOLATILE = ("python_full_version", "implementation_version", "platform_release", "platform_version")
"""Variables that the fields of a lock do not determine."""
MAX_MARKER = 2_000
"""Characters of a marker that is evaluated; real ones have some hundred at most."""
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_EXTRA = re.compile(r"extra\s*[!=]=\s*\"([^\"]*)\"")


def record_markers(requirements: Iterable[str], environment: Mapping[str, str]) -> tuple[MarkerOutcome, ...]:
    """Return the outcomes of the volatile markers of ``requirements`` (PEP 508; others are ignored), for no extra and
    for each extra that the marker names."""
    outcomes: set[MarkerOutcome] = set()
    for text in requirements:
        try:
            marker = Requirement(text).marker
        except InvalidRequirement:
            continue
        if marker is None or not is_volatile(str(marker)):
            continue
        for extra in ("", *_EXTRA.findall(str(marker))):
            outcomes.add(_record_outcome(str(marker), extra, environment))
    return merge_outcomes(outcomes)


def record_python_specifiers(specifiers: Iterable[str], environment: Mapping[str, str]) -> tuple[MarkerOutcome, ...]:
    """Return the outcomes of those parts of version specifiers for Python (PEP 440) that X.Y does not decide."""
    outcomes: set[MarkerOutcome] = set()
    for text in specifiers:
        try:
            parts = list(SpecifierSet(text))
        except InvalidSpecifier:
            continue
        for part in parts:
            if not _is_decided_by_minor(part):
                marker = str(Marker(f'python_full_version {part.operator} "{part.version}"'))
                outcomes.add(_record_outcome(marker, "", environment))
    return merge_outcomes(outcomes)


def merge_outcomes(outcomes: Iterable[MarkerOutcome]) -> tuple[MarkerOutcome, ...]:
    """Return ``outcomes`` in order, each once."""
    return tuple(sorted(set(outcomes), key=lambda each: (each.marker, each.extra, each.applies)))


def find_changed_outcome(outcomes: Iterable[MarkerOutcome], environment: Mapping[str, str]) -> MarkerOutcome | None:
    """Return the first of ``outcomes`` that is another one in ``environment``; ``None`` if all are the same."""
    return next((each for each in outcomes if evaluate_marker(each, environment) != each.applies), None)


def evaluate_marker(recorded: MarkerOutcome, environment: Mapping[str, str]) -> bool:
    """Return whether the marker applies in ``environment``, which has all variables of PEP 508. A marker that can't be
    evaluated does not apply: it may be of a lock that anybody wrote."""
    if len(recorded.marker) > MAX_MARKER:
        return False
    try:
        return Marker(recorded.marker).evaluate({**environment, "extra": recorded.extra})
    except (InvalidMarker, InvalidVersion, UndefinedComparison, UndefinedEnvironmentName, RecursionError):
        return False


def is_volatile(marker: str) -> bool:
    """Return whether a marker has a variable that machines with the same Python may differ in."""
    bare = _QUOTED.sub("", marker)
    return any(re.search(rf"\b{name}\b", bare) for name in VOLATILE)


def _record_outcome(marker: str, extra: str, environment: Mapping[str, str]) -> MarkerOutcome:
    recorded = MarkerOutcome(marker=marker, extra=extra, applies=False)
    applies = evaluate_marker(recorded, environment)
    return MarkerOutcome(marker=marker, extra=extra, applies=applies)


def _is_decided_by_minor(part: Specifier) -> bool:
    """Whether all patch levels of one X.Y give the same answer: ``>=3.11``, ``<3.12``, ``~=3.11``, ``!=3.11.*``."""
    version = part.version.removesuffix(".*")
    if not re.fullmatch(r"\d+(\.\d+)?(\.0)*", version):
        return False
    return part.operator in (">=", "<", "~=") or (part.operator in ("==", "!=") and part.version.endswith(".*"))
