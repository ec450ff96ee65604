"""Operations on ``Environment`` and its sections."""

from __future__ import annotations

import copy
import json
import os
import pickle
from collections.abc import Callable
from typing import Any

from .sdk import content, dependencies_of, environment_of, saved

Operation = Callable[[Any], Any]
NAMES = ("", None, "a b", "AzureML-x", "x" * 300, "\xe4", "a/b", ".x", "a:b")
DOCKERFILE = "FROM registry.example.org/base:1\nRUN true\n"


def _named(name: Any) -> Operation:
    return lambda sdk: sdk.Environment(name).name


def _with(**attributes: Any) -> Operation:
    """Set attributes (``docker__shm_size``) of a new environment, and read them."""

    def operation(sdk: Any) -> Any:
        environment = sdk.Environment("x")
        for name, value in attributes.items():
            section, _, attribute = name.rpartition("__")
            setattr(getattr(environment, section) if section else environment, attribute, value)
        targets = [name.rpartition("__") for name in attributes]
        return [getattr(getattr(environment, s) if s else environment, a) for s, _, a in targets]

    return operation


def _bases(sdk: Any) -> Any:
    docker = sdk.DockerSection()
    docker.base_image, seen = "a", []
    for attribute, value in (("base_dockerfile", DOCKERFILE), ("base_image", "b")):
        setattr(docker, attribute, value)
        seen.append([docker.base_image, docker.base_dockerfile])
    return seen


def _saved_with(**attributes: Any) -> Operation:
    def operation(sdk: Any) -> Any:
        environment = environment_of(sdk)
        for name, value in attributes.items():
            section, _, attribute = name.partition("__")
            setattr(getattr(environment, section), attribute, value)
        return saved(environment)

    return operation


def _saved_spark(sdk: Any) -> Any:
    environment = environment_of(sdk)
    environment.spark.repositories = ["https://maven.example"]
    environment.spark.packages = [sdk.SparkPackage("g", "a", "1")]
    environment.spark.precache_packages = False
    environment.inferencing_stack_version = "latest"
    return saved(environment)


def _saved_r(sdk: Any) -> Any:
    environment = environment_of(sdk)
    environment.r = sdk.RSection()
    cran, github = sdk.RCranPackage(), sdk.RGitHubPackage()
    cran.name, cran.version, github.repository = "ggplot2", "3.1", "user/name"
    environment.r.r_version, environment.r.snapshot_date = "3.6", "2019-04-17"
    environment.r.cran_packages, environment.r.github_packages = [cran], [github]
    environment.r.custom_url_packages, environment.r.bioconductor_packages = ["https://u.example"], ["limma"]
    return saved(environment)["azureml_environment.json"]["r"]


def _saved_in(folder: str, **options: Any) -> Operation:
    def operation(sdk: Any) -> Any:
        os.makedirs("exists", exist_ok=True)
        with open("exists/mine.txt", "w", encoding="utf-8"):
            pass
        environment_of(sdk).save_to_directory(folder, **options)
        return sorted(os.listdir(folder))

    return operation


def _round_trip(sdk: Any) -> Any:
    made = environment_of(sdk, "made", "six==1.16.0")
    made.version, made.environment_variables = "7", {"A": "", "B": "1"}
    made.docker.shm_size, made.docker.arguments, made.docker.enabled = "4g", ["--ipc=host"], True
    made.save_to_directory("round")
    read = sdk.Environment.load_from_directory("round")
    docker = [getattr(read.docker, each) for each in ("base_image", "shm_size", "arguments", "enabled")]
    return [read.name, read.version, docker, content(read.python.conda_dependencies), read.environment_variables]


def _cloned(name: Any) -> Operation:
    def operation(sdk: Any) -> Any:
        made = environment_of(sdk)
        made.version = "3"
        clone = made.clone(name)
        clone.environment_variables["B"], clone.docker.base_image = "2", "other"
        return [
            clone.name,
            clone.version,
            clone.environment_variables,
            made.environment_variables,
            made.docker.base_image,
        ]

    return operation


def _clone_and_packages(sdk: Any) -> Any:
    made = environment_of(sdk)
    made.clone("clone").python.conda_dependencies.add_pip_package("more")
    return list(made.python.conda_dependencies.pip_packages)


def _facts(environment: Any) -> Any:
    docker, python = environment.docker, environment.python
    bases = [docker.base_image, docker.base_dockerfile]
    return [environment.name, bases, python.user_managed_dependencies, content(python.conda_dependencies)]


def _from(method: str, *arguments: Any, **options: Any) -> Operation:
    return lambda sdk: _facts(getattr(sdk.Environment, method)("made", *arguments, **options))


def _from_image_of_a_registry(**attributes: str) -> Operation:
    def operation(sdk: Any) -> Any:
        registry = sdk.ContainerRegistry()
        for name, value in attributes.items():
            setattr(registry, name, value)
        docker = sdk.Environment.from_docker_image("made", "base:1", container_registry=registry).docker
        return [docker.base_image, docker.base_image_registry.address, docker.base_image_registry.username]

    return operation


def _conda_file(sdk: Any) -> Any:
    environment = sdk.Environment("x")
    environment.python.conda_dependencies_file = "conda.yml"
    return environment.python.conda_dependencies_file


