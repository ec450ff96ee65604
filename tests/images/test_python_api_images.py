"""The Python API and images: building, details, runs in containers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.support.images.machines import machine
from tests.support.images.registries import Registries
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

from roost.client import (
    CondaDependencies,
    DockerBuildContext,
    DockerConfiguration,
    Environment,
    EnvironmentReference,
    Experiment,
    ScriptRunConfig,
    UsageError,
    Workspace,
)
from roost.client.api.run_record import LOG_NAME

CONDA = "channels: [conda-forge]\ndependencies: [python=3.11, numpy=1.26.4]\n"


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    index = PipIndex()
    index.wheel("greet", "1.0")
    yield index
    index.close()


@pytest.fixture
def roost(channel_url: str, pip_index: PipIndex, docker_host: str, prepared_root: Path) -> Iterator[Roost]:
    with machine(channel_url, pip_index, docker_host, prepared=prepared_root) as made:
        yield made


@pytest.fixture
def workspace(roost: Roost, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("ROOST_HOME", "ROOST_CONFIG"):
        monkeypatch.setenv(name, roost.environ[name])
    monkeypatch.delenv("ROOST_SOCKET", raising=False)
    monkeypatch.chdir(roost.folder)
    return Workspace.from_config()


def test_an_image_is_built_shown_and_run_in(
    workspace: Workspace, roost: Roost, base_image: str, docker_host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    specification = roost.write("conda.yml", CONDA)
    environment = Environment.from_docker_image("numbers", base_image, conda_specification=specification)
    build = environment.build(workspace)
    assert build.wait_for_completion(show_output=True) is build
    assert (build.status, "writing layers …" in capsys.readouterr().out) == ("Succeeded", True)
    registered = Environment.get(workspace, "numbers")
    assert registered.version == "1", "building registers what was not registered"
    details = registered.get_image_details(workspace)
    assert (details.image_exist, details.exists_in_engine, details.registry) == (False, True, None)
    assert details.interpreter_path == "/opt/roost/env/bin/python"
    assert details.environment_path == "/opt/roost/env"
    assert details.dockerfile == f"FROM {base_image}\n"
    assert details["pythonEnvironment"]["condaEnvironmentDefinition"]["dependencies"] == ["python=3.11", "numpy=1.26.4"]
    assert details.image is not None
    again, anew = (environment.build(workspace, rebuild=rebuild).wait_for_completion() for rebuild in (False, True))
    assert ["solving …" in build.get_log() for build in (again, anew)] == [False, True]
    client = docker.DockerClient(base_url=docker_host)
    try:
        assert client.images.get(details.image).id == details.digest
        assert any("numpy" in " ".join(layer["packages"]) for layer in details.layers)
        folder = roost.write("project/show.py", "import numpy, sys; print(numpy.__version__, sys.prefix)").parent
        run = Experiment(workspace, "images").submit(ScriptRunConfig(folder, "show.py", environment=registered))
        run.wait_for_completion(show_output=True)
        assert "1.26.4 /opt/roost/env\n" in capsys.readouterr().out
        assert run.get_details()["target"] == "docker"
        again = Experiment(workspace, "images").submit(
            ScriptRunConfig(folder, "show.py", environment=run.get_environment())
        )
        again.wait_for_completion()
        assert again.get_environment().version == "1"
    finally:
        client.images.remove(details.image, force=True)
        client.close()


def test_an_image_is_pushed_to_the_workspaces_registry(
    channel_url: str, docker_host: str, registries: Registries, base_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = PipIndex()
    with machine(channel_url, index, docker_host, registries) as roost:
        for name in ("ROOST_HOME", "ROOST_CONFIG"):
            monkeypatch.setenv(name, roost.environ[name])
        monkeypatch.chdir(roost.folder)
        workspace = Workspace.from_config()
        specification = roost.write("conda.yml", CONDA)
        made = Environment.from_docker_image("pushed", base_image, conda_specification=specification)
        made.build_local(workspace, useDocker=True, pushImageToWorkspaceAcr=True)
        details = made.get_image_details(workspace)
        assert (details.image_exist, details.registry) == (True, registries.workspace.host)
        assert details.image == f"{registries.workspace.host}/{details.repository}"
        assert details.reference is not None
        assert details.reference.startswith(f"{details.image}:")
        assert str(details.manifest_digest).startswith("sha256:")
        assert not details.exists_in_engine, "it needs no engine to be pushed"
    index.close()


def test_an_image_that_brings_its_own_python_is_used_as_it_is(
    workspace: Workspace, roost: Roost, python_image: str
) -> None:
    environment = Environment.from_docker_image("own", python_image)
    environment.python.interpreter_path = "/usr/bin/python3"
    assert environment.python.user_managed_dependencies
    folder = roost.write("project/show.py", "import os, sys; print(sys.executable, os.environ['WORD'])").parent
    environment.environment_variables["WORD"] = "of the environment"
    config = ScriptRunConfig(
        folder, "show.py", environment=environment, docker_runtime_config=DockerConfiguration(True, shm_size="1g")
    )
    run = Experiment(workspace, "images").submit(config)
    run.wait_for_completion()
    assert run.get_details_with_logs()["logFiles"][LOG_NAME] == "/usr/bin/python3 of the environment\n"
    assert run.get_environment().docker.shm_size == "1g"
    details = environment.get_image_details(workspace)
    assert (details.exists_in_engine, details.interpreter_path) == (True, "/usr/bin/python3")


def test_the_image_of_what_a_run_used_on_a_python_of_this_machine(
    workspace: Workspace, roost: Roost, base_image: str
) -> None:
    """Prefix and image have separate generations: the image has none with the number of the run's."""
    roost.config.write_text(f'{roost.config.read_text()}[base]\nimage = "{base_image}"\n')
    environment = Environment("here")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["greet"])
    folder = roost.write("project/show.py", "import greet; print(greet.value)").parent
    run = Experiment(workspace, "images").submit(ScriptRunConfig(folder, "show.py", environment=environment))
    run.wait_for_completion()
    assert run.get_details()["target"] == "local"
    used = run.get_environment()
    assert not used.get_image_details(workspace).exists_in_engine
    assert used.build(workspace).wait_for_completion().status == "Succeeded"
    inside = ScriptRunConfig(folder, "show.py", environment=used, compute_target="docker")
    Experiment(workspace, "images").submit(inside).wait_for_completion()


