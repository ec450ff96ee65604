"""Identifiers and dates as people write them."""

from __future__ import annotations

import secrets
from datetime import datetime, timezone

from roost.store.errors import UsageError


def new_id(letter: str) -> str:
    """An identifier that sorts by time: ``b20260102-030405-1a2b3c``."""
    return f"{letter}{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def parse_as_of(text: str | None) -> datetime | None:
    """A date (its end, UTC) or a time. Raises UsageError."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise UsageError(f"{text!r} is no date", hint="Write it as 2020-07-08 or 2020-07-08T12:00:00Z.") from None
    if len(text) == len("2020-07-08"):
        moment = moment.replace(hour=23, minute=59, second=59)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
