"""A lost or damaged index is rebuilt from what is left of it and from what is on the disk, and says what is lost."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from random import Random

import msgspec
import pytest

from roost.model.canonical.form import digest_bytes
from roost.model.definition import Definition, Settings
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, digest_lock
from roost.model.names import VersionReference
from roost.model.records import (
    Artifact,
    BuildRecord,
    EnvironmentBody,
    FileStamp,
    KnownDefinition,
    NewGeneration,
    NewVersion,
    RunRecord,
    VariableChange,
)
from roost.store.artifacts.publish import FillResult
from roost.store.disk.file_ops import remove_tree
from roost.store.disk.layout import Layout
from roost.store.disk.run_folders import BegunRun, create_folder, read_begun
from roost.store.failpoints import FAILPOINT, TRACE
from roost.store.index.tables.environments import EnvironmentUnknownError
from roost.store.migrations.examination import IndexDamagedError, IndexMissingError, IndexUnusableError
from roost.store.rebuild.copying import CopyInterruptedError, copy_index, copy_path, is_copy_due
from roost.store.rebuild.rebuild import RebuildReport, rebuild_index
from roost.store.store import Store

FORM = b'{"format":1}'
SETTINGS = b"{}"
ENVIRONMENTS = 40
LOST_INDEX = (IndexDamagedError, IndexMissingError, IndexUnusableError)


def lock_of(name: str) -> Lock:
    package = CondaPackage(
        name=name,
        version="1",
        build="0",
        subdir="noarch",
        file_name=f"{name}.conda",
        url=f"https://example.org/{name}.conda",
        sha256=hashlib.sha256(name.encode()).hexdigest(),
    )
    return Lock(platform="linux-64", provider=CondaPython(), conda=(package,))


def form_of(name: str) -> bytes:
    return b'{"format":1,"name":"%s"}' % name.encode()


def body_of(name: str) -> EnvironmentBody:
    return EnvironmentBody(definition=Definition(), settings=Settings(variables={"NAME": name}))


def describe(path: str) -> bytes:
    """The digest of every file of a prefix, as the manifests of these tests have them."""
    names = sorted(os.listdir(path))
    return "".join(f"{name} {digest_bytes(Path(path, name).read_bytes())}\n" for name in names).encode()


async def fill(path: str) -> FillResult:
    Path(path, "data").write_bytes(os.urandom(200))
    activation = (VariableChange(name="P", action="set", value=path),)
    return FillResult(activation=activation, manifest=describe(path))


def compare(artifact: Artifact, lock: Lock) -> tuple[FileStamp, ...] | str:
    manifest = Path(Layout.manifest_of(artifact.path)).read_bytes()
    if digest_bytes(manifest) != artifact.manifest or digest_lock(lock) != artifact.key:
        return "its manifest is not the one that was written with it"
    return () if manifest == describe(artifact.path) else "it was changed"


async def fill_root(root: str) -> None:
    """A root with environments, versions, labels, locks, generations, prefixes, builds, runs, pins and events."""
    store = await Store.open(root)
    index = store.index
    for number in range(ENVIRONMENTS):
        name = f"e{number:02}"
        form, definition = form_of(name), digest_bytes(form_of(name))
        new = NewVersion(
            name=name,
            body=body_of(name),
            definition_digest=definition,
            settings_digest=digest_bytes(SETTINGS),
            canonical=form,
            settings_canonical=SETTINGS,
            kind="system-managed",
            labels=("good",),
        )
        await index.environments.register(new)
        generation = NewGeneration(definition_digest=definition, platform="linux-64")
        if number < 4:
            await store.artifacts.publish_prefix(lock=lock_of(name), generation=generation, build_id="b", fill=fill)
        else:
            await index.generations.add(generation, lock_of(name))
        build = BuildRecord(
            id=f"b-{name}",
            definition_digest=definition,
            platform="linux-64",
            state="succeeded",
            created="2026-01-01T00:00:00.000000Z",
        )
        await index.builds.insert(build)
        run = RunRecord(
            id=f"r-{name}",
            state="succeeded",
            target="local",
            command=("python",),
            cwd="/",
            definition_digest=definition,
            settings_digest=digest_bytes(SETTINGS),
            created="2026-01-01T00:00:00.000000Z",
        )
        begun = BegunRun(run=run, definition=form.decode(), settings="{}", name=name)
        create_folder(store.layout.run_folder(run.id), begun)
        seen = KnownDefinition(digest=definition, canonical=form, name=name, source=None)
        await index.begin_run(run, seen, SETTINGS, "run-created", {"run": run.id})
    await index.pins.add("p-pinned")
    await store.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A root that is copied for each test. A killed process loses nothing that it wrote: it needs no real disk."""
    parent = Path(tempfile.mkdtemp(prefix="r", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"))
    root = parent / "r"
    asyncio.run(fill_root(str(root)))
    yield root
    shutil.rmtree(parent, ignore_errors=True)


@pytest.fixture
def root(filled):
    """The filled root at its own path, restored after the test: prefixes and their records contain it."""
    backup = filled.parent / "backup"
    shutil.copytree(filled, backup, symlinks=True)
    yield str(filled)
    shutil.rmtree(filled)
    backup.rename(filled)


def repair(root: str) -> RebuildReport:
    return rebuild_index(Layout(root), compare, "0.1")


async def assert_consistent(root: str) -> tuple[int, int]:
    """What must hold after every repair; return the numbers of versions and of ready prefixes."""
    store = await Store.open(root)
    index = store.index
    try:
        assert await index.list_faults() == []
        versions = 0
        for number in range(ENVIRONMENTS):
            name = f"e{number:02}"
            definition = digest_bytes(form_of(name))
            found = await index.environments.find_same(name, definition, digest_bytes(SETTINGS))
            if found is not None:
                versions += 1
                body = await index.environments.load_body(name, found.version)
                assert body == body_of(name)
                (forms,) = await index.definitions.load_canonical_forms([(definition, digest_bytes(SETTINGS))])
                assert forms == (form_of(name), SETTINGS)
            current = await index.generations.find_current(definition, "linux-64")
            if current is not None:
                assert current.lock_digest == digest_lock(lock_of(name))
                assert await index.locks.find(current.lock_digest) == lock_of(name)
        ready = [each for each in await index.artifacts.list_all() if each.state == "ready"]
        for artifact in ready:
            lock = await index.locks.find(artifact.key)
            assert lock is not None
            assert compare(artifact, lock) == ()
            assert artifact.activation == (VariableChange(name="P", action="set", value=artifact.path),)
        for run in await index.runs.list_page(1000):
            assert run.command == ("python",)
        return versions, len(ready)
    finally:
        await store.close()


async def test_without_an_index_prefixes_locks_and_runs_come_back(root):
    os.unlink(f"{root}/index.db")
    report = repair(root)
    assert len(report.prefixes) == 4
    assert report.rows == {}
    assert report.kept == ()
    assert report.lost[0].startswith("all that only the index knew: names, versions and labels of environments")
    versions, ready = await assert_consistent(root)
    assert (versions, ready) == (0, 4)
    store = await Store.open(root)
    assert len(await store.index.runs.list_page(1000)) == ENVIRONMENTS
    current = await store.index.generations.find_current(digest_bytes(form_of("e00")), "linux-64")
    assert current is not None
    assert current.number == 1
    assert (await store.index.definitions.find(digest_bytes(form_of("e09")))).canonical == form_of("e09")
    (event,) = [each for each in await store.index.events.list_since(0) if each.kind == "index-rebuilt"]
    assert event.fields["prefixes"] == 4
    await store.close()


async def test_with_a_copy_everything_comes_back(root):
    layout = Layout(root)
    copy_index(layout, lambda: False)
    assert not is_copy_due(layout)
    os.unlink(f"{root}/index.db")
    report = repair(root)
    assert report.sources == (copy_path(layout),)
    assert report.lost == ()
    assert await assert_consistent(root) == (ENVIRONMENTS, 4)


async def test_what_was_removed_stays_removed_and_lost_numbers_are_not_given_again(root):
    store = await Store.open(root)
    copy_index(store.layout, lambda: False)  # it still has e00:1
    await store.index.remove_versions("e00", None, force=True)
    await store.close()
    with closing(sqlite3.connect(f"{root}/index.db")) as connection:
        connection.execute("UPDATE versions SET created = x'00' WHERE environment = 2")  # so that the copy is consulted
        connection.commit()
    assert repair(root).lost[0].startswith("versions of environments: 1 rows are damaged")
    store = await Store.open(root)
    other = NewVersion(
        name="e00",
        body=body_of("other"),
        definition_digest=digest_bytes(form_of("other")),
        settings_digest=digest_bytes(SETTINGS),
        canonical=form_of("other"),
        settings_canonical=SETTINGS,
        kind="system-managed",
    )
    with pytest.raises(EnvironmentUnknownError, match="it was removed at"):
        await store.index.environments.get(VersionReference(name="e00"))
    assert (await store.index.environments.register(other)).version.version == 2
    await store.close()
    os.unlink(f"{root}/index.db")
    os.unlink(copy_path(Layout(root)))
    for name in os.listdir(root):
        if name.startswith("index.db.damaged"):
            os.unlink(f"{root}/{name}")
    run = Layout(root).run_folder("r-e05")  # all that is left of e05:7
    begun = read_begun(run)
    named = msgspec.structs.replace(begun.run, environment_name="e05", environment_version=7)
    remove_tree(run)
    create_folder(run, msgspec.structs.replace(begun, run=named))
    repair(root)
    store = await Store.open(root)
    lost = msgspec.structs.replace(other, name="e05")
    assert (await store.index.environments.register(lost)).version.version == 8
    await store.close()


async def test_a_version_that_was_registered_again_survives_an_older_removal(root):
    store = await Store.open(root)
    known = await store.index.environments.get(VersionReference(name="e00"))
    kept = await store.index.environments.get(VersionReference(name="e01"))
    await store.index.remove_versions("e00", None, force=True)
    await store.index.remove_versions("e01", None, force=True)
    copy_index(store.layout, lambda: False)
    again = NewVersion(
        name="e00",
        body=body_of("e00"),
        definition_digest=known.definition_digest,
        settings_digest=known.settings_digest,
        canonical=form_of("e00"),
        settings_canonical=SETTINGS,
        kind="system-managed",
        number=known.version,
    )
    await store.index.environments.register(again)
    await store.close()
    with closing(sqlite3.connect(f"{root}/index.db")) as connection:  # so that the copy is consulted
        connection.execute("INSERT INTO removed_versions VALUES ('e02', x'00', '', '')")
        connection.execute("UPDATE environments SET name = x'00' WHERE id = 2")
        connection.commit()
    repair(root)
    store = await Store.open(root)
    assert (await store.index.environments.get(VersionReference(name="e00"))).version == known.version
    with pytest.raises(EnvironmentUnknownError, match="it was removed at"):
        await store.index.environments.get(VersionReference(name="e01", version=kept.version))
    with closing(sqlite3.connect(f"{root}/index.db")) as connection:
        assert connection.execute("SELECT name FROM removed_versions").fetchall() == [("e01",)]
        empty = "SELECT name FROM environments WHERE id NOT IN (SELECT environment FROM versions)"
        assert connection.execute(empty).fetchall() == []
    await store.close()


async def test_a_copy_alone_is_no_new_root(tmp_path):
    """Versions that were never built are in the index only: a new one must not take its place."""
    layout = Layout(str(tmp_path))
    await (await Store.open(str(tmp_path))).close()
    copy_index(layout, lambda: False)
    os.unlink(layout.index_path)
    with pytest.raises(IndexMissingError):
        await Store.open(str(tmp_path))
    assert repair(str(tmp_path)).lost == ()


async def test_a_copy_that_is_interrupted_leaves_nothing_and_the_last_one_stays(root):
    layout = Layout(root)
    copy_index(layout, lambda: False)
    before = Path(copy_path(layout)).read_bytes()
    with pytest.raises(CopyInterruptedError):
        copy_index(layout, lambda: True)
    assert Path(copy_path(layout)).read_bytes() == before
    assert not os.path.exists(f"{copy_path(layout)}.new")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"text\n" * 999),
        lambda path: path.write_bytes(b""),
        lambda path: (path.unlink(), path.mkdir(), (path / "x").write_text("")),
        lambda path: (path.unlink(), os.mkfifo(path)),
        lambda path: os.truncate(path, 100),
    ],
    ids=["text", "empty", "folder", "pipe", "cut"],
)
async def test_whatever_is_in_its_place_is_moved_aside(root, spoil):
    spoil(Path(root, "index.db"))
    with pytest.raises(LOST_INDEX):
        await Store.open(root)
    report = repair(root)
    assert report.kept == (f"{root}/index.db.damaged-1",)
    assert os.path.lexists(report.kept[0])
    assert await assert_consistent(root) == (0, 4)


