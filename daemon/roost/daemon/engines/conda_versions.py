"""The order of conda's versions, which is not that of PEP 440 (``1.0a`` is later than ``1.0_``): rattler knows it."""

from __future__ import annotations

from rattler import Version

from roost.store.lock_differences import plain_order


def conda_order(first: str, second: str) -> int:
    """Below 0 where ``first`` is the earlier version, above 0 where it is the later, 0 where they are equal."""
    try:
        left, right = Version(first), Version(second)
    except Exception:  # rattler has no public class for it; a channel may hold what is no version
        return plain_order(first, second)
    return (left > right) - (left < right)
