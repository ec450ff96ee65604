"""Disk usage divided among groups: nothing is forgotten, and nothing counts as one group's own that another has too."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from roost.daemon.inspection.shares import StoredThing, divide_usage, find_age

NOW = "2026-03-10T12:00:00.000000Z"
things = st.lists(
    st.builds(
        StoredThing,
        kind=st.sampled_from(["prefix", "package", "wheel", "layer", "bytecode", "image"]),
        bytes=st.integers(0, 1000),
        last_used=st.sampled_from([NOW, "2026-01-01T00:00:00.000000Z", ""]),
        groups=st.frozensets(st.sampled_from("abc")),
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(stored=things)
def test_own_and_shared_bytes_add_up(stored: list[StoredThing]) -> None:
    groups = {group.name: group for group in divide_usage(stored, lambda thing: thing.groups)}
    on_disk = [thing for thing in stored if thing.kind != "image"]
    shared = sum(thing.bytes for thing in on_disk if len(thing.groups) > 1)
    assert sum(group.own_bytes for group in groups.values()) + shared == sum(thing.bytes for thing in on_disk)
    for name, group in groups.items():
        left = [thing for thing in on_disk if thing.groups - {name} or (not thing.groups and name)]
        freed = sum(thing.bytes for thing in on_disk) - sum(thing.bytes for thing in left)
        assert group.own_bytes == freed, "what goes if everything else of the group goes"
        mine = [thing for thing in stored if name in thing.groups or (not thing.groups and not name)]
        counts = (group.prefixes, group.packages, group.wheels, group.layers, group.images, group.others)
        assert sum(counts) == len(mine)
        assert group.last_used == max(thing.last_used for thing in mine)


def test_ages_have_names_and_the_future_is_now() -> None:
    times = {
        "2026-03-10T11:00:00.000000Z": "last day",
        "2026-03-09T11:00:00.000000Z": "last week",
        "2026-02-20T11:00:00.000000Z": "last month",
        "2025-12-20T11:00:00.000000Z": "last 3 months",
        "2025-01-01T00:00:00.000000Z": "older",
        "": "older",
        "2031-01-01T00:00:00.000000Z": "last day",
    }
    assert {time: find_age(time, NOW) for time in times} == times
