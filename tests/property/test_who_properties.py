"""Where a package is used: the index's answer is that of a walk through everything that is kept, whatever was done."""

from __future__ import annotations

import functools
import sqlite3
import zlib
from collections import Counter
from dataclasses import dataclass

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.model.definition import Definition, Settings
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel, digest_lock
from roost.model.package_uses import UsePage
from roost.model.records import Artifact, EnvironmentBody, ImageRecord, NewGeneration, NewVersion, RunRecord
from roost.model.syntax.pip_lines import normalise_name
from roost.store.index.database import _FILL_FUNCTIONS, _set_up_connection, _write
from roost.store.index.packages import SPAN_BITS, packages_of
from roost.store.index.tables import artifacts, environments, images, records, where_used
from roost.store.index.tables import generations as index_generations
from roost.store.index.tables.locks import put_lock
from roost.store.migrations.runner import run_migrations
from roost.store.migrations.schema import MIGRATIONS, statements

NOW = "2026-01-01T00:00:00Z"
NAMES = ["typing_extensions", "typing-extensions", "Six"]
ALL = 10**9

conda_packages = st.builds(
    lambda name, version, build: CondaPackage(
        name=name, version=version, build=build, subdir="noarch", url="u", sha256="",
        file_name=f"{name}-{version}-{build}.conda",
    ),
    st.sampled_from(NAMES), st.sampled_from("123"), st.sampled_from("xy"),
)  # fmt: skip
wheels = st.builds(
    lambda name, version: Wheel(name=name, version=version), st.sampled_from(NAMES), st.sampled_from("12")
)
locks = st.builds(
    lambda conda, wheels: Lock(
        platform="linux-64", provider=CondaPython(), conda=tuple(conda), wheels=tuple(wheels)
    ),
    st.lists(conda_packages, max_size=3), st.lists(wheels, max_size=2),
)  # fmt: skip
few = st.integers(0, 2)
one_or_two = st.integers(1, 2)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("lock"), locks),
        st.tuples(st.just("generation"), one_or_two, st.sampled_from(["linux-64", "osx-arm64"]), few),
        st.tuples(st.just("promote"), one_or_two, one_or_two),
        st.tuples(st.just("register"), st.sampled_from("mn"), one_or_two, one_or_two, st.booleans()),
        st.tuples(st.just("image"), few, few),
        st.tuples(st.just("prefix"), few),
        st.tuples(st.just("delete"), few),
        st.tuples(st.just("run"), st.none() | few),
        st.tuples(st.just("rerun"), few),
    ),
    min_size=6,
    max_size=30,
)
starts = st.lists(locks, min_size=2, max_size=3)
versions_wanted = st.sets(st.sampled_from("123"), min_size=1)


@dataclass
class Indexed:
    """An index in memory, worked on through the functions that roost itself uses."""

    connection: sqlite3.Connection
    locks: list[Lock]
    made: int = 0

    def do(self, step):
        getattr(self, "do_" + step[0])(*step[1:])
        self.made += 1

    def chosen(self, number):
        return self.locks[number % len(self.locks)]

    def do_lock(self, lock):
        self.locks.append(lock)
        put_lock(self.connection, lock)

    def do_generation(self, definition, platform, number):
        new = NewGeneration(definition_digest=f"sha256:{definition}", platform=platform)
        index_generations.add_generation(self.connection, new, self.chosen(number))

    def do_promote(self, definition, number):
        if index_generations.find_generation(self.connection, f"sha256:{definition}", "linux-64", number):
            index_generations.promote(self.connection, f"sha256:{definition}", "linux-64", number)

    def do_register(self, name, definition, setting, archive):
        new = NewVersion(
            name=name, definition_digest=f"sha256:{definition}", settings_digest=f"sha256:s{setting}",
            body=EnvironmentBody(
                definition=Definition(system={"d": str(definition)}), settings=Settings(variables={"s": str(setting)})
            ),
            canonical=b"{}", settings_canonical=b"{}", kind="system-managed",
        )  # fmt: skip
        version = environments.register_version(self.connection, new).version
        if archive:
            environments.set_archived(self.connection, name, version.version, True)

    def do_image(self, number, key):
        images.put_image(
            self.connection,
            ImageRecord(
                key=f"{key}-{digest_lock(self.chosen(number))}", config_digest=f"sha256:c{self.made}",
                definition_digest="sha256:d", lock_digest=digest_lock(self.chosen(number)), platform="linux-64",
                base_digest="sha256:b", name=f"roost/x:{key}",
            ),
        )  # fmt: skip

    def do_prefix(self, number):
        key = digest_lock(self.chosen(number))
        made = Artifact(id=f"p{self.made}", kind="prefix", key=key, platform="", state="building", path=f"/{self.made}")
        artifacts.insert_building(self.connection, made, "b")
        if artifacts.find_ready_artifact(self.connection, "prefix", key) is None:
            artifacts.mark_ready(self.connection, made)

    def do_delete(self, number):
        found = artifacts.find_ready_artifact(self.connection, "prefix", digest_lock(self.chosen(number)))
        if found and number % 2:
            artifacts.delete_artifact_row(self.connection, found.id)
        elif found:
            artifacts.mark_retired(self.connection, found.id)

    def do_run(self, number):
        records.insert_record(
            self.connection,
            RunRecord(
                id=f"r{self.made}", state="running", target="local", command=("x",), cwd="/", created=NOW,
                definition_digest="sha256:d", settings_digest="sha256:s", environment_name="m", environment_version=1,
                lock_digest=None if number is None else digest_lock(self.chosen(number)),
            ),
        )  # fmt: skip

    def do_rerun(self, number):
        """A run learns its lock after it was written down."""
        row = self.connection.execute("SELECT id FROM runs LIMIT 1").fetchone()
        if row:
            fields = {"lock_digest": digest_lock(self.chosen(number)), "state": "succeeded"}
            records.update_record(self.connection, RunRecord, row["id"], fields)


