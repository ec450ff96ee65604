"""Which folders are watched for a set of paths, and what an event there is about: for any order of changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.support.soaking import examples

from roost.daemon.watch.files.folder_tree import FolderTree, FolderUse, find_uses
from roost.daemon.watch.files.mounts import is_below
from roost.daemon.watch.files.trails import ANY_NAME, TrailStep

folders = st.lists(st.sampled_from("abc"), max_size=4).map(lambda names: "/" + "/".join(names))
steps = st.builds(TrailStep, folders, st.sampled_from(["x", "y", ANY_NAME]))
paths = st.integers(0, 14).map(str)
operations = st.lists(st.tuples(paths, st.one_of(st.none(), st.lists(steps, max_size=4, unique=True))), max_size=40)


@examples(60)
@given(operations, folders)
def test_as_if_it_were_made_anew(operations, folder):
    tree, trails, uses = FolderTree(), {}, {}
    for path, trail in operations:
        touched = tree.drop(path) if trail is None else tree.put(path, trail)
        trails.pop(path, None)
        if trail is not None:
            trails[path] = tuple(trail)
        before, uses = uses, find_uses(trails)
        assert {each for each in before.keys() | uses.keys() if before.get(each) != uses.get(each)} <= touched
    assert {each: tree.find_use(each) for each in tree.list_folders()} == uses
    for path, trail in trails.items():
        assert tree.find_steps(path) == trail
    for name in ("x", "y", ANY_NAME):
        wanted = {path for path, trail in trails.items() if {(folder, name), (folder, ANY_NAME)} & set(trail)}
        assert set(tree.find_dependents(folder, name)) == wanted
    below, found = tree.find_below(folder)
    assert {each for each in below if tree.find_use(each)} == {each for each in uses if is_below(each, folder)}
    assert found == {path for path, trail in trails.items() if any(is_below(step.folder, folder) for step in trail)}


def test_many_paths_over_one_link():
    tree = FolderTree()
    for number in range(100):
        tree.put(str(number), [TrailStep("/a", "link"), TrailStep(f"/b/{number}", "x")])
    assert set(tree.find_dependents("/a", "link")) == {str(number) for number in range(100)}
    for number in range(100):
        tree.drop(str(number))
    assert tree.list_folders() == []
    assert tree.find_use("/a") is FolderUse.NONE
