"""The Python API with a real daemon: the flow of Azure's notebook "using environments", and what is roost's."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from pip_index import PipIndex, wheel_bytes
from roost_process import Roost

from roost.client import (
    BuildFailedError,
    CondaDependencies,
    DefinitionError,
    Environment,
    EnvironmentNotFoundError,
    EnvironmentReference,
    Experiment,
    ImageBuildDetails,
    MavenLibrary,
    NotFoundError,
    RCranPackage,
    RGitHubPackage,
    RoostError,
    RSection,
    RunConfig,
    RunFailedError,
    ScriptRunConfig,
    SparkPackage,
    UsageError,
    Workspace,
)

HELLO = "import greet, os, sys\nprint('hello', greet.value, *sys.argv[1:], os.environ.get('WORD'))\n"


@pytest.fixture
def workspace(roost: Roost, pip_index: PipIndex, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace of the test's root, for this process."""
    for name in ("ROOST_HOME", "ROOST_CONFIG"):
        monkeypatch.setenv(name, roost.environ[name])
    monkeypatch.delenv("ROOST_SOCKET", raising=False)
    monkeypatch.chdir(roost.folder)
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("greet", "2.0")
    return Workspace.from_config()


def described(name: str = "train", *packages: str) -> Environment:
    environment = Environment(name)
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=packages or ("greet==1.0",))
    return environment


def own(workspace: Workspace) -> list[str]:
    """The names of those that are not curated."""
    return sorted(name for name in workspace.environments if not name.startswith("Roost-"))


def script(roost: Roost, text: str = HELLO) -> Path:
    return roost.write("project/hello.py", text).parent


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
    source = ScriptRunConfig(source_directory=script(roost), script="hello.py", arguments=["--n", 3])
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
        ScriptRunConfig(script(roost), "hello.py", environment=Environment.get(workspace, "myenv"))
    )
    again.wait_for_completion()
    assert capsys.readouterr().out == ""
    assert again.get_all_logs(str(tmp_path)) == [str(tmp_path / f"{again.id}.txt")]
    assert (tmp_path / f"{again.id}.txt").read_text() == "hello 2.0 None\n"
    assert [found.id for found in Experiment(workspace, "flow").get_runs()] == [again.id, run.id]
    assert [experiment.name for experiment in Experiment.list(workspace)] == ["flow"]
    assert list(workspace.experiments) == ["flow"]


def test_a_description_that_is_not_registered_is_registered_by_its_run(workspace: Workspace, roost: Roost) -> None:
    config = ScriptRunConfig(script(roost), "hello.py", environment=described("fresh"))
    run = Experiment(workspace, "e").submit(config)
    run.wait_for_completion()
    assert run.get_details()["runDefinition"]["environment"] == {"name": "fresh", "version": 1}
    assert run.get_environment().version == "1"
    again = Experiment(workspace, "e").submit(config)
    again.wait_for_completion()
    assert again.get_environment().version == "1"


def test_a_runs_environment_brings_back_its_generation(workspace: Workspace, roost: Roost, pip_index: PipIndex) -> None:
    described("drift", "greet<3").register(workspace)
    config = ScriptRunConfig(script(roost), "hello.py", environment=EnvironmentReference("drift"))
    first = Experiment(workspace, "e").submit(config)
    first.wait_for_completion()
    pip_index.wheel("greet", "2.5")
    roost.ok("build", "-e", "drift", "--rebuild")
    second = Experiment(workspace, "e").submit(config)
    second.wait_for_completion()
    back = Experiment(workspace, "e").submit(
        ScriptRunConfig(script(roost), "hello.py", environment=first.get_environment())
    )
    back.wait_for_completion()
    said = [run.get_details_with_logs()["log_files"][f"{run.id}.txt"] for run in (first, second, back, first.rerun())]
    assert said[:3] == ["hello 2.0 None\n", "hello 2.5 None\n", "hello 2.0 None\n"]
    generations = [run.get_details()["roost"]["generation"] for run in (first, second, back)]
    assert generations == [1, 2, 1]


