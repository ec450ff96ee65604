"""The trail of a path has everything that decides where it leads: tried on random trees with a random change."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.support.soaking import examples

from roost.daemon.watch.files.contents import read_entry
from roost.daemon.watch.files.mounts import is_below
from roost.daemon.watch.files.trails import ANY_NAME, MAX_LINKS, Entry, EntryKind, TrailStep, list_chain, trace

names = st.sampled_from(["a", "b", "c"])
places = st.lists(names, min_size=1, max_size=3).map("/".join)
targets = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=4).map("/".join)
changes = st.tuples(
    places, st.one_of(st.sampled_from(["remove", "file", "folder"]), st.tuples(st.just("link"), targets))
)


def apply(root, place, change):
    """Make a file, a folder or a link at ``place``, or remove what is there. Return whether something has changed."""
    path = f"{root}/{place}"
    try:
        if change == "remove":
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        elif change == "file":
            Path(path).touch(exist_ok=False)
        elif change == "folder":
            os.mkdir(path)
        else:
            os.symlink(change[1], path)
    except OSError:
        return False
    return True


def leads_to(path):
    """Where a path leads, as the system says."""
    with contextlib.suppress(OSError):
        return os.stat(path).st_ino, os.path.realpath(path)
    return None


def trail_of(path):
    return trace(path, read_entry, lambda place: None)


@examples(100)
@given(st.lists(changes, max_size=12), st.one_of(places, targets), changes)
def test_what_a_change_turns_has_a_step_there_or_lies_below(tree, path, change):
    with tempfile.TemporaryDirectory() as root:
        root = os.path.realpath(root)
        for each in tree:
            apply(root, *each)
        path = f"{root}/{path}"
        before, steps = leads_to(path), trail_of(path).steps
        folder, _, name = os.path.realpath(os.path.dirname(f"{root}/{change[0]}")).rpartition("/")
        place = (f"{folder}/{name}", os.path.basename(change[0]))
        if apply(root, *change) and leads_to(path) != before:
            gone = "/".join(place)
            assert TrailStep(*place) in steps or any(is_below(step.folder, gone) for step in steps)


@examples(50)
@given(st.lists(changes, max_size=12), st.one_of(places, targets))
def test_the_last_step_is_where_the_system_says(tree, path):
    with tempfile.TemporaryDirectory() as root:
        root = os.path.realpath(root)
        for each in tree:
            apply(root, *each)
        path = f"{root}/{path}"
        steps = trail_of(path).steps
        for step in steps:
            assert os.path.realpath(step.folder) == step.folder
        if os.path.isdir(path):
            assert TrailStep(os.path.realpath(path), ANY_NAME) in steps
        elif os.path.exists(path):
            assert "/".join(steps[-1]) == os.path.realpath(path)


def test_a_folder_that_is_left_again_has_to_be_there():
    entries = {"/a": Entry(EntryKind.FOLDER), "/b": Entry(EntryKind.FILE)}
    assert trace("/a/../b", entries.__getitem__, lambda place: None).steps == (TrailStep("/", "a"), TrailStep("/", "b"))


def test_a_loop_ends():
    steps = trace("/a/b", lambda place: Entry(EntryKind.LINK, "/a/b"), lambda place: None).steps
    assert steps == (TrailStep("/", "a"),)
    ever_longer = iter(range(10**6))
    steps = trace("/a", lambda place: Entry(EntryKind.LINK, f"x{next(ever_longer)}/a"), lambda place: None).steps
    assert len(steps) == MAX_LINKS + 1


def test_nothing_on_a_mount_that_may_not_answer_is_read():
    asked = []

    def look(place):
        asked.append(place)
        return {"/home": Entry(EntryKind.FOLDER), "/home/link": Entry(EntryKind.LINK, "/net/x/y")}.get(
            place, Entry(EntryKind.FOLDER)
        )

    trail = trace("/home/link/environment.yml", look, lambda place: "/net/x" if place.startswith("/net/x") else None)
    assert trail.remote == "/net/x"
    assert trail.steps == (TrailStep("/home", "link"),)
    assert asked == ["/home", "/home/link", "/net"]


def test_a_folder_that_may_not_be_entered_is_itself_a_step():
    entries = {"/a": Entry(EntryKind.FOLDER), "/a/b": Entry(EntryKind.REFUSED)}
    assert trace("/a/b/c", entries.__getitem__, lambda place: None).steps == (TrailStep("/a", "b"), TrailStep("/", "a"))


def test_the_chain_of_a_folder():
    assert list_chain("/a/b") == ["/a", "/a/b"]
    assert list_chain("/") == []