async def test_a_damaged_header_loses_nothing(root):
    with open(f"{root}/index.db", "r+b") as file:
        file.write(os.urandom(56))
    assert repair(root).lost == ()
    assert await assert_consistent(root) == (ENVIRONMENTS, 4)


async def test_an_altered_prefix_is_not_served_again(root):
    os.unlink(f"{root}/index.db")
    prefix = next(each for each in Path(root, "prefixes").iterdir() if each.is_dir())
    (prefix / "data").write_bytes(b"x" * 200)
    report = repair(root)
    assert len(report.prefixes) == 3
    assert [line for line in report.lost if str(prefix) in line] == [
        f"{prefix}: it was changed; it is built again when it is needed"
    ]
    assert await assert_consistent(root) == (0, 3)
    assert not prefix.exists()


async def test_a_prefix_without_a_record_is_known_by_its_row(root):
    for record in Path(root, "prefixes").glob("*.record"):
        record.unlink()
    with closing(sqlite3.connect(f"{root}/index.db")) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'durations'").fetchone()
    with open(f"{root}/index.db", "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    assert len(repair(root).prefixes) == 4
    assert await assert_consistent(root) == (ENVIRONMENTS, 4)


async def test_neither_a_record_nor_a_row_means_that_it_is_built_again(root):
    os.unlink(f"{root}/index.db")
    for record in Path(root, "prefixes").glob("*.record"):
        record.unlink()
    report = repair(root)
    assert report.prefixes == ()
    assert len([line for line in report.lost if "neither its record nor its row" in line]) == 4


async def test_a_foreign_wal_does_not_reach_an_intact_index(root, tmp_path):
    other = sqlite3.connect(tmp_path / "other.db", isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL").fetchall()
    other.execute("CREATE TABLE artifacts (x)")
    for number in range(500):
        other.execute("INSERT INTO artifacts VALUES (?)", (f"{number}" * 200,))
    shutil.copy(tmp_path / "other.db-wal", f"{root}/index.db-wal")
    other.close()
    with pytest.raises(LOST_INDEX):
        await Store.open(root)
    report = repair(root)
    assert report.lost == ()
    assert report.kept == (f"{root}/index.db.damaged-1", f"{root}/index.db.damaged-1-wal")
    assert await assert_consistent(root) == (ENVIRONMENTS, 4)


@pytest.mark.parametrize("seed", range(6))
async def test_an_index_that_is_damaged_anywhere_is_repaired_without_a_false_row(root, seed):
    """Bytes are overwritten, pages cleared, or the end cut, at random places; twice in a row."""
    random = Random(seed)
    lost: list[str] = []
    for _ in range(2):
        path = f"{root}/index.db"
        size = os.path.getsize(path)
        kind = random.choice(["bytes", "pages", "cut", "zeros"])
        with open(path, "r+b") as file:
            if kind == "cut":
                file.truncate(random.randrange(size))
            for _ in range(random.randint(1, 6) if kind != "cut" else 0):
                file.seek(random.randrange(size) if kind == "bytes" else random.randrange(size // 4096) * 4096)
                file.write(b"\0" * 4096 if kind == "zeros" else random.randbytes(random.choice([1, 8, 300, 4096])))
        report = repair(root)
        assert len(report.prefixes) == 4, report.lost
        versions, ready = await assert_consistent(root)
        assert ready == 4
        lost += report.lost
        assert versions == ENVIRONMENTS or lost, kind


def test_a_full_disk_changes_nothing(root, monkeypatch):
    before = Path(root, "index.db").read_bytes()

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("roost.store.rebuild.rebuild.sync_filesystem", full)
    with pytest.raises(Exception, match="No space left"):
        repair(root)
    assert Path(root, "index.db").read_bytes() == before
    assert [name for name in os.listdir(root) if "rebuilt" in name or "damaged" in name] == []


def run_child(root: str, **variables: str) -> int:
    """Repair in a forked process with these variables; its exit code."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        os.environ.update(variables)
        repair(root)
    except BaseException:
        os._exit(1)
    os._exit(0)


async def test_killed_at_any_point_the_next_repair_begins_again_and_loses_nothing(root, tmp_path):
    def damage() -> None:
        for end in ("", "-wal"):
            with open(f"{root}/index.db{end}", "r+b" if not end else "wb") as file:
                file.write(b"\xff" * 50)

    damage()
    assert run_child(root, **{TRACE: str(tmp_path / "trace")}) == 0
    lines = (tmp_path / "trace").read_text().splitlines()
    names = [line.split()[1] for line in lines if line.startswith("point ")]
    assert "rebuild.aside" in names
    for point in dict.fromkeys(names):
        damage()
        assert run_child(root, **{FAILPOINT: point}) == -signal.SIGKILL, point
        if point != "rebuild.placed":
            with pytest.raises(LOST_INDEX):
                await Store.open(root)
            assert repair(root).lost == (), point
        assert await assert_consistent(root) == (ENVIRONMENTS, 4), point
        for old in Path(root).glob("index.db.damaged-*"):  # each would be one more source
            old.unlink()
    assert [name for name in os.listdir(root) if "rebuilt" in name] == []
