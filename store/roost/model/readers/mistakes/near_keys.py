"""Near misses of keys: a key that has no effect, and is almost one that has.

An unknown key in another tool's file is a warning. A near miss is an error, because what is under it was meant to
count: packages would be missing, or come from other channels, in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice

from roost.model.documents.yaml_nodes import YamlNode
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.source import ReadContext

_LONGEST_KEY = 100
"""Characters of a key beyond which it is not compared."""
MOST_KEYS = 1_000
"""Unknown keys of one mapping that are compared; no file of a person has as many."""
_SEPARATORS = re.compile(r"[-_. ]+")
_OTHER_WORDS = frozenset({"changes", "depends", "file", "game", "same"})
"""Words that are near a key by their letters only."""


class KeyMisspelledError(InvalidDefinitionError):
    """A key is a near miss of one that is read."""

    code = "key-misspelled"


def find_near_key(key: str, known: Iterable[str]) -> str | None:
    """Return the key of ``known`` that ``key`` is a near miss of: another case, number or separator, or one or two
    letters that are wrong, missing, added or swapped. ``None`` for a known key and for any other word."""
    keys = tuple(known)
    if key in keys or len(key) > _LONGEST_KEY or key.casefold() in _OTHER_WORDS:
        return None
    plain = _to_plain(key)
    if not plain:
        return None
    for other in keys:
        if plain == _to_plain(other) or _to_singular(plain) == _to_singular(_to_plain(other)):
            return other
    alike = [other for other in keys if abs(len(plain) - len(_to_plain(other))) <= _most_edits(other)]
    near = [(_measure_distance(plain, _to_plain(other)), other) for other in alike]
    near = [(distance, other) for distance, other in near if distance <= _most_edits(other)]
    return min(near, key=lambda pair: pair[0])[1] if near else None


def report_near_keys(reading: ReadContext, mapping: YamlNode, known: Iterable[str], what: str) -> frozenset[str]:
    """Report each key of ``mapping`` that is a near miss as a problem, and return those keys. ``what`` has the keys."""
    pairs = mapping.pairs(what)
    return report_misspelled(reading, pairs, known, what, lambda key: pairs[key][0].location)


def report_misspelled(
    reading: ReadContext, keys: Iterable[str], known: Iterable[str], what: str, locate: Callable[[str], Location]
) -> frozenset[str]:
    """Report each of ``keys`` that is a near miss of a known one as a problem, and return those. ``what`` has them."""
    expected, misspelled = tuple(known), set()
    for key in islice((key for key in keys if key not in expected), MOST_KEYS):
        if near := find_near_key(key, expected):
            misspelled.add(key)
            with reading.recover():
                raise misspelled_error(key, near, what, locate(key))
    return frozenset(misspelled)


def misspelled_error(key: str, near: str, what: str, location: Location) -> KeyMisspelledError:
    """Return the error for a key that is a near miss of ``near``, a key of ``what``."""
    return KeyMisspelledError(
        f"{key!r} is not a key of {what}; did you mean {near!r}?",
        hint=f"Write {near!r}, or remove the key.",
        location=location,
        fields={"key": key, "near": near},
    )


def _to_plain(key: str) -> str:
    return _SEPARATORS.sub("", key.casefold())


def _to_singular(plain: str) -> str:
    if plain.endswith("ies"):
        return plain[:-3] + "y"
    return plain[:-1] if plain.endswith("s") else plain


def _most_edits(key: str) -> int:
    return 2 if len(key) >= 8 else 1


def _measure_distance(first: str, second: str) -> int:
    """Return the edits from one word to the other, with a swap of neighbours as one (optimal string alignment)."""
    before, above = list[int](), list(range(len(second) + 1))
    for row, letter in enumerate(first, 1):
        current = [row]
        for column, other in enumerate(second, 1):
            costs = [above[column] + 1, current[-1] + 1, above[column - 1] + (letter != other)]
            if row > 1 and column > 1 and letter == second[column - 2] and first[row - 2] == other:
                costs.append(before[column - 2] + 1)
            current.append(min(costs))
        before, above = above, current
    return above[-1]