def test_a_run_whose_image_is_being_made_is_cancelled(
    workspace: Workspace, roost: Roost, pip_index: PipIndex, base_image: str
) -> None:
    environment = Environment("slow")
    environment.docker.base_image = base_image
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["greet"])
    pip_index.hanging.update(pip_index.projects["greet"])
    folder = roost.write("project/show.py", "print('never')").parent
    run = Experiment(workspace, "images").submit(ScriptRunConfig(folder, "show.py", environment=environment))
    assert run.get_status() == "Preparing"
    run.cancel()
    assert run.wait_for_completion(raise_on_error=False)["status"] == "Canceled"
    pip_index.hanging.clear()


def test_container_options_are_the_runs_if_the_environment_is_registered(
    workspace: Workspace, roost: Roost, python_image: str
) -> None:
    made = Environment.from_docker_image("own", python_image)
    made.python.interpreter_path = "/usr/bin/python3"
    made.docker.enabled, made.docker.arguments = True, ["--hostname=box"]
    made.register(workspace)
    code = "import os, socket; s = os.statvfs('/dev/shm'); print(socket.gethostname(), s.f_blocks * s.f_frsize)"
    folder = roost.write("project/show.py", code).parent
    registered = Environment.get(workspace, "own")
    roost.write(
        "project/roost.toml",
        f'[base]\nimage = "{python_image}"\n[python]\nuser_managed = true\ninterpreter = "/usr/bin/python3"\n',
    )
    options = DockerConfiguration(False, arguments=["--hostname=mine"], shm_size="48m")
    experiment = Experiment(workspace, "containers")
    for described in (EnvironmentReference("own"), registered, None):
        run = experiment.submit(
            ScriptRunConfig(folder, "show.py", environment=described, docker_runtime_config=options)
        )
        run.wait_for_completion()
        assert run.get_details()["target"] == "docker", "the environment asks for a container"
        assert run.get_details_with_logs()["logFiles"][LOG_NAME] == f"mine {48 * 2**20}\n"
        assert run.get_environment().docker.shm_size is None, "the version stays as it is"
    again = run.rerun()
    again.wait_for_completion()
    assert again.get_details_with_logs()["logFiles"][LOG_NAME] == f"mine {48 * 2**20}\n", (
        "a rerun starts it the same way"
    )
    plain = experiment.submit(ScriptRunConfig(folder, "show.py", environment=EnvironmentReference("own", 1)))
    plain.wait_for_completion()
    assert plain.get_details_with_logs()["logFiles"][LOG_NAME].startswith("box ")
    versions = roost.json("env", "versions", "own")["versions"]
    assert [each["version"] for each in versions] == [1], "no run made another one"


def test_a_build_context_counts_by_its_content(workspace: Workspace, roost: Roost, base_image: str) -> None:
    folder = roost.write("context/Dockerfile", f"FROM {base_image}\nCOPY word /word\n").parent
    roost.write("context/word", "one")
    context = DockerBuildContext.from_local_directory(workspace, folder)
    environment = Environment.from_docker_build_context("context", context)
    first = environment.register(workspace)
    assert environment.register(workspace).version == "1"
    roost.write("context/word", "two")
    assert environment.register(workspace).version == "2"
    assert Environment.get(workspace, "context", 1).definition_digest == first.definition_digest
    with pytest.raises(UsageError, match="no Dockerfile"):
        DockerBuildContext.from_local_directory(workspace, roost.folder)


def test_a_dockerfile_is_a_text_or_a_path(workspace: Workspace, roost: Roost, tmp_path: Path) -> None:
    text = "FROM debian:12-slim\nRUN true\n"
    (tmp_path / "Dockerfile").write_text(text)
    digests = {
        Environment.from_dockerfile(name, given).register(workspace).definition_digest
        for name, given in (("text", text), ("path", str(tmp_path / "Dockerfile")))
    }
    assert len(digests) == 1
    assert Environment.get(workspace, "text").docker.base_dockerfile == text
    one_line = Environment.from_dockerfile("line", "FROM debian:12-slim").register(workspace)
    assert one_line.docker.base_dockerfile == "FROM debian:12-slim"
    with pytest.raises(UsageError, match="neither a file nor"):
        Environment.from_dockerfile("x", "Dockerfle")
