"""The limits in force: those of the settings, or parts of the disk."""

from __future__ import annotations

import pytest

from roost.daemon.config.schema import CacheSettings
from roost.daemon.gc.limits import resolve_limits
from roost.daemon.gc.texts import describe_protection, format_age

GB = 10**9


@pytest.mark.parametrize(("disk", "budget", "floor"), [(100 * GB, 20 * GB, 5 * GB), (4000 * GB, 100 * GB, 200 * GB)])
def test_absent_limits_are_parts_of_the_disk(disk, budget, floor):
    limits = resolve_limits(CacheSettings(), disk)
    assert (limits.budget_bytes, limits.min_free_bytes) == (budget, floor)


def test_given_limits_are_taken_and_0_is_no_limit():
    limits = resolve_limits(CacheSettings(budget_bytes=0, min_free_bytes=7, output_days=3), 100 * GB)
    assert (limits.budget_bytes, limits.min_free_bytes, limits.output_days) == (0, 7, 3)


@pytest.mark.parametrize(
    ("protections", "text"),
    [
        (("process:7", "pin"), "used by process 7, pinned"),
        (("unknown:the engine does not answer",), "needed as far as can be told: the engine does not answer"),
        (("lock",), "a lock names it, and no index has it"),
        (("something new",), "something new"),
    ],
)
def test_protections_as_texts(protections, text):
    assert describe_protection(protections) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "just now"), (60, "1 minute ago"), (7200, "2 hours ago"), (86400 * 3.9, "3 days ago")]
)
def test_ages_as_texts(seconds, text):
    assert format_age(seconds) == text
