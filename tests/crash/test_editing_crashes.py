"""SIGKILL while an environment file is replaced or created: the path leads to the old content or to the new."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, new_roost

from roost.daemon.edits.replacement import create_file, read_original, replace_file
from roost.store.failpoints import FAILPOINT, TRACE

OLD, NEW = b"six\n", b"six\nidna\n" * 1000


def run_killed(work: Callable[[], None], **variables: str) -> int:
    """Run ``work`` in a fork of this process, in which fail points are on; return how it ended."""
    pid = os.fork()
    if pid == 0:
        try:
            os.environ.update(variables)
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def list_points(work: Callable[[], None], trace: Path) -> list[str]:
    """Return the fail points that ``work`` passes, and do it."""
    assert run_killed(work, **{TRACE: str(trace)}) == 0
    return [line.split()[1] for line in trace.read_text().splitlines() if line.startswith("point ")]


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    file = folder / "requirements.txt"

    def replace() -> None:
        replace_file(read_original(str(file)), NEW)

    file.write_bytes(OLD)
    points = list_points(replace, tmp_path / "trace")
    assert len(points) >= 5
    seen = set()
    for point in points:
        file.write_bytes(OLD)
        assert run_killed(replace, **{FAILPOINT: point}) == -signal.SIGKILL, point
        seen.add(file.read_bytes())
        assert file.read_bytes() == (NEW if point == "edit.renamed" else OLD), point
        left = [name for name in names(folder) if name != file.name]
        assert all(name.startswith(".roost-edit-") for name in left), point
        file.write_bytes(OLD)
        replace()
        assert (file.read_bytes(), names(folder)) == (NEW, [file.name]), "what was left goes with the next change"
    assert seen == {OLD, NEW}


def test_a_file_is_created_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    file = folder / "requirements.txt"

    def create() -> None:
        create_file(str(file), NEW, 0o644)

    for point in list_points(create, tmp_path / "trace"):
        file.unlink()
        assert run_killed(create, **{FAILPOINT: point}) == -signal.SIGKILL, point
        assert not file.exists() or file.read_bytes() == NEW, point
        file.unlink(missing_ok=True)
        create()
        assert names(folder) == [file.name], point


def test_killed_at_any_moment_the_file_is_one_of_the_two(tmp_path: Path) -> None:
    """Without fail points: the moments between the operations, too."""
    file = tmp_path / "requirements.txt"
    file.write_bytes(OLD)
    for number in range(40):
        pid = os.fork()
        if pid == 0:
            try:
                while True:
                    replace_file(read_original(str(file)), NEW)
                    replace_file(read_original(str(file)), OLD)
            finally:
                os._exit(1)
        time.sleep(0.0005 * number)
        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        assert file.read_bytes() in (OLD, NEW)
    replace_file(read_original(str(file)), NEW)
    assert names(tmp_path) == [file.name]


@pytest.fixture
def roost() -> Iterator[Roost]:
    made, index = new_roost(), PipIndex()
    index.wheel("left", "1.0")
    made.config.write_text(f'[pip]\nindex_url = "{index.url}"\n')
    yield made
    made.end()
    index.close()


@pytest.mark.parametrize(("point", "is_new"), [("edit.compared", False), ("edit.renamed", True)])
def test_a_killed_daemon_leaves_a_file_that_runs(roost: Roost, point: str, is_new: bool) -> None:
    file = roost.write("requirements.txt", "# mine\n")
    roost.variables[FAILPOINT] = point
    killed = roost.run("add", "left")
    assert killed.returncode == 5, killed.stderr
    del roost.variables[FAILPOINT]
    assert file.read_text() == ("# mine\nleft\n" if is_new else "# mine\n")
    if is_new:  # the lock was recorded first
        assert roost.json("plan")["lock_digest"] is not None
    roost.ok("add", "left")
    assert file.read_text() == "# mine\nleft\n"
    assert [each.name for each in roost.folder.iterdir()] == [file.name]
