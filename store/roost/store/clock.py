"""The only format of times in roost: RFC 3339, UTC, microseconds, ``Z`` at the end; text order is time order.

Separate since every layer of the store and the daemon uses it, and it uses none of them.
"""

from __future__ import annotations

from datetime import datetime, timezone


def rfc3339(moment: datetime) -> str:
    """Format ``moment`` (aware) as ``2026-01-02T03:04:05.000006Z``."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def utc_now() -> str:
    """Return the current time."""
    return rfc3339(datetime.now(timezone.utc))


def from_timestamp(seconds: float) -> str:
    """Format a file's time stamp (seconds since 1970)."""
    return rfc3339(datetime.fromtimestamp(seconds, timezone.utc))
