"""Collections of any root: nothing needed goes, what goes is in order and enough, and no more than enough."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.gc.ages import subtract_days
from roost.daemon.gc.plan import collect
from roost.daemon.gc.values import (
    RULES,
    RULES_OF_ITEMS,
    CollectionFacts,
    CollectionLimits,
    StoredImage,
    StoredPrefix,
)
from roost.model.caches import CacheItem

NOW = "2026-06-01T00:00:00.000000Z"
KEYS = [f"sha256:{letter}" for letter in "abcd"]

sizes = st.integers(0, 50)
times = st.integers(-3, 30).map(lambda days: subtract_days(NOW, days))  # some in the future
protections = st.lists(st.sampled_from(["pin", "process:1", "lease:x", "unknown:away"]), max_size=1).map(tuple)
needs = st.one_of(st.just(()), st.just(()), protections)


@st.composite
def roots(draw):
    prefixes = tuple(
        StoredPrefix(
            id=f"p{number}", key=draw(st.sampled_from(KEYS)), bytes=draw(sizes), last_used=draw(times),
            protected_by=draw(needs), is_retired=draw(st.booleans()), is_abandoned=draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 5)))
    )  # fmt: skip
    items = tuple(
        CacheItem(
            kind=draw(st.sampled_from(list(RULES_OF_ITEMS))), id=f"i{number}", bytes=draw(sizes),
            last_used=draw(times), needed_by=draw(needs), linked_by=tuple(draw(st.lists(st.sampled_from(KEYS)))),
            is_cached=draw(st.integers(0, 4)) > 0,
        )
        for number in range(draw(st.integers(0, 8)))
    )  # fmt: skip
    images = tuple(
        StoredImage(id=f"m{n}", key="k", bytes=draw(sizes), last_used=draw(times), protected_by=draw(needs))
        for n in range(draw(st.integers(0, 3)))
    )
    return CollectionFacts(prefixes=prefixes, items=items, images=images, free_bytes=draw(st.integers(0, 300)))


limits = st.builds(
    CollectionLimits,
    budget_bytes=st.integers(0, 300),
    min_free_bytes=st.integers(0, 300),
    image_bytes=st.integers(0, 100),
    prefix_days=st.sampled_from([0.0, 7.0, 14.0]),
    package_days=st.sampled_from([0.0, 3.0, 60.0]),
    output_days=st.sampled_from([0.0, 10.0]),
    everything=st.sampled_from([False, False, False, True]),
)


def measure(facts):
    """Every byte under the root once, by names of files: the rule of the file system, and no other."""
    owners = {("own", prefix.id): prefix.bytes for prefix in facts.prefixes}
    keys = {prefix.key for prefix in facts.prefixes}
    for item in facts.items:
        if item.is_cached or keys & set(item.linked_by):
            owners[item.kind, item.id] = item.bytes
    return sum(owners.values())


def remove(facts, step):
    if step.kind == "prefix":
        return msgspec.structs.replace(facts, prefixes=tuple(p for p in facts.prefixes if p.id != step.id))
    if step.kind == "image":
        return msgspec.structs.replace(facts, images=tuple(i for i in facts.images if i.id != step.id))
    items = (
        msgspec.structs.replace(i, is_cached=False) if (i.kind, i.id) == (step.kind, step.id) else i
        for i in facts.items
    )
    return msgspec.structs.replace(facts, items=tuple(items))


def after(facts, steps):
    for step in steps:
        facts = remove(facts, step)
    return facts


def disk_steps(plan):
    return [step for step in plan.steps if step.kind != "image"]


def is_met(facts, plan, steps, wanted):
    freed = measure(facts) - measure(after(facts, steps))
    fits = not wanted.budget_bytes or measure(facts) - freed <= wanted.budget_bytes
    return fits and facts.free_bytes + freed >= wanted.min_free_bytes


def find_candidates(facts, wanted, *, recent):
    """What nothing needs and would free something, with its rule; computed apart from the code."""
    found = []
    keys = {prefix.key for prefix in facts.prefixes}
    prefix_age, package_age = subtract_days(NOW, wanted.prefix_days), subtract_days(NOW, wanted.package_days)
    for prefix in facts.prefixes:
        rule = "leftovers" if prefix.is_retired else "abandoned-prefixes" if prefix.is_abandoned else "prefixes"
        old = rule == "leftovers" or min(prefix.last_used, NOW) <= prefix_age
        if not prefix.protected_by and (old or recent):
            found.append((RULES.index(rule), "prefix", prefix.id))
    for item in facts.items:
        rule = RULES_OF_ITEMS[item.kind]
        if item.needed_by or not item.bytes or not item.is_cached or keys & set(item.linked_by):
            continue
        bound = {"leftovers": NOW, "bytecode": NOW, "snapshots": prefix_age}.get(rule, package_age)
        if rule == "outputs":
            bound = subtract_days(NOW, wanted.output_days)
        if min(item.last_used, NOW) <= bound or (recent and rule != "outputs"):
            found.append((RULES.index(rule), item.kind, item.id))
    return found


def check_nothing_that_is_needed_goes(facts, wanted, plan):
    steps = {(step.kind, step.id) for step in plan.steps}
    needed = {("prefix", p.id) for p in facts.prefixes if p.protected_by}
    needed |= {("image", i.id) for i in facts.images if i.protected_by}
    needed |= {(i.kind, i.id) for i in facts.items if i.needed_by or not i.is_cached}
    assert not steps & needed


def check_no_step_goes_while_an_earlier_rule_has_a_candidate(facts, wanted, plan):
    recent = False
    for step in disk_steps(plan):
        candidates = find_candidates(facts, wanted, recent=recent)
        if not candidates and not recent:  # nothing old is left: now what was used lately, by the same rules
            recent = True
            candidates = find_candidates(facts, wanted, recent=True)
        assert RULES.index(step.rule) == min(candidates)[0]
        assert (RULES.index(step.rule), step.kind, step.id) in candidates
        facts = remove(facts, step)


def check_bytes_of_a_step_are_those_of_files_whose_last_name_goes(facts, wanted, plan):
    assert plan.used_bytes == measure(facts)
    for step in disk_steps(plan):
        smaller = remove(facts, step)
        assert step.bytes == measure(facts) - measure(smaller)
        facts = smaller


def check_no_more_goes_than_is_needed(facts, wanted, plan):
    steps = disk_steps(plan)
    if steps and not wanted.everything:
        assert not is_met(facts, plan, steps[:-1], wanted)


def check_limits_are_met_or_everything_left_is_protected(facts, wanted, plan):
    left = after(facts, disk_steps(plan))
    freed = measure(facts) - measure(left)
    missing = max(
        0,
        measure(left) - wanted.budget_bytes if wanted.budget_bytes else 0,
        wanted.min_free_bytes - facts.free_bytes - freed,
    )
    assert plan.missing_bytes == missing
    assert plan.freed_bytes == freed
    if missing:
        assert not find_candidates(left, wanted, recent=False)
        if facts.free_bytes + freed < wanted.min_free_bytes:
            assert not find_candidates(left, wanted, recent=True)


def check_what_was_used_lately_goes_for_the_floor_only(facts, wanted, plan):
    if facts.free_bytes >= wanted.min_free_bytes and not wanted.everything:
        age = subtract_days(NOW, wanted.prefix_days)
        assert all(step.last_used <= age for step in plan.steps if step.rule in ("prefixes", "images"))


def check_outputs_of_young_runs_never_go(facts, wanted, plan):
    age = subtract_days(NOW, wanted.output_days)
    assert all(step.last_used <= age for step in plan.steps if step.rule == "outputs")


def check_the_order_of_the_facts_changes_nothing(facts, wanted, plan, random):
    prefixes, items, images = list(facts.prefixes), list(facts.items), list(facts.images)
    for each in (prefixes, items, images):
        random.shuffle(each)
    shuffled = msgspec.structs.replace(facts, prefixes=tuple(prefixes), items=tuple(items), images=tuple(images))
    assert collect(shuffled, wanted, NOW).steps == plan.steps


def check_a_smaller_budget_goes_on_where_a_larger_one_stops(facts, wanted, plan, smaller):
    if wanted.budget_bytes and smaller <= wanted.budget_bytes:
        larger = disk_steps(plan)
        tighter = disk_steps(collect(facts, msgspec.structs.replace(wanted, budget_bytes=smaller), NOW))
        assert tighter[: len(larger)] == larger


def check_a_higher_floor_goes_on_where_a_lower_one_stops(facts, wanted, plan, higher):
    if higher >= wanted.min_free_bytes:
        lower = disk_steps(plan)
        more = disk_steps(collect(facts, msgspec.structs.replace(wanted, min_free_bytes=higher), NOW))
        assert more[: len(lower)] == lower


def check_images_go_for_their_own_bound(facts, wanted, plan):
    images = [step for step in plan.steps if step.kind == "image"]
    stored = sum(image.bytes for image in facts.images)
    assert stored == plan.image_bytes
    if not wanted.everything:
        assert not images or (wanted.image_bytes and stored > wanted.image_bytes)
        for step in images[:-1]:
            stored -= step.bytes
            assert stored > wanted.image_bytes


def check_everything_stays_or_goes_with_a_reason(facts, wanted, plan):
    assert all(step.reason for step in plan.steps)
    assert all(each.reason for each in plan.kept)
    names = [(each.kind, each.id) for each in (*plan.steps, *plan.kept) if each.kind in ("prefix", "image")]
    assert sorted(names) == sorted([("prefix", p.id) for p in facts.prefixes] + [("image", i.id) for i in facts.images])


@given(roots(), limits)
def test_what_is_needed_or_was_used_lately_stays_and_everything_has_a_reason(facts, wanted):
    plan = collect(facts, wanted, NOW)
    check_nothing_that_is_needed_goes(facts, wanted, plan)
    check_what_was_used_lately_goes_for_the_floor_only(facts, wanted, plan)
    check_outputs_of_young_runs_never_go(facts, wanted, plan)
    check_images_go_for_their_own_bound(facts, wanted, plan)
    check_everything_stays_or_goes_with_a_reason(facts, wanted, plan)


@given(roots(), limits)
def test_enough_goes_in_the_order_of_the_rules_and_no_more(facts, wanted):
    plan = collect(facts, wanted, NOW)
    check_no_step_goes_while_an_earlier_rule_has_a_candidate(facts, wanted, plan)
    check_bytes_of_a_step_are_those_of_files_whose_last_name_goes(facts, wanted, plan)
    check_no_more_goes_than_is_needed(facts, wanted, plan)
    check_limits_are_met_or_everything_left_is_protected(facts, wanted, plan)


@given(roots(), limits, st.integers(0, 300), st.randoms(use_true_random=False))
def test_plans_are_stable_and_grow_with_what_is_wanted(facts, wanted, size, random):
    plan = collect(facts, wanted, NOW)
    check_the_order_of_the_facts_changes_nothing(facts, wanted, plan, random)
    check_a_smaller_budget_goes_on_where_a_larger_one_stops(facts, wanted, plan, max(size, 1))
    check_a_higher_floor_goes_on_where_a_lower_one_stops(facts, wanted, plan, size)


def test_the_output_of_a_young_run_stays_below_the_floor_and_without_regard_to_ages():
    young = CacheItem(kind="output", id="runs/r1/output", bytes=9, last_used=subtract_days(NOW, 1))
    facts = CollectionFacts(items=(young,), free_bytes=0)
    for wanted in (
        CollectionLimits(min_free_bytes=100, output_days=2),
        CollectionLimits(everything=True, output_days=2),
    ):
        assert collect(facts, wanted, NOW).steps == ()
        assert len(collect(facts, msgspec.structs.replace(wanted, output_days=1), NOW).steps) == 1
