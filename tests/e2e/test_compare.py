"""Diffs, what changed from version to version, what a fresh solve would change, and the way back to a generation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.bytecode_prefix import wait_until_complete
from tests.support.pip_index import PipIndex, sdist_bytes
from tests.support.roost_process import Roost

SAY = ("--", "python", "-c", "import toy; print(toy.value)")


@pytest.fixture
def train(roost: Roost, pip_index: PipIndex) -> Roost:
    """A project whose package may be any version, of which there is one."""
    pip_index.wheel("toy", "1.0")
    write(roost)
    return roost


def write(roost: Roost, *requirements: str, name: str = "train", **variables: str) -> None:
    lines = "".join(f"{key} = '{value}'\n" for key, value in variables.items())
    wanted = list(requirements or ("toy",))
    roost.write("roost.toml", f"name = '{name}'\n[pip]\nrequirements = {wanted!r}\n[variables]\n{lines}")


def fields(differences: list[dict[str, Any]]) -> list[tuple[str, object, object]]:
    return [(each["field"], each["before"], each["after"]) for each in differences]


def packages(lock: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["name"], each["change"]) for each in lock["packages"]]


def test_two_versions_by_definition_settings_and_lock(train: Roost, pip_index: PipIndex) -> None:
    for version in ("1.9", "1.10"):
        pip_index.wheel("toy", version)
    pip_index.wheel("other", "1.0")
    write(train, "toy==1.9", "other", COLOUR="red")
    train.ok("env", "register")
    train.ok("build")
    write(train, "toy==1.10", COLOUR="blue")
    train.ok("env", "register")
    unbuilt = train.json("env", "diff", "train:1", "train:2")
    assert unbuilt["lock"] is None
    assert "train:2 has no generation" in unbuilt["after"]["lock_missing"]
    assert "not compared: train:2" in train.ok("env", "diff", "train")
    train.ok("build")
    found = train.json("env", "diff", "train:1", "train:2")
    assert fields(found["definition"]) == [
        ("pip.requirements[0]", "toy==1.9", "toy==1.10"),
        ("pip.requirements[1]", "other", None),
    ]
    assert fields(found["settings"]) == [("variables.COLOUR", "red", "blue")]
    assert packages(found["lock"]) == [("other", "removed"), ("toy", "up")]
    assert found["lock"]["packages"][1]["after"]["size"] > 0
    assert (found["before"]["generation"], found["differ"]) == (1, True)
    back = train.json("env", "diff", "train:2", "train:1")
    assert packages(back["lock"]) == [("other", "added"), ("toy", "down")]
    same = train.json("env", "diff", "train:2", "train@latest")
    assert (same["differ"], same["lock"]["packages"]) == (False, [])


def test_the_exit_status_tells_only_when_asked(train: Roost) -> None:
    write(train, "toy", A="1")
    train.ok("env", "register")
    write(train, "toy", A="2")
    train.ok("env", "register")
    assert train.run("env", "diff", "train:1", "train:2").returncode == 0
    assert train.run("env", "diff", "train:1", "train:2", "--exit-code").returncode == 1
    assert train.run("env", "diff", "train:2", "train:2", "--exit-code").returncode == 0
    refused = train.failed(3, "env", "diff", "train:1", "train:2", "--platform", "linux-46")
    assert (refused["code"], "linux-64" in refused["hint"]) == ("platform-unknown", True)


def test_one_side_is_compared_with_what_it_came_from(train: Roost) -> None:
    train.ok("env", "register")
    assert train.failed(7, "env", "diff", "train")["code"] == "nothing-to-compare"
    write(train, "toy", A="2")
    train.ok("env", "register")
    write(train, "toy", A="3")
    assert fields(train.json("env", "diff", "train")["settings"]) == [("variables.A", None, "2")]
    for words in ([], ["roost.toml"], ["./roost.toml"], ["."]):
        found = train.json("env", "diff", *words)
        assert (found["before"]["title"], found["after"]["kind"]) == ("train:2", "file")
        assert fields(found["settings"]) == [("variables.A", "2", "3")]
    write(train, name="unheard-of")
    assert train.failed(7, "env", "diff")["code"] == "nothing-to-compare"


def test_a_run_against_what_became_of_its_environment(train: Roost, pip_index: PipIndex) -> None:
    train.ok("run", "--var", "EPOCHS=3", *SAY)
    run = train.json("runs", "list")["runs"][0]["id"]
    pip_index.wheel("toy", "2.0")
    train.ok("build", "--rebuild")
    found = train.json("env", "diff", run)
    assert (found["before"]["title"], found["after"]["title"]) == (f"run {run}", "train:1")
    assert fields(found["settings"]) == [("variables.EPOCHS", "3", None)]
    assert packages(found["lock"]) == [("toy", "up")]
    assert found["definition"] == []
    other = train.write("other/requirements.txt", "toy==1.0\n").parent
    assert fields(train.json("env", "diff", run, "other")["definition"]) == [("pip.requirements[0]", "toy", "toy==1.0")]
    assert train.json("env", "diff", run, "./requirements.txt", cwd=other)["after"]["title"] == "requirements.txt"


@pytest.mark.parametrize(
    ("sides", "status", "code"),
    [
        (["nosuch"], 7, "environment-unknown"),
        (["./nosuch"], 7, "not-found"),
        (["train:9"], 7, "environment-unknown"),
        (["train@no"], 7, "environment-unknown"),
        (["no such name"], 2, "name-invalid"),
        (["r20200101-000000-abcdef"], 7, "not-found"),
        (["a", "b", "c"], 2, "usage"),
    ],
)
def test_what_can_not_be_compared_is_refused(train: Roost, sides: list[str], status: int, code: str) -> None:
    train.ok("env", "register")
    assert train.failed(status, "env", "diff", *sides)["code"] == code


def test_versions_say_what_each_changed(train: Roost) -> None:
    write(train, "toy==1.0", A="1", B="2")
    train.ok("env", "register")
    write(train, "toy", A="2")
    train.ok("env", "register")
    newest, first = train.json("env", "versions", "train")["versions"]
    assert fields(newest["changes"]) == [
        ("pip.requirements[0]", "toy==1.0", "toy"),
        ("variables.A", "1", "2"),
        ("variables.B", "2", None),
    ]
    assert first["changes"] is None
    shown = train.ok("env", "versions", "train")
    assert "pip.requirements: toy==1.0 -> toy; variables.A; variables.B" in shown


def test_outdated_says_what_a_solve_would_change_and_keeps_nothing(train: Roost, pip_index: PipIndex) -> None:
    assert train.failed(7, "env", "outdated")["code"] == "generation-unknown"
    train.ok("run", *SAY)
    current = train.json("env", "outdated")["outdated"]
    assert (current["outdated"], current["lock"]["packages"]) == (False, [])
    assert train.run("env", "outdated", "--exit-code").returncode == 0
    pip_index.wheel("toy", "2.0", "extra")
    pip_index.wheel("extra", "1.0")
    wait_until_complete(train.root)  # byte-code that comes later is part of the prefix's size
    before = train.json("plan"), train.json("env", "show", "train"), prefixes(train)
    done = train.run("env", "outdated", "train", "--json", "--exit-code")
    assert done.returncode == 1
    found = train.json("env", "outdated", "train")["outdated"]
    assert packages(found["lock"]) == [("extra", "added"), ("toy", "up")]
    assert (found["generation"], found["environments"]) == (1, ["train:1"])
    shown = train.run("env", "outdated")
    assert "1.0 -> 2.0" in shown.stdout
    assert "locking pip packages" in shown.stderr, "a solve shows how far it is"
    assert (train.json("plan"), train.json("env", "show", "train"), prefixes(train)) == before
    assert train.json("build", "--rebuild")["build"]["lock_digest"] == found["solved_digest"]


def prefixes(roost: Roost) -> list[Path]:
    return sorted(path for path in (roost.root / "prefixes").iterdir() if path.is_dir())


def test_outdated_of_what_can_not_be_solved(train: Roost, pip_index: PipIndex) -> None:
    train.ok("build")
    pip_index.wheel("toy", "2.0", "nosuch")
    del pip_index.projects["toy"][0]
    refused = train.failed(4, "env", "outdated")
    assert "nosuch" in refused["message"]
    assert train.failed(2, "env", "outdated", "train", "-f", "roost.toml")["code"] == "usage"
    train.write("mine.toml", "[python]\nuser_managed = true\n")
    assert train.failed(2, "env", "outdated", "-f", "mine.toml")["code"] == "usage"


def test_outdated_runs_no_code(train: Roost, pip_index: PipIndex, tmp_path: Path) -> None:
    pip_index.add("built", sdist_bytes("built", "1.0", str(tmp_path / "trace")))
    write(train, "built")
    train.ok("build")
    (tmp_path / "trace").unlink()
    refused = train.failed(4, "env", "outdated")
    assert refused["code"] == "lock-needs-build"
    assert "--rebuild" in refused["hint"]
    assert not (tmp_path / "trace").exists()


def test_rebuild_and_rollback_name_all_that_they_move(train: Roost, pip_index: PipIndex) -> None:
    train.ok("env", "register", "--name", "one")
    train.ok("env", "register", "--name", "two")
    first = train.json("build")["build"]
    assert first["moved"] == []
    run = train.ok("run", "--detach", *SAY).strip()
    train.ok("runs", "logs", "-f", run)
    pip_index.wheel("toy", "2.0")
    second = train.json("build", "--rebuild")["build"]
    assert (second["generation"], second["moved"]) == (2, ["one:1", "train:1", "two:1"])
    assert train.ok("exec", *SAY) == "2.0\n"
    assert train.ok("exec", *SAY) == "2.0\n", "by the plan that the launcher has now"
    rolled = train.json("env", "rollback", "one")
    assert (rolled["before"]["number"], rolled["after"]["number"]) == (2, 1)
    assert rolled["environments"] == ["one:1", "train:1", "two:1"]
    assert rolled["after"]["host"] is True
    assert (rolled["after"]["current"], rolled["before"]["current"], rolled["ready"]) == (True, False, True)
    assert packages(rolled["lock"]) == [("toy", "down")]
    assert train.ok("exec", *SAY) == "1.0\n", "no plan of the launcher is left behind"
    assert train.json("plan")["plans"][0]["action"] == "reuse-prefix"
    shown = train.ok("env", "rollback", "two:1", "--to", "2")
    assert "generation 2" in shown
    assert "on this machine only" in shown
    assert "moved: one:1, train:1, two:1" in shown
    assert train.ok("exec", *SAY) == "2.0\n"
    assert train.json("runs", "show", run)["generation"] == 1
    again = train.ok("runs", "rerun", run)
    assert again == "1.0\n", "a run keeps pointing at its generation"


def test_there_is_not_always_a_way_back(train: Roost, pip_index: PipIndex) -> None:
    train.ok("env", "register")
    assert train.failed(7, "env", "rollback", "train")["code"] == "generation-unknown"
    train.ok("build")
    only = train.failed(7, "env", "rollback", "train")
    assert (only["code"], only["fields"]["generations"]) == ("generation-unknown", [1])
    assert "is the first" in only["message"]
    assert train.failed(7, "env", "rollback", "train", "--to", "2")["fields"]["current"] == 1
    assert train.failed(7, "env", "rollback", "train", "--platform", "osx-64")["code"] == "generation-unknown"
    assert train.failed(2, "env", "rollback", "train", "--to", "0")["code"] == "usage"
    assert train.failed(7, "env", "rollback", "nosuch")["code"] == "environment-unknown"
    shown = train.json("env", "show", "train")["generations"]
    assert [(each["number"], each["current"], each["host"]) for each in shown] == [(1, True, True)]


def test_a_failed_rebuild_leaves_the_current_generation(train: Roost, pip_index: PipIndex) -> None:
    train.ok("env", "register")
    train.ok("build")
    pip_index.wheel("toy", "2.0")
    pip_index.wrong_digests.add(pip_index.projects["toy"][-1])
    assert train.failed(4, "build", "--rebuild")["code"] == "digest-mismatch"
    assert train.ok("exec", *SAY) == "1.0\n"
    generations = train.json("env", "show", "train")["generations"]
    assert [(each["number"], each["current"]) for each in generations] == [(1, True)]
    assert train.json("builds", "list")["builds"][0]["state"] == "failed"


def test_generations_and_locks_of_a_registered_name(train: Roost, pip_index: PipIndex) -> None:
    train.ok("env", "register")
    first = train.json("build")["build"]
    pip_index.wheel("toy", "2.0")
    train.ok("build", "--rebuild")
    (train.folder / "roost.toml").unlink()
    assert train.ok("run", "-e", "train", *SAY) == "2.0\n"
    assert train.ok("run", "-e", "train", "--generation", "1", *SAY) == "1.0\n"
    assert train.ok("exec", "-e", "train:1", "--lock", first["lock_digest"], *SAY) == "1.0\n"
    assert train.failed(125, "exec", "-e", "train", "--generation", "9", *SAY)["code"] == "not-found"
    run = train.json("runs", "list")["runs"][0]
    assert (run["generation"], run["environment"]) == (1, {"name": "train", "version": 1})


@pytest.mark.parametrize("date", ["2099-01-01", "tomorrow", "2020-02-30", ""])
def test_as_of_a_day_that_is_none_or_yet_to_come(train: Roost, date: str) -> None:
    assert train.failed(2, "build", "--as-of", date)["code"] == "usage"
    assert train.json("builds", "list")["builds"] == []
