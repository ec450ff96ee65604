"""``roost.lock`` under version control: written on one machine, used on another, edited, merged and broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.pip_index import PipIndex, sdist_bytes
from tests.support.roost_process import Roost, new_roost

LEFT = ("--", "python", "-c", "import left; print(left.value)")


def git(folder: Path, *arguments: str, status: int = 0) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"},
    )
    assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def commit(roost: Roost, message: str = "a change") -> None:
    git(roost.folder, "add", "-A")
    git(roost.folder, "commit", "-qm", message)


def codes(answer: Any) -> list[str]:
    return [reason["code"] for reason in answer["plans"][0]["reasons"]]


def configure(roost: Roost, index: PipIndex) -> None:
    roost.config.write_text(f'[pip]\nindex_url = "{index.url}"\n[network]\nretries = 0\n')


@pytest.fixture
def pip_index(pip_index: PipIndex) -> PipIndex:
    for version in ("1.0", "2.0"):
        pip_index.wheel("left", version)
    pip_index.wheel("right", "1.0", "left")
    return pip_index


@pytest.fixture
def roost(roost: Roost, pip_index: PipIndex) -> Roost:
    configure(roost, pip_index)
    return roost


@pytest.fixture
def other(pip_index: PipIndex) -> Iterator[Roost]:
    """A second machine: another root, another folder, the same index."""
    made = new_roost()
    configure(made, pip_index)
    yield made
    made.end()


def failure(roost: Roost, status: int, *arguments: str) -> dict[str, Any]:
    """The error that the command prints, of a stream or not."""
    body = roost.failed(status, *arguments)
    found: dict[str, Any] = body.get("error", body)
    return found


def lock_of(roost: Roost, *options: str) -> str:
    return str(roost.json("build", *options)["build"]["lock_digest"])


def test_a_clone_runs_what_was_committed_and_solves_nothing(roost: Roost, other: Roost, pip_index: PipIndex) -> None:
    roost.write("requirements.txt", "right\nleft<2\n")
    git(roost.folder, "init", "-q")
    written = roost.json("lock", "--write")
    assert written["is_written"]
    first = lock_of(roost)
    assert [each["lock_digest"] for each in written["sections"]] == [first]
    roost.write("requirements.txt", "right\nleft\n")  # the same packages fit, and newer ones would too
    roost.json("lock", "--write")
    first = lock_of(roost, "--locked")
    roost.json("lock", "--write")  # with what installing showed of its requirements
    commit(roost)
    before = git(roost.folder, "status", "--porcelain")

    git(other.folder, "clone", "-q", str(roost.folder), "x")
    other.folder = other.folder / "x"
    plan = other.json("plan")
    assert (plan["lock_digest"], codes(plan)[0]) == (first, "lock-file")
    assert "lock-pip" not in [step["kind"] for step in plan["plans"][0]["steps"]]
    assert other.ok("exec", *LEFT).strip() == "1.0"
    assert other.json("lock", "--check")["fits"]
    assert codes(other.json("plan"))[-1] == "lock-file"
    run = other.ok("run", *LEFT).strip()
    assert run == "1.0"
    shown = other.json("runs", "list")["runs"][0]
    assert (shown["lock_digest"], shown["generation"]) == (first, 1)
    assert other.json("lock", "--write")["is_written"] is False
    assert git(other.folder, "status", "--porcelain") == before == ""

    # The file is no part of the definition, and what it gave is not current without it.
    digest = other.json("digest")["definition_digest"]
    (other.folder / "roost.lock").unlink()
    assert other.json("digest")["definition_digest"] == digest
    gone = other.json("plan", "--solve")
    assert gone["plans"][0]["reasons"][0]["code"] == "lock-solved"
    assert other.ok("exec", *LEFT).strip() == "2.0"
    git(other.folder, "checkout", "-q", "roost.lock")
    assert other.ok("exec", *LEFT).strip() == "1.0"
    # A run is repeated from the record.
    for path in ("roost.lock", "requirements.txt"):
        (other.folder / path).unlink()
    assert other.ok("runs", "rerun", shown["id"]).strip() == "1.0"


def warm(roost: Roost, expected: str) -> None:
    deadline = time.monotonic() + 30
    while not [path for path in (roost.root / "launch").rglob("@*") if path.is_file()]:
        assert roost.ok("exec", *LEFT).strip() == expected
        assert time.monotonic() < deadline, "no launch plan was ever left"
        time.sleep(0.05)


def test_a_warm_exec_notices_that_the_file_appeared_changed_and_went(roost: Roost, pip_index: PipIndex) -> None:
    roost.write("requirements.txt", "left<2\n")
    roost.ok("lock", "--write")
    roost.write("requirements.txt", "left\n")
    roost.ok("lock", "--write")  # prefers what was there
    older = (roost.folder / "roost.lock").read_text()
    roost.ok("lock", "--write", "--rebuild")
    newer = (roost.folder / "roost.lock").read_text()
    os.unlink(roost.folder / "roost.lock")
    warm(roost, "1.0")
    for text, expected in ((newer, "2.0"), (older, "1.0"), (newer, "2.0")):
        roost.write("roost.lock.new", text).replace(roost.folder / "roost.lock")
        assert roost.ok("exec", *LEFT).strip() == expected
        warm(roost, expected)
    os.unlink(roost.folder / "roost.lock")
    assert roost.ok("exec", *LEFT).strip() == "1.0"
    warm(roost, "1.0")
    roost.write("roost.lock", "format 1\n")
    assert "roost.lock" in roost.run("exec", *LEFT).stderr


def test_what_does_not_fit_is_said_and_only_preferred(roost: Roost) -> None:
    roost.write("requirements.txt", "left<2\n")
    roost.ok("lock", "--write", "-q")
    roost.write("requirements.txt", "left\n")
    said = roost.run("exec", *LEFT)
    assert said.stdout.strip() == "1.0", "its version is preferred"
    assert said.stderr.count("is for another content of the definition") == 1
    assert codes(roost.json("plan"))[-1] == "lock-stale"
    for command, status in ((("build",), 1), (("exec", *LEFT), 125), (("plan",), 1)):
        assert failure(roost, status, command[0], "--locked", *command[1:])["code"] == "lock-stale"
    checked = roost.run("lock", "--check")
    assert checked.returncode == 1
    assert "pip.requirements: left<2 -> left" in checked.stdout
    roost.ok("lock", "--write")
    assert roost.run("lock", "--check").returncode == 0
    assert "left" in roost.ok("build", "--locked") or True
    # Options that make another definition prefer its versions in silence.
    said = roost.run("exec", "--python", roost_python(), *LEFT)
    assert (said.stdout.strip(), "lock" in said.stderr.replace("locking", "")) == ("1.0", False)
    roost.ok("lock", "--write", "--rebuild")
    assert roost.ok("exec", "--locked", *LEFT).strip() == "2.0"
    os.unlink(roost.folder / "roost.lock")
    assert failure(roost, 7, "lock", "--check")["code"] == "lock-file-missing"
    assert failure(roost, 7, "build", "--locked")["code"] == "lock-file-missing"


def roost_python() -> str:
    import sys

    return f"{sys.version_info.major}.{sys.version_info.minor}"


def test_named_files_and_scripts_have_lock_files_of_their_own(roost: Roost) -> None:
    roost.write("requirements.txt", "left\n")
    roost.write("dev.txt", "left<2\n")
    script = roost.write(
        "train.py", '# /// script\n# dependencies = ["left<2"]\n# ///\nimport left\nprint(left.value)\n'
    )
    assert roost.json("lock", "--write")["file"] == str(roost.folder / "roost.lock")
    assert roost.json("lock", "--write", "-f", "requirements.txt") | {"is_written": 0} != {}
    assert sorted(path.name for path in roost.folder.glob("*.lock")) == ["roost.lock"]
    assert roost.json("lock", "--write", "-f", "dev.txt")["file"].endswith("/dev.txt.roost.lock")
    assert roost.json("lock", "--write", "-f", "train.py")["file"].endswith("/train.py.roost.lock")
    assert roost.ok("run", "--locked", str(script)).strip() == "1.0"
    assert roost.ok("exec", "--locked", "-f", "dev.txt", *LEFT).strip() == "1.0"
    # With a file that comes before it, the folder's choice is another one.
    roost.write("environment.yml", "dependencies: [{pip: [left]}]\n")
    found = roost.json("lock", "--write", "-f", "requirements.txt")["file"]
    assert found.endswith("/requirements.txt.roost.lock")


def test_a_merge_conflict_is_resolved_as_the_header_says(roost: Roost, pip_index: PipIndex) -> None:
    git(roost.folder, "init", "-q")
    roost.write("requirements.txt", "left<2\n\n\n\n")
    roost.ok("lock", "--write")
    commit(roost)
    git(roost.folder, "checkout", "-qb", "topic")
    roost.write("requirements.txt", "left<2\n\n\n\nright\n")
    roost.ok("lock", "--write")
    commit(roost)
    git(roost.folder, "checkout", "-q", "main")
    roost.write("requirements.txt", "# newer\nleft\n\n\n\n")
    roost.ok("lock", "--write", "--rebuild")
    commit(roost)
    git(roost.folder, "merge", "-q", "topic", status=1)
    assert "<<<<<<<" in (roost.folder / "roost.lock").read_text()
    body = failure(roost, 3, "build")
    assert body["code"] == "lock-file-conflict"
    assert body["location"]["line"] is not None
    assert failure(roost, 3, "lock", "--write")["code"] == "lock-file-conflict"
    assert "<<<<<<<" in (roost.folder / "roost.lock").read_text()
    git(roost.folder, "checkout", "-q", "--ours", "roost.lock")
    written = roost.json("lock", "--write")
    assert [each["state"] for each in written["sections"]] == ["changed"]
    assert roost.ok("exec", "--locked", *LEFT).strip() == "2.0", "that of the side that was taken"


def test_line_ends_of_windows_are_no_change(roost: Roost, other: Roost) -> None:
    git(roost.folder, "init", "-q")
    roost.write("requirements.txt", "left\n")
    roost.write(".gitattributes", "* text=auto eol=crlf\n")
    roost.ok("lock", "--write")
    digest = lock_of(roost)
    roost.ok("lock", "--write")
    commit(roost)
    git(other.folder, "clone", "-q", str(roost.folder), "x")
    other.folder = other.folder / "x"
    assert b"\r\n" in (other.folder / "roost.lock").read_bytes()
    assert lock_of(other, "--locked") == digest
    assert other.json("lock", "--write")["is_written"] is False
    assert git(other.folder, "status", "--porcelain") == ""


def test_what_is_no_lock_file_is_named_and_stays(roost: Roost) -> None:
    roost.write("requirements.txt", "left\n")
    roost.ok("lock", "--write")
    path = roost.folder / "roost.lock"
    good = path.read_text()
    cases = {
        "newer": (good.replace("format 1\n", "format 2\n", 1), "lock-file-newer"),
        "cut": (good[: len(good) // 2], "lock-file-invalid"),
        "edited digest": (good.replace('"sha256":"', '"sha256":"0', 1), "lock-file-invalid"),
        "edited URL": (good.replace("/files/left", "/other/left"), "lock-file-invalid"),
        "empty": ("", "lock-file-invalid"),
        "half merged": (good.replace("[linux", "<<<<<<< HEAD\n[linux", 1), "lock-file-conflict"),
    }
    for text, code in cases.values():
        path.write_text(text)
        for command in (("plan",), ("build", "--locked"), ("lock", "--check"), ("lock", "--write")):
            body = failure(roost, 3, *command)
            assert body["code"] == code
            assert body["location"]["path"] == str(path)
            assert body["hint"]
        assert path.read_text() == text
        assert roost.json("digest")["definition_digest"], "the definition is none of its business"
    assert roost.json("lock", "--write", "--rebuild")["is_written"]
    path.unlink()
    makers = {
        "folder": lambda: path.mkdir(),
        "pipe": lambda: os.mkfifo(path),
        "loop": lambda: path.symlink_to(path),
        "nothing": lambda: path.symlink_to("nowhere"),
        "huge": lambda: os.truncate(os.open(path, os.O_RDWR | os.O_CREAT), 1 << 30),
    }
    for name, make in makers.items():
        make()
        for command in (("plan",), ("lock", "--check"), ("lock", "--write", "--rebuild")):
            body = failure(roost, 3, *command)
            assert body["code"] == "lock-file-invalid", name
            assert body["location"]["path"] == str(path)
        path.rmdir() if name == "folder" else path.unlink()


def test_a_lock_that_the_index_or_the_definition_could_not_give_is_refused_by_name(
    roost: Roost, other: Roost, pip_index: PipIndex, private: PipIndex
) -> None:
    roost.write("requirements.txt", "right\n")
    roost.ok("lock", "--write")
    text = (roost.folder / "roost.lock").read_text()
    other.write("requirements.txt", "right\n")
    forged = {
        "another wheel": (("left-2.0-py3-none-any.whl", '"version":"2.0"'), ("left-1.0-py3-none-any.whl", '"version":"1.0"')),
        "another host": ((pip_index.origin + "/files",), (private.origin + "/files",)),
    }
    for before, after in forged.values():
        changed = text
        for old, new in zip(before, after, strict=True):
            changed = changed.replace(old, new)
        other.write("roost.lock", resigned(changed))
        body = failure(other, 3, "build")
        assert body["code"] == "lock-file-untrusted", body
        assert body["location"]["path"].endswith("roost.lock")
        assert other.json("plan")["plans"][0]["action"] == "build-prefix"
    # What is not asked for, and what is missing, is seen without asking anybody.
    lines = [line for line in text.splitlines() if not line.startswith('wheel {"name":"right"')]
    other.write("roost.lock", resigned("\n".join(lines) + "\n"))
    asked = sum(pip_index.asked.values())
    assert failure(other, 3, "build")["code"] == "lock-file-untrusted"
    assert "right" in failure(other, 3, "build")["message"]
    # An index that does not answer vouches for nothing, and what has its digest is used.
    other.write("roost.lock", text)
    pip_index.hanging.clear()
    del asked


def resigned(text: str) -> str:
    """The text of a lock file with the digests that its changed sections would have."""
    from roost.model.lock_files.lock_file import digest_lines
    from roost.model.locks.lock import Lock, Wheel, digest_lock

    import msgspec

    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("content "))
    end = next(number for number in range(at, len(lines)) if lines[number] in ("", "end"))
    body = [line for line in lines[at + 1 : end]]
    about = msgspec.json.decode(body[0].partition(" ")[2])
    wheels = [msgspec.json.decode(line.partition(" ")[2], type=Wheel) for line in body if line.startswith("wheel ")]
    lock = msgspec.convert({**about, "wheels": wheels}, Lock)
    lines[at - 1] = f"lock {digest_lock(lock)}"
    lines[at] = f"content {digest_lines(body)}"
    return "\n".join(lines) + "\n"


def test_without_an_index_the_lock_is_used_and_that_is_said_once(roost: Roost, other: Roost) -> None:
    index = PipIndex()
    for each in (roost, other):
        configure(each, index)
        each.write("requirements.txt", "left\n")
    index.wheel("left", "1.0")
    roost.ok("build")
    roost.ok("lock", "--write")
    roost.ok("daemon", "stop")
    shutil.copy(roost.folder / "roost.lock", other.folder)
    shutil.copytree(roost.root / "wheels", other.root / "wheels", symlinks=True)
    index.close()
    built = other.json("build")["build"]
    assert [each["code"] for each in built["reasons"]].count("lock-unvouched") == 1
    assert other.ok("exec", *LEFT).strip() == "1.0"
    assert "unvouched" not in other.ok("build", "--json")
