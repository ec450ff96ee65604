"""The example of the Python API runs, and passes mypy in strict mode."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.roost_process import Roost

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
USES = """
from collections.abc import Iterator, Mapping
from roost.client import *

workspace: Workspace = Workspace.from_config()
environments: Mapping[str, Environment] = workspace.environments
environment: Environment = environments["x"]
dependencies: CondaDependencies = CondaDependencies.create(pip_packages=["six"], python_version="3.11")
packages: Iterator[str] = dependencies.conda_packages
environment.python.conda_dependencies = dependencies
environment.docker.base_dockerfile = "FROM x"
text: str | None = environment.docker.base_dockerfile
with open("Dockerfile") as file:
    environment.docker.base_dockerfile = file
r = RSection()
r.cran_packages = [RCranPackage("ggplot2")]
environment.r = r
environment.spark.packages.append(SparkPackage("g", "a", "1"))
config = RunConfig()
config.target, config.environment = "docker", EnvironmentReference("x", 3)
run: Run = Experiment(workspace, "e").submit(ScriptRunConfig(".", command=["python", 1], run_config=config))
runs: Iterator[Run] = Experiment(workspace, "e").get_runs()
build: ImageBuildDetails = environment.build(workspace).wait_for_completion()
details: DockerImageDetails = environment.get_image_details(workspace)
digest: str | None = details.digest
wheel: str = Environment.add_private_pip_wheel(workspace, "x.whl")
try:
    run.wait_for_completion(show_output=True)
except RunFailedError as error:
    place: str = error.code + error.hint + error.message
"""
WRONG = """
from roost.client import Environment, Workspace
Environment.get(Workspace.from_config(), 3)
Environment("x").no_such_attribute
"""


def mypy(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run mypy as a user would: in another folder, without a configuration. It reads roost once for all files."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-incremental", *names]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_example_and_every_kind_of_use_are_typed(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "using_environments.py", tmp_path)
    (tmp_path / "uses.py").write_text(USES)
    (tmp_path / "wrong.py").write_text(WRONG)
    done = mypy(tmp_path, "using_environments.py", "uses.py", "wrong.py")
    errors = [line for line in done.stdout.splitlines() if "error:" in line]
    assert len(errors) == 2, done.stdout + done.stderr
    assert all(line.startswith("wrong.py:") for line in errors), done.stdout


def test_the_example_runs(conda_roost: Roost) -> None:
    conda_roost.fork_daemon()  # on a slow machine its start has a line on standard error
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "using_environments.py")],
        cwd=conda_roost.folder,
        env=conda_roost.environ,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "system-managed: iris:1 ['latest', 'tried']\n" in done.stdout
    assert "curated: Roost-Minimal:1 ['latest']\n" in done.stdout
    assert done.stdout.count("accuracy over 5 folds: 0.9") == 2
    assert done.stdout.count("Making the environment") == 1
    assert "the run used iris:1, sha256:" in done.stdout
    files = "azureml_environment.json, conda_dependencies.yml"
    assert done.stdout.endswith(f"changed: iris:2\ncloned: iris-copy:1\nsaved and loaded: {files}\n")