def new_connection():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _set_up_connection(connection)
    return connection


@functools.cache
def empty_index():
    """An index of today's schema, to copy: migrating each anew would take as long as the rest of an example."""
    connection = new_connection()
    run_migrations(connection, _write, _FILL_FUNCTIONS)
    return connection


def indexed(start, todo):
    connection = new_connection()
    empty_index().backup(connection)
    made = Indexed(connection, [])
    for step in [*(("lock", lock) for lock in start), *todo]:
        made.do(step)
    return made


def walked(connection, wanted):
    """What holds a package that is ``wanted``, by reading all that is kept; sets and multisets of plain names."""
    rows = {
        table: connection.execute(f"SELECT * FROM {table}").fetchall()
        for table in ("locks", "generations", "images", "artifacts", "runs", "versions", "bodies", "environments")
    }
    holding = set()
    for row in rows["locks"]:
        lock = msgspec.json.decode(zlib.decompress(row["body"]), type=Lock)
        if any(package in wanted for package in packages_of(lock)):
            holding.add(row["digest"])
    generations = [row for row in rows["generations"] if row["lock_digest"] in holding]
    definitions = {row["definition_digest"] for row in generations}
    current = {row["definition_digest"] for row in generations if row["current"]}
    bodies = {row["id"]: row["definition_digest"] for row in rows["bodies"]}
    names = {row["id"]: row["name"] for row in rows["environments"]}
    return {
        "locks": len(holding),
        "environments": {
            (names[row["environment"]], row["version"], bool(row["archived"]), bodies[row["body"]] in current)
            for row in rows["versions"]
            if bodies[row["body"]] in definitions
        },
        "generations": {(r["definition_digest"], r["platform"], r["number"], bool(r["current"])) for r in generations},
        "images": {row["key"] for row in rows["images"] if row["lock_digest"] in holding},
        "prefixes": {row["id"] for row in rows["artifacts"] if row["key"] in holding and row["state"] == "ready"},
        "runs": {row["id"] for row in rows["runs"] if row["lock_digest"] in holding},
    }


def told(uses):
    return {
        "locks": uses.counts.locks,
        "environments": {(use.name, use.version, use.archived, use.current) for use in uses.environments},
        "generations": {(use.definition_digest, use.platform, use.number, use.current) for use in uses.generations},
        "images": {use.key for use in uses.images},
        "prefixes": {use.id for use in uses.prefixes},
        "runs": {use.id for use in uses.runs},
    }


KINDS = ("environments", "generations", "images", "prefixes", "runs")


