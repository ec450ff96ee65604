"""Environments from Python: create one, register it, run in it, and use again exactly what a run used.

    python examples/using_environments.py

This is the flow of Azure ML's notebook "using environments" with changed imports. The first run downloads Python and
scikit-learn from conda-forge. The daemon starts by itself.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from roost.client import CondaDependencies, Environment, Experiment, Run, ScriptRunConfig, Workspace

IRIS = Path(__file__).resolve().parent / "iris"


def make_environment() -> Environment:
    """Return a description; nothing is registered or built yet."""
    dependencies = CondaDependencies.create(python_version="3.11", conda_packages=["scikit-learn"])
    dependencies.add_channel("conda-forge")
    environment = Environment("iris")
    environment.python.conda_dependencies = dependencies
    environment.environment_variables["OMP_NUM_THREADS"] = "2"
    return environment


def train(workspace: Workspace, environment: Environment) -> Run:
    """Run the script, printing the logs of the build and the training as they arrive."""
    config = ScriptRunConfig(source_directory=IRIS, script="train.py", environment=environment)
    run = Experiment(workspace, "iris").submit(config)
    run.wait_for_completion(show_output=True)
    return run


def main() -> None:
    workspace = Workspace.from_config()
    registered = make_environment().register(workspace)
    Environment.label(workspace, registered.name, version=str(registered.version), labels=["tried"])
    for name, environment in Environment.list(workspace).items():
        print(f"{environment.kind}: {name}:{environment.version} {environment.labels}")

    run = train(workspace, registered)

    # Also years later: the version and the generation that the run used, whatever the channels contain then.
    used = run.get_environment()
    print(f"the run used {used.asset_id}, {used.definition_digest}")
    train(workspace, used)

    # A fetched environment can be changed, and registered as the next version.
    used.environment_variables["OMP_NUM_THREADS"] = "1"
    print(f"changed: {used.register(workspace).asset_id}")
    print(f"cloned: {registered.clone('iris-copy').register(workspace).asset_id}")

    # As files that can be edited, in the layout of Azure's SDK.
    with tempfile.TemporaryDirectory() as folder:
        registered.save_to_directory(folder, overwrite=True)
        loaded = Environment.load_from_directory(folder)
        print(f"saved and loaded: {', '.join(sorted(os.listdir(folder)))}")
    loaded.name = "iris-loaded"
    assert loaded.register(workspace).definition_digest == registered.definition_digest


if __name__ == "__main__":
    main()
