"""The limits in force: those of the settings, for the disk that the root is on. Pure.

Separate since the triggers need them without the facts.
"""

from __future__ import annotations

from roost.daemon.config.schema import CacheSettings
from roost.daemon.gc.values import CollectionLimits

MOST_BUDGET = 100_000_000_000
BUDGET_SHARE = 5
"""The budget is that part of the disk if it is smaller than ``MOST_BUDGET``."""
FLOOR_SHARE = 20
"""The floor of free space is that part of the disk."""


def resolve_limits(
    settings: CacheSettings, disk_bytes: int, *, everything: bool = False, leftovers: bool = False
) -> CollectionLimits:
    """Return the limits for a disk of ``disk_bytes``. ``everything``: regardless of sizes and ages. ``leftovers``: what
    is left over in any case."""
    budget, floor = settings.budget_bytes, settings.min_free_bytes
    return CollectionLimits(
        budget_bytes=min(MOST_BUDGET, disk_bytes // BUDGET_SHARE) if budget is None else budget,
        min_free_bytes=disk_bytes // FLOOR_SHARE if floor is None else floor,
        image_bytes=settings.image_bytes,
        prefix_days=settings.prefix_days,
        package_days=settings.package_days,
        output_days=settings.output_days,
        leftovers=leftovers,
        everything=everything,
    )
