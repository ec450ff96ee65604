"""When a lease ends: from what a request says to a time. Pure."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone

from roost.model.errors import CodedError

DEFAULT_SECONDS = 3600.0
MAX_SECONDS = 7 * 86400.0
"""A holder that no longer exists must not protect its target for ever. One that does renews."""
TOLERANCE_SECONDS = 60.0
"""A holder may ask for the full week by a clock that is a little ahead."""


class LeaseExpiryError(CodedError):
    """The requested end of a lease is not a time, is over, or is too far away."""

    code = "lease-expiry-invalid"
    exit_status = 2
    http_status = 422


def resolve_expiry(now: datetime, seconds: float | None, expires: str | None) -> datetime:
    """Return when a lease that begins ``now`` ends, in UTC. Raises: LeaseExpiryError."""
    if seconds is not None and expires is not None:
        raise _expiry_error("Both `seconds` and `expires` are given", seconds=seconds, expires=expires)
    end = _parse_time(expires) if expires is not None else _add_seconds(now, seconds)
    left = (end - now).total_seconds()
    if left <= 0:
        raise _expiry_error(f"The lease would end at {end.isoformat()}, which has passed", expires=expires)
    if left > MAX_SECONDS + TOLERANCE_SECONDS:
        raise _expiry_error(f"The lease would end at {end.isoformat()}, more than 7 days from now", expires=expires)
    return end


def _add_seconds(now: datetime, seconds: float | None) -> datetime:
    value = DEFAULT_SECONDS if seconds is None else seconds
    if not math.isfinite(value) or not 0 < value <= MAX_SECONDS:
        raise _expiry_error(f"A lease of {value:g} seconds is not possible", seconds=str(value))
    return now + timedelta(seconds=value)


def _parse_time(text: str) -> datetime:
    """Return an RFC 3339 time in UTC."""
    try:
        found = datetime.fromisoformat(_normalize_for_python_310(text))
    except ValueError:
        raise _expiry_error(f"{text[:50]!r} is not an RFC 3339 time", expires=text[:50]) from None
    if found.tzinfo is None:
        raise _expiry_error(f"{text!r} has no time zone", expires=text)
    try:
        return found.astimezone(timezone.utc)
    except OverflowError:
        raise _expiry_error(f"{text!r} is out of range", expires=text) from None


def _normalize_for_python_310(text: str) -> str:
    """Write fractions of a second with six digits and ``Z`` as ``+00:00``: Python 3.10 parses nothing else."""
    zoned = text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text
    return re.sub(r"\.(\d{1,6})\d*", lambda fraction: "." + fraction[1].ljust(6, "0"), zoned)


def _expiry_error(message: str, **fields: object) -> LeaseExpiryError:
    return LeaseExpiryError(
        message,
        hint="Give `seconds` (more than 0, at most 604800), or `expires` (such as 2026-01-31T12:00:00Z, at most 7 days "
        "from now), and renew the lease before it ends.",
        fields=fields,
    )
