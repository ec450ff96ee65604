"""Operations on ``RunConfiguration`` and ``ScriptRunConfig``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import yaml

from .sdk import content, dependencies_of, environment_of

Operation = Callable[[Any], Any]


def _project(name: str) -> str:
    """A new project's folder, with the folder for configurations, which Azure's SDK does not make."""
    os.makedirs(f"{name}/.azureml", exist_ok=True)
    return name


def _configured(sdk: Any) -> Any:
    config = sdk.RunConfiguration("train.py", ["--rate", 0.5, "-n", 3])
    config.environment = environment_of(sdk, "within")
    config.target, config.environment_variables = "local", {"Z": "1", "EMPTY": ""}
    return config


def _with(**attributes: Any) -> Operation:
    """Set attributes (``history__output_collection``) of a new configuration, and read them."""

    def operation(sdk: Any) -> Any:
        config, seen = sdk.RunConfiguration(), []
        for name, value in attributes.items():
            section, _, attribute = name.rpartition("__")
            part = getattr(config, section) if section else config
            setattr(part, attribute, value)
            seen.append(getattr(part, attribute))
        return seen

    return operation


def _made(**arguments: Any) -> Operation:
    def operation(sdk: Any) -> Any:
        config = sdk.RunConfiguration(**arguments)
        return [config.script, config.arguments, config.framework, config.communicator, config.command]

    return operation


def _defaults(sdk: Any) -> Any:
    config = sdk.RunConfiguration()
    named = ("framework", "communicator", "node_count", "script", "arguments", "command", "environment_variables")
    more = ("max_run_duration_seconds", "priority", "data_references", "data", "datacaches", "output_data", "services")
    values = [getattr(config, name) for name in (*named, *more)]
    parts = [config.history.output_collection, config.spark.configuration, config.mpi.process_count_per_node]
    return [*values, *parts, config.environment.name, config.docker.use_docker, config.docker.arguments]


def _facts(config: Any) -> Any:
    environment = config.environment
    values = [config.script, config.arguments, config.target, config.framework, config.environment_variables]
    packages = content(environment.python.conda_dependencies)
    return [*values, environment.name, environment.docker.base_image, environment.environment_variables, packages]


def _saved(name: str = "mine.runconfig", **options: Any) -> Operation:
    def operation(sdk: Any) -> Any:
        folder = _project("saved")
        _configured(sdk).save(folder, name, **options)
        return _facts(sdk.RunConfiguration.load(folder, "mine"))

    return operation


def _saved_keys(sdk: Any) -> Any:
    folder = _project("keys")
    _configured(sdk).save(folder, "mine.runconfig")
    with open(f"{folder}/.azureml/mine.runconfig", encoding="utf-8") as file:
        return sorted(yaml.safe_load(file))


def _saved_apart(sdk: Any) -> Any:
    folder = _project("apart")
    _configured(sdk).save(folder, "mine.runconfig", separate_environment_yaml=True)
    with open(f"{folder}/.azureml/mine.runconfig", encoding="utf-8") as file:
        named = yaml.safe_load(file)["environment"]
    with open(f"{folder}/{named}", encoding="utf-8") as file:
        return [named, yaml.safe_load(file)["name"], _facts(sdk.RunConfiguration.load(folder, "mine"))]


def _saved_to_a_new_path(sdk: Any) -> Any:
    _configured(sdk).save("one.runconfig")
    return _facts(sdk.RunConfiguration.load("one.runconfig"))


def _saved_to_a_path(sdk: Any) -> Any:
    with open("there.runconfig", "w", encoding="utf-8"):
        pass
    _configured(sdk).save("there.runconfig")
    return _facts(sdk.RunConfiguration.load("there.runconfig"))


def _saved_again(sdk: Any) -> Any:
    """What Azure's command line wrote, loaded, saved and loaded."""
    folder = _project("again")
    with open("azures.runconfig", encoding="utf-8") as file, open(f"{folder}/.azureml/a.runconfig", "w") as copy:
        copy.write(file.read())
    loaded = sdk.RunConfiguration.load(folder, "a")
    loaded.save(folder, "b.runconfig")
    read = sdk.RunConfiguration.load(folder, "b")
    named = ("framework", "communicator", "node_count", "max_run_duration_seconds", "priority", "arguments")
    reference = read.data_references["x"]
    parts = [read.mpi.process_count_per_node, read.tensorflow.worker_count, read.history.directories_to_watch]
    references = [reference.data_store_name, reference.path_on_data_store, reference.mode, reference.overwrite]
    more = [read.amlcompute.vm_size, read.spark.configuration, read.hdi.yarn_deploy_mode]
    return [[getattr(read, name) for name in named], parts, references, more, read.environment.name]


def _deleted(sdk: Any) -> Any:
    folder = _project("deleted")
    _configured(sdk).save(folder, "mine.runconfig")
    sdk.RunConfiguration.delete(folder, "mine")
    return os.path.exists(f"{folder}/.azureml/mine.runconfig")


def _data_reference(sdk: Any) -> Any:
    config = sdk.RunConfiguration()
    config.data_references = {"x": sdk.DataReferenceConfiguration("store", "Download", "a/b", overwrite=True)}
    reference = config.data_references["x"]
    return [reference.data_store_name, reference.mode, reference.path_on_data_store, reference.overwrite]


