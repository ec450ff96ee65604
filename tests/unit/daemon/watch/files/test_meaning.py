"""What notices mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.soaking import examples

from roost.daemon.watch.files.meaning import Meaning, interpret
from roost.store.disk import inotify
from roost.store.disk.inotify import FolderNotice

FOLDERS = {1: ("/a",), 2: ("/b", "/mounted/b"), 3: ()}
PATHS = {("/a", "x"): ("/a/x",), ("/b", "x"): ("/b/x", "/link"), ("/mounted/b", "x"): ("/mounted/b/x",)}


def meaning_of(*notices):
    return interpret(
        [FolderNotice(*each) for each in notices],
        lambda watch: FOLDERS.get(watch, ()),
        lambda folder, name: PATHS.get((folder, name), ()),
        lambda watch: {4: ("/linked",)}.get(watch, ()),
    )


@pytest.mark.parametrize(
    ("notice", "meaning"),
    [
        ((1, inotify.MODIFY, "x"), Meaning(written={"/a/x"})),
        ((1, inotify.CLOSE_WRITE, "x"), Meaning(written={"/a/x"})),
        ((1, inotify.ATTRIB, "x"), Meaning(touched={"/a/x"})),
        ((1, inotify.ATTRIB | inotify.ISDIR, "x"), Meaning(turned={"/a/x"})),
        ((1, inotify.MOVED_TO, "x"), Meaning(turned={"/a/x"})),
        ((1, inotify.DELETE | inotify.ISDIR, "x"), Meaning(turned={"/a/x"})),
        ((1, inotify.CREATE, "other"), Meaning()),
        ((2, inotify.MODIFY, "x"), Meaning(written={"/b/x", "/link", "/mounted/b/x"})),
        ((1, inotify.ATTRIB | inotify.ISDIR, ""), Meaning(gone={"/a"})),
        ((1, inotify.DELETE_SELF, ""), Meaning(gone={"/a"})),
        ((2, inotify.MOVE_SELF, ""), Meaning(gone={"/b", "/mounted/b"})),
        ((2, inotify.UNMOUNT, ""), Meaning(gone={"/b", "/mounted/b"})),
        ((1, inotify.IGNORED, ""), Meaning(gone={"/a"})),
        ((3, inotify.IGNORED, ""), Meaning()),
        ((4, inotify.MODIFY, ""), Meaning(written={"/linked"})),
        ((4, inotify.IGNORED, ""), Meaning()),
        ((-1, inotify.OVERFLOW, ""), Meaning(lost=True)),
    ],
)
def test_a_notice(notice, meaning):
    assert meaning_of(notice) == meaning


bits = st.sampled_from([inotify.MODIFY, inotify.ATTRIB, inotify.CREATE, inotify.MOVE_SELF, inotify.OVERFLOW])
notices = st.tuples(st.integers(-1, 5), bits, st.sampled_from(["", "x", "y"]))


@examples(50)
@given(st.lists(notices), st.randoms())
def test_neither_order_nor_repetition_matters_and_more_notices_mean_more(found, random):
    meaning = meaning_of(*found)
    shuffled = [*found, *found]
    random.shuffle(shuffled)
    assert meaning_of(*shuffled) == meaning
    part = meaning_of(*found[: len(found) // 2])
    assert part.gone <= meaning.gone
    assert part.turned <= meaning.turned
    assert part.written <= meaning.written | meaning.turned
    assert part.touched <= meaning.touched | meaning.written | meaning.turned
