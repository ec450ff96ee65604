"""Import and export from the command line: every format there and back, archives, and what is refused."""

from __future__ import annotations

import io
import json
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.roost_process import Roost

TRAIN = """
name = "train"
[conda]
channels = ["conda-forge"]
dependencies = ["python=3.11", "zlib"]
[pip]
requirements = ["toy==1.0"]
[variables]
COLOUR = "red"
"""
CONDA = "name: packed\ndependencies: [python=3.11, {pip: [toy==1.0]}]\n"
SAVED = {"name": "packed", "version": "3", "docker": {"enabled": True}, "python": {"condaDependencies": None}}


@pytest.fixture
def train(conda_roost: Roost, pip_index: PipIndex) -> Roost:
    """A registered environment of conda and pip packages."""
    pip_index.wheel("toy", "1.0")
    conda_roost.write("roost.toml", TRAIN)
    assert conda_roost.ok("env", "register") == "train:1\n"
    return conda_roost


def digest(roost: Roost, reference: str) -> str:
    return str(roost.json("env", "show", reference)["definition_digest"])


def names(roost: Roost) -> list[str]:
    return [row["name"] for row in roost.json("env", "list")["environments"]]


@pytest.mark.parametrize(
    ("format", "output", "files"),
    [
        ("azure", "saved", ["saved/azureml_environment.json", "saved/conda_dependencies.yml"]),
        ("azure-v2", "v2", ["v2/environment.yml", "v2/conda.yml"]),
        ("conda", "environment.yml", ["environment.yml"]),
        ("roost", "other.toml", ["other.toml"]),
    ],
)
def test_what_was_asked_for_comes_back(train: Roost, format: str, output: str, files: list[str]) -> None:
    assert train.ok("env", "export", "train", "--format", format, "-o", output).splitlines() == files
    assert train.ok("env", "import", files[0], "--name", "again") == "again:1\n"
    if format != "azure-v2":  # there the default image has to be named, which is the same definition all the same
        again, before = train.json("env", "show", "again"), train.json("env", "show", "train")
        assert again["settings"] == before["settings"]
    assert digest(train, "again") == digest(train, "train")
    assert train.ok("env", "import", files[0], "--name", "again") == "again:1 (was registered already)\n"
    shown = train.json("env", "show", "again")
    assert shown["origin"] == str(train.folder / files[0])


def test_locks_come_back_as_the_first_generation(train: Roost) -> None:
    built = train.json("build", "-e", "train")["build"]
    for format, file in (("conda-lock", "conda-lock.yml"), ("explicit", "explicit.txt"), ("pixi", "pixi.lock")):
        train.ok("env", "export", "train", "-o", file)
        imported = train.json("env", "import", file, "--name", format)
        (generation,) = imported["environment"]["generations"]
        (train.folder / format).mkdir()
        (train.folder / file).rename(train.folder / format / "named-otherwise.lock")
        assert train.ok("env", "import", f"{format}/", "--name", format) == f"{format}:1 (was registered already)\n"
        assert generation["lock_digest"] == built["lock_digest"], format
        assert (generation["number"], generation["current"]) == (1, True)
    assert len(train.json("env", "show", "pixi")["generations"]) == 1
    users = {row["name"] for row in train.json("env", "who", "toy")["environments"]}
    assert users == {"train", "conda-lock", "explicit", "pixi"}
    reused = train.json("build", "-e", "explicit")["build"]
    assert (reused["state"], reused["artifacts"]) == ("not-needed", built["artifacts"])


def test_exact_versions_as_conda_and_pip_take_them(train: Roost) -> None:
    train.ok("env", "export", "train", "--format", "conda-builds", "-o", "exact.yml")
    content = yaml.safe_load((train.folder / "exact.yml").read_text())
    python = next(spec for spec in content["dependencies"] if isinstance(spec, str) and spec.startswith("python="))
    assert python.count("=") == 2
    assert content["dependencies"][-1] == {"pip": ["toy==1.0"]}
    train.ok("env", "import", "exact.yml", "--name", "exact")
    explicit = train.ok("lock", "-e", "exact", "--format", "explicit")
    assert explicit == train.ok("lock", "-e", "train", "--format", "explicit")