def _script(**arguments: Any) -> Operation:
    def operation(sdk: Any) -> Any:
        config = sdk.ScriptRunConfig("source", environment=sdk.Environment("x"), **arguments)
        return [config.script, config.command, config.arguments, config.run_config.environment.name]

    return operation


def _script_of(folder: str, **arguments: Any) -> Operation:
    def operation(sdk: Any) -> Any:
        config = sdk.ScriptRunConfig(folder, **arguments)
        return [os.path.basename(config.source_directory), config.script]

    return operation


def _script_with_both(**given: Any) -> Operation:
    def operation(sdk: Any) -> Any:
        environment = {"environment": sdk.Environment("x")} if not given else {}
        run_config = sdk.RunConfiguration("own.py", ["--own"])
        config = sdk.ScriptRunConfig("source", run_config=run_config, **given, **environment)
        return [config.script, config.arguments, config.run_config.environment.name, config.run_config.target]

    return operation


def _distributed(sdk: Any) -> Any:
    job = sdk.MpiConfiguration(process_count_per_node=2, node_count=3)
    config = sdk.ScriptRunConfig("source", script="train.py", distributed_job_config=job).run_config
    return [config.node_count, config.communicator, config.framework, config.mpi.process_count_per_node]


def _limited(sdk: Any) -> Any:
    return sdk.ScriptRunConfig("source", "train.py", max_run_duration_seconds=60).run_config.max_run_duration_seconds


def _in_docker(sdk: Any) -> Any:
    docker = sdk.DockerConfiguration(use_docker=True, shm_size="4g", arguments=["--ipc=host"], shared_volumes=False)
    config = sdk.ScriptRunConfig("source", script="train.py", docker_runtime_config=docker).run_config.docker
    return [config.use_docker, config.shm_size, config.arguments, config.shared_volumes]


def _set_later(sdk: Any) -> Any:
    config = sdk.ScriptRunConfig("source", script="train.py")
    config.run_config.environment, config.run_config.target = sdk.Environment("z"), "local"
    return [config.run_config.environment.name, config.run_config.target]


def _reference(sdk: Any) -> Any:
    reference = sdk.EnvironmentReference("x", "3")
    return [reference.name, reference.version]


def _build_context(sdk: Any) -> Any:
    kinds = sdk.DockerBuildContext.LocationType
    context = sdk.DockerBuildContext(kinds.Git, "https://git.example/a.git", "d/Dockerfile")
    return [context.location, context.dockerfile_path, context.location_type.name]


OPERATIONS: dict[str, Operation] = {
    "run: new": _defaults,
    "run: its target": lambda sdk: sdk.RunConfiguration().target,
    "run: its shared memory": lambda sdk: sdk.RunConfiguration().docker.shm_size,
    "run: with packages": lambda sdk: content(
        sdk.RunConfiguration(conda_dependencies=dependencies_of(sdk, "flask")).environment.python.conda_dependencies
    ),
    "run: a script and arguments": _made(script="a.py", arguments=["--n", 1]),
    "run: a command": _made(command=["python", "a.py"]),
    "run: a framework and a communicator": _made(framework="Tensorflow", communicator="ParameterServer"),
    "run: Python as the framework": _made(framework="Python"),
    "run: PySpark": _made(framework="PySpark"),
    "run: nodes": _with(node_count=4),
    "run: history": _with(history__output_collection=False),
    "run: Spark": _with(spark__configuration={"spark.app.name": "mine"}),
    "run: MPI": _with(mpi__process_count_per_node=2),
    "run: a cluster": _with(amlcompute__vm_size="STANDARD_D2_V2", amlcompute__vm_priority="lowpriority"),
    "run: other parts": _with(
        hdi__yarn_deploy_mode="client", pytorch__process_count=2, paralleltask__worker_count_per_node=2, priority=3
    ),
    "run: no data": _with(data_references={}),
    "run: data": _data_reference,
    "run: a time limit": _with(max_run_duration_seconds=3600),
    "run: prepared by hand": _with(auto_prepare_environment=False),
    "run: a container": _with(docker__use_docker=True, docker__shm_size="4g", docker__arguments=["--ipc=host"]),
    "run: an attribute that is none": _with(no_such=1),
    "run: saved and loaded": _saved(),
    "run: saved, its keys": _saved_keys,
    "run: saved with its environment apart": _saved_apart,
    "run: saved to a path": _saved_to_a_path,
    "run: saved to a new path": _saved_to_a_new_path,
    "run: saved again": _saved_again,
    "run: loaded, not there": lambda sdk: sdk.RunConfiguration.load("absent", "mine"),
    "run: deleted": _deleted,
    "script: in an environment": _script(script="train.py", arguments=["--n", 1]),
    "script: a command": _script(command=["python", "train.py", "--n", 1]),
    "script: not there": _script_of("source", script="none.py"),
    "script: in no folder": _script_of("none", script="train.py"),
    "script: none": _script_of("source"),
    "script: both a script and a command": _script(script="train.py", command=["ls"]),
    "script: a command with arguments": _script(command=["ls"], arguments=["-l"]),
    "script: a configuration and an environment": _script_with_both(),
    "script: a configuration and a target": _script_with_both(compute_target="local"),
    "script: distributed": _distributed,
    "script: a time limit": _limited,
    "script: in a container": _in_docker,
    "script: an environment set later": _set_later,
    "a reference": _reference,
    "a build context": _build_context,
}
"""By what they are about."""
