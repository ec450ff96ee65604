"""Which packages share a layer and in which order layers lie: for any set of packages."""

from __future__ import annotations

import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.layers.grouping import (
    GROUPS,
    LARGE,
    LARGE_LAYERS,
    LayerPackage,
    LayerUnit,
    arrange_layers,
    layer_key,
    sort_by_dependency,
)
from roost.model.locks.lock import CondaPackage

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)
SIZES = st.one_of(st.integers(0, LARGE - 1), st.integers(LARGE, 1 << 31))


def part(name: str, size: int, version: str = "1.0", kind: str = "conda") -> LayerPackage:
    return LayerPackage(kind=kind, name=name, version=version, size=size, identity=(f"{name}{version}",), python=True)  # type: ignore[arg-type]


KINDS = st.sampled_from(["conda", "wheel"])
PARTS = st.dictionaries(NAMES, st.tuples(SIZES, KINDS), min_size=1, max_size=150).map(
    lambda found: [part(name, size, kind=kind) for name, (size, kind) in found.items()]
)


def keys(units: list[LayerUnit]) -> list[str]:
    return [layer_key(unit, "3.11.7") for unit in units]


@given(PARTS, st.randoms())
def test_the_order_of_packages_is_of_no_matter_and_all_are_there_once(parts, random):
    shuffled = list(parts)
    random.shuffle(shuffled)
    units = arrange_layers(parts)
    assert keys(arrange_layers(shuffled)) == keys(units)
    assert sorted(p.name for unit in units for p in unit.parts) == sorted(p.name for p in parts)
    assert len(units) <= LARGE_LAYERS + sum(GROUPS.values()) <= 59


@given(PARTS)
def test_heavy_layers_lie_below_and_wheels_are_lighter_than_they_are(parts):
    large = [unit.parts[0] for unit in arrange_layers(parts) if not unit.name.startswith("group:")]
    magnitudes = [math.frexp(p.size)[1] - 3 * (p.kind == "wheel") for p in large]
    assert magnitudes == sorted(magnitudes, reverse=True)
    assert all(p.size >= LARGE for p in large)


@given(PARTS)
def test_small_wheels_lie_on_top_and_small_conda_packages_above_all_that_is_heavier(parts):
    units = arrange_layers(parts)
    kinds = [unit.name.rpartition(":")[0] for unit in units]
    assert kinds == sorted(kinds, key=lambda kind: kind == "group:wheel")
    if "group:conda" in kinds:
        above = units[kinds.index("group:conda") :]
        assert all(unit.parts[0].size < 16 * LARGE for unit in above if unit.name.startswith("wheel:"))
        assert not any(unit.name.startswith("conda:") for unit in above)


@given(PARTS, st.data())
def test_a_new_version_of_like_size_moves_one_layer_and_no_other(parts, data):
    chosen = data.draw(st.sampled_from(parts))
    newer = msgspec.structs.replace(chosen, version="2.0", identity=("other",))
    before = arrange_layers(parts)
    after = arrange_layers([newer if p is chosen else p for p in parts])
    assert [unit.name for unit in before] == [unit.name for unit in after]
    moved = [unit for unit, old, new in zip(before, keys(before), keys(after), strict=True) if old != new]
    assert [chosen in unit.parts for unit in moved] == [True]


@given(PARTS, NAMES, st.integers(0, LARGE - 1), KINDS)
def test_a_small_package_more_or_less_moves_its_group_alone(parts, name, size, kind):
    without = [p for p in parts if p.name != name]
    before, after = (dict(zip((u.name for u in units), keys(units), strict=True)) for units in (
        arrange_layers(without), arrange_layers([*without, part(name, size, kind=kind)])
    ))  # fmt: skip
    changed = {unit for unit in before.keys() | after.keys() if before.get(unit) != after.get(unit)}
    assert len(changed) == 1
    assert changed.pop().startswith("group:")


@given(st.lists(NAMES, min_size=1, max_size=12, unique=True), st.data())
def test_what_is_needed_comes_before_what_needs_it(names, data):
    packages = []
    for number, name in enumerate(names):
        needs = data.draw(st.lists(st.sampled_from(names[:number] or [name]), max_size=3, unique=True))
        depends = [f"{need} >=1" for need in needs if need != name]
        packages.append(package(name, depends))
    order = [each.name for each in sort_by_dependency(data.draw(st.permutations(packages)))]
    assert sorted(order) == sorted(names)
    for each in packages:
        for spec in each.record["depends"]:
            assert order.index(spec.split()[0]) < order.index(each.name)


def package(name, depends):
    return CondaPackage(
        name=name, version="1", build="0", subdir="noarch", file_name=f"{name}-1-0.conda", url=f"x://{name}",
        sha256="", record={"depends": depends},
    )  # fmt: skip


def test_a_cycle_is_cut():
    assert [p.name for p in sort_by_dependency([package("b", ["a"]), package("a", ["b"])])] == ["b", "a"]
