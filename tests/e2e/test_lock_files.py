"""``roost.lock`` under version control: written on one machine, used on another, edited, merged and broken."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.following import EventFollower
from tests.support.pip_index import PipIndex, backend_files, sdist_bytes
from tests.support.roost_process import Roost, new_roost

from roost.model.lock_files.lock_file import digest_lines
from roost.model.locks.lock import Lock, Wheel, digest_lock

UV_LOCK = """version = 1
requires-python = ">=3.10"
[[package]]
name = "app"
version = "0"
source = { virtual = "." }
[package.metadata]
requires-dist = [{ name = "left" }]
"""
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
    first_step = plan["plans"][0]["steps"][0]
    assert (first_step["kind"], first_step["seconds"] > 0) == ("check-lock", True)
    assert "lock-pip" not in [step["kind"] for step in plan["plans"][0]["steps"]]
    said = other.run("exec", *LEFT)
    assert said.stdout.strip() == "1.0"
    assert ("checking the lock" in said.stderr, "locking" in said.stderr) == (True, False)
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
    for command in (("exec",), ("exec",), ("exec",), ("exec", "--no-project")):  # built first, then at once
        said = roost.run(*command, *LEFT)
        assert said.stdout.strip() == "1.0", "its version is preferred"
        assert said.stderr.count("is for another content of the definition") == 1
    assert codes(roost.json("plan"))[-1] == "lock-stale"
    for command, status in ((("build",), 1), (("exec", *LEFT), 125), (("plan",), 1)):
        assert failure(roost, status, command[0], "--locked", *command[1:])["code"] == "lock-stale"
    checked = roost.run("lock", "--check")
    assert checked.returncode == 1
    assert "pip.requirements: left<2 -> left" in checked.stdout
    written = roost.run("lock", "--write")
    assert (written.returncode, "is for another content" in written.stderr) == (0, False), "it is what is being mended"
    assert roost.run("lock", "--check").returncode == 0
    assert roost.json("build", "--locked")["build"]["lock_digest"]
    # Options that make another definition prefer its versions in silence.
    said = roost.run("exec", "--python", f"{sys.version_info.major}.{sys.version_info.minor}", *LEFT)
    assert (said.stdout.strip(), "lock" in said.stderr.replace("locking", "")) == ("1.0", False)
    roost.ok("lock", "--write", "--rebuild")
    assert roost.ok("exec", "--locked", *LEFT).strip() == "2.0"
    # That another tool's lock is stale stays said: writing this one does not mend it.
    roost.write("pyproject.toml", "[project]\nname = 'app'\nversion = '0'\ndependencies = ['left', 'right']\n")
    roost.write("uv.lock", UV_LOCK)
    assert "has changed since this lock was made (right)" in roost.run("lock", "--write", "-f", "uv.lock").stderr
    assert "lock --write --rebuild" in roost.run("build", "--rebuild").stderr, "the file stays what it was"
    assert "Name that file" in failure(roost, 3, "build", "-f", "roost.lock")["hint"]
    os.unlink(roost.folder / "roost.lock")
    assert failure(roost, 7, "lock", "--check")["code"] == "lock-file-missing"
    assert failure(roost, 7, "build", "--locked")["code"] == "lock-file-missing"


def test_options_that_it_was_written_with_are_stated_and_told(roost: Roost) -> None:
    roost.write(
        "pyproject.toml",
        '[project]\nname = "x"\nversion = "1"\ndependencies = ["left<2"]\n'
        '[project.optional-dependencies]\nweb = ["right"]\n[tool.roost]\nproject = false\n',
    )
    roost.ok("lock", "--write")
    replaced = roost.run("lock", "--write", "--extra", "web")
    assert "written without options, and is now for the definition with --extra web" in replaced.stderr
    assert 'choices {"extras":["web"]}' in (roost.folder / "roost.lock").read_text()
    assert roost.json("plan", "--locked", "--extra", "Web")["lock_digest"]
    said = roost.run("plan")
    expected = "roost.lock was written with --extra web, and this is without options"
    assert (said.stdout + said.stderr).count(expected) == 1
    assert "give --extra web" in said.stdout
    assert expected in roost.run("lock", "--check").stdout
    for options in ((), ("--with", "right==1.0")):
        error = failure(roost, 1, "plan", "--locked", *options)
        assert (error["message"], error["fields"]["reason"]) == (f"--locked: {expected}", "lock-choices")
    error = failure(roost, 1, "plan", "--locked", "--extra", "web", "--with", "missing")
    assert "prefer" not in error["message"]
    assert "--with" in error["hint"]


def test_named_files_and_scripts_have_lock_files_of_their_own(roost: Roost) -> None:
    roost.write("requirements.txt", "left\n")
    roost.write("dev.txt", "left<2\n")
    script = roost.write(
        "train.py", '# /// script\n# dependencies = ["left<2"]\n# ///\nimport left\nprint(left.value)\n'
    )
    assert roost.json("lock", "--write")["file"] == str(roost.folder / "roost.lock")
    assert roost.json("lock", "--write", "-f", "requirements.txt")["file"] == str(roost.folder / "roost.lock")
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
    """Each kind of content is a case of ``model.lock_files``, each kind of file one of ``lock_files.reading``."""
    roost.write("requirements.txt", "left\n")
    roost.ok("lock", "--write")
    path = roost.folder / "roost.lock"
    text = path.read_text()
    commands: list[tuple[str, ...]] = [("plan",), ("build", "--locked"), ("lock", "--check"), ("lock", "--write")]
    path.write_text(text[: len(text) // 2])
    for command in commands:
        error = failure(roost, 3, *command)
        assert (error["code"], error["location"]["path"]) == ("lock-file-invalid", str(path))
        assert error["location"]["line"]
        assert error["hint"]
    assert path.read_text() == text[: len(text) // 2]
    assert roost.json("digest")["definition_digest"], "the definition is none of its business"
    path.write_text(text.replace("format 1\n", "format 2\n", 1))
    assert failure(roost, 3, "plan")["code"] == "lock-file-newer"
    assert roost.json("lock", "--write", "--rebuild")["is_written"]
    path.unlink()
    os.mkfifo(path)
    for command in (("exec", *LEFT), ("lock", "--write", "--rebuild")):
        assert failure(roost, 125 if command[0] == "exec" else 3, *command)["code"] == "lock-file-invalid"


def resigned(text: str) -> str:
    """The text of a lock file with one section, with the digests that its changed lines have."""
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("content "))
    end = lines.index("", at)
    body = list(lines[at + 1 : end])
    about = msgspec.json.decode(body[0].partition(" ")[2])
    wheels = [msgspec.json.decode(line.partition(" ")[2], type=Wheel) for line in body if line.startswith("wheel ")]
    lines[at - 1 : at + 1] = [
        f"lock {digest_lock(msgspec.convert({**about, 'wheels': wheels}, Lock))}",
        f"content {digest_lines(body)}",
    ]
    return "\n".join(lines) + "\n"


def test_a_forged_lock_is_refused_by_name(roost: Roost, other: Roost, pip_index: PipIndex, private: PipIndex) -> None:
    """Whoever edits packages can make the digests fit; the definition and the index then say what can't be."""
    for each in (roost, other):
        each.write("requirements.txt", "right\n")
    roost.ok("lock", "--write")
    text = (roost.folder / "roost.lock").read_text()
    wheel = next(line for line in text.splitlines() if line.startswith('wheel {"name":"right"'))
    sha256 = msgspec.json.decode(wheel.partition(" ")[2])["sha256"]
    needed = {  # seen without asking anybody, so in plans too
        "a package is missing": text.replace(f"{wheel}\n", ""),
        "a file of another name": text.replace("files/right-1.0", "files/wrong-1.0"),
    }
    listed = {  # seen by the index before anything is downloaded
        "another digest": text.replace(sha256, "0" * 64),
        "another host": text.replace(f"{pip_index.origin}/files", f"{private.origin}/files"),
    }
    asked = Counter(pip_index.asked)
    for name, forged in (*needed.items(), *listed.items()):
        other.write("roost.lock", resigned(forged))
        commands = [("build",), ("plan",), ("lock", "--check")] if name in needed else [("build",)]
        for command in commands:
            if command == ("lock", "--check"):
                said = other.run(*command)
                assert (said.returncode, "lock-file-untrusted" in said.stdout) == (1, True), name
                continue
            error = failure(other, 3, *command)
            assert error["code"] == "lock-file-untrusted", name
            assert error["location"]["path"] == str(other.folder / "roost.lock"), name
            assert ("left" if name == "another host" else "right") in error["message"], name
        if name == "a file of another name":
            line = (
                (other.folder / "roost.lock")
                .read_text()
                .splitlines()
                .index(wheel.replace("right-1.0-py3", "right-1.0-py3").replace("files/right", "files/wrong"))
            )
            assert error["location"]["line"] == line + 1
            assert asked == pip_index.asked, "nobody was asked"
    assert not [path for path in pip_index.asked if path.startswith("/files/right") and path not in asked]
    other.write("roost.lock", text)
    assert other.ok("exec", *LEFT).strip() == "2.0"