def test_a_failing_run_raises_and_tells_how_it_ended(workspace: Workspace, roost: Roost) -> None:
    folder = script(roost, "import sys\nprint('so far')\nsys.exit(3)\n")
    run = Experiment(workspace, "e").submit(ScriptRunConfig(folder, "hello.py", environment=described()))
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
        ScriptRunConfig(script(roost), "hello.py", environment=described("none", "absent-package"))
    )
    with pytest.raises(RunFailedError, match="absent-package") as caught:
        run.wait_for_completion(show_output=True)
    assert caught.value.fields["error"]["code"]
    assert "absent-package" in capsys.readouterr().out
    with pytest.raises(BuildFailedError, match="absent-package"):
        described("none", "absent-package").build_local(workspace)


def test_a_run_is_cancelled(workspace: Workspace, roost: Roost) -> None:
    folder = script(roost, "import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    run = Experiment(workspace, "e").submit(ScriptRunConfig(folder, "hello.py", environment=described()))
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
    run = Experiment(workspace, "e").submit(ScriptRunConfig(script(roost, code), "hello.py", environment=described()))
    while not run._output():
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
    run = Experiment(workspace, "e").submit(ScriptRunConfig(script(roost), "hello.py", environment=described()))
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


def test_variables_and_commands_of_a_run_configuration(workspace: Workspace, roost: Roost) -> None:
    config = RunConfig(script="hello.py")
    config.environment, config.target = described(), "local"
    config.environment_variables["WORD"] = "now"
    run = Experiment(workspace, "e").submit(ScriptRunConfig(script(roost), run_config=config))
    run.wait_for_completion()
    shell = ScriptRunConfig(script(roost), command="python hello.py $WORD; echo done", run_config=config)
    words = Experiment(workspace, "e").submit(shell)
    words.wait_for_completion()
    assert run.get_details_with_logs()["log_files"][f"{run.id}.txt"] == "hello 1.0 now\n"
    assert words.get_details_with_logs()["log_files"][f"{words.id}.txt"] == "hello 1.0 now now\ndone\n"


def test_the_file_in_the_source_folder_counts_where_no_environment_is_named(workspace: Workspace, roost: Roost) -> None:
    roost.write("project/requirements.txt", "greet==2.0\n")
    run = Experiment(workspace, "e").submit(ScriptRunConfig(script(roost), "hello.py"))
    run.wait_for_completion()
    assert run.get_environment().name == "project"


def test_labels_and_versions(workspace: Workspace) -> None:
    described("train").register(workspace)
    described("train", "greet==2.0").register(workspace)
    Environment.label(workspace, "train", "1", ["best", "tried"])
    assert Environment.get(workspace, "train", label="best").version == "1"
    assert Environment.get(workspace, "train", version=1).labels == ["best", "tried"]
    assert Environment.get(workspace, "train", label="latest").version == "2"
    with pytest.raises(UsageError, match="at most one"):
        Environment.get(workspace, "train", version="1", label="best")
    with pytest.raises(UsageError, match="no version"):
        Environment.get(workspace, "train", version="best")
    with pytest.raises(UsageError, match="no version"):
        Environment.label(workspace, "train", "0", ["best"])
    with pytest.raises(UsageError, match="'labels' is a text"):
        Environment.label(workspace, "train", "1", "best")
    with pytest.raises(UsageError, match="kept by roost"):
        Environment.label(workspace, "train", "1", ["latest"])
    first = Environment.get(workspace, "train", 1)
    first.version = "7"
    with pytest.raises(UsageError, match="count up"):
        first.register(workspace)
    with pytest.raises(UsageError):
        Environment.get(workspace, "../train")
    for name, label in (("none", None), ("train", "none")):
        with pytest.raises(EnvironmentNotFoundError):
            Environment.get(workspace, name, label=label)
    assert "none" not in workspace.environments
    with pytest.raises(KeyError):
        workspace.environments["none"]


def test_a_clone_is_registered_under_its_own_name_with_the_same_digest(workspace: Workspace) -> None:
    first = described().register(workspace)
    copy = first.clone("copy")
    assert (copy.name, copy.version, copy.asset_id) == ("copy", None, None)
    registered = copy.register(workspace)
    assert (registered.version, registered.definition_digest) == ("1", first.definition_digest)
    assert own(workspace) == ["copy", "train"]


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
        described(name or "x").clone(name).register(workspace)
    assert own(workspace) == []


def test_building_tells_what_happens(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    build = described().build_local(workspace)
    assert (build.status, "ready after" in capsys.readouterr().out) == ("Succeeded", True)
    assert "installing pip packages …" in build.get_log()
    again = described().build_local(workspace)
    assert (again.id, again.status, again.get_log()) == (None, "Succeeded", "")
    with pytest.raises(UsageError, match="platform='Windows'"):
        described().build_local(workspace, platform="Windows")


def test_everything_a_definition_can_say_comes_back(workspace: Workspace, roost: Roost) -> None:
    wheel = roost.write("wheels/x-1.0-py3-none-any.whl", "no wheel, but content")
    roost.write("more.txt", "greet\n")
    made = Environment("all")
    dependencies = CondaDependencies.create(conda_packages=["numpy >=1.20"], python_version="3.11")
    dependencies.set_pip_requirements(["-r more.txt", "./wheels/x-1.0-py3-none-any.whl", "six==1.16.0"])
    dependencies.add_channel("conda-forge")
    made.python.conda_dependencies = dependencies
    made.docker.base_image, made.docker.steps = "debian:12-slim", ["RUN true"]
    made.docker.platform.os, made.docker.platform.architecture = "Linux", "amd64"
    made.docker.shm_size, made.docker.arguments = "2g", ["--cpus=1"]
    made.system = {"cuda": "12"}
    made.spark.packages = [SparkPackage("g", "a", "1")]
    made.spark.repositories = ["https://repository.example.org"]
    made.r = RSection()
    made.r.r_version, made.r.bioconductor_packages = "4.3", ["limma"]
    made.environment_variables = {"A": "1"}
    made.inferencing_stack_version = "latest"
    made.docker.enabled, made.spark.precache_packages, made.r.rscript_path = True, False, "/usr/bin/Rscript"
    made.r.cran_packages = [RCranPackage("ggplot2", "3.3.0"), RCranPackage("dplyr", None, "https://cran.example.org")]
    made.r.github_packages = [RGitHubPackage("user/name@v1")]
    made.databricks.maven_libraries.append(MavenLibrary("g:a:1", exclusions=["x:y"]))
    made.python.requires = ">=3.10"
    registered = made.register(workspace)
    wheel.unlink()
    (roost.folder / "more.txt").unlink()
    fetched = Environment.get(workspace, "all")
    assert fetched.register(workspace).version == "1"
    fetched.environment_variables["A"] = "2"
    changed = fetched.register(workspace)
    assert (changed.version, changed.definition_digest) == ("2", registered.definition_digest)
    assert json.loads(repr(changed))["variables"] == {"A": "2"}
    assert changed.python.conda_dependencies is not None
    lines = [str(line).rpartition("/")[2] for line in changed.python.conda_dependencies.pip_packages]
    assert lines == ["x-1.0-py3-none-any.whl", "six==1.16.0"]
    assert list(changed.python.conda_dependencies.pip_options) == ["-r more.txt"]
    said = [json.loads(repr(environment)) for environment in (registered, changed)]
    for one in said:
        one.update(version=None, variables=None)
    assert said[0] == said[1]
    assert said[0].keys() == {
        *("name", "version", "base", "conda", "pip", "python", "system", "spark", "r", "inference"),
        *("variables", "container", "kept"),
    }
    assert changed.r is not None
    assert (changed.r.r_version, changed.spark.packages[0].artifact) == ("4.3", "a")
    assert [(p.name, p.version, p.repository) for p in changed.r.cran_packages or ()] == [
        ("ggplot2", "3.3.0", None),
        ("dplyr", None, "https://cran.example.org"),
    ]
    assert (changed.r.rscript_path, changed.spark.precache_packages, changed.docker.enabled) == (
        *("/usr/bin/Rscript", False, True),
    )
    assert changed.databricks.maven_libraries == [MavenLibrary("g:a:1", exclusions=["x:y"])]
    assert changed.docker.platform.architecture == "amd64"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("environment.yml", "dependencies:\n- Python =3.11 \n- numpy\n- pip:\n  - -r more/r.txt\n  - Six == 1.16\n"),
        ("requirements.txt", "# said\n-r more/r.txt\nsix \\\n  ==1.16  # pinned\n./more/x-1.0-py3-none-any.whl\n"),
    ],
)
def test_what_a_file_says_has_the_digest_that_the_command_line_gives_it(
    workspace: Workspace, roost: Roost, monkeypatch: pytest.MonkeyPatch, file: str, text: str
) -> None:
    path = roost.write(f"else where/{file}", text)
    roost.write("else where/more/r.txt", "greet\n")
    roost.write("else where/more/x-1.0-py3-none-any.whl", "content")
    make = Environment.from_conda_specification if file.endswith("yml") else Environment.from_pip_requirements
    environment = make("file", os.path.relpath(path))
    monkeypatch.chdir("/")
    digest = roost.json("digest", "-f", str(path))["definition_digest"]
    assert environment.register(workspace).definition_digest == digest


