"""Named environments from the command line: registered, found again, edited, hidden, and used."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.roost_process import Roost

from roost.client.transport.connection import Daemon

TRAIN = """
name = "train"
[pip]
requirements = ["toy=={version}"]
[variables]
COLOUR = "{colour}"
"""
SAY = "import os, toy; print(toy.value, os.environ['COLOUR'])"


@pytest.fixture
def train(roost: Roost, pip_index: PipIndex) -> Roost:
    """A project with roost.toml, and two versions of its package to be had."""
    for version in ("1.0", "2.0"):
        pip_index.wheel("toy", version)
    write(roost)
    return roost


def write(roost: Roost, version: str = "1.0", colour: str = "red") -> None:
    roost.write("roost.toml", TRAIN.format(version=version, colour=colour))


def test_versions_labels_and_what_they_run(train: Roost) -> None:
    assert train.ok("env", "register", "--label", "prod") == "train:1\n"
    assert train.ok("env", "register") == "train:1 (was registered already)\n"
    write(train, "2.0", "blue")
    assert train.json("env", "register")["environment"]["version"] == 2
    (train.folder / "roost.toml").unlink()
    say = ("--", "python", "-c", SAY)
    assert train.ok("run", "-e", "train", *say) == "2.0 blue\n"
    assert train.ok("exec", "-e", "train:1", *say) == "1.0 red\n"
    assert train.ok("exec", "-e", "train@prod", *say) == "1.0 red\n"
    assert train.ok("env", "label", "train:2", "prod") == "train@prod is train:2\n"
    assert train.ok("exec", "-e", "train@prod", *say) == "2.0 blue\n", "the plan that the launcher had is stale"
    assert train.failed(7, "plan", "-e", "train@test")["code"] == "environment-unknown"
    assert train.ok("env", "label", "train", "prod", "--remove") == "train no longer has the label prod\n"
    assert train.failed(7, "env", "label", "train", "prod", "--remove")["code"] == "environment-unknown"


def test_a_run_registers_what_it_uses(train: Roost) -> None:
    train.ok("run", "--", "python", "-c", "pass")
    write(train, "2.0")
    train.ok("run", "--", "python", "-c", "pass")
    write(train)
    train.ok("run", "--", "python", "-c", "pass")
    runs = train.json("runs", "list")["runs"]
    assert [run["environment"] for run in runs] == [
        {"name": "train", "version": 1},
        {"name": "train", "version": 2},
        {"name": "train", "version": 1},
    ]
    versions = train.json("env", "versions", "train")["versions"]
    assert [version["version"] for version in versions] == [2, 1]
    assert versions[1]["definition_digest"] == runs[0]["definition_digest"]
    assert train.ok("env", "register") == "train:1 (was registered already, and is not the latest)\n"

    refusal = train.failed(1, "env", "remove", "train:2")
    assert refusal["code"] == "version-in-use"
    assert runs[1]["id"] in refusal["message"]
    said = train.ok("env", "remove", "train@latest", "--force")
    for part in ("no other version gets such a number", "the latest is train:1 now", "runs rerun", "stays: prefix"):
        assert part in said
    assert train.failed(125, "exec", "-e", "train:2", "--", "true")["code"] == "environment-unknown"
    train.ok("runs", "rerun", runs[1]["id"])
    write(train, "2.0")
    assert train.ok("env", "register") == "train:3\n"
    assert train.failed(2, "env", "remove", "Roost-Minimal")["message"].startswith("Roost-Minimal is curated")


def test_a_file_without_a_name_goes_by_its_folder(train: Roost) -> None:
    (train.folder / "roost.toml").unlink()
    train.write("My Project/requirements.txt", "toy==1.0\n")
    train.ok("run", "--", "python", "-c", "pass", cwd=train.folder / "My Project")
    assert [row["name"] for row in train.json("env", "list")["environments"]] == ["My-Project"]


def test_show_tells_all_and_the_definition_reads_back(train: Roost) -> None:
    train.ok("env", "register")
    train.ok("build")
    shown = train.json("env", "show", "train")
    assert shown["definition"] == {"pip": {"requirements": ["toy==1.0"]}}
    assert shown["settings"] == {"variables": {"COLOUR": "red"}}
    assert (shown["kind"], shown["labels"], shown["archived"]) == ("system-managed", ["latest"], False)
    assert [g["number"] for g in shown["generations"]] == [1]
    text = train.ok("env", "show", "train")
    toml = text[text.index('name = "train"') : text.index("GENERATION")]
    (train.folder / "roost.toml").write_text(toml)
    assert train.json("digest")["definition_digest"] == shown["definition_digest"]
    assert train.ok("env", "register") == "train:1 (was registered already)\n"


def test_the_digest_stays_though_the_config_moves(train: Roost) -> None:
    train.ok("env", "register")
    before = train.json("env", "show", "train")["definition_digest"]
    train.config.write_text(train.config.read_text() + '[base]\nimage = "debian:13"\n')
    assert train.json("digest", "-e", "train")["definition_digest"] == before
    assert train.json("digest")["definition_digest"] != before
    assert train.ok("exec", "-e", "train", "--", "python", "-c", SAY) == "1.0 red\n"


def editor(train: Roost, script: str) -> dict[str, str]:
    path = train.folder / "editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return {"EDITOR": str(path), "VISUAL": ""}


def test_edit_makes_the_next_version(train: Roost) -> None:
    train.ok("env", "register")
    changed = train.ok("env", "edit", "train", variables=editor(train, 'sed -i s/1.0/2.0/ "$1"'))
    assert changed == "train:2\n"
    assert train.json("env", "show", "train")["origin"] == "train:1"
    same = train.run("env", "edit", "train", variables=editor(train, "true"))
    assert (same.returncode, same.stdout) == (0, "")
    assert "nothing was changed" in same.stderr
    other = train.ok("env", "edit", "train:1", "--name", "other", variables=editor(train, 'sed -i s/red/green/ "$1"'))
    assert other == "other:1\n"


def test_a_changed_variable_changes_no_default(train: Roost) -> None:
    """Edited and exported under another config than it was registered under, it is the same to build, and for the same
    target: no base image is named that nobody named."""
    train.ok("env", "register")
    before = train.json("env", "show", "train")["definition_digest"]
    config = train.config.read_text()
    train.ok("env", "export", "train", "--format", "roost", "-o", "first.toml")
    train.config.write_text(config + '[base]\nimage = "debian:13"\n[conda]\nchannels = ["bioconda"]\n')
    assert train.ok("env", "import", "first.toml", "--name", "first") == "first:1\n"
    assert train.ok("env", "edit", "train", variables=editor(train, 'sed -i s/red/green/ "$1"')) == "train:2\n"
    train.ok("env", "export", "train", "--format", "roost", "-o", "second.toml")
    train.config.write_text(config)
    assert train.ok("env", "import", "second.toml", "--name", "second") == "second:1\n"
    for name in ("first", "train:2", "second"):
        assert train.json("env", "show", name)["definition_digest"] == before
        assert train.json("plan", "-e", name)["plans"][0]["target"] == "local"
    assert train.json("env", "show", "second")["settings"]["variables"] == {"COLOUR": "green"}


def test_a_version_goes_on_with_the_index_that_it_was_digested_with(train: Roost, pip_index: PipIndex) -> None:
    """The config may name another by now: under one digest nothing is taken from there."""
    train.ok("env", "register")
    with closing(PipIndex()) as other:
        other.add("toy", wheel_bytes("toy", "1.0", code="value = 'of another index'\n"))
        train.config.write_text(train.config.read_text().replace(pip_index.url, other.url))
        assert train.ok("exec", "-e", "train:1", "--", "python", "-c", "import toy; print(toy.value)") == "1.0\n"
        assert train.ok("exec", "--", "python", "-c", "import toy; print(toy.value)") == "of another index\n"


def test_what_was_typed_is_kept_where_it_can_not_be_registered(train: Roost) -> None:
    train.ok("env", "register")
    done = train.run("env", "edit", "train", variables=editor(train, 'echo "[nonsense]" >> "$1"'))
    assert done.returncode == 3
    kept = re.search(r"saved in (\S+)", done.stderr)
    assert kept is not None
    assert "[nonsense]" in Path(kept[1]).read_text()
    Path(kept[1]).unlink()
    gone = train.run("env", "edit", "train", variables=editor(train, "exit 3"))
    assert gone.returncode == 1
    assert "status 3" in gone.stderr
    assert [v["version"] for v in train.json("env", "versions", "train")["versions"]] == [1]


def test_clone_archive_and_restore(train: Roost) -> None:
    train.ok("env", "register")
    assert train.ok("env", "clone", "train", "mine") == "mine:1\n"
    cloned, first = train.json("env", "show", "mine"), train.json("env", "show", "train")
    assert (cloned["origin"], cloned["definition_digest"]) == ("train:1", first["definition_digest"])
    train.ok("env", "archive", "train")
    assert [row["name"] for row in train.json("env", "list")["environments"]] == ["mine"]
    assert train.ok("exec", "-e", "train:1", "--", "python", "-c", SAY) == "1.0 red\n"
    assert [row["name"] for row in train.json("env", "list", "--all")["environments"]] == ["mine", "train"]
    train.ok("env", "restore", "train")
    assert len(train.json("env", "list")["environments"]) == 2


def test_all_versions_are_listed_however_many_there_are(train: Roost) -> None:
    train.ok("env", "register")
    daemon = Daemon(f"{train.root}/roost.sock")
    for number in range(1001):
        document = {"name": "train", "variables": {"N": str(number)}}
        daemon.request("POST", "/v1/environments", {"what": {"cwd": "/", "document": document}})
    versions = train.json("env", "versions", "train")["versions"]
    assert [version["version"] for version in versions] == list(range(1002, 0, -1))
    assert all(version["changes"] for version in versions[:-1])


def test_a_list_is_as_long_as_it_is_wanted(train: Roost) -> None:
    for name in ("a", "b", "c"):
        train.ok("env", "register", "--name", name)
    assert [row["name"] for row in train.json("env", "list", "--limit", "2")["environments"]] == ["a", "b"]
    assert len(train.json("env", "list", "--limit", "7")["environments"]) == 3
    assert train.failed(2, "env", "list", "--limit", "0")["code"] == "usage"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "Roost-Mine", "roost-mine", "x" * 10_000, "tr\u0430in", "a b", "a\nb"]
)
def test_wrong_names_are_refused_and_nothing_is_kept(train: Roost, name: str) -> None:
    assert train.failed(2, "env", "register", "--name", name)["code"] == "name-invalid"
    assert train.json("env", "list")["environments"] == []


@pytest.mark.parametrize("reference", ["..", ".", "a/b", "../a", "a:0", "a:x", "a@", "tr\u0430in", "@x", ":1"])
def test_wrong_references_are_refused(train: Roost, reference: str) -> None:
    for words in (("env", "show", reference), ("exec", "-e", reference, "--", "true")):
        done = train.run(*words)
        assert done.returncode == (2 if words[0] == "env" else 125), done.stderr
        said = [line for line in done.stderr.strip().splitlines() if "waiting for the daemon" not in line]
        assert len(said) == 2, done.stderr
