"""FileWatcher on real files: what is reported, and what is not."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from blockbuster import blockbuster_ctx
from tests.support.churn import churning, read_state, watched_paths
from tests.support.file_watching import PATIENCE, Watched, save

from roost.daemon.watch.files import looking, path_watches, subjects
from roost.daemon.watch.files.methods import INOTIFY

BURSTS = 1500 if os.environ.get("ROOST_TEST_SOAK") else 20


@pytest.fixture
async def watched(monkeypatch):
    monkeypatch.setattr(subjects, "DOUBT_SECONDS", 0.0)  # each report is of a change
    with blockbuster_ctx(["roost.daemon.watch"]):
        found = Watched()
        yield found
        await found.watcher.close()


@pytest.fixture
def file(tmp_path: Path):
    path = tmp_path / "project" / "environment.yml"
    path.parent.mkdir()
    path.write_text("one")
    return path


async def test_saves_by_rename_and_by_truncation_are_all_seen(watched, file):
    await watched.watch("a", [str(file)])
    for number in range(3):
        save(file, f"saved {number}")
        await watched.until("a")
        await watched.settle()
    file.write_text("truncated")
    await watched.until("a")


async def test_a_swap_file_and_an_autosave_beside_it_are_not_reported(watched, file, monkeypatch):
    await watched.watch("a", [str(file)])
    for name in (".environment.yml.swp", "4913", "#environment.yml#", "environment.yml~"):
        (file.parent / name).write_text("swap")
        (file.parent / name).unlink()
    await watched.no_more(file.parent)
    assert watched.reports == []


async def test_touch_chmod_and_the_same_content_again_are_not_reported(watched, file, monkeypatch):
    await watched.watch("a", [str(file)])
    os.utime(file)
    file.chmod(0o600)
    save(file, "one")
    os.link(file, file.parent / "second")
    (file.parent / "second").unlink()
    (file.parent / ".git").mkdir()
    (file.parent / ".git" / "index.lock").write_text("x")
    (file.parent / ".git" / "index.lock").unlink()
    await watched.no_more(file.parent)
    assert watched.reports == []


async def test_attributes_are_not_reported_either_while_an_owner_may_be_reading(watched, file, monkeypatch):
    monkeypatch.setattr(subjects, "DOUBT_SECONDS", 60.0)
    await watched.watch("a", [str(file)])
    os.utime(file)
    file.chmod(0o600)
    await watched.no_more(file.parent)
    assert watched.reports == []


async def test_an_owner_that_read_what_was_there_between_is_told_again(watched, file, monkeypatch):
    monkeypatch.setattr(subjects, "DOUBT_SECONDS", 60.0)
    # The content returns to what was reported before the watcher looks: nothing has changed for the watcher, but for
    # the owner that read in between.
    await watched.watch("a", [str(file)])
    file.write_text("two")
    await watched.until("a")
    await watched.settle()
    waiting, released = threading.Event(), threading.Event()

    def hold(seconds):
        waiting.set()
        assert released.wait(PATIENCE)

    monkeypatch.setattr(path_watches, "time", SimpleNamespace(sleep=hold))
    file.write_text("read by the owner")
    await asyncio.to_thread(waiting.wait, PATIENCE)
    file.write_text("two")
    released.set()
    await watched.until("a")


async def test_a_folder_that_is_removed_and_returns(watched, file):
    await watched.watch("a", [str(file)])
    for _ in range(2):
        await asyncio.to_thread(shutil.rmtree, file.parent)
        await watched.until("a")
        await watched.settle()
        file.parent.mkdir()
        file.write_text("again")
        await watched.until("a")
        await watched.settle()
    save(file, "two")
    await watched.until("a")


async def test_a_folder_far_above_is_renamed_and_replaced(watched, tmp_path):
    file = tmp_path / "one" / "two" / "three" / "environment.yml"
    file.parent.mkdir(parents=True)
    file.write_text("one")
    await watched.watch("a", [str(file)])
    (tmp_path / "one").rename(tmp_path / "moved")
    await watched.until("a")
    await watched.settle()
    (tmp_path / "moved" / "two" / "three" / "environment.yml").write_text("elsewhere")
    shutil.copytree(tmp_path / "moved", tmp_path / "one")
    await watched.until("a")
    await watched.settle()
    save(file, "two")
    await watched.until("a")


async def test_a_missing_parent_that_appears_step_by_step(watched, tmp_path):
    file = tmp_path / "not" / "yet" / "there.yml"
    await watched.watch("a", [str(file)])
    assert watched.describe("a") == INOTIFY
    file.parent.parent.mkdir()
    await watched.no_more(tmp_path)
    file.parent.mkdir()
    file.write_text("one")
    await watched.until("a")
    await watched.settle()
    save(file, "two")
    await watched.until("a")


async def test_a_walk_that_others_disturbed_is_made_again(watched, tmp_path, monkeypatch):
    path, walk, look = tmp_path / "not" / "yet.yml", path_watches.PathWatches.walk, subjects.Subjects.look
    await watched.watch("a", [str(path)])
    looked = threading.Event()

    def disturb(watches, paths):
        monkeypatch.setattr(path_watches.PathWatches, "walk", walk)
        return False, set()

    def look_once(*parts, **options):
        monkeypatch.setattr(subjects.Subjects, "look", look)
        rest = look(*parts, **options)
        looked.set()
        return rest

    monkeypatch.setattr(path_watches.PathWatches, "walk", disturb)
    monkeypatch.setattr(subjects.Subjects, "look", look_once)
    path.parent.mkdir()
    await asyncio.to_thread(looked.wait, PATIENCE)
    path.write_text("one")
    await watched.until("a")


async def test_links_that_are_turned_and_their_targets(watched, tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "environment.yml").write_text(name)
    (tmp_path / "current").symlink_to("old")
    (tmp_path / "file").symlink_to("current/environment.yml")
    await watched.watch("a", [str(tmp_path / "file")])
    save(tmp_path / "old" / "environment.yml", "old, changed")
    await watched.until("a")
    await watched.settle()
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").rename(tmp_path / "current")
    await watched.until("a")
    await watched.settle()
    save(tmp_path / "new" / "environment.yml", "new, changed")
    await watched.until("a")
    await watched.settle()
    (tmp_path / "file").unlink()
    (tmp_path / "file").symlink_to("file")
    await watched.until("a")


async def test_a_file_that_is_written_under_another_name(watched, file, tmp_path):
    os.link(file, tmp_path / "other name")
    await watched.watch("a", [str(file)])
    with open(tmp_path / "other name", "w") as other:
        other.write("two")
    await watched.until("a")
    await watched.settle()
    save(file, "on its own now")
    await watched.until("a")


@pytest.mark.unprivileged
@pytest.mark.skipif(os.geteuid() == 0, reason="root passes all modes")
async def test_modes_that_hide_a_file_and_show_it_again(watched, file):
    await watched.watch("a", [str(file)])
    for closed in (file, file.parent):
        mode = closed.stat().st_mode
        closed.chmod(0)
        await watched.until("a")
        await watched.settle()
        closed.chmod(mode)
        await watched.until("a")
        await watched.settle()
    file.parent.chmod(0o300)  # it may be entered, but not listed
    save(file, "two")
    await watched.until("a")
    file.parent.chmod(0o700)


async def test_a_folder_stands_for_its_names(watched, file, monkeypatch):
    await watched.watch("a", [str(file.parent)])
    file.write_text("changed")
    await watched.no_more(file.parent.parent)
    assert watched.reports == []
    (file.parent / "new").write_text("x")
    await watched.until("a")


async def test_a_switch_of_branches_with_1000_files_reports_those_that_differ(watched, tmp_path, monkeypatch):

    def git(*words):
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "gc.auto=0")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    def write(text, numbers):
        for number in numbers:
            path = tmp_path / f"{number % 20}" / f"{number}.yml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def commit():
        git("add", ".")
        git("commit", "-qm", "x")

    git("init", "-q", "-b", "one")
    write("one", range(1000))
    commit()
    git("checkout", "-qb", "two")
    write("two", range(0, 1000, 2))
    commit()
    places = {str(number): str(tmp_path / f"{number % 20}" / f"{number}.yml") for number in range(1000)}
    await asyncio.gather(*(watched.watch(owner, [path]) for owner, path in places.items()))
    await asyncio.to_thread(git, "checkout", "-q", "one")
    await watched.until(*map(str, range(0, 1000, 2)))
    await watched.settle()
    await asyncio.to_thread(git, "checkout", "-q", "two")
    await watched.until(*map(str, range(0, 1000, 2)))
    assert set(map(int, watched.reports)) == set(range(0, 1000, 2))


async def test_what_can_hang_or_has_no_end_costs_nothing(watched, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    with open(tmp_path / "large", "w") as file:
        file.truncate(1 << 30)
    names = ("pipe", "zero", "loop", "large")
    for name in names:
        await watched.watch(name, [str(tmp_path / name)])
    os.truncate(tmp_path / "large", (1 << 30) + 1)
    await watched.until("large")
    await watched.settle()
    for name in names:
        save(tmp_path / name, "a file now")
    await watched.until(*names)


async def test_lost_notices_lead_to_a_full_look(watched, file, tmp_path, monkeypatch):
    await watched.watch("a", [str(file)])
    await watched.watch("b", [str(tmp_path / "noise" / "b")])
    (tmp_path / "noise").mkdir()
    await watched.settle()
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    waiting, released = threading.Event(), threading.Event()

    def hold(seconds):
        waiting.set()
        assert released.wait(PATIENCE)

    def overflow():
        with open(tmp_path / "noise" / "x", "w") as one, open(tmp_path / "noise" / "y", "w") as other:
            for _ in range(limit // 2 + 2):  # equal notices in a row would be one
                os.pwrite(one.fileno(), b"x", 0)
                os.pwrite(other.fileno(), b"y", 0)

    monkeypatch.setattr(path_watches, "time", SimpleNamespace(sleep=hold))
    (tmp_path / "noise" / "b").write_text("x")
    await asyncio.to_thread(waiting.wait, PATIENCE)
    await asyncio.to_thread(overflow)
    shutil.rmtree(file.parent)  # no notice of this nor of what follows
    file.parent.mkdir()
    file.write_text("two")
    released.set()
    await watched.until("a", "b")
    monkeypatch.undo()
    await watched.settle()
    save(file, "three")  # the new folder is watched
    await watched.until("a")


async def test_everything_is_looked_at_after_a_suspension(file, monkeypatch):
    reader, writer = os.pipe()

    class Resumed:
        descriptor = reader

        def take_sleep(self):
            return bool(os.read(reader, 1))

        def close(self):
            os.close(reader)

    monkeypatch.setattr(looking, "ClockNotices", Resumed)
    watched = Watched()
    await watched.watch("a", [str(file)])
    monkeypatch.setattr(path_watches, "interpret", lambda *parts: path_watches.Meaning())  # nothing is noticed
    file.write_text("two")
    os.write(writer, b"x")
    await watched.until("a")
    await watched.watcher.close()
    os.close(writer)


async def test_an_error_is_survived_and_leads_to_a_full_look(watched, file, monkeypatch):
    monkeypatch.setattr(looking, "ERROR_REST_SECONDS", 0.0)
    await watched.watch("a", [str(file)])
    broken, interpret = threading.Event(), path_watches.interpret

    def fail(*parts):
        path_watches.interpret = interpret
        broken.set()
        raise RuntimeError("on purpose")

    monkeypatch.setattr(path_watches, "interpret", fail)
    file.write_text("two")
    await asyncio.to_thread(broken.wait, PATIENCE)
    await watched.until("a")


async def test_owners_share_paths_and_leave_one_another_alone(watched, file, tmp_path):
    other = tmp_path / "other"
    other.write_text("one")
    await watched.watch("a", [str(file), str(other)])
    await watched.watch("b", [str(file)])
    save(file, "two")
    await watched.until("a", "b")
    await watched.watch("a", [str(other)])
    await watched.settle()
    save(file, "three")
    await watched.until("b")
    assert "a" not in watched.reports
    save(other, "two")
    await watched.until("a")
    await watched.watcher.forget("b")
    await watched.watcher.forget("never known")
    await watched.settle()
    save(file, "four")
    await watched.no_more(tmp_path)
    assert watched.reports == []


async def test_one_watch_for_each_folder_and_none_when_all_are_forgotten(watched, tmp_path):
    for number in range(20):
        (tmp_path / f"{number}").write_text("x")
        await watched.watch(str(number), [str(tmp_path / f"{number}")])
    watches = watched.watcher._thread._watches
    assert watches.count() == len(tmp_path.parts) - 1
    for number in range(20):
        await watched.watcher.forget(str(number))
    assert watches.count() == 0


async def test_look_again_reports_before_it_returns(watched, file, monkeypatch):
    await watched.watch("a", [str(file)])
    await watched.watch("b", [str(file.parent / "other")])
    monkeypatch.setattr(path_watches, "interpret", lambda *parts: path_watches.Meaning())
    file.write_text("two")
    await watched.watcher.look_again()
    assert watched.reports == ["a"]


async def test_a_closed_watcher_reports_nothing_and_refuses(file):
    watched = Watched()
    await watched.watch("a", [str(file)])
    await watched.watcher.close()
    file.write_text("two")
    with pytest.raises(RuntimeError, match="closed"):
        await watched.watch("a", [str(file)])
    assert watched.reports == []


async def test_a_watcher_that_was_never_used_has_no_thread(file):
    before = threading.active_count()
    watched = Watched()
    await watched.watcher.forget("a")
    await watched.watcher.look_again()
    assert watched.describe("a") == INOTIFY
    assert threading.active_count() == before
    await watched.watcher.close()


async def test_a_path_that_is_not_absolute_is_refused(watched):
    with pytest.raises(ValueError, match="absolute"):
        await watched.watch("a", ["environment.yml"])


async def test_paths_that_no_file_can_have(watched, file):
    await watched.watch("a", ["/nul\0character", "/" + "x" * 5000, "/x" * 3000, str(file)])
    save(file, "two")
    await watched.until("a")


async def test_whatever_another_process_does_each_owner_reads_the_last_content(tmp_path):
    # The central property: what an owner last read, when it was told to, is what is there in the end.
    watched = Watched()
    paths = watched_paths(str(tmp_path))
    known = {}
    watched.on_report = lambda owners: known.update({path: read_state(path) for path in owners})
    for path in paths:
        await watched.watch(path, [path])
    known.update({path: read_state(path) for path in paths})
    with churning(tmp_path) as process:
        for seed in range(BURSTS):
            process.stdin.write(f"{seed} 40\n")
            process.stdin.flush()
            assert await asyncio.to_thread(process.stdout.readline) == "done\n"
            await watched.until_true(lambda: known == {path: read_state(path) for path in paths})
    await watched.watcher.close()