def test_a_folder_of_azures_is_loaded_changed_and_registered(workspace: Workspace, roost: Roost) -> None:
    parts: dict[str, object] = {"name": "loaded", "version": "7"}
    parts["python"] = {"userManagedDependencies": False, "interpreterPath": "python"}
    parts["docker"] = {"enabled": True, "baseImage": "debian:12-slim", "shmSize": "2g", "arguments": []}
    parts["spark"] = {"repositories": [], "packages": [], "precachePackages": False}
    parts["environmentVariables"] = {"A": "1"}
    folder = roost.write("folder/azureml_environment.json", json.dumps(parts)).parent
    roost.write("folder/conda_dependencies.yml", "dependencies: [python=3.11, {pip: [greet==1.0]}]\n")
    loaded = Environment.load_from_directory("folder")
    assert (loaded.name, loaded.version, loaded.docker.base_image) == ("loaded", None, "debian:12-slim")
    assert (loaded.docker.enabled, loaded.spark.precache_packages, loaded.docker.shm_size) == (True, False, "2g")
    first = loaded.register(workspace)
    assert roost.json("digest", "-f", str(folder))["definition_digest"] == first.definition_digest
    loaded.environment_variables["A"] = "2"
    assert loaded.register(workspace).version == "2"
    with pytest.raises(FileNotFoundError):
        Environment.load_from_directory(roost.folder)
    roost.write("folder/azureml_environment.json", "{")
    with pytest.raises(DefinitionError):
        Environment.load_from_directory(folder)


