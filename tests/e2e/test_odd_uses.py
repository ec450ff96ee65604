"""Commands used in odd ways: what was asked for is done or refused, and the message says which."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import ROOST, Roost

from roost.client import Experiment, ScriptRunConfig, UsageError, Workspace
from roost.client.launch.supervise import Supervisor

TRAIN = 'name = "train"\n[pip]\nrequirements = ["toy"]\n'
PASS = ("--", "python", "-c", "print('said')")


@pytest.fixture
def train(roost: Roost, pip_index: PipIndex) -> Roost:
    """A project with an environment that is registered, and that nothing was built of."""
    pip_index.wheel("toy", "1.0")
    roost.write("roost.toml", TRAIN)
    roost.ok("env", "register")
    return roost


def editor(train: Roost, script: str) -> dict[str, str]:
    path = train.folder / "editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return {"EDITOR": str(path), "VISUAL": ""}


@pytest.mark.parametrize("option", [("--generation", "1"), ("-t", "docker"), ("--ignore-image",)])
def test_register_takes_no_option_that_it_would_not_heed(train: Roost, option: tuple[str, ...]) -> None:
    assert train.failed(2, "env", "register", *option)["code"] == "usage"


def test_one_version_is_not_all_of_them(train: Roost) -> None:
    assert "one version" in train.failed(2, "env", "versions", "train:1")["message"]
    assert train.json("env", "archive", "train:1") == {"archived": "train:1"}
    assert train.ok("env", "versions", "train", "--all").splitlines()[1].endswith("Z (archived)")
    assert train.json("env", "restore", "train:1") == {"restored": "train:1"}
    assert train.json("env", "archive", "train") == {"archived": "train"}


def test_an_emptied_file_calls_an_edit_off(train: Roost) -> None:
    done = train.run("env", "edit", "train", "--json", variables=editor(train, ': > "$1"'))
    assert (done.returncode, '"created": false' in done.stdout) == (0, True)
    assert "nothing was registered" in done.stderr
    assert len(train.json("env", "versions", "train")["versions"]) == 1


def test_what_is_wrong_in_an_edit_is_in_the_file_that_is_kept(train: Roost) -> None:
    body = train.failed(3, "env", "edit", "train", variables=editor(train, 'echo "[nonsense]" >> "$1"'))
    kept = Path(body["location"]["path"])
    assert "[nonsense]" in kept.read_text()
    kept.unlink()
    binary = train.failed(3, "env", "edit", "train", variables=editor(train, "printf '\\377' > \"$1\""))
    assert "not valid UTF-8" in binary["message"]


def test_no_editor_is_started_where_nobody_could_use_it(train: Roost) -> None:
    named = {"EDITOR": "", "VISUAL": ""}
    body = train.failed(2, "env", "edit", "train", variables=named, stdin=subprocess.DEVNULL)
    assert "EDITOR" in body["hint"]


@pytest.mark.parametrize("words", [("env", "show", "train"), ("env", "list", "--json"), ("digest",)])
def test_output_that_can_not_be_written_is_an_error(train: Roost, words: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [ROOST, *words], cwd=train.folder, env=train.environ, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "The output can't be written: No space left on device." in done.stderr


IN_A_GONE_FOLDER = [
    (2, ("env", "diff", "train")),
    (2, ("env", "clone", "train", "other")),
    (2, ("env", "import", "x.yml")),
    (2, ("env", "add-wheel", "x.whl")),
    (2, ("env", "rollback", "train")),
    (125, ("exec", "-e", "train", "--", "true")),
    (125, ("run", "-t", "docker", "-e", "train", "--", "true")),
]


def test_a_working_folder_that_is_gone_is_said(train: Roost) -> None:
    gone = train.folder / "gone"
    gone.mkdir()
    script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    for status, words in IN_A_GONE_FOLDER:
        gone.mkdir(exist_ok=True)
        done = subprocess.run(
            ["sh", "-c", script, "sh", str(gone), ROOST, *words], env=train.environ, capture_output=True, text=True
        )
        assert done.returncode == status, f"{words}: {done.stderr}"
        assert "roost: The working folder no longer exists." in done.stderr, words


def test_who_tells_what_stays_here_and_when_it_was_used_last(train: Roost) -> None:
    train.ok("build")
    [built] = train.json("env", "who", "toy")["prefixes"]
    train.ok("exec", *PASS)
    answer = train.json("env", "who", "toy")
    [used], [generation] = answer["prefixes"], answer["generations"]
    assert used["last_used"] > built["last_used"]
    assert ("+" in generation["platform"], generation["host"]) == (False, True)
    shown = train.ok("env", "who", "toy")
    assert f"{generation['platform']}, this machine only" in shown
    assert "+host" not in shown


def test_rollback_takes_a_file_and_says_what_moved(train: Roost) -> None:
    train.ok("build")
    train.ok("build", "--rebuild")
    assert "moved: train:1" in train.ok("env", "rollback", "roost.toml")
    again = train.ok("env", "rollback", "train", "--to", "1")
    assert "was current already" in again
    assert "moved" not in again
    refused = train.failed(7, "env", "rollback", "train")
    assert "+host" not in refused["message"] + refused["fields"]["platform"]
    assert train.failed(7, "env", "rollback", "train", "--platform", "osx-64")["hint"].startswith("There are some for")


def test_a_run_that_was_not_detached_has_no_output_to_show(train: Roost) -> None:
    train.ok("run", *PASS)
    [run] = train.json("runs", "list")["runs"]
    done = train.run("runs", "logs", run["id"])
    assert (done.returncode, done.stdout) == (0, "")
    assert "is not stored" in done.stderr
    assert train.json("runs", "logs", run["id"]) == {"output": ""}
    assert "shows its result" in train.failed(2, "runs", "cancel", run["id"])["hint"]
    shown = dict(line.split(maxsplit=1) for line in train.ok("runs", "show", run["id"]).splitlines())
    assert shown["environment"] == "train:1"
    assert "." not in shown["started"]


def test_a_run_in_a_folder_that_is_gone_does_not_blame_the_command(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    spec: dict[str, Any] = {
        "command": [sys.executable, "-c", "pass"], "cwd": gone, "environ": {}, "variables": {},
        "launch": {"lease": None, "changes": [], "variables": {}, "prefix": "/"},
        "socket": str(tmp_path / "none"), "run_id": "r1",
    }  # fmt: skip
    output = io.BytesIO()
    assert Supervisor(str(tmp_path), spec).run(output) == 125
    assert f"the folder {gone} does not exist" in output.getvalue().decode()


def test_nothing_is_submitted_to_a_folder_that_is_not_there(tmp_path: Path) -> None:
    config = ScriptRunConfig(source_directory=tmp_path / "gone", script="train.py")
    with pytest.raises(UsageError, match="There is no folder"):
        Experiment(Workspace(), "first").submit(config)


def test_characters_of_the_output_stay_whole_in_json(train: Roost) -> None:
    run = train.json("run", "--detach", "--", "python", "-c", "print('x' + 'é' * 300_000)")["id"]
    train.ok("runs", "logs", "-f", run)
    parts = [json.loads(line)["output"] for line in train.ok("runs", "logs", "--json", run).splitlines()]
    assert len(parts) > 1
    assert "".join(parts) == "x" + "é" * 300_000 + "\n"


@pytest.mark.parametrize("version", ["0", "01", "9" * 30, "٣"])
def test_what_is_no_version_is_wrong_usage(train: Roost, version: str) -> None:
    for words in (("show", f"train:{version}"), ("archive", f"train:{version}"), ("label", f"train:{version}", "x")):
        assert train.failed(2, "env", *words)["code"] in ("usage", "name-invalid")
    assert train.failed(2, "digest", "-e", f"train:{version}")["code"] == "name-invalid"


EMPTY = [
    ("env", "register", "-f", ""),
    ("env", "import", ""),
    ("env", "diff", "train", ""),
    ("env", "label", "train", ""),
    ("env", "show", ""),
    ("curated", "publish", ""),
    ("runs", "show", ""),
    ("runs", "logs", ".."),
    ("build", "-f", ""),
]


def test_an_empty_name_is_never_taken_for_none(train: Roost) -> None:
    for words in EMPTY:
        body = train.failed(2, *words)
        assert "openapi" not in body["hint"], words
    assert train.failed(7, "runs", "show", "../environments")["message"] == "No run has the id '../environments'"
