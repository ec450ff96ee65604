"""What a version refers to on this machine is kept with it: it is built later though its files went or changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.support.pip_index import PipIndex, backend_files, sdist_bytes, wheel_bytes
from tests.support.roost_process import Roost

SAY = "import {0}; print({0}.value)"


def folder_of(roost: Roost, where: str, files: dict[str, str]) -> Path:
    for name, text in files.items():
        roost.write(f"{where}/{name}", text)
    return roost.folder / where


def give_wheel(roost: Roost, where: str = "wheels", version: str = "1.0", code: str = "") -> Path:
    name, content = wheel_bytes("given", version, code=code)
    path = roost.write(f"{where}/{name}", "")
    path.write_bytes(content)
    return path


def shown(roost: Roost, reference: str = "kept:1") -> dict[str, Any]:
    found: dict[str, Any] = roost.json("env", "show", reference)
    return found


@pytest.fixture
def everything(roost: Roost, pip_index: PipIndex) -> Roost:
    """A definition that refers to a wheel, a folder, an archive and a folder of links, some of it in a nested file."""
    pip_index.wheel("greet", "1.0")
    give_wheel(roost)
    linked = roost.folder / "links"
    linked.mkdir()
    name, content = wheel_bytes("linked", "1.0")
    (linked / name).write_bytes(content)
    trace = str(roost.folder / "trace")
    folder_of(roost, "sourced", backend_files("sourced", "1.0", trace))
    name, content = sdist_bytes("packed", "1.0", trace)
    (roost.folder / name).write_bytes(content)
    roost.write("more.txt", f"wheels/given-1.0-py3-none-any.whl\n./sourced\n./{name}\n")
    roost.write("requirements.txt", "--find-links links\n-r more.txt\nlinked\ngreet\n")
    return roost


def test_everything_local_goes_and_the_version_is_built_and_run(everything: Roost) -> None:
    roost = everything
    digest = roost.json("digest")["definition_digest"]
    roost.ok("env", "register", "--name", "kept")
    before = shown(roost)
    assert before["definition_digest"] == digest
    for name in ("wheels", "links", "sourced"):
        shutil.rmtree(roost.folder / name)
    for name in ("more.txt", "requirements.txt", "packed-1.0.tar.gz"):
        (roost.folder / name).unlink()
    roost.ok("daemon", "stop")
    assert shown(roost) == before
    built = roost.json("build", "-e", "kept")["build"]
    assert (built["state"], built["definition_digest"]) == ("succeeded", digest)
    words = "import given, linked, sourced, packed; print(given.value, linked.value, sourced.value, packed.value)"
    assert roost.ok("run", "-e", "kept", "--", "python", "-c", words) == "1.0 1.0 1.0 built 1.0 built\n"
    again = roost.json("build", "-e", "kept", "--rebuild")["build"]
    assert again["lock_digest"] == built["lock_digest"]


def test_local_things_that_change_leave_the_version_as_it_was(everything: Roost) -> None:
    roost = everything
    roost.ok("env", "register", "--name", "kept")
    give_wheel(roost, code="value = 'changed'\n")
    roost.write("sourced/backend.py", "raise SystemExit('changed')\n")
    shutil.rmtree(roost.folder / "links")
    words = ("import given, sourced; print(given.value, sourced.value)",)
    assert roost.ok("run", "-e", "kept", "--", "python", "-c", *words) == "1.0 1.0 built\n"


def test_a_run_keeps_what_it_used_and_the_text_of_its_version_says_it_all(roost: Roost) -> None:
    """And the text of a version can be edited: what it refers to is found."""
    give_wheel(roost)
    roost.write("requirements.txt", "wheels/given-1.0-py3-none-any.whl\n")
    roost.ok("run", "--", "python", "-c", "import given")
    name = roost.json("runs", "list")["runs"][0]["environment"]["name"]
    shutil.rmtree(roost.folder / "wheels")
    text = roost.ok("env", "show", name)
    assert "roost-wheel:sha256:" in text
    assert str(roost.folder) not in text
    editor = roost.write("editor", '#!/bin/sh\nprintf \'\\n[variables]\\nA = "b"\\n\' >> "$1"\n')
    editor.chmod(0o755)
    roost.ok("env", "edit", name, variables={"EDITOR": str(editor)})
    assert shown(roost, f"{name}:2")["definition_digest"] == shown(roost, f"{name}:1")["definition_digest"]
    words = ("import given, os; print(given.value, os.environ['A'])",)
    assert roost.ok("run", "-e", f"{name}:2", "--", "python", "-c", *words) == "1.0 b\n"


def test_what_is_imported_is_kept_too(roost: Roost) -> None:
    give_wheel(roost)
    roost.write("requirements.txt", "wheels/given-1.0-py3-none-any.whl\n")
    roost.ok("env", "register", "--name", "kept")
    shutil.rmtree(roost.folder / "wheels")
    roost.ok("env", "export", "kept", "--format", "azure", "-o", "out")
    roost.ok("env", "import", "out", "--name", "imported")
    shutil.rmtree(roost.folder / "out")
    code = SAY.format("given")
    conda = roost.json("env", "show", "imported")["definition"]
    assert "roost-wheel:sha256:" in str(conda)
    document = roost.write("again.toml", '[pip]\nrequirements = ["' + conda["pip"]["requirements"][0] + '"]\n')
    assert roost.ok("run", "-f", str(document), "--", "python", "-c", code) == "1.0\n"


def test_what_is_kept_is_not_copied_again(roost: Roost) -> None:
    give_wheel(roost)
    trace = str(roost.folder / "trace")
    folder_of(roost, "sourced", backend_files("sourced", "1.0", trace))
    roost.write("requirements.txt", "wheels/given-1.0-py3-none-any.whl\n./sourced\n")
    roost.ok("env", "register", "--name", "kept")
    kept = sorted(path for place in ("wheels/given", "snapshots") for path in (roost.root / place).rglob("*"))
    assert kept
    files = [path for path in kept if not path.is_dir()]  # a folder is touched when a version refers to it
    times = [path.lstat().st_ctime_ns for path in files]
    roost.ok("env", "register", "--name", "other")
    roost.ok("env", "clone", "kept", "third")
    again = sorted(path for place in ("wheels/given", "snapshots") for path in (roost.root / place).rglob("*"))
    assert again == kept
    assert [path.lstat().st_ctime_ns for path in files] == times
    assert list((roost.root / "stage").iterdir()) == []


def test_an_editable_install_stays_tied_to_its_folder_and_says_so(roost: Roost, tmp_path: Path) -> None:
    folder = folder_of(roost, "mine", backend_files("mine", "1.0", str(tmp_path / "trace"), static=True))
    roost.write("requirements.txt", "-e mine\n")
    roost.ok("env", "register", "--name", "kept")
    shutil.rmtree(folder)
    error = roost.failed(4, "build", "-e", "kept")
    assert error["code"] == "editable-gone"
    assert str(folder) in error["message"]


@pytest.mark.parametrize("point", ["keep.copied", "keep.synced", "keep.placed"])
def test_killed_while_keeping(roost: Roost, pip_index: PipIndex, point: str) -> None:
    trace = str(roost.folder / "trace")
    folder_of(roost, "sourced", backend_files("sourced", "1.0", trace))
    roost.write("requirements.txt", "./sourced\n")
    roost.variables["ROOST_FAILPOINT"] = point
    assert roost.run("env", "register", "--name", "kept").returncode == 5
    del roost.variables["ROOST_FAILPOINT"]
    assert roost.json("env", "list")["environments"] == []
    assert list((roost.root / "stage").iterdir()) == []
    roost.ok("env", "register", "--name", "kept")
    shutil.rmtree(roost.folder / "sourced")
    assert roost.ok("run", "-e", "kept", "--", "python", "-c", SAY.format("sourced")) == "1.0 built\n"


def test_a_wheel_is_given_and_referred_to_in_any_format(roost: Roost) -> None:
    wheel = give_wheel(roost)
    roost.write("by-path.txt", "wheels/given-1.0-py3-none-any.whl\n")
    wanted = roost.json("digest", "-f", "by-path.txt")["definition_digest"]
    line = roost.ok("env", "add-wheel", "wheels/given-1.0-py3-none-any.whl").strip()
    assert roost.json("env", "add-wheel", str(wheel))["requirement"] == line
    wheel.unlink()
    roost.write("by-content.txt", f"{line}\n")
    assert roost.json("digest", "-f", "by-content.txt")["definition_digest"] == wanted
    roost.write("roost.toml", f'[pip]\nrequirements = ["given @ {line}"]\n')
    assert roost.json("digest", "-f", "roost.toml")["definition_digest"] == wanted
    assert roost.ok("run", "-f", "by-content.txt", "--", "python", "-c", SAY.format("given")) == "1.0\n"
    conda = f"dependencies:\n- python\n- pip:\n  - {line}\n"
    roost.write("environment.yml", conda)
    assert line.partition("/")[0].removeprefix("roost-wheel:") in roost.ok(
        "digest", "-f", "environment.yml", "--canonical"
    )


def test_a_wheel_that_the_store_does_not_have(roost: Roost) -> None:
    give_wheel(roost)
    line = roost.ok("env", "add-wheel", "wheels/given-1.0-py3-none-any.whl").strip()
    roost.write("requirements.txt", f"# ours\n{line}\n")
    roost.ok("env", "register", "--name", "kept")
    roost.ok("build")
    shutil.rmtree(roost.root / "wheels" / "given")
    error = roost.failed(3, "build")
    assert (error["code"], error["location"]["line"]) == ("wheel-unknown", 2)
    assert "add-wheel" in error["hint"]
    run = ("run", "-e", "kept", "--", "python", "-c", SAY.format("given"))
    assert roost.ok(*run) == "1.0\n", "its prefix is there"
    assert roost.failed(3, "build", "-e", "kept", "--rebuild")["code"] == "wheel-unknown"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("given-1.0-py3-none-any.whl", b"no archive"),
        ("other-1.0-py3-none-any.whl", wheel_bytes("given", "1.0")[1]),
        ("given-2.0-py3-none-any.whl", wheel_bytes("given", "1.0")[1]),
        ("given.whl", wheel_bytes("given", "1.0")[1]),
        ("given-1.0.tar.gz", b""),
    ],
)
def test_files_that_are_no_wheels(roost: Roost, name: str, content: bytes) -> None:
    (roost.folder / name).write_bytes(content)
    assert roost.failed(2, "env", "add-wheel", name)["code"] == "wheel-invalid"
    assert roost.failed(7, "env", "add-wheel", "absent-1.0-py3-none-any.whl")["code"] == "not-found"
    assert not (roost.root / "wheels" / "given").exists()
