"""Whatever rows and content a crash or a user left: afterwards they fit, and nothing in use or half-made is wrong.

The actions are taken on a model here, also with a crash after any of them, and reconciled again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from roost.store.artifacts.reconcile import Action, Listing, Row, reconcile

NAMES = [f"p{number}" for number in range(5)]
STATES = ["building", "ready", "retired", "deleting"]


@dataclass
class World:
    """Rows by id, and what lies on the disk."""

    rows: dict[str, Row]
    prefixes: set[str]
    leases: set[str]
    manifests: set[str]
    held: set[str]
    removed: list[str] = field(default_factory=list)

    def listing(self):
        return Listing(
            prefixes=frozenset(self.prefixes),
            leases=frozenset(self.leases),
            described=frozenset(self.manifests),
            held=frozenset(self.held),
        )

    def actions(self):
        return reconcile(list(self.rows.values()), self.listing())

    def apply(self, action):
        if action.do == "discard":
            self.removed += [action.name] if action.name in self.prefixes else []
            self.prefixes.discard(action.name)
            self.leases.discard(action.name)
            self.manifests.discard(action.name)
        elif action.do == "restore-lease":
            self.leases.add(action.name)
        elif action.do == "drop":
            del self.rows[action.id]
        else:
            self.rows[action.id] = msgspec.structs.replace(self.rows[action.id], state="retired")

    def copy(self):
        return World(
            dict(self.rows),
            set(self.prefixes),
            set(self.leases),
            set(self.manifests),
            set(self.held),
            list(self.removed),
        )


@st.composite
def worlds(draw):
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    rows = {
        f"id-{name}": Row(
            id=f"id-{name}", name=name, state=draw(st.sampled_from(STATES)), protected=draw(st.booleans())
        )
        for name in names
    }
    leases = draw(st.sets(st.sampled_from(NAMES)))
    held = draw(st.sets(st.sampled_from(sorted(leases)))) if leases else set()
    contents, manifests = (draw(st.sets(st.sampled_from(NAMES))) for _ in range(2))
    return World(rows, contents, leases, manifests, held)


def settled(world):
    done = world.copy()
    for action in world.actions():
        done.apply(action)
    return done


@given(worlds())
def test_afterwards_rows_and_content_fit(world):
    after = settled(world)
    known = {row.name for row in after.rows.values()}
    assert all(row.state in ("ready", "retired") for row in after.rows.values())
    assert known <= after.prefixes
    assert known <= after.leases
    assert after.prefixes - known <= after.held
    assert after.manifests - known <= after.held
    assert after.leases - known <= after.held


@given(worlds())
def test_doing_it_again_does_nothing(world):
    assert settled(world).actions() == []


@given(worlds(), st.integers(min_value=0, max_value=30))
def test_a_crash_after_any_action_leads_to_the_same_end(world, done):
    crashed = world.copy()
    for action in world.actions()[:done]:
        crashed.apply(action)
    again, straight = settled(crashed), settled(world)
    assert (again.rows, again.prefixes, again.leases) == (straight.rows, straight.prefixes, straight.leases)


@given(worlds())
def test_nothing_becomes_ready(world):
    before = {row.id for row in world.rows.values() if row.state == "ready"}
    assert {row.id for row in settled(world).rows.values() if row.state == "ready"} <= before


@given(worlds())
def test_ready_content_stays_ready(world):
    for row in world.rows.values():
        if row.state == "ready" and row.name in world.prefixes:
            assert settled(world).rows[row.id] == row


@given(worlds())
def test_what_is_in_use_or_protected_is_not_removed(world):
    building = {row.name for row in world.rows.values() if row.state == "building"}
    protected = {row.name for row in world.rows.values() if row.protected and row.state in ("ready", "retired")}
    removed = set(settled(world).removed)
    assert not removed & (world.held - building)
    assert not removed & protected


@given(worlds())
def test_content_goes_before_its_row_and_only_known_rows_are_named(world):
    actions = world.actions()
    for place, action in enumerate(actions):
        if action.do in ("drop", "retire"):
            assert action.id in world.rows
        if action.do == "drop":
            later = [other.name for other in actions[place:] if other.do == "discard"]
            assert world.rows[action.id].name not in later


@given(worlds(), st.randoms())
def test_the_order_of_rows_does_not_matter(world, random):
    rows = list(world.rows.values())
    random.shuffle(rows)
    key = msgspec.json.encode
    assert sorted(reconcile(rows, world.listing()), key=key) == sorted(world.actions(), key=key)


def test_a_deletion_that_a_process_overtook_is_retired():
    row = Row(id="i", name="p", state="deleting")
    listing = Listing(prefixes=frozenset("p"), leases=frozenset("p"), held=frozenset("p"))
    assert reconcile([row], listing) == [Action(do="retire", id="i")]
    assert reconcile([row], msgspec.structs.replace(listing, held=frozenset())) == [
        Action(do="discard", name="p"),
        Action(do="drop", id="i"),
    ]
