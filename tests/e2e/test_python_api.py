"""The Python API with a real daemon: the flow of Azure's notebook "using environments", and roost's additions."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.python_api import make_environment, own_names, write_script
from tests.support.roost_process import Roost

from roost.client import (
    BuildFailedError,
    CondaDependencies,
    Environment,
    EnvironmentNotFoundError,
    EnvironmentReference,
    Experiment,
    ImageBuildDetails,
    NotFoundError,
    RoostError,
    RunConfig,
    RunFailedError,
    ScriptRunConfig,
    UsageError,
    Workspace,
)
from roost.client.api.run_record import LOG_NAME


def test_the_flow_of_the_notebook(
    workspace: Workspace, roost: Roost, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    myenv = Environment(name="myenv")
    dependencies = CondaDependencies()
    dependencies.add_pip_package("greet==1.0")
    myenv.python.conda_dependencies = dependencies
    registered = myenv.register(workspace=workspace)
    assert (registered.name, registered.version, registered.asset_id, myenv.version) == ("myenv", "1", "myenv:1", None)

    environments = Environment.list(workspace=workspace)
    assert [name for name in environments if not name.startswith("Roost-")] == ["myenv"]
    assert environments["myenv"].python.conda_dependencies is not None
    assert list(environments["myenv"].python.conda_dependencies.pip_packages) == ["greet==1.0"]

    fetched = Environment.get(workspace=workspace, name="myenv", version="1")
    source = ScriptRunConfig(source_directory=write_script(roost), script="hello.py", arguments=["--n", 3])
    source.run_config.target = "local"
    source.run_config.environment = fetched
    run = Experiment(workspace=workspace, name="flow").submit(source)
    details = run.wait_for_completion(show_output=True)
    said = capsys.readouterr().out
    assert f"RunId: {run.id}" in said
    assert "Making the environment" in said
    assert "installing pip packages …" in said
    assert said.index("Making the environment") < said.index("hello 1.0 --n 3 None") < said.index("Execution Summary")
    assert (run.get_status(), run.status, run.exit_status, details["status"]) == (
        "Completed",
        "Completed",
        0,
        "Completed",
    )
    assert details["runDefinition"]["environment"] == {"name": "myenv", "version": 1}

    used = run.get_environment()
    assert (used.name, used.version, used.definition_digest) == ("myenv", "1", registered.definition_digest)

    assert used.python.conda_dependencies is not None
    used.python.conda_dependencies.add_pip_package("greet==2.0")
    assert (used.asset_id, used.definition_digest) == (None, None)
    assert used.register(workspace).version == "2"
    assert Environment.get(workspace, "myenv").version == "2"
    again = Experiment(workspace, "flow").submit(
        ScriptRunConfig(write_script(roost), "hello.py", environment=Environment.get(workspace, "myenv")),
        tags={"best": "", "lr": "0.1"},
    )
    again.wait_for_completion()
    again.tag("lr", "0.2")
    again.tag("new")
    again.set_note("the second one")
    assert again.get_tags() == {"best": "", "lr": "0.2", "new": ""}
    assert workspace.get_run("latest").id == workspace.get_run(again.id[:-1]).id == again.id
    assert workspace.get_run("latest").get_details()["roost"]["note"] == "the second one"
    assert capsys.readouterr().out == ""
    assert again.get_all_logs(str(tmp_path)) == [str(tmp_path / f"{again.id}.txt")]
    assert (tmp_path / f"{again.id}.txt").read_text() == "hello 2.0 None\n"
    assert [found.id for found in Experiment(workspace, "flow").get_runs()] == [again.id, run.id]
    assert [experiment.name for experiment in Experiment.list(workspace)] == ["flow"]
    assert list(workspace.experiments) == ["flow"]


def test_a_description_that_is_not_registered_is_registered_by_its_run(workspace: Workspace, roost: Roost) -> None:
    config = ScriptRunConfig(write_script(roost), "hello.py", environment=make_environment("fresh"))
    run = Experiment(workspace, "e").submit(config)
    run.wait_for_completion()
    assert run.get_details()["runDefinition"]["environment"] == {"name": "fresh", "version": 1}
    assert run.get_environment().version == "1"
    again = Experiment(workspace, "e").submit(config)
    again.wait_for_completion()
    assert again.get_environment().version == "1"


def test_a_runs_environment_brings_back_its_generation(workspace: Workspace, roost: Roost, pip_index: PipIndex) -> None:
    make_environment("drift", "greet<3").register(workspace)
    config = ScriptRunConfig(write_script(roost), "hello.py", environment=EnvironmentReference("drift"))
    first = Experiment(workspace, "e").submit(config)
    first.wait_for_completion()
    pip_index.wheel("greet", "2.5")
    roost.ok("build", "-e", "drift", "--rebuild")
    second = Experiment(workspace, "e").submit(config)
    second.wait_for_completion()
    back = Experiment(workspace, "e").submit(
        ScriptRunConfig(write_script(roost), "hello.py", environment=first.get_environment())
    )
    back.wait_for_completion()
    said = [run.get_details_with_logs()["logFiles"][LOG_NAME] for run in (first, second, back, first.rerun())]
    assert said[:3] == ["hello 2.0 None\n", "hello 2.5 None\n", "hello 2.0 None\n"]
    generations = [run.get_details()["roost"]["generation"] for run in (first, second, back)]
    assert generations == [1, 2, 1]


def test_a_runs_generation_counts_only_on_its_own_platform(workspace: Workspace, roost: Roost) -> None:
    """A prefix on a Python of this machine and an image have separate generations."""
    make_environment("both").register(workspace)
    config = ScriptRunConfig(write_script(roost), "hello.py", environment=EnvironmentReference("both"))
    run = Experiment(workspace, "e").submit(config)
    run.wait_for_completion()
    what = {"cwd": str(roost.folder), "environment": "both:1"}
    request = {"what": {**what, "generation_of": run.id}, "targets": ["local", "docker"]}
    local, image = workspace._request("POST", "/v1/plans", request)["plans"]
    assert (local["action"], image["action"]) == ("reuse-prefix", "build-image")
    with pytest.raises(NotFoundError) as refused:
        workspace._request("POST", "/v1/plans", {"what": {**what, "generation": 1}, "targets": ["docker"]})
    assert "no generation 1 for linux-" in str(refused.value)
    assert "(this machine only)" in str(refused.value), "generations are told with their platforms"
    with pytest.raises(NotFoundError):
        workspace._request("POST", "/v1/plans", {"what": {**what, "generation_of": "r-none"}})


def test_what_a_run_used_is_made_again_where_its_prefix_is_gone(
    workspace: Workspace, roost: Roost, pip_index: PipIndex
) -> None:
    config = ScriptRunConfig(write_script(roost), "hello.py", environment=make_environment("old", "greet<3"))
    first = Experiment(workspace, "e").submit(config)
    first.wait_for_completion()
    pip_index.wheel("greet", "2.5")
    roost.ok("daemon", "stop")
    for path in (roost.root / "prefixes").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    old = first.get_environment()
    again = Experiment(workspace, "e").submit(ScriptRunConfig(write_script(roost), "hello.py", environment=old))
    again.wait_for_completion()
    assert again.get_details_with_logs()["logFiles"][LOG_NAME] == "hello 2.0 None\n"
    one, other = (run.get_details()["roost"] for run in (first, again))
    assert (one["lock_digest"], one["generation"]) == (other["lock_digest"], other["generation"])
    assert one["artifact"] != other["artifact"]


def test_what_is_no_configuration_or_has_no_meaning_is_not_submitted(workspace: Workspace, roost: Roost) -> None:
    experiment = Experiment(workspace, "e")
    with pytest.raises(UsageError, match="can't be submitted"):
        experiment.submit(RunConfig("hello.py"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="can't be a tag"):
        experiment.submit(
            ScriptRunConfig(write_script(roost), "hello.py", environment=make_environment()), tags={"a b": "c"}
        )
    with pytest.raises(UsageError, match="valid experiment name"):
        Experiment(workspace, " ")
    assert list(experiment.get_runs()) == []


def test_a_failing_run_raises_and_tells_how_it_ended(workspace: Workspace, roost: Roost) -> None:
    folder = write_script(roost, "import sys\nprint('so far')\nsys.exit(3)\n")
    run = Experiment(workspace, "e").submit(ScriptRunConfig(folder, "hello.py", environment=make_environment()))
    with pytest.raises(RunFailedError, match="exit status 3") as caught:
        run.wait_for_completion()
    assert caught.value.fields == {"run": run.id, "status": "Failed", "exit_status": 3}
    assert run.wait_for_completion(raise_on_error=False)["status"] == "Failed"
    assert [found.id for found in Experiment(workspace, "e").get_runs(status="Failed")] == [run.id]
    assert list(Experiment(workspace, "e").get_runs(status="Completed")) == []


def test_a_run_whose_environment_cant_be_made_says_why(
    workspace: Workspace, roost: Roost, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Experiment(workspace, "e").submit(
        ScriptRunConfig(write_script(roost), "hello.py", environment=make_environment("none", "absent-package"))
    )
    with pytest.raises(RunFailedError, match="absent-package") as caught:
        run.wait_for_completion(show_output=True)
    assert caught.value.fields["error"]["code"]
    assert "absent-package" in capsys.readouterr().out
    with pytest.raises(BuildFailedError, match="absent-package"):
        make_environment("none", "absent-package").build_local(workspace)


def test_a_run_is_cancelled(workspace: Workspace, roost: Roost) -> None:
    folder = write_script(roost, "import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    run = Experiment(workspace, "e").submit(ScriptRunConfig(folder, "hello.py", environment=make_environment()))
    while run.get_status() != "Running":
        pass
    assert run.exit_status is None
    run.cancel()
    assert run.wait_for_completion(raise_on_error=False)["status"] == "Canceled"
    assert workspace.get_run(run.id).status == "Canceled"
    assert workspace.get_run(run.id).experiment.name == "e"


def test_a_daemon_that_dies_while_a_run_is_followed_costs_nothing(
    workspace: Workspace, roost: Roost, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import time\nfor n in range(30):\n    print('line', n, flush=True)\n    time.sleep(0.1)\n"
    run = Experiment(workspace, "e").submit(
        ScriptRunConfig(write_script(roost, code), "hello.py", environment=make_environment())
    )
    while not run._fetch_output():
        pass
    pid = workspace.get_details()["pid"]
    killer = threading.Timer(0.5, os.kill, (pid, signal.SIGKILL))
    killer.start()
    assert run.wait_for_completion(show_output=True)["status"] == "Completed"
    killer.join()
    assert workspace.get_details()["pid"] != pid
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line.startswith("line")] == [f"line {n}" for n in range(30)]


def test_a_daemon_that_dies_while_it_builds_leaves_no_one_waiting(
    workspace: Workspace, roost: Roost, pip_index: PipIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    pip_index.hanging.add("greet-1.0-py3-none-any.whl")
    run = Experiment(workspace, "e").submit(
        ScriptRunConfig(write_script(roost), "hello.py", environment=make_environment())
    )
    pid = workspace.get_details()["pid"]
    killer = threading.Timer(1, os.kill, (pid, signal.SIGKILL))
    killer.start()
    assert run.wait_for_completion(show_output=True, raise_on_error=False)["status"] in ("Failed", "NotResponding")
    killer.join()
    [build] = roost.json("builds", "list")["builds"]
    made = ImageBuildDetails(workspace, build["id"])
    assert made.status == "Failed"
    with pytest.raises(RoostError, match="daemon"):
        made.wait_for_completion(show_output=True)
    said = capsys.readouterr().out
    assert said.count("locking pip packages …") == 2, "once for the run, once for the build"


def test_an_interrupt_ends_the_waiting_and_not_the_run(workspace: Workspace, roost: Roost) -> None:
    folder = write_script(roost, "import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    run = Experiment(workspace, "e").submit(ScriptRunConfig(folder, "hello.py", environment=make_environment()))
    code = (
        "import sys; from roost.client import Workspace\n"
        "try: Workspace.from_config().get_run(sys.argv[1]).wait_for_completion(show_output=True)\n"
        "except KeyboardInterrupt: sys.exit('let go')"
    )
    command = [sys.executable, "-c", code, run.id]
    waiting = subprocess.Popen(command, env=roost.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert waiting.stdout is not None
    while "begun" not in waiting.stdout.readline():
        pass
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=60)
    assert said == "let go\n"
    assert run.get_status() == "Running"
    run.cancel()
    assert run.wait_for_completion(raise_on_error=False)["status"] == "Canceled"


def test_many_threads_register_one_workspace(workspace: Workspace) -> None:
    def register(number: int) -> int:
        environment = make_environment("many")
        environment.environment_variables["N"] = str(number)
        return int(environment.register(workspace).version or 0)

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(register, range(24))) == list(range(1, 25))
    for n in (1, 24):
        assert Environment.get(workspace, "many", n).version == str(n)


def test_variables_and_commands_of_a_run_configuration(workspace: Workspace, roost: Roost) -> None:
    config = RunConfig(script="hello.py")
    config.environment, config.target = make_environment(), "local"
    config.environment_variables["WORD"] = "now"
    run = Experiment(workspace, "e").submit(ScriptRunConfig(write_script(roost), run_config=config))
    run.wait_for_completion()
    shell = ScriptRunConfig(write_script(roost), command="python hello.py $WORD; echo done", run_config=config)
    words = Experiment(workspace, "e").submit(shell)
    words.wait_for_completion()
    assert run.get_details_with_logs()["logFiles"][LOG_NAME] == "hello 1.0 now\n"
    assert words.get_details_with_logs()["logFiles"][LOG_NAME] == "hello 1.0 now now\ndone\n"


def test_a_user_managed_environment_is_used_as_it_is(workspace: Workspace, roost: Roost) -> None:
    config = ScriptRunConfig(write_script(roost, "import sys; print(sys.executable)"), "hello.py")
    config.run_config.environment.python.user_managed_dependencies = True
    config.run_config.environment.python.interpreter_path = sys.executable
    config.run_config.environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["greet"])
    run = Experiment(workspace, "e").submit(config)
    run.wait_for_completion()
    assert run.get_details_with_logs()["logFiles"][LOG_NAME] == f"{sys.executable}\n"
    assert run.get_details()["roost"]["interpreter"]["path"] == sys.executable
    used = run.get_environment()
    assert (used.name, used.kind, used.python.interpreter_path) == (
        *("default-environment", "user-managed", sys.executable),
    )
    assert used.python.conda_dependencies is not None
    assert list(used.python.conda_dependencies.pip_packages) == ["greet"], "kept, though nothing installs it"


def test_without_an_environment_the_file_in_the_source_folder_is_used(workspace: Workspace, roost: Roost) -> None:
    roost.write("project/requirements.txt", "greet==2.0\n")
    run = Experiment(workspace, "e").submit(ScriptRunConfig(write_script(roost), "hello.py"))
    run.wait_for_completion()
    assert run.get_environment().name == "project"


def test_labels_and_versions(workspace: Workspace) -> None:
    make_environment("train").register(workspace)
    make_environment("train", "greet==2.0").register(workspace)
    Environment.label(workspace, "train", "1", ["best", "tried"])
    assert Environment.get(workspace, "train", label="best").version == "1"
    assert Environment.get(workspace, "train", version=1).labels == ["best", "tried"]
    assert Environment.get(workspace, "train", label="latest").version == "2"
    with pytest.raises(UsageError):
        Environment.label(workspace, "train", 2, ["fresh", "no label", "tried"])
    assert Environment.get(workspace, "train", version=2).labels == ["latest"], "all of them or none"
    assert Environment.get(workspace, "train", label="tried").version == "1"
    with pytest.raises(UsageError, match="at most one"):
        Environment.get(workspace, "train", version="1", label="best")
    with pytest.raises(UsageError, match="not a valid version"):
        Environment.get(workspace, "train", version="best")
    with pytest.raises(UsageError, match="not a valid version"):
        Environment.label(workspace, "train", "0", ["best"])
    with pytest.raises(UsageError, match="'labels' is a string"):
        Environment.label(workspace, "train", "1", "best")
    with pytest.raises(UsageError, match="reserved by roost"):
        Environment.label(workspace, "train", "1", ["latest"])
    first = Environment.get(workspace, "train", 1)
    first.version = "7"
    assert first.register(workspace).version == "7"
    assert make_environment("train", "greet==3.0").register(workspace).version == "8"
    first.environment_variables["A"] = ""
    with pytest.raises(RoostError, match="train:7 exists already with another definition or other settings"):
        first.register(workspace)
    for version in ("0", "best", "-1"):
        first.version = version
        with pytest.raises(UsageError, match="not a valid version"):
            first.register(workspace)
    first.version = None
    assert first.register(workspace).environment_variables == {"A": ""}
    assert Environment.get(workspace, "train").environment_variables == {"A": ""}
    with pytest.raises(UsageError, match="no name to register it by"):
        Environment(None).register(workspace)
    with pytest.raises(UsageError):
        Environment.get(workspace, "../train")
    for name, label in (("none", None), ("train", "none")):
        with pytest.raises(EnvironmentNotFoundError):
            Environment.get(workspace, name, label=label)
    assert "none" not in workspace.environments
    with pytest.raises(KeyError):
        workspace.environments["none"]


def test_a_clone_is_registered_under_its_own_name_with_the_same_digest(workspace: Workspace) -> None:
    first = make_environment().register(workspace)
    copy = first.clone("copy")
    assert (copy.name, copy.version, copy.asset_id) == ("copy", None, None)
    registered = copy.register(workspace)
    assert (registered.version, registered.definition_digest) == ("1", first.definition_digest)
    assert own_names(workspace) == ["copy", "train"]


def test_a_curated_one_is_listed_cloned_and_changed_into_ones_own(workspace: Workspace, roost: Roost) -> None:
    assert "Roost-Minimal" in workspace.environments
    curated = workspace.environments["Roost-Minimal"]
    assert (curated.kind, curated.version) == ("curated", "1")
    copy = curated.clone("mine")
    first = copy.register(workspace)
    assert (first.kind, first.version, first.definition_digest) == ("system-managed", "1", curated.definition_digest)
    assert copy.python.conda_dependencies is not None
    copy.python.conda_dependencies.add_pip_package("greet==1.0")
    second = copy.register(workspace)
    assert second.version == "2"
    assert second.definition_digest != curated.definition_digest
    shown = roost.json("env", "show", "mine")
    assert shown["origin"] == "Roost-Minimal:1"
    assert "greet==1.0" in [difference["after"] for difference in shown["differences"]]
    with pytest.raises(UsageError, match="curated"):
        curated.clone("x").clone("Roost-Minimal").register(workspace)


@pytest.mark.parametrize("name", ["", "a/b", "..", "Roost-mine", "x" * 10_000, "tr\u0430in"])
def test_wrong_names_are_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(UsageError):
        make_environment(name or "x").clone(name).register(workspace)
    assert own_names(workspace) == []


def test_building_tells_what_happens(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    build = make_environment().build_local(workspace)
    assert (build.status, "ready after" in capsys.readouterr().out) == ("Succeeded", True)
    assert "installing pip packages …" in build.get_log()
    again = make_environment().build_local(workspace)
    assert (again.id, again.status, again.get_log()) == (None, "Succeeded", "")
    with pytest.raises(UsageError, match="platform='Windows'"):
        make_environment().build_local(workspace, platform="Windows")


def test_the_workspace_is_the_one_of_this_root(workspace: Workspace, roost: Roost, tmp_path: Path) -> None:
    details = workspace.get_details()
    assert (details["name"], details["root"]) == (workspace.name, str(roost.root))
    azure = tmp_path / "config.json"
    azure.write_text('{"subscription_id": "s", "workspace_name": "w"}')
    assert Workspace.from_config(azure).root == workspace.root == Workspace.get().root
    azure.write_text('{"root": "/elsewhere"}')
    with pytest.raises(UsageError, match="/elsewhere"):
        Workspace.from_config(str(azure))
    azure.write_text("{")
    with pytest.raises(UsageError, match="not valid JSON"):
        Workspace.from_config(str(azure))
    with pytest.raises(UsageError, match="no workspace 'other'"):
        Workspace.get("other")
    assert [w.root for w in Workspace.list()["default"]] == [workspace.root]


def test_a_changed_variable_changes_no_default(workspace: Workspace, roost: Roost) -> None:
    """A version that is fetched, changed and registered under another config has the same definition digest."""
    make_environment("train").register(workspace)
    roost.config.write_text(roost.config.read_text() + '[base]\nimage = "debian:13"\n')
    fetched = Environment.get(workspace, "train")
    fetched.environment_variables = {"COLOUR": "green"}
    assert fetched.register(workspace).version == "2"
    first, second = (roost.json("env", "show", f"train:{number}") for number in (1, 2))
    assert first["definition_digest"] == second["definition_digest"]
