"""Dates and times in the form in which people write them, for ``--as-of``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from roost.model.errors import InvalidRequestError
from roost.store.clock import rfc3339

_DATE_OR_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_EARLIEST_YEAR = 1970
_EARLIEST_ZONE = timedelta(hours=14)
"""Offset of the earliest time zone from UTC: a day has begun once it has begun there."""
_HINT = "Write it as 2020-07-08 or 2020-07-08T12:00:00Z."


def parse_as_of(text: str | None, now: datetime | None = None) -> datetime | None:
    """Return the time that ``text`` names: a date means its end in UTC, a time without a zone is in UTC.

    Raises: InvalidRequestError if ``text`` is not a valid date or time, or is in the future.
    """
    if text is None:
        return None
    moment = _parse_text(text)
    begun = moment.replace(hour=0, minute=0, second=0) - _EARLIEST_ZONE if _is_date(text) else moment
    if begun > (now or datetime.now(timezone.utc)):
        raise InvalidRequestError(
            f"{text} is in the future",
            hint="Use a date in the past; to solve as of now, use --rebuild.",
        )
    return moment


def format_as_of(text: str | None) -> str | None:
    """Return the time that ``text`` names in RFC 3339, UTC, as records store it. Raises: as ``parse_as_of``."""
    moment = parse_as_of(text)
    return rfc3339(moment) if moment is not None else None


def _parse_text(text: str) -> datetime:
    if not _DATE_OR_TIME.fullmatch(text):
        raise InvalidRequestError(f"{text!r} is not a valid date", hint=_HINT)
    try:
        moment = datetime.fromisoformat(_normalize_for_python_310(text))
    except ValueError as error:
        raise InvalidRequestError(f"{text!r} is not a valid date: {error}", hint=_HINT) from None
    if moment.year < _EARLIEST_YEAR:
        raise InvalidRequestError(f"{text} is before the first packages", hint=_HINT)
    if _is_date(text):
        moment = moment.replace(hour=23, minute=59, second=59)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _normalize_for_python_310(text: str) -> str:
    """Write fractions of a second with six digits and ``Z`` as ``+00:00``: Python 3.10 parses nothing else."""
    text = text.replace("Z", "+00:00")
    return re.sub(r"\.(\d+)", lambda fraction: "." + fraction[1].ljust(6, "0"), text)


def _is_date(text: str) -> bool:
    return len(text) == len("2020-07-08")