@settings(max_examples=300)
@given(starts, steps, st.sampled_from(NAMES), versions_wanted, st.integers(0, 3))
def test_the_answer_is_that_of_a_walk_through_everything(start, todo, name, versions, limit):
    made = indexed(start, todo)
    known = [
        each for each in where_used.list_package_versions(made.connection, name) if each.package.version in versions
    ]
    wanted = {each.package for each in known}
    assert {normalise_name(each.name) for each in wanted} <= {normalise_name(name)}
    expected = walked(made.connection, wanted)
    ids = [each.id for each in known]
    uses = where_used.find_uses(made.connection, name, ids, ALL)
    assert told(uses) == expected
    assert {kind: getattr(uses.counts, kind) for kind in KINDS} == {kind: len(expected[kind]) for kind in KINDS}
    assert uses.counts.current_generations == sum(each[3] for each in expected["generations"])
    for kind in KINDS:
        rows = getattr(uses, kind)
        assert len(rows) == len(expected[kind])  # each once
        assert all(row.packages and set(row.packages) <= wanted for row in rows)
    first_few = where_used.find_uses(made.connection, name, ids, limit)
    assert first_few.counts == uses.counts
    assert all(getattr(first_few, kind) == getattr(uses, kind)[:limit] for kind in KINDS)


def by_pages(connection, name, ids, limit):
    """All that is told page by page, by kind, and how many pages there were."""
    uses = where_used.find_uses(connection, name, ids, limit)
    rows, pages = {kind: list(getattr(uses, kind)) for kind in KINDS}, 0
    for kind in KINDS:
        before = uses.next.get(kind)
        while before is not None:
            more = where_used.find_uses(connection, name, ids, limit, UsePage(kind=kind, before=before))
            assert more.counts is None
            assert 0 < len(getattr(more, kind)) <= limit
            assert not any(getattr(more, other) for other in KINDS if other != kind)
            rows[kind] += getattr(more, kind)
            before, pages = more.next.get(kind), pages + 1
    return {kind: tuple(each) for kind, each in rows.items()}, pages


@settings(max_examples=300)
@given(starts, steps, st.sampled_from(NAMES), versions_wanted, st.integers(1, 3))
def test_pages_are_together_the_whole(start, todo, name, versions, limit):
    made = indexed(start, todo)
    ids = [
        each.id for each in where_used.list_package_versions(made.connection, name) if each.package.version in versions
    ]
    whole = where_used.find_uses(made.connection, name, ids, ALL)
    assert not whole.next
    assert by_pages(made.connection, name, ids, limit)[0] == {kind: getattr(whole, kind) for kind in KINDS}


@settings(max_examples=60)
@given(starts, steps)
def test_an_index_from_before_is_filled_as_if_it_had_always_been_there(start, todo):
    made = indexed(start, todo)
    older = new_connection()
    for version in range(1, 5):
        for statement in statements(MIGRATIONS[version]):
            older.execute(statement)
    older.execute("PRAGMA user_version = 4")
    older.execute("PRAGMA foreign_keys = OFF")
    for table in ("definitions", "settings", "locks", "generations", "artifacts", "images", "runs", "environments",
                  "bodies", "versions"):  # fmt: skip
        for row in made.connection.execute(f"SELECT * FROM {table}"):
            known = [name for (_, name, *_) in older.execute(f"PRAGMA table_info({table})")]  # columns came later
            places = ", ".join("?" * len(known))
            older.execute(f"INSERT INTO {table} ({', '.join(known)}) VALUES ({places})", [row[n] for n in known])
    run_migrations(older, _write, _FILL_FUNCTIONS)
    for table in ("package_names", "packages", "contents", "lock_uses", "lock_bodies"):
        query = f"SELECT * FROM {table}"
        assert Counter(map(tuple, older.execute(query))) == Counter(map(tuple, made.connection.execute(query)))


def test_locks_of_many_spans_come_newest_first():
    made = indexed([], [])
    number = (2 << SPAN_BITS) + 5
    for place in range(number):
        wheel = Wheel(name="many" if place % 2 else "few", version="1", path=f"/{place}")
        made.do_lock(Lock(platform="linux-64", provider=CondaPython(), wheels=(wheel,)))
        made.do(("register", f"e{place}", place, 1, False))
        made.do(("generation", place, "linux-64", place))
        made.do(("run", place))
    [known] = where_used.list_package_versions(made.connection, "MANY")
    uses = where_used.find_uses(made.connection, "many", [known.id], number)
    assert {getattr(uses.counts, kind) for kind in ("locks", "environments", "generations", "runs")} == {number // 2}
    rows, pages = by_pages(made.connection, "many", [known.id], 50)
    assert rows == {kind: getattr(uses, kind) for kind in KINDS}
    assert pages == 3 * (number // 2 // 50)
    places = [place for place in reversed(range(number)) if place % 2]
    assert [use.definition_digest for use in uses.generations] == [f"sha256:{place}" for place in places]
    assert [use.name for use in uses.environments] == [f"e{place}" for place in places]
    assert [use.lock_digest for use in uses.runs] == [use.lock_digest for use in uses.generations]