def test_variables_of_the_definition_come_from_this_process(
    workspace: Workspace, roost: Roost, monkeypatch: pytest.MonkeyPatch, pip_index: PipIndex
) -> None:
    monkeypatch.setenv("WHERE_FROM", pip_index.url)
    environment = Environment("secret")
    dependencies = CondaDependencies()
    dependencies.set_pip_option("--index-url ${WHERE_FROM}")
    dependencies.add_pip_package("greet==1.0")
    environment.python.conda_dependencies = dependencies
    assert environment.build_local(workspace).status == "Succeeded"
    assert "${WHERE_FROM}" in repr(environment.register(workspace))


def test_a_wrong_definition_is_refused_with_what_is_wrong(workspace: Workspace) -> None:
    with pytest.raises(DefinitionError, match="six="):
        described("wrong", "six=1").register(workspace)
    with pytest.raises(NotFoundError):
        workspace.get_run("r-none")
    with pytest.raises(DefinitionError):
        described("wrong", "./none-1.0-py3-none-any.whl").register(workspace)


def test_a_private_wheel_is_kept_though_its_file_goes(workspace: Workspace, roost: Roost) -> None:
    name, content = wheel_bytes("private", "1.0")
    path = roost.folder / name
    path.write_bytes(content)
    line = Environment.add_private_pip_wheel(workspace, name)
    assert Environment.add_private_pip_wheel(workspace, str(path), exist_ok=True) == line
    path.unlink()
    environment = described("private", line)
    assert environment.build_local(workspace).status == "Succeeded"
    assert environment.python.conda_dependencies is not None
    environment.python.conda_dependencies.remove_pip_package("private")
    assert list(environment.python.conda_dependencies.pip_packages) == []
    with pytest.raises(RoostError):
        Environment.add_private_pip_wheel(workspace, "none-1.0-py3-none-any.whl")


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
    with pytest.raises(UsageError, match="no JSON"):
        Workspace.from_config(str(azure))
    with pytest.raises(UsageError, match="no workspace 'other'"):
        Workspace.get("other")
    assert [w.root for w in Workspace.list()["default"]] == [workspace.root]
