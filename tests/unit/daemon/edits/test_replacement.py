"""A file is replaced in one step or not at all, with all that belongs to it."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest

from roost.daemon.edits import replacement
from roost.daemon.edits.replacement import (
    FileChangedError,
    FileNotWritableError,
    FilePresentError,
    create_file,
    read_original,
    replace_file,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_bytes(b"six\n")
    return path


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_content_changes_and_mode_and_attributes_stay(file: Path) -> None:
    file.chmod(0o640)
    os.setxattr(file, "user.origin", b"here")
    replace_file(read_original(str(file)), b"six\nidna\n")
    assert file.read_bytes() == b"six\nidna\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert os.getxattr(file, "user.origin") == b"here"
    assert names(file.parent) == [file.name]


def test_a_link_stays_and_its_target_is_replaced(file: Path, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    link = tmp_path / "project" / "requirements.txt"
    link.symlink_to("../requirements.txt")
    replace_file(read_original(str(link)), b"idna\n")
    assert link.is_symlink()
    assert file.read_bytes() == b"idna\n"
    assert names(link.parent) == [link.name]


def test_what_was_saved_since_stays(file: Path, tmp_path: Path) -> None:
    original = read_original(str(file))
    file.write_bytes(b"six\nmine\n")
    with pytest.raises(FileChangedError):
        replace_file(original, b"six\nidna\n")
    assert file.read_bytes() == b"six\nmine\n"
    file.unlink()
    with pytest.raises(FileChangedError):
        replace_file(original, b"six\nidna\n")
    assert names(tmp_path) == []


def test_a_save_just_before_the_rename_stays(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = read_original(str(file))

    def save(name: str) -> None:
        if name == "edit.synced":
            beside = file.with_name("saved")
            beside.write_bytes(b"six\n")  # the same content, in another file: as editors save
            beside.rename(file)

    monkeypatch.setattr(replacement, "failpoint", save)
    with pytest.raises(FileChangedError):
        replace_file(original, b"idna\n")
    assert file.read_bytes() == b"six\n"
    assert names(file.parent) == [file.name]


def test_a_link_that_leads_elsewhere_by_now_is_refused(file: Path, tmp_path: Path) -> None:
    link, other = tmp_path / "link.txt", tmp_path / "other.txt"
    link.symlink_to(file)
    original = read_original(str(link))
    other.write_bytes(b"six\n")
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(FileChangedError):
        replace_file(original, b"idna\n")
    assert (file.read_bytes(), other.read_bytes()) == (b"six\n", b"six\n")


def test_two_writers_of_one_file_never_both_replace_it(file: Path) -> None:
    originals = [read_original(str(file)) for _ in range(8)]
    outcomes: list[str] = []

    def write(number: int) -> None:
        try:
            replace_file(originals[number], b"%d\n" % number)
            outcomes.append("written")
        except FileChangedError:
            outcomes.append("refused")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 7 + ["written"]
    assert names(file.parent) == [file.name]


def test_a_read_only_file_is_refused_for_root_too(file: Path) -> None:
    file.chmod(0o444)
    with pytest.raises(FileNotWritableError, match="read-only"):
        read_original(str(file))
    file.chmod(0o644)
    file.parent.chmod(0o555)
    try:
        with pytest.raises(FileNotWritableError, match="read-only"):
            read_original(str(file))
    finally:
        file.parent.chmod(0o755)


@pytest.mark.unprivileged
@pytest.mark.skipif(os.geteuid() == 0, reason="root passes all modes")
def test_a_folder_that_cannot_be_written_leaves_the_file(file: Path) -> None:
    original = read_original(str(file))
    file.parent.chmod(0o555)
    try:
        with pytest.raises(FileNotWritableError) as error:
            replace_file(original, b"idna\n")
        with pytest.raises(FileNotWritableError):
            create_file(str(file.with_name("new")), b"", 0o644)
    finally:
        file.parent.chmod(0o755)
    assert "permission denied" in error.value.message
    assert file.read_bytes() == b"six\n"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EBUSY, errno.EIO])
def test_a_failing_rename_leaves_the_file(file: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    original = read_original(str(file))

    def fail(source: str, target: str) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(replacement, "rename", fail)
    with pytest.raises(FileNotWritableError):
        replace_file(original, b"idna\n")
    assert file.read_bytes() == b"six\n"
    assert names(file.parent) == [file.name]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EINVAL])
def test_a_folder_that_cannot_be_synced_makes_no_failure_of_what_is_done(
    file: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(folder: str) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(replacement, "sync_folder", fail)
    replace_file(read_original(str(file)), b"idna\n")
    create_file(str(file.with_name("new")), b"new\n", 0o644)
    assert (file.read_bytes(), file.with_name("new").read_bytes()) == (b"idna\n", b"new\n")


@pytest.mark.parametrize(("code", "is_replaced"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_content_that_was_lost_is_never_given_the_name(
    file: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_replaced: bool
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    original = read_original(str(file))
    monkeypatch.setattr(replacement.os, "fsync", fail)
    if is_replaced:
        replace_file(original, b"idna\n")
    else:
        with pytest.raises(FileNotWritableError):
            replace_file(original, b"idna\n")
    assert file.read_bytes() == (b"idna\n" if is_replaced else b"six\n")


def test_an_owner_that_cannot_be_kept_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, real = read_original(str(file)), os.fstat

    def other_owner(descriptor: int) -> os.stat_result:
        found = list(real(descriptor))
        found[4] = found[4] + 1
        return os.stat_result(found)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(replacement.os, "fstat", other_owner)
    monkeypatch.setattr(replacement.os, "chown", refuse)
    with pytest.raises(FileNotWritableError, match="owner"):
        replace_file(original, b"idna\n")
    assert file.read_bytes() == b"six\n"


def test_what_a_killed_writer_left_goes_and_what_a_living_one_has_stays(file: Path) -> None:
    left, held, other = (file.with_name(f".roost-edit-{end}") for end in ("0" * 16, "1" * 16, "mine"))
    for path in (left, held, other):
        path.write_bytes(b"")
    with held.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        replace_file(read_original(str(file)), b"idna\n")
    assert names(file.parent) == sorted([held.name, other.name, file.name])


def test_a_new_file_takes_nobodys_place(file: Path, tmp_path: Path) -> None:
    with pytest.raises(FilePresentError):
        create_file(str(file), b"", 0o644)
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(FilePresentError):
        create_file(str(tmp_path / "dangling"), b"", 0o644)
    create_file(str(tmp_path / "new.txt"), b"# new\n", 0o604)
    assert (tmp_path / "new.txt").read_bytes() == b"# new\n"
    assert (tmp_path / "new.txt").stat().st_mode & 0o777 == 0o604
    assert file.read_bytes() == b"six\n"
    assert names(tmp_path) == ["dangling", "new.txt", "requirements.txt"]


def test_a_new_file_on_a_disk_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(replacement.os, "link", refuse)
    create_file(str(tmp_path / "new.txt"), b"# new\n", 0o644)
    assert (tmp_path / "new.txt").read_bytes() == b"# new\n"
    with pytest.raises(FilePresentError):
        create_file(str(tmp_path / "new.txt"), b"", 0o644)
    assert names(tmp_path) == ["new.txt"]
