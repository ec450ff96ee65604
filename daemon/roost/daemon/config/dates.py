"""Identifiers and dates as people write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from roost.model.errors import InvalidRequestError
from roost.store.clock import rfc3339

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_EARLIEST = 1970
_AHEAD = timedelta(hours=14)
"""What the earliest zone is ahead of UTC: a day has begun once it has begun there."""
_HINT = "Write it as 2020-07-08 or 2020-07-08T12:00:00Z."


def parse_as_of(text: str | None, now: datetime | None = None) -> datetime | None:
    """A date (its end, UTC) or a time (UTC where it names no zone), and not one that is yet to come. Raises
    InvalidRequestError."""
    if text is None:
        return None
    moment = _read(text)
    begun = moment.replace(hour=0, minute=0, second=0) - _AHEAD if _is_date(text) else moment
    if begun > (now or datetime.now(timezone.utc)):
        raise InvalidRequestError(
            f"{text} is yet to come: nobody knows what channels will hold then",
            hint="Name a day that has begun; to solve as of now, use --rebuild.",
        )
    return moment


def format_as_of(text: str | None) -> str | None:
    """The same in RFC 3339, UTC, as it is told of a generation. Raises InvalidRequestError."""
    moment = parse_as_of(text)
    return rfc3339(moment) if moment is not None else None


def _read(text: str) -> datetime:
    if not _MOMENT.fullmatch(text):
        raise InvalidRequestError(f"{text!r} is no date", hint=_HINT)
    try:
        moment = datetime.fromisoformat(_as_python_310_reads(text))
    except ValueError as error:
        raise InvalidRequestError(f"{text!r} is no date: {error}", hint=_HINT) from None
    if moment.year < _EARLIEST:
        raise InvalidRequestError(f"{text} is before all packages", hint=_HINT)
    if _is_date(text):
        moment = moment.replace(hour=23, minute=59, second=59)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _as_python_310_reads(text: str) -> str:
    """Three or six digits of a second, and ``+00:00`` for ``Z``."""
    text = text.replace("Z", "+00:00")
    return re.sub(r"\.(\d+)", lambda found: "." + found[1].ljust(6, "0"), text)


def _is_date(text: str) -> bool:
    return len(text) == len("2020-07-08")
