"""Run configurations and documents, before anything is sent to the daemon."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import roost.client
from roost.client import (
    ApplicationEndpointConfiguration,
    CondaDependencies,
    ContainerRegistry,
    DataReferenceConfiguration,
    DefinitionError,
    DockerBuildContext,
    DockerConfiguration,
    DockerSection,
    Environment,
    EnvironmentReference,
    MpiConfiguration,
    PyTorchConfiguration,
    RGitHubPackage,
    RunConfiguration,
    ScriptRunConfig,
    SparkPackage,
    TensorflowConfiguration,
    UnsupportedError,
    UsageError,
)
from roost.client.api.configurations import submission
from roost.client.api.configurations.refusals import find_idle, refusal
from roost.client.api.documents import apply_document, to_document


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"script": "train.py"}, ["python", "train.py"]),
        ({"script": "train.py", "arguments": ["--n", 3]}, ["python", "train.py", "--n", "3"]),
        ({"command": ["make", "all", 2], "arguments": ["x"]}, ["make", "all", "2", "x"]),
        ({"command": "make all && echo $DONE"}, ["/bin/sh", "-c", "make all && echo $DONE"]),
        ({"run_config": RunConfiguration("a.py", ["b"])}, ["python", "a.py", "b"]),
        ({"run_config": RunConfiguration("a.py", ["b"]), "script": "c.py", "arguments": []}, ["python", "c.py"]),
        ({"run_config": RunConfiguration("a.py"), "command": ["ls"]}, ["ls"]),
    ],
)
def test_the_command_is_the_script_or_the_words(given: dict[str, Any], words: list[str]) -> None:
    assert ScriptRunConfig(".", **given).words == words


def test_the_target_is_the_named_one_or_a_container_where_one_is_asked_for() -> None:
    class Compute:
        name = "cluster"

    enabled = Environment("x")
    enabled.docker.enabled = True
    targets = [
        ScriptRunConfig(".", "a.py").run_config.chosen_target,
        ScriptRunConfig(".", "a.py", compute_target="local", environment=enabled).run_config.chosen_target,
        ScriptRunConfig(".", "a.py", compute_target=Compute()).run_config.chosen_target,
        ScriptRunConfig(".", "a.py", environment=enabled).run_config.chosen_target,
        ScriptRunConfig(".", "a.py", docker_runtime_config=DockerConfiguration(True)).run_config.chosen_target,
    ]
    assert targets == ["auto", "local", "cluster", "docker", "docker"]
    with pytest.raises(UsageError, match="not a valid target"):
        ScriptRunConfig(".", "a.py", compute_target=3)


def test_a_run_configuration_describes_an_environment_once_it_is_not_empty() -> None:
    config = ScriptRunConfig(".", "a.py")
    assert config.run_config.described is None
    config.run_config.environment.python.user_managed_dependencies = True
    assert config.run_config.described is config.run_config.environment
    reference = EnvironmentReference("train", 3)
    config.run_config.environment = reference
    assert config.run_config.described is reference
    config.run_config.environment = None
    assert config.run_config.described is None
    made = RunConfiguration(conda_dependencies=CondaDependencies.create(pip_packages=["six"]))
    assert made.described is made.environment


def test_what_a_run_config_has_of_its_own_is_ignored_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    given = {"environment": Environment("x"), "compute_target": "docker", "max_run_duration_seconds": 60}
    with caplog.at_level(logging.WARNING, "roost"):
        config = ScriptRunConfig(".", "a.py", run_config=RunConfiguration(), **given)
    assert "environment, max_run_duration_seconds: ignored" in caplog.text
    assert (config.run_config.described, config.run_config.target) == (None, "docker")
    assert config.run_config.max_run_duration_seconds is None
    with caplog.at_level(logging.WARNING, "roost"):
        again = ScriptRunConfig(".", "a.py", run_config=config.run_config, compute_target="local")
    assert again.run_config.target == "docker"
    assert "compute_target: ignored" in caplog.text


def test_what_is_said_not_at_all_or_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="not a distributed job"):
        ScriptRunConfig(".", "a.py", distributed_job_config=object())
    for given in ({}, {"script": "a.py", "command": ["b"]}):
        with pytest.raises(UsageError, match="either a script"):
            ScriptRunConfig(".", **given).words  # noqa: B018


@pytest.mark.parametrize(
    "call",
    [
        lambda: ScriptRunConfig(".", "a.py", resume_from=object()),
        lambda: setattr(ContainerRegistry(), "password", "secret"),
        lambda: setattr(ContainerRegistry(), "registry_identity", object()),
        lambda: setattr(RGitHubPackage("a/b"), "auth_token", "secret"),
    ],
)
def test_what_has_no_meaning_here_is_refused_with_what_to_do(call: Any) -> None:
    with pytest.raises(UnsupportedError, match="is not supported by roost") as caught:
        call()
    assert caught.value.hint
    assert "secret" not in str(caught.value)


def with_set(name: str, value: object) -> RunConfiguration:
    config = RunConfiguration()
    section, _, attribute = name.rpartition(".")
    setattr(getattr(config, section) if section else config, attribute, value)
    return config


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (with_set("framework", "PySpark"), "framework = 'PySpark'"),
        (with_set("communicator", "IntelMpi"), "communicator = 'IntelMpi'"),
        (with_set("node_count", 2), "node_count = 2"),
        (with_set("max_run_duration_seconds", 60), "max_run_duration_seconds = 60"),
        (with_set("mpi.process_count_per_node", 2), "mpi"),
        (with_set("pytorch.process_count", 2), "pytorch"),
        (with_set("tensorflow", TensorflowConfiguration(2)), "tensorflow"),
        (with_set("paralleltask.worker_count_per_node", 2), "paralleltask"),
        (with_set("data_references", {"x": DataReferenceConfiguration("store")}), "data_references"),
        (with_set("data", {"x": {}}), "data"),
        (with_set("output_data", {"x": {}}), "output_data"),
        (with_set("datacaches", [{}]), "datacaches"),
        (with_set("services", {"x": ApplicationEndpointConfiguration("SSH")}), "services"),
        (with_set("credential_passthrough", True), "credential_passthrough"),
        (with_set("auto_cluster_compute_specification", {}), "auto_cluster_compute_specification"),
        (with_set("_unknown", {"zzz": 1}), "zzz"),
        (with_set("docker.shared_volumes", False), "docker.shared_volumes = False"),
    ],
)
def test_what_would_run_something_else_is_kept_and_refused_by_name(config: RunConfiguration, named: str) -> None:
    error = refusal(config, in_container=True)
    assert error is not None
    assert error.message == f"A run with {named} is not supported by roost"
    assert error.hint


def test_what_only_a_service_of_azures_acts_on_is_no_hindrance() -> None:
    config = RunConfiguration()
    assert (refusal(config, in_container=True), find_idle(config)) == (None, [])
    config.amlcompute.vm_size, config.priority, config.history.output_collection = "STANDARD_D2_V2", 3, False
    config.spark.configuration["spark.app.name"] = "mine"
    config.docker.shared_volumes = False
    assert refusal(config, in_container=False) is None
    assert find_idle(config) == ["history", "spark", "amlcompute", "priority"]


@pytest.mark.parametrize(
    ("job", "attributes"),
    [
        (MpiConfiguration(2, 3), ("Python", "IntelMpi", 3)),
        (PyTorchConfiguration("Gloo", 4, 2), ("PyTorch", "gloo", 2)),
        (TensorflowConfiguration(2), ("TensorFlow", "ParameterServer", 2)),
    ],
)
def test_a_distributed_job_sets_what_azures_sdk_sets(job: object, attributes: tuple[str, str, int]) -> None:
    config = ScriptRunConfig(".", "a.py", distributed_job_config=job).run_config
    assert (config.framework, config.communicator, config.node_count) == attributes
    assert refusal(config, in_container=False) is not None


def test_gpus_are_given_where_a_machine_has_some(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment, own = Environment("x"), DockerConfiguration()
    environment.docker.gpu_support = True
    monkeypatch.setattr(submission, "NVIDIA_DRIVER", str(tmp_path / "none"))
    assert submission._container_arguments(environment, own) == []
    monkeypatch.setattr(submission, "NVIDIA_DRIVER", str(tmp_path))
    assert submission._container_arguments(environment, own) == ["--gpus=all"]
    own.arguments = ["--gpus=1", "--ipc=host"]
    assert submission._container_arguments(environment, own) == ["--gpus=1", "--ipc=host"]
    environment.docker.gpu_support = False
    assert submission._container_arguments(environment, DockerConfiguration()) == []


def test_what_azures_scripts_spell_out_and_changes_nothing_is_taken() -> None:
    config = RunConfiguration(framework=None, communicator="None")
    config.node_count, config.auto_prepare_environment = 1, True
    assert (config.framework, config.communicator, config.node_count) == ("Python", "None", 1)
    assert ScriptRunConfig(".", "a.py", max_run_duration_seconds=2592000).words == ["python", "a.py"]
    section = DockerSection()
    section.shared_volumes, section.gpu_support = True, False
    registry = ContainerRegistry("registry.example.org")
    registry.password = None
    assert (section.shared_volumes, section.gpu_support, registry.password) == (True, False, None)
    section.shared_volumes, section.gpu_support, registry.username = False, True, "me"
    assert (section.shared_volumes, section.gpu_support, registry.username) == (False, True, "me")
    environment = Environment("x")
    environment.docker = section
    kept = {"sharedVolumes": False, "gpuSupport": True}
    assert to_document(environment) == {"kept": {"azure": {"docker": kept}}}
    again = Environment("y")
    apply_document(again, to_document(environment))
    assert (again.docker.shared_volumes, again.docker.gpu_support) == (False, True)


def test_one_base_takes_the_place_of_another_and_says_so(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    section = DockerSection()
    section.base_image = "debian:12-slim"
    with caplog.at_level(logging.WARNING, "roost"):
        section.base_dockerfile = "FROM debian\nRUN true\n"
    assert section.base_image is None
    assert "base_image is now None" in caplog.text
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    with (tmp_path / "Dockerfile").open() as file:
        section.base_dockerfile = file
    assert section.base_dockerfile == "FROM x\n"
    section.build_context = DockerBuildContext.from_local_directory(None, tmp_path)
    assert (section.base_image, section.base_dockerfile) == (None, None)
    section.base_image = "debian"
    assert section.build_context is None


def test_a_dockerfile_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_bytes(b"FROM debian\nLABEL x=caf\xe9\n")
    with pytest.raises(DefinitionError, match="not valid UTF-8"):
        DockerSection().base_dockerfile = path


def document(**attributes: Any) -> dict[str, Any]:
    environment = Environment("x")
    for name, value in attributes.items():
        section, _, attribute = name.partition("__")
        setattr(getattr(environment, section), attribute, value)
    return to_document(environment)


def test_a_new_environment_says_nothing() -> None:
    assert to_document(Environment("x")) == {}


def test_an_images_registry_stands_before_it_once() -> None:
    for address in ("registry.example.org:5000", "registry.example.org:5000/"):
        registry = ContainerRegistry(address)
        for image in ("team/base:1", "registry.example.org:5000/team/base:1"):
            said = document(docker__base_image=image, docker__base_image_registry=registry)
            assert said == {"base": {"image": "registry.example.org:5000/team/base:1"}}


def test_a_dockerfile_of_one_line_is_no_path() -> None:
    assert document(docker__base_dockerfile="FROM debian:12-slim") == {
        "base": {"dockerfile": {"text": "FROM debian:12-slim"}}
    }


def test_a_dockerfile_of_another_name_stands_beside_its_context() -> None:
    context = DockerBuildContext(None, "/x", "./docker/Other")
    assert document(docker__build_context=context) == {
        "base": {"context": {"path": "/x", "dockerfile": "docker/Other"}}
    }
    context.digest = "sha256:0"
    table = document(docker__build_context=context)["base"]["context"]
    assert table == {"digest": "sha256:0", "path": "/x", "dockerfile": "docker/Other"}
    assert document(docker__build_context=DockerBuildContext(None, "/x"))["base"]["context"] == "/x"


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"docker__build_context": DockerBuildContext(DockerBuildContext.LocationType.Git, "https://x")}, "type Git"),
        ({"docker__build_context": DockerBuildContext()}, "no location"),
        ({"spark__packages": [SparkPackage("g", "a")]}, "lacks its group, artifact or version"),
    ],
)
def test_what_cant_be_meant_is_refused(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        document(**attributes)


def test_what_no_attribute_says_stays_with_a_fetched_environment() -> None:
    fetched = {
        "base": {},
        "conda": {"explicit": {"linux-64": ["https://x/a.conda#sha256:0"]}},
        "kept": {"azure": {"python": {"baseCondaEnvironment": "b"}}, "other": {"a": {"b": 1}}},
    }
    environment = Environment("x")
    apply_document(environment, fetched)
    assert to_document(environment) == fetched
    environment.docker.base_image = "debian"
    assert to_document(environment) == {**fetched, "base": {"image": "debian"}}


def test_relative_places_lie_where_the_file_was_or_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["-r more.txt", "-c 'a b.txt'", "-e .[x]", "./w.whl[a] ; python_version > '3'", "w.whl", "lib/x", "six/=1"]
    lines += ["-f wheels", "--requirement=/abs.txt", "-rmore.txt", "six @ file:x.whl", "https://x/y.whl", "~/x.whl"]
    environment = Environment("x")
    environment.python.conda_dependencies = CondaDependencies()
    environment.python.conda_dependencies.set_pip_requirements(lines)
    assert to_document(environment)["pip"]["requirements"] == [
        f"-r {tmp_path}/more.txt",
        f"-c '{tmp_path}/a b.txt'",
        f"-e '{tmp_path}/.[x]'",
        f"{tmp_path}/./w.whl[a] ; python_version > '3'",
        f"{tmp_path}/w.whl",
        f"{tmp_path}/lib/x",
        f"{tmp_path}/six/=1",
        f"-f {tmp_path}/wheels",
        "--requirement /abs.txt",
        f"-r {tmp_path}/more.txt",
        "six @ file:x.whl",
        "https://x/y.whl",
        "~/x.whl",
    ]


def test_a_variable_with_an_empty_value_is_one(tmp_path: Path) -> None:
    environment = Environment("x")
    environment.environment_variables = {"A": "", "B": "1"}
    assert to_document(environment) == {"variables": {"A": "", "B": "1"}}
    again = Environment("y")
    apply_document(again, to_document(environment))
    assert again.environment_variables == {"A": "", "B": "1"}
    (tmp_path / "c.yml").write_text("dependencies: []\nvariables: {A: '', B: null, C: 1}\n")
    assert document_of_file(tmp_path / "c.yml")["variables"]["A"] == ""


def document_of_file(path: Path) -> dict[str, Any]:
    return to_document(Environment.from_conda_specification("x", path))


@pytest.mark.parametrize("volumes", [None, True, False])
@pytest.mark.parametrize("gpus", [None, True, False])
def test_flags_of_older_files_stay_as_they_were_until_they_are_changed(volumes: object, gpus: object) -> None:
    flags = {key: value for key, value in (("sharedVolumes", volumes), ("gpuSupport", gpus)) if value is not None}
    said = {"kept": {"azure": {"docker": {"more": "x", **flags}}}}
    environment = Environment("x")
    apply_document(environment, said)
    assert (environment.docker.shared_volumes, environment.docker.gpu_support) == (volumes is not False, gpus is True)
    assert to_document(environment) == said
    environment.docker.shared_volumes, environment.docker.gpu_support = False, True
    docker = to_document(environment)["kept"]["azure"]["docker"]
    assert docker == {"more": "x", "sharedVolumes": False, "gpuSupport": True}
    environment.docker.shared_volumes, environment.docker.gpu_support = True, False
    docker = to_document(environment)["kept"]["azure"]["docker"]
    assert (docker.get("sharedVolumes", True), docker.get("gpuSupport", False)) == (True, False)


def test_a_registry_that_a_file_has_apart_stands_before_the_image_once() -> None:
    kept = {"azure": {"docker": {"baseImageRegistry": {"address": "r.example.org/"}}}}
    said = {"base": {"image": "r.example.org/team/base:1"}, "kept": kept}
    environment = Environment("x")
    apply_document(environment, said)
    assert environment.docker.base_image_registry.address == "r.example.org"
    assert environment.docker.base_image == "team/base:1"
    assert to_document(environment) == said


def test_older_names_of_azures_sdk_are_those_of_today() -> None:
    assert roost.client.DockerEnvironment is DockerSection
    assert roost.client.PythonEnvironment is roost.client.PythonSection
    assert roost.client.SparkEnvironment is roost.client.SparkSection
    assert roost.client.EnvironmentDefinition is Environment
    assert roost.client.AzureContainerRegistry is ContainerRegistry
    assert "openmpi" in roost.client.DEFAULT_CPU_IMAGE
    assert "cuda" in roost.client.DEFAULT_GPU_IMAGE
