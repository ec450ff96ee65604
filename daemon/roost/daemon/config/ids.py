"""Identifiers and dates as people write them."""

from __future__ import annotations

import secrets
from datetime import datetime, timezone


def new_id(letter: str) -> str:
    """An identifier that sorts by time: ``b20260102-030405-1a2b3c``."""
    return f"{letter}{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
