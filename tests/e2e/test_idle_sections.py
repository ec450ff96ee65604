"""Parts of a definition that nothing installs yet: whoever plans, builds or runs it is told so."""

from __future__ import annotations

import json

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

from roost.client import Environment, EnvironmentNotFoundError, Experiment, ScriptRunConfig, SparkPackage, Workspace

TEXT = '[pip]\nrequirements = ["greet==1.0"]\n[spark]\npackages = ["g:a:1"]\n[r]\nversion = "4.2"\n'
SAID = [f"section {name!r} is kept, but roost does not install what it lists yet" for name in ("spark", "r")]


def idle(answer: dict) -> list[str]:
    return [each["message"].split(":")[0] for each in answer["warnings"] if each["code"] == "section-idle"]


def test_plans_builds_and_runs_report_them_by_every_name(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    roost.write("roost.toml", TEXT)
    assert idle(roost.json("plan")) == SAID
    built = [json.loads(line) for line in roost.ok("build", "--json").splitlines()]
    assert idle(next(message for message in built if message.get("event") == "plan")) == SAID
    roost.ok("env", "register", "--name", "parts")
    (roost.folder / "roost.toml").rename(roost.folder / "other.toml")
    assert idle(roost.json("plan", "-e", "parts")) == SAID
    for way in (["-e", "parts"], ["-f", "other.toml"]):
        for _ in range(2):  # the second time, nothing is left to build
            done = roost.run("run", *way, "--", "python", "-c", "import greet")
            assert done.returncode == 0, done.stderr
            assert all(done.stderr.count(said) == 1 for said in SAID), done.stderr
        shown = roost.run("build", *way).stderr
        assert all(shown.count(said) == 1 for said in SAID), shown
    again = roost.run("runs", "rerun", roost.json("runs", "list")["runs"][0]["id"])
    assert again.returncode == 0
    assert all(again.stderr.count(said) == 1 for said in SAID), again.stderr
    shell = ["sh", "-c", "echo [$A${A+set}]"]
    assert roost.ok("run", "-e", "parts", "--var", "A=", "--", *shell) == "[set]\n"


def test_the_python_api_reports_them_and_builds_anew(
    workspace: Workspace,
    roost: Roost,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment = Environment("parts")
    environment.python.conda_dependencies.add_pip_package("greet")
    environment.spark.packages = [SparkPackage("g", "a", "1")]
    environment.build_local(workspace)
    assert SAID[0] in capsys.readouterr().out
    environment.build_local(workspace, rebuild=True)
    assert len(roost.json("builds", "list")["builds"]) == 2
    assert {row["generation"] for row in roost.json("builds", "list")["builds"]} == {1, 2}
    roost.write("source/a.py", "print(1)")
    config = ScriptRunConfig("source", "a.py", environment=environment)
    Experiment(workspace, "e").submit(config).wait_for_completion()
    assert SAID[0] in caplog.text
    with pytest.raises(EnvironmentNotFoundError, match="'Roost-Scikit-Learn'"):
        Environment.get(workspace, "AzureML-sklearn-1.5-ubuntu22.04-py310-cpu")
