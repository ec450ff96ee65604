"""Conjunction and negation of environment markers (PEP 508), which has no ``not``. Pure."""

from __future__ import annotations

from typing import Any

from packaging.markers import InvalidMarker, Marker

_OPPOSITES = {
    "==": "!=",
    "!=": "==",
    "<": ">=",
    ">=": "<",
    ">": "<=",
    "<=": ">",
    "in": "not in",
    "not in": "in",
}


def join_markers(*markers: str) -> str:
    """Return the marker that applies where all of ``markers`` do; empty ones apply everywhere."""
    parts = [marker for marker in markers if marker]
    return parts[0] if len(parts) == 1 else " and ".join(f"({part})" for part in parts)


def negate_marker(marker: str) -> str | None:
    """Return the marker that applies where ``marker`` does not; ``None`` if no marker says that (``~=``, ``===``).

    Raises: ValueError if ``marker`` is not valid.
    """
    try:
        parsed = Marker(marker)._markers
    except InvalidMarker as error:
        raise ValueError(str(error)) from None
    return _negate(parsed)


def _negate(node: Any) -> str | None:  # noqa: ANN401 - packaging's tree of lists, tuples and operators
    if isinstance(node, tuple):
        left, operator, right = node
        opposite = _OPPOSITES.get(str(operator))
        return f"{left.serialize()} {opposite} {right.serialize()}" if opposite else None
    # ``and`` binds more strongly: the list is a disjunction of conjunctions.
    groups: list[list[Any]] = [[]]
    for part in node:
        if part == "or":
            groups.append([])
        elif part != "and":
            groups[-1].append(part)
    negated = [[_negate(part) for part in group] for group in groups]
    if any(part is None for group in negated for part in group):
        return None
    return join_markers(*(_join_either(group) for group in negated))


def _join_either(parts: list[Any]) -> str:
    return str(parts[0]) if len(parts) == 1 else " or ".join(f"({part})" for part in parts)