def _copied(sdk: Any) -> Any:
    made = environment_of(sdk)
    other, read = copy.deepcopy(made), pickle.loads(pickle.dumps(made))
    other.python.interpreter_path = "other"
    return [made.python.interpreter_path, read.name, read == made]


def _sections(sdk: Any) -> Any:
    environment = sdk.Environment("x")
    environment.docker, environment.python = sdk.DockerSection(), sdk.PythonSection()
    environment.docker.base_image, environment.docker.enabled = "a", True
    environment.python.user_managed_dependencies = True
    return [environment.docker.base_image, environment.docker.enabled, environment.python.user_managed_dependencies]


def _defaults(sdk: Any) -> Any:
    made = sdk.Environment("x")
    docker = [made.docker.enabled, made.docker.arguments, made.docker.base_dockerfile, made.docker.shared_volumes]
    python = [made.python.user_managed_dependencies, made.python.interpreter_path]
    return [made.version, docker, python, made.spark.packages, made.r, made.inferencing_stack_version]


def _default_image(sdk: Any) -> Any:
    docker = sdk.Environment("x").docker
    return [docker.base_image is None, docker.shm_size, docker.platform.os, docker.gpu_support]


OPERATIONS: dict[str, Operation] = {
    **{f"name: {name if name is None else repr(name[:9])}": _named(name) for name in NAMES},
    "name: set later": _with(name="other"),
    "new: its attributes": _defaults,
    "new: its image": _default_image,
    "new: its packages": lambda sdk: content(sdk.Environment("x").python.conda_dependencies),
    "base: one excludes the other": _bases,
    "base: a Dockerfile by its path": _with(docker__base_dockerfile="Dockerfile"),
    "base: a Dockerfile of one line": _with(docker__base_dockerfile="FROM base"),
    "base: a Dockerfile that is not there": _with(docker__base_dockerfile="./none/Dockerfile"),
    "saved: an image and packages": _saved_with(),
    "saved: a Dockerfile and container options": _saved_with(
        docker__base_dockerfile=DOCKERFILE,
        docker__shm_size="4g",
        docker__arguments=["--ipc=host"],
        docker__enabled=True,
    ),
    "saved: user-managed": _saved_with(python__user_managed_dependencies=True, python__interpreter_path="/opt/python"),
    "saved: without volumes": _saved_with(docker__shared_volumes=False),
    "saved: Spark": _saved_spark,
    "saved: R": _saved_r,
    "saved: where a folder exists": _saved_in("exists"),
    "saved: over a folder": _saved_in("exists", overwrite=True),
    "saved: below folders that do not exist": _saved_in("new/folder/below"),
    "loaded: what is not there": lambda sdk: sdk.Environment.load_from_directory("absent"),
    "loaded: another folder": lambda sdk: sdk.Environment.load_from_directory("."),
    "saved and loaded": _round_trip,
    "clone": _cloned("clone"),
    "clone: its packages": _clone_and_packages,
    "clone: without a name": _cloned(None),
    "clone: with Azure's prefix": _cloned("AzureML-y"),
    "from conda": _from("from_conda_specification", "conda.yml"),
    "from conda: not there": _from("from_conda_specification", "absent.yml"),
    "from conda: not YAML": _from("from_conda_specification", "broken.yml"),
    "from requirements": _from("from_pip_requirements", "more.txt"),
    "from requirements: with comments": _from("from_pip_requirements", "requirements.txt"),
    "from requirements: a version of pip": _from("from_pip_requirements", "more.txt", pip_version="20.0"),
    "from requirements: not there": _from("from_pip_requirements", "absent.txt"),
    "from an image": _from("from_docker_image", "base:1"),
    "from an image and conda": _from("from_docker_image", "base:1", conda_specification="conda.yml"),
    "from an image and requirements": _from("from_docker_image", "base:1", pip_requirements="more.txt"),
    "from an image and both": _from(
        "from_docker_image", "base:1", conda_specification="conda.yml", pip_requirements="more.txt"
    ),
    "from an image of a registry": _from_image_of_a_registry(address="r.example.org"),
    "from an image of a registry with a user": _from_image_of_a_registry(address="r.example.org", username="me"),
    "from an image of a registry with a password": _from_image_of_a_registry(username="me", password="secret"),
    "from a Dockerfile": _from("from_dockerfile", "Dockerfile"),
    "from a Dockerfile's text and requirements": _from("from_dockerfile", DOCKERFILE, pip_requirements="more.txt"),
    "from a conda environment that is not there": _from("from_existing_conda_environment", "absent"),
    "variables: a number": _with(environment_variables={"A": 1}),
    "variables: None": _with(environment_variables=None),
    "variables: empty": _with(environment_variables={"A": ""}),
    "python: a conda file": _conda_file,
    "copies": _copied,
    "sections of their own": _sections,
    "an attribute that is none": _with(docker__no_such="x"),
    "docker: GPUs": _with(docker__gpu_support=True),
    "docker: without volumes": _with(docker__shared_volumes=False),
    "an inferencing stack": _with(inferencing_stack_version="latest"),
    "text": lambda sdk: str(environment_of(sdk)),
    "repr": lambda sdk: sorted(json.loads(repr(sdk.Environment("x")))),
    "two of the same name": lambda sdk: sdk.Environment("x") == sdk.Environment("x"),
    "packages of another": lambda sdk: content(dependencies_of(sdk, "flask")),
}
"""By what they are about."""
