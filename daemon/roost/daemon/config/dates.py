"""Dates and times in the form in which people write them, for ``--as-of`` and ``--since``."""

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
_AGE = re.compile(r"(\d{1,6})(s|min|m|h|d|w)", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SINCE_HINT = "Write an age (90s, 30m, 2h, 3d, 1w), a day (2020-07-08) or a time (2020-07-08T12:00:00Z)."


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


def parse_since(text: str, now: datetime | None = None) -> datetime:
    """Return the time that ``text`` names: an age counts back from ``now``, a date means its begin in UTC, and a time
    without a zone is in UTC.

    Raises: InvalidRequestError if ``text`` is none of these, or is in the future.
    """
    current = now or datetime.now(timezone.utc)
    if age := _AGE.fullmatch(text):
        try:
            return current - timedelta(**{_UNITS[age[2]]: int(age[1])})
        except OverflowError:
            return datetime(_EARLIEST_YEAR, 1, 1, tzinfo=timezone.utc)
    if not _DATE_OR_TIME.fullmatch(text):
        raise InvalidRequestError(f"{text!r} is neither an age nor a date", hint=_SINCE_HINT, fields={"field": "since"})
    try:
        moment = datetime.fromisoformat(_normalize_for_python_310(text))
    except ValueError as error:
        message = f"{text!r} is not a valid date: {error}"
        raise InvalidRequestError(message, hint=_SINCE_HINT, fields={"field": "since"}) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    try:
        moment = moment.astimezone(timezone.utc)
    except OverflowError:
        return datetime(_EARLIEST_YEAR, 1, 1, tzinfo=timezone.utc)
    if moment > current:
        raise InvalidRequestError(f"{text} is in the future", hint=_SINCE_HINT, fields={"field": "since"})
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
