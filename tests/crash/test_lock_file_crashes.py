"""SIGKILL of the daemon while it writes a lock file: the file is the old one or the new one, whole, and goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, new_roost

from roost.store.failpoints import FAILPOINT


@pytest.fixture
def roost() -> Iterator[Roost]:
    made, index = new_roost(), PipIndex()
    for name in ("left", "right"):
        index.wheel(name, "1.0")
    made.config.write_text(f'[pip]\nindex_url = "{index.url}"\n')
    yield made
    made.end()
    index.close()


def test_a_killed_daemon_leaves_the_old_file_or_the_new_one(roost: Roost) -> None:
    lock = roost.folder / "roost.lock"
    texts: list[str | None] = [None]
    cases = [
        ("left\n", "begin.written", False),
        ("left\n", "begin.linked", True),
        ("left\nright\n", "edit.synced", False),
        ("left\nright\n", "edit.renamed", True),
    ]
    for definition, point, is_new in cases:
        roost.write("requirements.txt", definition)
        roost.variables[FAILPOINT] = point
        assert roost.run("lock", "--write").returncode == 5, point
        del roost.variables[FAILPOINT]
        found = lock.read_text() if lock.exists() else None
        assert (found != texts[-1]) is is_new, point
        if is_new:
            assert roost.json("lock", "--check")["fits"], point
            texts.append(found)
        elif found is not None:
            assert roost.run("lock", "--check").returncode == 1, "it is whole, and for what it was for"
        roost.ok("daemon", "stop")
    assert roost.json("lock", "--write")["is_written"] is False
    roost.write("requirements.txt", "left\n")
    roost.ok("lock", "--write")
    assert sorted(path.name for path in roost.folder.iterdir()) == ["requirements.txt", "roost.lock"], "no leftovers"
