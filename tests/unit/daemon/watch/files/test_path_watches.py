"""Races between walking to a path and watching what leads there, made to happen."""

from __future__ import annotations

import shutil

import pytest

from roost.daemon.watch.files import path_watches
from roost.daemon.watch.files.mounts import NO_MOUNTS
from roost.daemon.watch.files.path_watches import PathWatches


@pytest.fixture
def watches():
    found = PathWatches(lambda: NO_MOUNTS)
    found.open()
    yield found
    found.close()


@pytest.fixture
def before_watch(watches, monkeypatch):
    """What happens once before a folder is watched, by the end of its path."""
    actions, watch = {}, watches._notices.watch

    def act(folder, mask):
        for end in [end for end in actions if folder.endswith(end)]:
            actions.pop(end)()
        return watch(folder, mask)

    monkeypatch.setattr(watches._notices, "watch", act)
    return actions


def steps_of(watches, path):
    return [(step.folder, step.name) for step in watches._tree.find_steps(str(path))]


def test_a_folder_that_appears_before_its_parent_is_watched(watches, before_watch, tmp_path):
    path = tmp_path / "not" / "yet.yml"
    before_watch[f"/{tmp_path.name}"] = path.parent.mkdir
    assert watches.walk([str(path)]) == (True, set())
    assert steps_of(watches, path) == [(str(path.parent), "yet.yml")]


def test_a_folder_that_goes_before_it_is_watched(watches, before_watch, tmp_path):
    path = tmp_path / "folder" / "file.yml"
    path.parent.mkdir()
    before_watch["/folder"] = path.parent.rmdir
    assert watches.walk([str(path)]) == (True, set())
    assert steps_of(watches, path) == [(str(tmp_path), "folder")]


def test_a_folder_that_becomes_a_link_before_it_is_watched(watches, before_watch, tmp_path):
    path = tmp_path / "folder" / "file.yml"
    path.parent.mkdir()

    def turn():
        path.parent.rename(tmp_path / "moved")
        path.parent.symlink_to("moved")

    before_watch["/folder"] = turn
    assert watches.walk([str(path)]) == (True, set())
    assert steps_of(watches, path) == [(str(tmp_path), "folder"), (f"{tmp_path}/moved", "file.yml")]


def test_what_never_rests_is_left_for_later(watches, tmp_path, monkeypatch):
    monkeypatch.setattr(path_watches.FolderWatches, "apply", lambda *parts, **options: path_watches.WatchChange.GONE)
    assert watches.walk([str(tmp_path / "file.yml")])[0] is False


def test_other_paths_below_a_folder_that_was_replaced_meanwhile(watches, tmp_path):
    # The notice of the replaced folder is not taken before a walk meets the new one.
    other, path = tmp_path / "folder" / "below" / "other.yml", tmp_path / "folder" / "path.yml"
    other.parent.mkdir(parents=True)
    watches.walk([str(other)])
    path.parent.rename(tmp_path / "moved")
    other.parent.mkdir(parents=True)
    assert watches.walk([str(path)]) == (True, {str(other)})


def test_other_paths_below_a_folder_that_is_gone_meanwhile(watches, before_watch, tmp_path):
    other, path = tmp_path / "folder" / "below" / "other.yml", tmp_path / "folder" / "path.yml"
    other.parent.mkdir(parents=True)
    watches.walk([str(other)])
    before_watch["/folder"] = lambda: shutil.rmtree(path.parent)
    assert watches.walk([str(path)]) == (True, {str(other)})


def test_what_was_replaced_unnoticed_is_found_by_a_check(watches, tmp_path):
    path = tmp_path / "folder" / "path.yml"
    path.parent.mkdir()
    watches.walk([str(path)])
    assert watches.check() == set()
    path.parent.rename(tmp_path / "moved")
    path.parent.mkdir()
    assert watches.check() == {str(path)}


def test_a_forgotten_file_with_two_names_is_watched_no_longer(watches, tmp_path):
    path = tmp_path / "one.yml"
    path.touch()
    watches.walk([str(path)])
    assert watches.follow(str(path), is_linked=True)
    assert not watches.follow(str(path), is_linked=True)
    with open(path, "w") as file:
        file.write("x")
    assert watches.take_notices().written == {str(path)}
    watches.drop(str(path))
    assert (watches.count(), watches._files.find_paths(1), watches._files._watches) == (0, frozenset(), {})
