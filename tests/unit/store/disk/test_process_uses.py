"""Who uses a path: executables, working folders, open and mapped files, and processes that hide themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from roost.store.disk.process_uses import find_process_uses

READY = "print('ready', flush=True); input()"


@contextmanager
def started(*command: str, **options) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code + READY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p" / "bin").mkdir(parents=True)
    (tmp_path / "p" / "lib").write_bytes(b"x" * 8192)
    (tmp_path / "p2").mkdir()
    return tmp_path / "p"


@pytest.mark.parametrize(
    "code",
    [
        "f = open({path!r} + '/lib'); ",
        "import os; os.chdir({path!r} + '/bin'); ",
        "import mmap; f = open({path!r} + '/lib', 'r+b'); m = mmap.mmap(f.fileno(), 0); f.close(); ",
        "import os; os.chroot({path!r}) if os.getuid() == 0 else os.chdir({path!r}); ",
    ],
)
def test_open_working_and_mapped_files_are_seen(folder: Path, code: str) -> None:
    with started(*python(code.format(path=str(folder)))) as process:
        found = find_process_uses([str(folder), str(folder.parent / "p2")])
        assert found == {str(folder): (f"process:{process.pid}",), str(folder.parent / "p2"): ()}
    assert find_process_uses([str(folder)]) == {str(folder): ()}


def test_an_executable_is_seen(folder: Path) -> None:
    shutil.copy("/bin/sh", folder / "bin" / "tool")
    with started(str(folder / "bin" / "tool"), "-c", "echo ready; read x") as process:
        assert find_process_uses([str(folder)])[str(folder)] == (f"process:{process.pid}",)


def test_a_name_that_only_begins_alike_is_none(folder: Path) -> None:
    with started(*python(f"import os; os.chdir({str(folder.parent / 'p2')!r}); ")):
        assert find_process_uses([str(folder)])[str(folder)] == ()


HIDE = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); "


@pytest.mark.unprivileged
def test_a_process_that_hides_itself_counts_if_it_may_be_of_the_path(folder: Path) -> None:
    unknown = ("process:unknown",) if os.getuid() else ()  # root sees all there is: it is not of the path
    name = "hides-itself"  # a process called python would count for the prefixes of tests beside this one
    (folder.parent / name).symlink_to(sys.executable)
    hidden = (str(folder.parent / name), "-I", "-c", HIDE + READY)
    with started(*hidden):
        assert find_process_uses([str(folder)])[str(folder)] == ()
    with started(*hidden, str(folder / "bin" / "x")):
        assert find_process_uses([str(folder)])[str(folder)] == unknown
    (folder / "bin" / name).touch()
    with started(*hidden):
        assert find_process_uses([str(folder)])[str(folder)] == unknown


def test_without_proc_nobody_can_tell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str) -> list[str]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", fail)
    assert find_process_uses([str(folder)])[str(folder)] == ("process:unknown",)


def test_an_interpreter_that_is_a_link_and_an_active_environment_are_seen(folder: Path) -> None:
    os.symlink(sys.executable, folder / "bin" / "python")
    with started(str(folder / "bin" / "python"), "-c", READY) as process:
        assert find_process_uses([str(folder)])[str(folder)] == (f"process:{process.pid}",)
    environ = {"PATH": f"{folder}/bin:{os.environ['PATH']}"}
    with started("/bin/sh", "-c", "echo ready; read x", env=environ) as process:
        assert find_process_uses([str(folder)])[str(folder)] == (f"process:{process.pid}",)
    environ = {"PATH": f"{folder}2/bin:{os.environ['PATH']}"}
    with started("/bin/sh", "-c", "echo ready; read x", env=environ):
        assert find_process_uses([str(folder)])[str(folder)] == ()


def test_a_mount_in_another_namespace_is_seen(folder: Path) -> None:
    name = folder.parent / "p-unlike-any-other"
    folder.rename(name)
    script = f"mount --bind {name} /mnt && cd / && echo ready && read x"
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        pytest.skip("no right to make a mount namespace")
    with started("unshare", "-m", "/bin/sh", "-c", "eval $SCRIPT", env={**os.environ, "SCRIPT": script}) as process:
        assert find_process_uses([str(name)])[str(name)] != (), process.pid
