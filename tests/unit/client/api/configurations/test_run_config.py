"""Run configurations and documents, before anything is sent to the daemon."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from roost.client import (
    CondaDependencies,
    ContainerRegistry,
    DefinitionError,
    DockerBuildContext,
    DockerConfiguration,
    DockerSection,
    Environment,
    EnvironmentReference,
    RGitHubPackage,
    RunConfiguration,
    ScriptRunConfig,
    SparkPackage,
    UnsupportedError,
    UsageError,
)
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


def test_what_is_said_twice_or_not_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="settings that it contains"):
        ScriptRunConfig(".", "a.py", run_config=RunConfiguration(), environment=Environment("x"))
    for given in ({}, {"script": "a.py", "command": ["b"]}):
        with pytest.raises(UsageError, match="either a script"):
            ScriptRunConfig(".", **given).words  # noqa: B018


@pytest.mark.parametrize(
    "call",
    [
        lambda: ScriptRunConfig(".", "a.py", distributed_job_config=object()),
        lambda: ScriptRunConfig(".", "a.py", resume_from=object()),
        lambda: ScriptRunConfig(".", "a.py", max_run_duration_seconds=60),
        lambda: RunConfiguration(framework="PySpark"),
        lambda: RunConfiguration(communicator="IntelMpi"),
        lambda: setattr(RunConfiguration(), "node_count", 2),
        lambda: DockerConfiguration(shared_volumes=False),
        lambda: setattr(DockerSection(), "shared_volumes", False),
        lambda: setattr(DockerSection(), "gpu_support", True),
        lambda: setattr(ContainerRegistry(), "password", "secret"),
        lambda: setattr(ContainerRegistry(), "username", "me"),
        lambda: setattr(ContainerRegistry(), "registry_identity", object()),
        lambda: setattr(RGitHubPackage("a/b"), "auth_token", "secret"),
    ],
)
def test_what_has_no_meaning_here_is_refused_with_what_to_do(call: Any) -> None:
    with pytest.raises(UnsupportedError, match="is not supported by roost") as caught:
        call()
    assert caught.value.hint
    assert "secret" not in str(caught.value)


def test_what_azures_scripts_spell_out_and_changes_nothing_is_taken() -> None:
    config = RunConfiguration(framework="python", communicator="None")
    config.node_count, config.auto_prepare_environment = 1, True
    assert (config.framework, config.communicator, config.node_count) == ("Python", "None", 1)
    assert ScriptRunConfig(".", "a.py", max_run_duration_seconds=2592000).words == ["python", "a.py"]
    section = DockerSection()
    section.shared_volumes, section.gpu_support = True, False
    registry = ContainerRegistry("registry.example.org")
    registry.password = None
    assert (section.shared_volumes, section.gpu_support, registry.password) == (True, False, None)


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


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"docker__build_context": DockerBuildContext(DockerBuildContext.LocationType.Git, "https://x")}, "type Git"),
        ({"docker__build_context": DockerBuildContext(None, "/x", "Other")}, "Dockerfile of another name"),
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