def test_what_had_to_be_built_stands_as_its_source_and_is_built_where_it_is_used(
    roost: Roost, other: Roost, pip_index: PipIndex, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    pip_index.add("mine", sdist_bytes("mine", "1.0", str(trace)))
    repository = tmp_path / "repository"
    repository.mkdir()
    for version in ("1.0", "2.0"):
        for name, text in backend_files("proj", version, str(trace), static=True).items():
            (repository / name).write_text(text)
        git(repository, "init", "-q")
        git(repository, "add", "-A")
        git(repository, "commit", "-qm", version)
        if version == "1.0":
            for name, text in backend_files("local", "1.0", str(trace), static=True).items():
                roost.write(f"local/{name}", text)
            roost.write("requirements.txt", f"mine\nproj @ git+file://{repository}@main\n./local\n")
            written = roost.json("lock", "--write")
            text = (roost.folder / "roost.lock").read_text()
            assert text.count('"kind":"built"') == 3
            assert "".join(line for line in text.splitlines() if '"built"' in line).count('"sha256"') == 2
            first = lock_of(roost, "--locked")
            assert first != written["sections"][0]["lock_digest"], "its prefix has the bytes"
            assert roost.json("plan")["plans"][0]["action"] == "reuse-prefix"
            assert roost.json("lock", "--check")["fits"]
    shutil.copytree(roost.folder, other.folder, dirs_exist_ok=True)
    assert other.json("plan")["plans"][0]["action"] == "build-prefix"
    code = "from importlib.metadata import version as v; print(v('mine'), v('proj'), v('local'))"
    assert other.ok("exec", "--locked", "--", "python", "-c", code).split() == ["1.0", "1.0", "1.0"]
    assert other.json("plan")["plans"][0]["action"] == "reuse-prefix"


def test_a_watched_file_is_built_again_when_only_its_lock_changes(roost: Roost, pip_index: PipIndex) -> None:
    configure(roost, pip_index)
    roost.config.write_text(roost.config.read_text() + "[watch]\nmax_load = 0\non_battery = true\n")
    path = roost.write("requirements.txt", "left<2\n")
    roost.ok("lock", "--write")
    path.write_text("left\n")
    roost.ok("lock", "--write")
    older = (roost.folder / "roost.lock").read_text()
    roost.ok("lock", "--write", "--rebuild")
    events = EventFollower(roost)
    for text, version in ((None, "2.0"), (older, "1.0")):
        since = events.seq
        if text is None:
            roost.ok("watch", "add", str(path))
        else:
            roost.write("new", text).replace(roost.folder / "roost.lock")
        events.wait("watch-ready", since=since, where=lambda fields: fields["path"] == str(path))
        assert roost.json("plan")["plans"][0]["action"] == "reuse-prefix"
        assert roost.ok("exec", *LEFT).strip() == version


def test_without_an_index_only_what_is_surely_its_own_is_used_and_that_is_said(
    roost: Roost, other: Roost, private: PipIndex
) -> None:
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
    text = (other.folder / "roost.lock").read_text()
    wheel = next(line for line in text.splitlines() if line.startswith('wheel {"name":"left"'))
    sha256 = msgspec.json.decode(wheel.partition(" ")[2])["sha256"]
    forged = text.replace(f"{index.origin}/files", f"{private.origin}/files").replace(sha256, "0" * 64)
    other.write("roost.lock", resigned(forged))
    error = failure(other, 3, "build")
    assert (error["code"], error["location"]["line"] is not None) == ("lock-file-untrusted", True)
    assert "Try again when the index answers" in error["hint"]
    assert not private.asked
    other.write("roost.lock", text)
    built = other.json("build")["build"]
    assert [each["code"] for each in built["reasons"]].count("lock-unvouched") == 1
    for _ in range(2):
        said = other.run("exec", *LEFT)
        assert (said.stdout.strip(), said.stderr.count("did not vouch yet")) == ("1.0", 1), "until somebody vouches"
    assert codes(other.json("plan", "--locked"))[-1] == "lock-unvouched"
    checked = other.json("lock", "--check")
    assert (checked["fits"], [each["code"] for each in checked["warnings"]]) == (True, ["lock-unvouched"])


def test_conda_packages_are_locked_for_platforms_and_checked_with_their_channel(
    own_conda_roost: Roost, other: Roost
) -> None:
    roost = own_conda_roost
    other.config.write_text(roost.config.read_text())
    for each in (roost, other):
        each.write("environment.yml", "dependencies: [dated=1]\n")
    written = roost.json("lock", "--write", "--platform", "osx-arm64")
    assert [(each["scope"], each["state"]) for each in written["sections"]] == [
        ("linux-64", "new"),
        ("osx-arm64", "new"),
    ]
    text = (roost.folder / "roost.lock").read_text()
    assert roost.run("lock", "--check", "--platform", "win-64").returncode == 1
    kept = roost.json("lock", "--write", "--platform", "win-64")["sections"]
    assert [each["state"] for each in kept] == ["kept", "kept", "new"]
    (line,) = {line for line in text.splitlines() if line.startswith('conda {"name":"dated"')}
    sha256 = msgspec.json.decode(line.partition(" ")[2])["sha256"]
    other.write("roost.lock", text.replace(sha256, "0" * 64))
    assert failure(other, 3, "build")["code"] == "lock-file-invalid"
    only = text[: text.index("[osx-arm64]")] + "end\n"
    other.write("roost.lock", only)
    assert other.json("build", "--locked")["build"]["lock_digest"] == written["sections"][0]["lock_digest"]
    # Another content of the file: the versions stay, the other platforms are dropped by name.
    roost.write("environment.yml", "dependencies: [dated, post-linked]\n")
    said = roost.ok("lock", "--write")
    assert "osx-arm64  dropped" in said
    assert '"name":"dated","version":"1.0"' in (roost.folder / "roost.lock").read_text()
    for options, status in (
        (("--write", "--check"), 2),
        (("--write", "-o", "x.yml"), 2),
        (("--rebuild",), 2),
        (("--platform", "linux-64", "--platform", "win-64"), 2),
        (("--write", "--with", "activated"), 2),
        (("--write", "--platform", "nowhere-1"), 3),
    ):
        assert roost.run("lock", *options).returncode == status, options


def test_an_image_of_pip_packages_has_a_lock_of_its_own_beside_that_of_the_machine(own_conda_roost: Roost) -> None:
    roost = own_conda_roost
    roost.write("requirements.txt", "left<2\n")
    roost.ok("lock", "--write")
    missing = roost.json("plan", "-t", "docker")
    assert "lock-file-platform-missing" in codes(missing)
    assert failure(roost, 1, "plan", "-t", "docker", "--locked")["fields"]["reason"] == "lock-file-platform-missing"
    said = roost.run("plan", "-t", "docker")
    assert (said.stdout + said.stderr).count("none for linux-64") == 1
    (command,) = re.findall(r"`roost ([^`]*)` adds one", said.stdout)
    assert command == "lock --write -t docker"
    only = (roost.folder / "roost.lock").read_text()
    sections = roost.json(*command.split())["sections"]
    assert [(each["scope"], each["state"]) for each in sections] == [("linux-64", "new"), ("linux-64+host", "kept")]
    image, host = (roost.json("plan", "-t", target, "--locked") for target in ("docker", "local"))
    assert [image["lock_digest"], host["lock_digest"]] == [each["lock_digest"] for each in sections]
    assert "lock-file" in codes(image)
    # By the platform's name it is the same on every machine, and a rebuild loses neither.
    roost.write("roost.lock", only)
    named = roost.json("lock", "--write", "--platform", "linux-64")["sections"]
    assert [each["lock_digest"] for each in named] == [each["lock_digest"] for each in sections]
    roost.write("requirements.txt", "left\n")
    rebuilt = roost.json("lock", "--write", "--rebuild", "-t", "docker")["sections"]
    assert [each["state"] for each in rebuilt] == ["changed", "changed"]


def test_what_is_added_in_a_clone_moves_nothing_that_was_locked(roost: Roost, other: Roost) -> None:
    roost.write("requirements.txt", "left<2\n")
    roost.ok("lock", "--write")
    roost.write("requirements.txt", "left\n")
    roost.ok("lock", "--write")  # 1.0 was there
    for name in ("requirements.txt", "roost.lock"):
        shutil.copy(roost.folder / name, other.folder)
    added = other.run("add", "right")
    assert added.returncode == 0, added.stderr
    assert "lock --write" in added.stderr, "the lock file is for the file as it was"
    other.ok("lock", "--write")
    assert '"name":"left","version":"1.0"' in (other.folder / "roost.lock").read_text()