def test_requirements_with_digests(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("toy", "1.0")
    pip_index.wheel("needs", "2.0", "toy")
    roost.write("requirements.txt", "needs\n")
    roost.ok("env", "register", "--name", "asked")
    roost.ok("env", "export", "asked", "--format", "requirements", "-o", "pinned.txt")
    lines = (roost.folder / "pinned.txt").read_text().splitlines()
    assert [line.partition(" --hash=sha256:")[0] for line in lines] == ["needs==2.0", "toy==1.0"]
    roost.ok("env", "import", "pinned.txt", "--name", "pinned")
    pip_index.wheel("toy", "1.1")
    assert roost.ok("run", "-e", "pinned", "--", "python", "-c", "import needs, toy; print(toy.value)") == "1.0\n"


def test_only_a_lock_that_can_be_had_makes_a_generation(roost: Roost) -> None:
    url = "http://127.0.0.1:1/channel/linux-64/a-1-0.conda"
    roost.write("explicit.txt", f"# platform: linux-64\n@EXPLICIT\n{url}#{'a' * 32}\n")
    done = roost.json("env", "import", "explicit.txt")
    assert done["environment"]["generations"] == []
    assert [warning["code"] for warning in done["warnings"]] == ["lock-unresolved"]


def test_nothing_is_overwritten_unasked_and_folders_are_needed_for_folders(train: Roost) -> None:
    before = (train.folder / "roost.toml").read_text()
    assert "exists already" in train.failed(2, "env", "export", "train", "-o", "roost.toml")["message"]
    assert (train.folder / "roost.toml").read_text() == before
    train.ok("env", "export", "train", "-o", "roost.toml", "--force")
    assert (train.folder / "roost.toml").read_text() != before
    assert "writes a folder" in train.run("env", "export", "train", "--format", "azure").stderr
    assert "No format" in train.run("env", "export", "train", "-o", "what.ever").stderr
    train.write("saved/mine.txt", "keep me")
    train.ok("env", "export", "train", "--format", "azure", "-o", "saved")
    assert "exists already" in train.failed(2, "env", "export", "train", "--format", "azure", "-o", "saved")["message"]
    train.ok("env", "export", "train", "--format", "azure", "-o", "saved", "--force")
    assert (train.folder / "saved/mine.txt").read_text() == "keep me"
    assert not list(train.folder.rglob(".roost-export-*"))
    assert yaml.safe_load(train.ok("env", "export", "train", "--format", "conda", "-o", "-"))["name"] == "train"


def test_losses_are_told_and_impossible_exports_leave_nothing(roost: Roost) -> None:
    roost.write("context/Dockerfile", "FROM scratch\n")
    roost.write("roost.toml", 'name = "c"\n[base]\ncontext = "context"\n[spark]\npackages = ["g:a:1"]\n')
    roost.ok("env", "register")
    assert roost.failed(1, "env", "export", "c", "--format", "azure", "-o", "a")["code"] == "export-impossible"
    assert not (roost.folder / "a").exists()
    done = roost.run("env", "export", "c", "--format", "azure-v2", "-o", "b")
    assert "[spark]: it is left out" in done.stderr
    assert (roost.folder / "b/context/Dockerfile").read_text() == "FROM scratch\n"
    roost.ok("env", "import", "b", "--name", "d")
    assert (
        roost.json("env", "show", "d")["definition"]["base"]["context"]["digest"]
        == (roost.json("env", "show", "c")["definition"]["base"]["context"]["digest"])
    )


def test_a_private_wheel_goes_along(roost: Roost) -> None:
    file, content = wheel_bytes("mine", "1.0")
    (roost.folder / file).write_bytes(content)
    roost.write("roost.toml", f'name = "m"\n[pip]\nrequirements = ["./{file}"]\n')
    roost.ok("env", "register")
    (roost.folder / file).unlink()
    roost.ok("env", "export", "m", "--format", "conda", "-o", "out")
    assert (roost.folder / "out/wheels" / file).read_bytes() == content
    roost.ok("env", "import", "out", "--name", "n")
    assert digest(roost, "n") == digest(roost, "m")


def zipped(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "packed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(folder: Path, files: dict[str, bytes], *more: tarfile.TarInfo) -> Path:
    path = folder / "packed.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in more:
            archive.addfile(member)
    return path


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archives_of_a_folder_a_folder_in_a_folder_and_a_file(
    roost: Roost, pack: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    wheel, content = wheel_bytes("mine", "1.0")
    files = {
        "saved/azureml_environment.json": json.dumps(SAVED).encode(),
        "saved/conda_dependencies.yml": CONDA.replace("toy==1.0", f"./wheels/{wheel}").encode(),
        f"saved/wheels/{wheel}": content,
    }
    path = pack(roost.folder, files)
    assert roost.ok("env", "import", path.name) == "packed:1\n"
    shown = roost.json("env", "show", "packed")
    assert shown["settings"]["kept"]["azure"]["version"] == "3"
    assert shown["origin"] == str(path)
    pack(roost.folder, {"requirements.txt": b"toy==1.0\n"})
    assert roost.ok("env", "import", path.name, "--label", "prod") == "packed:2\n"
    pack(roost.folder, {"strange-name.lock": b"# platform: linux-64\n@EXPLICIT\n"})
    assert roost.ok("env", "import", path.name) == "packed:3\n"
    assert not list((roost.root / "stage").iterdir())


def test_a_project_that_is_its_own_context_is_exported_into_itself(roost: Roost) -> None:
    roost.write("Dockerfile", "FROM debian:12-slim\nCOPY . /x\n")
    roost.write(".dockerignore", "large\n")
    roost.write("large/model.bin", "x")
    roost.write("train.py", "pass\n")
    before = roost.json("digest", "-f", ".")["definition_digest"]
    for extra in ([], ["--force"], ["--force"]):
        roost.ok("env", "export", "-f", ".", "--format", "azure-v2", "-o", "v2", *extra)
        copied = {path.name for path in (roost.folder / "v2/context").iterdir()}
        assert copied == {"Dockerfile", ".dockerignore", "train.py"}
        assert roost.json("digest", "-f", "v2/environment.yml")["definition_digest"] == before
    again = roost.run("env", "export", "-f", ".", "--format", "azure-v2", "-o", "v2")
    assert "exists already" in again.stderr


def test_an_export_over_another_is_what_was_exported(roost: Roost) -> None:
    roost.write("Dockerfile", "FROM debian:12-slim\n")
    roost.write("plain.toml", '[base]\nimage = "debian:12-slim"\n')
    roost.ok("env", "export", "-f", "Dockerfile", "--format", "azure", "-o", "out")
    assert (roost.folder / "out/BaseDockerfile").exists()
    roost.ok("env", "export", "-f", "plain.toml", "--format", "azure", "-o", "out", "--force")
    digests = [roost.json("digest", "-f", path)["definition_digest"] for path in ("out", "plain.toml")]
    assert digests[0] == digests[1]


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def test_archives_that_nobody_should_trust_leave_nothing(roost: Roost, tmp_path: Path) -> None:
    fine = {"environment.yml": b"dependencies: [python]\n"}
    outside = tmp_path / "secret.txt"
    outside.write_text("six\n")
    bad: list[tuple[str, Callable[[], Path]]] = [
        ("points outside", lambda: tarred(roost.folder, {**fine, "../../evil": b"x"})),
        ("points outside", lambda: tarred(roost.folder, {**fine, f"{tmp_path}/evil": b"x"})),
        ("points outside", lambda: zipped(roost.folder, {**fine, "a/../../evil": b"x"})),
        ("points outside", lambda: zipped(roost.folder, {**fine, "..\\evil": b"x"})),
        ("neither a file", lambda: tarred(roost.folder, fine, member("l", tarfile.SYMTYPE, "/etc"))),
        ("neither a file", lambda: tarred(roost.folder, fine, member("l", tarfile.LNKTYPE, "environment.yml"))),
        ("neither a file", lambda: tarred(roost.folder, fine, member("d", tarfile.CHRTYPE))),
        ("neither a file", lambda: tarred(roost.folder, fine, member("f", tarfile.FIFOTYPE))),
        ("a file and a folder", lambda: tarred(roost.folder, {**fine, "environment.yml/x": b""})),
        ("occurs twice", lambda: tarred(roost.folder, {**fine, "./environment.yml": b""})),
        ("is outside", lambda: tarred(roost.folder, {"requirements.txt": f"-r {outside}\n".encode()})),
        ("is outside", lambda: zipped(roost.folder, {"requirements.txt": b"-r ../../../../../../etc/hostname\n"})),
        ("editable", lambda: tarred(roost.folder, {"requirements.txt": b"-e .\n", "pyproject.toml": b""})),
        ("it is empty", lambda: zipped(roost.folder, {})),
    ]
    for words, make in bad:
        path = make()
        error = roost.failed(3, "env", "import", path.name)
        assert words in error["message"], error
        assert "/stage/" not in json.dumps(error), error
        assert error["location"]["path"].startswith(str(path)), error
    assert names(roost) == []
    assert not list((roost.root / "stage").iterdir())
    assert not (tmp_path / "evil").exists()


def test_archives_that_are_none_or_a_flood(roost: Roost) -> None:
    roost.write("packed.tar", "this is no archive at all" * 100)
    assert "can't be read" in roost.failed(3, "env", "import", "packed.tar")["message"]
    whole = tarred(roost.folder, {"environment.yml": b"x" * 100_000}).read_bytes()
    (roost.folder / "packed.tar.gz").write_bytes(whole[: len(whole) // 2])
    assert "can't be read" in roost.failed(3, "env", "import", "packed.tar.gz")["message"]
    with zipfile.ZipFile(roost.folder / "flood.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10_001):
            archive.writestr(f"{number}", b"")
    assert "10,000 files" in roost.failed(3, "env", "import", "flood.zip")["message"]
    with tarfile.open(roost.folder / "large.tar.gz", "w:gz") as tar:
        large = tarfile.TarInfo("zeros")
        large.size = 3 << 30
        with pytest.raises(OSError, match="unexpected end of data"):
            tar.addfile(large, io.BytesIO(b""))
    assert "2 GiB" in roost.failed(3, "env", "import", "large.tar.gz")["message"]
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(roost.folder / "link.zip", "w") as archive:
        archive.writestr(link, "/etc")
    assert "neither a file" in roost.failed(3, "env", "import", "link.zip")["message"]
    assert names(roost) == []
    assert not list((roost.root / "stage").iterdir())


def test_what_has_no_name_is_called_after_its_folder(roost: Roost) -> None:
    roost.write("our project/azureml_environment.json", json.dumps({"name": None, "docker": {"baseImage": "a"}}))
    assert roost.ok("env", "import", "our project") == "our-project:1\n"
    roost.write("lists/pinned.txt", "toy==1.0\n")
    assert roost.ok("env", "import", "lists/pinned.txt") == "lists:1\n"
    assert roost.ok("env", "import", "lists") == "lists:1 (was registered already)\n"
    roost.write("named/environment.yml", CONDA)
    assert roost.ok("env", "import", "named/environment.yml") == "packed:1\n"


def test_missing_and_contradicting_parts_and_wrong_names_register_nothing(roost: Roost) -> None:
    roost.write("saved/azureml_environment.json", json.dumps({**SAVED, "docker": {"baseImage": "a"}}))
    roost.write("saved/BaseDockerfile", "FROM b\n")
    error = roost.failed(3, "env", "import", "saved")
    assert error["code"] == "definition-contradicts-itself"
    assert error["location"]["path"].endswith("BaseDockerfile")
    assert roost.failed(7, "env", "import", "nowhere.yml")["code"] == "not-found"
    roost.write("fine.yml", CONDA)
    for name in ("", "../x", "Roost-x", "x" * 10_000, "tràin"):
        assert roost.failed(2, "env", "import", "fine.yml", "--name", name)["code"] == "name-invalid"
    roost.failed(2, "env", "import", "fine.yml", "--exact")
    roost.failed(2, "env", "import")
    assert names(roost) == []


@pytest.mark.parametrize("failpoint", ["register-version", "register-locked"])
def test_an_import_that_is_killed_has_not_happened(train: Roost, failpoint: str) -> None:
    train.ok("build", "-e", "train")
    train.ok("env", "export", "train", "-o", "explicit.txt")
    zipped(train.folder, {"explicit.txt": (train.folder / "explicit.txt").read_bytes()})
    train.ok("daemon", "stop")
    done = train.run("env", "import", "packed.zip", "--name", "killed", variables={"ROOST_FAILPOINT": failpoint})
    assert done.returncode != 0
    assert names(train) == ["train"]
    assert not list((train.root / "stage").iterdir())
    assert len(train.json("env", "import", "packed.zip", "--name", "killed")["environment"]["generations"]) == 1
