"""The curated environments that come with roost, from the command line: listed, used, hidden, and made one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.roost_process import Roost

SHIPPED = ["Roost-Minimal", "Roost-Scikit-Learn"]
SKLEARN = "import numpy, pandas, scipy, sklearn.linear_model; print('all there')"


def names(rows: list[dict[str, object]]) -> list[object]:
    return [row["name"] for row in rows]


def editor(roost: Roost, script: str) -> dict[str, str]:
    path = roost.folder / "editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return {"EDITOR": str(path), "VISUAL": ""}


def test_they_are_there_from_the_start_and_in_lists_for_who_asks(roost: Roost) -> None:
    listed = roost.json("curated", "list")["environments"]
    assert names(listed) == SHIPPED
    assert {(row["kind"], row["version"], row["versions"], row["origin"]) for row in listed} == {
        ("curated", 1, 1, "roost")
    }
    assert roost.json("env", "list")["environments"] == []
    assert "roost curated list" in roost.run("env", "list").stderr
    assert names(roost.json("env", "list", "--curated")["environments"]) == SHIPPED
    roost.write("requirements.txt", "")
    roost.ok("env", "register", "--name", "mine")
    assert names(roost.json("env", "list")["environments"]) == ["mine"]
    assert names(roost.json("env", "list", "--curated")["environments"]) == [*SHIPPED, "mine"]
    text = roost.ok("curated", "list")
    assert text.splitlines()[0].split() == ["NAME", "LATEST", "VERSIONS", "FROM", "LABELS", "DEFINITION"]
    assert "Roost-Minimal" in text
    assert "from roost" in roost.ok("env", "show", "Roost-Minimal")


def test_scikit_learn_is_solved_and_runs(conda_roost: Roost) -> None:
    assert conda_roost.ok("run", "-e", "Roost-Scikit-Learn", "--", "python", "-c", SKLEARN) == "all there\n"
    run = conda_roost.json("runs", "list")["runs"][0]
    assert run["environment"] == {"name": "Roost-Scikit-Learn", "version": 1}
    assert names(conda_roost.json("env", "list")["environments"]) == []
    done = conda_roost.ok("exec", "-e", "Roost-Minimal:1", "--", "python", "-c", "import sys; print(sys.prefix)")
    assert done.startswith(str(conda_roost.root / "prefixes"))


def test_a_clone_is_an_ordinary_one_that_shares_builds_until_it_is_edited(conda_roost: Roost) -> None:
    roost = conda_roost
    assert roost.ok("env", "clone", "Roost-Minimal", "mine") == "mine:1\n"
    first, cloned = roost.json("env", "show", "Roost-Minimal"), roost.json("env", "show", "mine")
    assert (first["kind"], cloned["kind"], cloned["origin"]) == ("curated", "system-managed", "Roost-Minimal:1")
    assert cloned["definition_digest"] == first["definition_digest"], "a name is no part of a digest"
    assert (cloned["differences"], first["differences"]) == ([], None)
    assert "cloned from Roost-Minimal:1 and the same as it" in roost.ok("env", "show", "mine")
    roost.ok("build", "-e", "Roost-Minimal")
    assert roost.json("plan", "-e", "mine")["plans"][0]["action"] == "reuse-prefix"
    _edited(roost, first)


def _edited(roost: Roost, first: dict[str, object]) -> None:
    adding = editor(
        roost, """sed -i 's/^dependencies = \\[/&"six",/' "$1"; printf '[variables]\\nA = "1"\\n' >> "$1" """
    )
    assert roost.ok("env", "edit", "Roost-Minimal", "--name", "more", variables=adding) == "more:1\n"
    edited = roost.json("env", "show", "more")
    assert (edited["kind"], edited["origin"]) == ("system-managed", "Roost-Minimal:1")
    assert edited["definition_digest"] != first["definition_digest"]
    assert [(d["field"], d["before"], d["after"]) for d in edited["differences"]] == [
        ("conda.dependencies[0]", None, "six"),
        ("variables.A", None, "1"),
    ]
    told = "made from Roost-Minimal:1, differs in conda.dependencies[0], variables.A"
    assert told in roost.ok("env", "show", "more")
    assert roost.json("env", "show", "Roost-Minimal") == {**first, "generations": _generations(roost)}


def _generations(roost: Roost) -> object:
    return roost.json("env", "show", "Roost-Minimal:1")["generations"]


@pytest.mark.parametrize("words", [(), ("--name", "Roost-Mine"), ("--name", "a/b"), ("--name", "ROOST-Minimal")])
def test_an_edit_that_could_not_be_registered_is_refused_before_the_editor_opens(
    roost: Roost, words: tuple[str, ...]
) -> None:
    opened = roost.folder / "opened"
    done = roost.run("env", "edit", "Roost-Minimal", *words, variables=editor(roost, f"touch {opened}"))
    assert done.returncode == 2
    assert not opened.exists()
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("  ")
    assert words or "--name" in said


def test_nobody_registers_under_their_names(roost: Roost) -> None:
    roost.write("requirements.txt", "")
    for name in ("Roost-Minimal", "roost-minimal", "Roost-New"):
        assert roost.failed(2, "env", "register", "--name", name)["code"] == "name-invalid"
        assert roost.failed(2, "env", "clone", "Roost-Scikit-Learn", name)["code"] == "name-invalid"
    folder = roost.folder / "Roost-Minimal"
    roost.write("Roost-Minimal/requirements.txt", "")
    roost.ok("run", "--", "python", "-c", "pass", cwd=folder)
    assert names(roost.json("env", "list")["environments"]) == ["Minimal"], "a run's own version gets another name"
    assert roost.json("curated", "list")["environments"][0]["versions"] == 1


def test_labels_and_the_archive_are_for_everybody_and_a_restart_changes_neither(roost: Roost) -> None:
    roost.ok("env", "label", "Roost-Minimal:1", "good")
    assert roost.json("env", "show", "Roost-Minimal@good")["version"] == 1
    roost.ok("env", "archive", "Roost-Minimal")
    roost.ok("daemon", "stop")
    assert names(roost.json("curated", "list")["environments"]) == ["Roost-Scikit-Learn"]
    assert names(roost.json("curated", "list", "--all")["environments"]) == SHIPPED
    assert roost.json("env", "show", "Roost-Minimal@good")["archived"]
    roost.ok("env", "restore", "Roost-Minimal")
    assert names(roost.json("curated", "list")["environments"]) == SHIPPED


def test_a_start_registers_nothing_twice_and_tells_no_events(roost: Roost) -> None:
    before = roost.json("env", "versions", "Roost-Minimal")
    roost.ok("daemon", "stop")
    assert roost.json("env", "versions", "Roost-Minimal") == before
    assert "environment-registered" not in roost.ok("events", "--json")


def test_a_digest_does_not_hang_on_the_config(roost: Roost, short_folder: Path) -> None:
    before = roost.json("digest", "-e", "Roost-Minimal")["definition_digest"]
    other = Roost(short_folder / "r", short_folder / "w")
    other.folder.mkdir()
    other.config.write_text('[base]\nimage = "debian:13"\n[conda]\nchannels = ["other"]\n')
    try:
        assert other.json("digest", "-e", "Roost-Minimal")["definition_digest"] == before
    finally:
        other.end()
