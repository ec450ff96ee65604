"""Severities of advisories: the base score of CVSS 3 (https://www.first.org/cvss/v3-1/specification-document, section
7.1), and the rating that a database gives itself. Pure.

CVSS 4 has no formula but a table of 270 rows; its vectors are shown, and rated by what the database says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import get_args

from roost.daemon.audit.advisories import Severity
from roost.daemon.audit.views import Rating

_VECTOR = re.compile(r"CVSS:3\.[01]/([A-Z]{1,3}:[A-Z](?:/[A-Z]{1,3}:[A-Z]){7,30})")
_ATTACK = {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}
_COMPLEXITY = {"L": 0.77, "H": 0.44}
_PRIVILEGES = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
_INTERACTION = {"N": 0.85, "R": 0.62}
_LOSS = {"H": 0.56, "L": 0.22, "N": 0.0}
RATINGS: tuple[Rating, ...] = get_args(Rating)
"""From the least to the most severe."""
_SYNONYMS: dict[str, Rating] = {"moderate": "medium", "important": "high"}


def score_vector(vector: str) -> float | None:
    """Return the base score of a CVSS 3 vector, 0.0 to 10.0; ``None`` if it is not one."""
    match = _VECTOR.fullmatch(vector)
    metrics = dict(part.split(":", 1) for part in match[1].split("/")) if match else {}
    try:
        scope = metrics["S"]
        loss = 1 - math.prod(1 - _LOSS[metrics[each]] for each in ("C", "I", "A"))
        exploitability = (
            8.22
            * _ATTACK[metrics["AV"]]
            * _COMPLEXITY[metrics["AC"]]
            * _PRIVILEGES[scope][metrics["PR"]]
            * _INTERACTION[metrics["UI"]]
        )
    except KeyError:
        return None
    impact = 6.42 * loss if scope == "U" else 7.52 * (loss - 0.029) - 3.25 * (loss - 0.02) ** 15
    if impact <= 0:
        return 0.0
    return _round_up(min((impact + exploitability) * (1.0 if scope == "U" else 1.08), 10.0))


def _round_up(value: float) -> float:
    """Round up to one digit, as appendix A does, so that all implementations agree."""
    whole = round(value * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10


def rate_score(score: float) -> Rating:
    """Return the rating of a score (section 5)."""
    bounds: tuple[tuple[float, Rating], ...] = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))
    return next((rating for bound, rating in bounds if score >= bound), "none")


def rate_advisory(
    severities: Iterable[Severity], specific: object
) -> tuple[Rating | None, float | None, tuple[str, ...]]:
    """Return rating, score and vectors of an advisory. ``specific``: its ``database_specific``, whose ``severity``
    counts if no score can be computed."""
    vectors = tuple(dict.fromkeys(each.score for each in severities if each.score))
    scores = [score for score in map(score_vector, vectors) if score is not None]
    if scores:
        return rate_score(max(scores)), max(scores), vectors
    stated = specific.get("severity") if isinstance(specific, dict) else None
    word = stated.lower() if isinstance(stated, str) else ""
    rating = next((each for each in RATINGS if each == word), _SYNONYMS.get(word))
    return rating, None, vectors
