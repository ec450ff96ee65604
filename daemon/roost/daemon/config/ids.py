"""Identifiers of builds, runs and the like. Separate from ``dates``, which needs the model and the store."""

from __future__ import annotations

import secrets
from datetime import datetime, timezone


def new_id(letter: str) -> str:
    """Return a new identifier that sorts by time: ``b20260102-030405-1a2b3c``."""
    return f"{letter}{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
