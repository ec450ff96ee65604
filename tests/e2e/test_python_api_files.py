"""The Python API and files: nothing of a definition is lost on any way in and out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.corpus import CORPUS, needs_corpus
from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.python_api import make_environment, write_script
from tests.support.roost_process import Roost

from roost.client import (
    CondaDependencies,
    DefinitionError,
    Environment,
    EnvironmentReference,
    Experiment,
    JarLibrary,
    MavenLibrary,
    NotFoundError,
    RCranPackage,
    RGitHubPackage,
    RoostError,
    RSection,
    RunConfig,
    ScriptRunConfig,
    SparkPackage,
    UnsupportedError,
    UsageError,
    Workspace,
)
from roost.client.api.documents import apply_document, to_document
from roost.client.api.run_record import LOG_NAME


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


def test_a_project_is_read_with_choices(workspace: Workspace, roost: Roost) -> None:
    project = '[project]\nname = "p"\ndependencies = ["greet"]\n[project.optional-dependencies]\nfast = ["greet<2"]\n'
    roost.write("pyproject.toml", project + '[dependency-groups]\ndev = []\ndocs = ["six"]\n')
    options = {"python": "3.11", "extras": ["fast"], "groups": ["docs"], "packages": ["rich"]}
    environment = Environment.from_file("train", "pyproject.toml", **options)
    words = ["--python", "3.11", "--extra", "fast", "--group", "docs", "--with", "rich"]
    assert environment.name == "train"
    assert environment.register(workspace).definition_digest == roost.json("digest", *words)["definition_digest"]
    with pytest.raises(DefinitionError, match="no extra 'slow'"):
        Environment.from_file("train", "pyproject.toml", extras=["slow"])


def test_a_folder_of_azures_is_loaded_changed_and_registered(workspace: Workspace, roost: Roost) -> None:
    parts: dict[str, object] = {"name": "loaded", "version": "7"}
    parts["python"] = {"userManagedDependencies": False, "interpreterPath": "python"}
    parts["docker"] = {"enabled": True, "baseImage": "debian:12-slim", "shmSize": "2g", "arguments": []}
    parts["spark"] = {"repositories": [], "packages": [], "precachePackages": False}
    parts["environmentVariables"] = {"A": "1"}
    folder = roost.write("folder/azureml_environment.json", json.dumps(parts)).parent
    roost.write("folder/conda_dependencies.yml", "dependencies: [python=3.11, {pip: [greet==1.0]}]\n")
    loaded = Environment.load_from_directory("folder")
    assert (loaded.name, loaded.version, loaded.docker.base_image) == ("loaded", "7", "debian:12-slim")
    assert (loaded.docker.enabled, loaded.spark.precache_packages, loaded.docker.shm_size) == (True, False, "2g")
    first = loaded.register(workspace)
    assert roost.json("digest", "-f", str(folder))["definition_digest"] == first.definition_digest
    assert first.version == "7"
    loaded.environment_variables["A"] = ""
    assert loaded.register(workspace).version == "8", "the number of the folder is taken"
    loaded.save_to_directory("again")
    again = Environment.load_from_directory("again")
    assert (again.version, again.environment_variables) == ("7", {"A": ""})
    again.version = None
    again.save_to_directory("unnumbered")
    assert Environment.load_from_directory("unnumbered").version is None
    del parts["name"]
    roost.write("nameless/azureml_environment.json", json.dumps({**parts, "version": "best"}))
    nameless = Environment.load_from_directory("nameless")
    assert (nameless.name, nameless.version) == (None, "best")
    nameless.name = "named"
    assert nameless.register(workspace).version == "1"
    assert roost.json("env", "import", "nameless")["environment"]["name"] == "nameless"
    with pytest.raises(FileNotFoundError):
        Environment.load_from_directory(roost.folder)
    roost.write("folder/azureml_environment.json", "{")
    with pytest.raises(DefinitionError):
        Environment.load_from_directory(folder)


def test_a_folder_that_was_saved_is_edited_loaded_and_the_next_version(workspace: Workspace, roost: Roost) -> None:
    made = make_environment("saved")
    made.docker.base_dockerfile = "FROM debian:12-slim\nRUN true\n"
    made.databricks.jar_libraries.append(JarLibrary("dbfs:/x.jar"))
    made.environment_variables["A"] = "1"
    made.r = RSection()
    made.r.cran_packages = [RCranPackage("ggplot2", "3.3.0")]
    first = made.register(workspace)
    first.save_to_directory("some/saved")
    assert sorted(os.listdir("some/saved")) == ["BaseDockerfile", "azureml_environment.json", "conda_dependencies.yml"]
    loaded = Environment.load_from_directory("some/saved")
    assert (loaded.name, loaded.asset_id) == ("saved", None)
    assert loaded.databricks.jar_libraries == [JarLibrary("dbfs:/x.jar")]
    again = loaded.register(workspace)
    assert (again.version, again.definition_digest) == ("1", first.definition_digest)

    conda = roost.folder / "some/saved/conda_dependencies.yml"
    conda.write_text(conda.read_text().replace("greet==1.0", "greet==2.0"))
    assert Environment.load_from_directory("some/saved").register(workspace).version == "2"

    with pytest.raises(FileExistsError):
        first.save_to_directory("some/saved")
    first.docker.base_image = "debian:12-slim"
    first.save_to_directory(roost.folder / "some" / "saved", overwrite=True)
    assert sorted(os.listdir("some/saved")) == ["azureml_environment.json", "conda_dependencies.yml"]
    assert Environment.load_from_directory("some/saved").docker.base_image == "debian:12-slim"


@pytest.mark.parametrize("origin", ["Roost-Minimal", "train"])
def test_a_clone_that_is_saved_keeps_its_own_name(workspace: Workspace, roost: Roost, origin: str) -> None:
    make_environment("train").register(workspace)
    clone = Environment.get(workspace, origin).clone("mine")
    clone.save_to_directory("saved")
    loaded = Environment.load_from_directory("saved")
    assert loaded.name == "mine"
    config = RunConfig("hello.py")
    config.environment = clone
    config.save("one.runconfig")
    assert RunConfig.load("one.runconfig").environment.name == "mine"
    loaded.environment_variables["A"] = "2"
    registered = loaded.register(workspace)
    assert (registered.name, registered.version) == ("mine", "1")
    assert registered.definition_digest == Environment.get(workspace, origin).definition_digest
    renamed = Environment.get(workspace, origin)
    renamed.name = "other"
    renamed.save_to_directory("saved", overwrite=True)
    assert Environment.load_from_directory("saved").name == "other"
    clone.register(workspace).save_to_directory("saved", overwrite=True)
    assert Environment.load_from_directory("saved").name == "mine"


def test_a_run_configuration_is_saved_and_loaded(workspace: Workspace, roost: Roost) -> None:
    config = RunConfig("hello.py", ["--n", 3])
    config.target, config.environment = "local", make_environment("within")
    config.environment.docker.base_dockerfile = "FROM debian:12-slim\nRUN true\n"
    config.environment_variables["WORD"] = "010"
    config.docker.shm_size = "1g"
    config.environment.version, config.history.output_collection = "4", False
    config.save(roost.folder, "mine")
    assert (roost.folder / ".azureml" / "mine.runconfig").is_file()
    config.save(roost.folder, "apart", separate_environment_yaml=True)
    apart = RunConfig.load(roost.folder, "apart")
    assert sorted(os.listdir(".azureml")) == ["apart.runconfig", "environment.yml", "mine.runconfig"]
    assert repr(apart.environment) == repr(RunConfig.load(roost.folder, "mine").environment)
    assert roost.json("digest", "-f", ".azureml/apart.runconfig")["definition_digest"]
    loaded = RunConfig.load(roost.folder, "mine")
    assert (loaded.script, loaded.arguments, loaded.target) == ("hello.py", ["--n", 3], "local")
    assert (loaded.environment.version, loaded.history.output_collection) == ("4", False)
    assert (loaded.environment_variables, loaded.docker.shm_size) == ({"WORD": "010"}, "1g")
    assert loaded.environment.name == "within"
    one, other = (c.environment.register(workspace).definition_digest for c in (config, loaded))
    assert one == other
    config.environment = EnvironmentReference("within", 4)
    config.save("elsewhere/other.runconfig")
    assert RunConfig.load("elsewhere/other.runconfig").environment.asset_id == "within:4"
    RunConfig.delete(roost.folder, "mine")
    for path, name in ((roost.folder, "mine"), ("none", None), ("none", "mine")):
        with pytest.raises(FileNotFoundError):
            RunConfig.load(path, name)
    with pytest.raises(UsageError, match="is a folder"):
        RunConfig.load(roost.folder)


def test_a_run_configuration_of_azures_is_loaded_and_run(workspace: Workspace, roost: Roost) -> None:
    roost.write("project/.azureml/conda.yml", "dependencies: [{pip: [greet==2.0]}]\n")
    roost.write(
        "project/.azureml/mine",
        "script: hello.py\narguments: [--n, '3']\ntarget: local\nframework: Python\ncommunicator: None\n"
        "maxRunDurationSeconds:\nnodeCount: 1\nenvironment:\n  name: e1\n  version:\n"
        "  environmentVariables: {WORD: x}\n  docker: {enabled: false}\n"
        "  python: {userManagedDependencies: false, condaDependenciesFile: .azureml/conda.yml}\n"
        "history: {outputCollection: true}\ndocker: {useDocker: false, shmSize: }\ncommand: ''\n",
    )
    config = RunConfig.load("project", "mine")
    run = Experiment(workspace, "e").submit(ScriptRunConfig(write_script(roost), run_config=config))
    run.wait_for_completion()
    assert run.get_details_with_logs()["logFiles"][LOG_NAME] == "hello 2.0 --n 3 x\n"
    assert run.get_environment().name == "e1"
    roost.write("project/wrong.runconfig", "nodeCount: 3\n")
    wrong = ScriptRunConfig(write_script(roost), "hello.py", run_config=RunConfig.load("project/wrong.runconfig"))
    with pytest.raises(UnsupportedError, match="node_count = 3 is not supported"):
        Experiment(workspace, "e").submit(wrong)
    roost.write("project/wrong.runconfig", "- no\n")
    with pytest.raises(DefinitionError, match="not a run configuration"):
        RunConfig.load("project/wrong.runconfig")


def test_a_run_configuration_says_what_is_written_as_an_import_of_it_does(workspace: Workspace, roost: Roost) -> None:
    roost.write(
        "project/.azureml/mine.runconfig",
        "script: hello.py\nenvironmentVariables: {USE_GPU: yes, V: 1.10}\nenvironment:\n  name: said\n"
        "  environmentVariables: {AT: 12:30, WHEN: 2020-01-02}\n  docker: {enabled: false}\n"
        "  python:\n    condaDependencies: {dependencies: [python=3.10, {pip: [greet==1.0]}]}\n",
    )
    config = RunConfig.load("project", "mine")
    assert config.environment_variables == {"USE_GPU": "yes", "V": "1.10"}
    assert config.environment.environment_variables == {"AT": "12:30", "WHEN": "2020-01-02"}
    roost.ok("env", "import", "project/.azureml/mine.runconfig", "--name", "imported")
    imported = Environment.get(workspace, "imported")
    assert imported.environment_variables == {
        **config.environment.environment_variables,
        **config.environment_variables,
    }
    assert config.environment.register(workspace).definition_digest == imported.definition_digest
    roost.write("project/wrong.runconfig", "script: a.py\nenvironment:\n  docker: {enabled: yes}\n  python: [a]\n")
    with pytest.raises(DefinitionError) as caught:
        RunConfig.load("project/wrong.runconfig")
    place = caught.value.location
    assert place is not None
    assert (os.path.basename(place["path"]), place["line"]) == ("wrong.runconfig", 4)


@needs_corpus
def test_all_run_configurations_say_the_same_by_both_ways(workspace: Workspace) -> None:
    compared = 0
    for path in sorted(each for each in CORPUS.rglob("*runconfig*") if each.is_file()):
        ways = (lambda path=path: _loaded(path), lambda path=path: _read_by_the_daemon(workspace, path))
        one, other = map(_outcome, ways)
        assert one == other, path
        compared += isinstance(one, dict)
    assert compared > 20


def _outcome(way: Callable[[], dict[str, Any] | str]) -> dict[str, Any] | str:
    try:
        return way()
    except RoostError as error:
        return type(error).__name__


def _loaded(path: Path) -> dict[str, Any] | str:
    """The environment of a run configuration as it runs."""
    config = RunConfig.load(path)
    if not isinstance(config.described, Environment):
        return "DefinitionError"  # it holds none: that can be run all the same, and not imported
    config.environment.environment_variables.update(config.environment_variables)
    docker = config.environment.docker
    docker.arguments, docker.shm_size = (
        config.docker.arguments or docker.arguments,
        config.docker.shm_size or docker.shm_size,
    )
    return to_document(config.environment)


def _read_by_the_daemon(workspace: Workspace, path: Path) -> dict[str, Any]:
    answer = workspace._request("POST", "/v1/documents", {"what": {"cwd": str(path.parent), "file": str(path)}})
    environment = Environment("x")
    apply_document(environment, answer["document"])
    return to_document(environment)


def test_variables_of_the_definition_come_from_this_process(
    workspace: Workspace, roost: Roost, monkeypatch: pytest.MonkeyPatch, pip_index: PipIndex
) -> None:
    monkeypatch.setenv("INDEX_USER", "somebody")
    environment = _with_index(pip_index.url.replace("://", "://${INDEX_USER}@"), "greet==1.0")
    assert environment.build_local(workspace).status == "Succeeded"
    assert "${INDEX_USER}" in repr(environment.register(workspace))


def test_a_variable_that_decides_what_is_meant_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, pip_index: PipIndex
) -> None:
    monkeypatch.setenv("CHOSEN", pip_index.url)
    for environment in (_with_index("${CHOSEN}", "greet"), _with_index(pip_index.url, "greet==${CHOSEN}")):
        with pytest.raises(DefinitionError, match="CHOSEN} is not allowed here"):
            environment.register(workspace)
    channels = make_environment("channels", "six")
    channels.python.conda_dependencies.add_channel("${CHOSEN}")
    with pytest.raises(DefinitionError, match="CHOSEN} is not allowed here"):
        channels.register(workspace)


def _with_index(url: str, requirement: str) -> Environment:
    environment = Environment("secret")
    dependencies = CondaDependencies()
    dependencies.set_pip_option(f"--index-url {url}")
    dependencies.add_pip_package(requirement)
    environment.python.conda_dependencies = dependencies
    return environment


def test_a_wrong_definition_is_refused_with_what_is_wrong(workspace: Workspace) -> None:
    with pytest.raises(DefinitionError, match="six="):
        make_environment("wrong", "six=1").register(workspace)
    with pytest.raises(NotFoundError):
        workspace.get_run("r-none")
    with pytest.raises(DefinitionError):
        make_environment("wrong", "./none-1.0-py3-none-any.whl").register(workspace)


def test_a_private_wheel_is_kept_though_its_file_goes(workspace: Workspace, roost: Roost) -> None:
    name, content = wheel_bytes("private", "1.0")
    path = roost.folder / name
    path.write_bytes(content)
    line = Environment.add_private_pip_wheel(workspace, name)
    assert Environment.add_private_pip_wheel(workspace, str(path), exist_ok=True) == line
    path.unlink()
    environment = make_environment("private", line)
    assert environment.build_local(workspace).status == "Succeeded"
    assert environment.python.conda_dependencies is not None
    environment.python.conda_dependencies.remove_pip_package("private")
    assert list(environment.python.conda_dependencies.pip_packages) == []
    with pytest.raises(RoostError):
        Environment.add_private_pip_wheel(workspace, "none-1.0-py3-none-any.whl")


def test_a_conda_environment_of_this_machine_by_name_and_by_path(
    conda_roost: Roost, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_environment("made")
    made.python.conda_dependencies = CondaDependencies.create(
        conda_packages=["dated=2.0"], pip_packages=["greet==1.0"], python_version="3.11"
    )
    made.build_local(workspace)
    [prefix] = [path for path in (conda_roost.root / "prefixes").iterdir() if path.is_dir()]
    monkeypatch.setenv("CONDA_ENVS_PATH", str(prefix.parent))
    named = Environment.from_existing_conda_environment("mine", prefix.name)
    placed = Environment.from_existing_conda_environment("mine", str(prefix))
    assert repr(named) == repr(placed)
    assert named.name == "mine"
    assert named.python.conda_dependencies is not None
    assert any(spec.startswith("dated") for spec in named.python.conda_dependencies.conda_packages)
    assert list(named.python.conda_dependencies.pip_packages) == ["greet==1.0"]
    folder = write_script(conda_roost, "import greet; print(greet.value)")
    run = Experiment(workspace, "e").submit(ScriptRunConfig(folder, "hello.py", environment=named))
    run.wait_for_completion()
    assert run.get_details_with_logs()["logFiles"][LOG_NAME] == "1.0\n"
    for name in ("none", "/none", "a\0b"):
        with pytest.raises((NotFoundError, UsageError)):
            Environment.from_existing_conda_environment("mine", name)
