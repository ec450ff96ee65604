"""The one way that roost writes times: RFC 3339, UTC, microseconds, ``Z`` at the end; text order is time order."""

from __future__ import annotations

from datetime import datetime, timezone


def rfc3339(moment: datetime) -> str:
    """``moment`` (aware) as ``2026-01-02T03:04:05.000006Z``."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def utc_now() -> str:
    """The time of now."""
    return rfc3339(datetime.now(timezone.utc))


def from_timestamp(seconds: float) -> str:
    """A file's time stamp (seconds since 1970) as RFC 3339."""
    return rfc3339(datetime.fromtimestamp(seconds, timezone.utc))
