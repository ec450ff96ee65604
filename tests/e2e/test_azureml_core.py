"""Azure's own SDK and roost read each other's folders. azureml-core is installed once, from the package index of this
machine under Python 3.10, and cached; that takes about 20 seconds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from tests.support.azureml import python_with_azureml
from tests.support.corpus import CORPUS, needs_corpus

from roost.model.canonical.form import digest_definition
from roost.model.definition import (
    Base,
    Conda,
    ContainerSettings,
    Defaults,
    Definition,
    Pip,
    PipItem,
    Python,
    R,
    Settings,
    Spark,
)
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.model.syntax.pip_lines import parse_pip_line
from roost.model.writers.write import ExportSource, write_export
from roost.store.sources.files import LocalFiles

AZUREML = "azureml-core==1.61.0.post4"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "roost-tests")
LOAD = """
import json, logging, sys, warnings
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
from azureml.core import Environment
for folder in sys.argv[1:]:
    print(json.dumps(Environment._serialize_to_dict(Environment.load_from_directory(folder))))
"""
SAVE = """
import logging, sys, warnings
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
from azureml.core import Environment
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.environment import RCranPackage, RGitHubPackage, RSection, SparkPackage
folder = sys.argv[1]
Environment("plain").save_to_directory(folder + "/plain")
full = Environment("full")
full.version = "7"
full.python.conda_dependencies = CondaDependencies.create(conda_packages=["numpy=1.2"], pip_packages=["six==1.16.0"])
full.environment_variables = {"A": "1"}
full.docker.base_image = "a/b:1"
full.docker.base_image_registry.address = "r.example"
full.docker.enabled = True
full.docker.shared_volumes = False
full.docker.arguments = ["--ipc=host"]
full.docker.platform.architecture = "arm64"
full.spark.repositories = ["https://m.example"]
full.spark.packages = [SparkPackage("g", "a", "1")]
full.spark.precache_packages = False
full.inferencing_stack_version = "latest"
full.r = RSection()
full.r.r_version, full.r.snapshot_date, full.r.user_managed = "3.6", "2019-04-17", True
cran = RCranPackage()
cran.name, cran.version, cran.repository = "dplyr", "1.0", "https://cran.example"
github = RGitHubPackage()
github.repository = "a/b@v1"
full.r.cran_packages, full.r.github_packages, full.r.bioconductor_packages = [cran], [github], ["limma"]
full.save_to_directory(folder + "/full")
built = Environment("built")
built.docker.base_dockerfile = "FROM a\\nRUN b\\n"
built.python.user_managed_dependencies = True
built.python.interpreter_path = "/opt/python"
built.save_to_directory(folder + "/built")
"""


@pytest.fixture(scope="module")
def azure():
    """Run a program under a Python with azureml-core."""
    python = python_with_azureml()

    def run(program: str, *words: str) -> str:
        home = tempfile.mkdtemp(prefix="r", dir="/tmp")  # Azure's SDK writes below the home folder
        environ = {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8"}
        done = subprocess.run([python, "-c", program, *words], capture_output=True, text=True, env=environ, check=False)
        shutil.rmtree(home, ignore_errors=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def loaded(azure, *folders: Path) -> list[dict]:
    """What Azure reads, as far as it keeps its meaning: pip names in one spelling, of credentials nothing."""
    environments = [json.loads(line) for line in azure(LOAD, *map(str, folders)).splitlines()]
    assert len(environments) == len(folders)
    for environment in environments:
        for member in environment["python"].get("condaDependencies", {}).get("dependencies", []):
            if isinstance(member, dict):
                member["pip"] = [parse_pip_line(text).text for text in member["pip"]]
        for secret in ("username", "password"):
            environment["docker"]["baseImageRegistry"][secret] = None
    return environments


def exported(definition: Definition, settings: Settings, name: str | None, folder: Path) -> None:
    folder.mkdir(parents=True)
    for file, content in write_export(
        "azure", ExportSource(definition=definition, settings=settings, name=name)
    ).files.items():
        (folder / file).write_bytes(content)


def assert_both_ways(azure, folders: list[Path], tmp_path: Path) -> None:
    """Azure reads of what roost wrote what it read of the original, and so does roost."""
    written = []
    for number, folder in enumerate(folders):
        parsed = read_definition(DefinitionSource(path=str(folder)), LocalFiles())
        written.append(tmp_path / f"written{number}")
        exported(parsed.definition, parsed.settings, parsed.name, written[-1])
        again = read_definition(DefinitionSource(path=str(written[-1])), LocalFiles())
        assert digest_definition(again.definition, Defaults()) == digest_definition(parsed.definition, Defaults())
        assert (again.settings, again.name) == (parsed.settings, parsed.name)
    for before, after in zip(loaded(azure, *folders), loaded(azure, *written), strict=True):
        assert after == before


def test_what_azure_saved_survives(azure, tmp_path):
    azure(SAVE, str(tmp_path))
    folders = [tmp_path / name for name in ("plain", "full", "built")]
    assert (folders[2] / "BaseDockerfile").exists()
    assert_both_ways(azure, folders, tmp_path)
    full = read_definition(DefinitionSource(path=str(folders[1])), LocalFiles()).definition
    assert full.base is not None
    assert (full.base.image, full.base.platform) == ("r.example/a/b:1", "linux/arm64")
    assert full.r is not None
    assert full.r.cran == ("dplyr=1.0 @ https://cran.example",)
    built = read_definition(DefinitionSource(path=str(folders[2])), LocalFiles())
    assert built.settings.interpreter == "/opt/python"


@needs_corpus
def test_real_folders_survive(azure, tmp_path):
    folders = [path.parent for path in sorted((CORPUS / "folders").rglob("azureml_environment.json"))]
    assert len(folders) >= 7
    assert_both_ways(azure, folders, tmp_path)


def test_azure_reads_what_roost_says(azure, tmp_path):
    definition = Definition(
        base=Base(image="debian:12-slim", platform="linux/amd64"),
        conda=Conda(channels=("conda-forge",), dependencies=("python=3.11", "numpy")),
        pip=Pip(requirements=(PipItem(kind="requirement", text="six==1.16.0"),)),
        spark=Spark(packages=("g:a:1",)),
        r=R(version="4.2", cran=("x",)),
        inference_stack="latest",
    )
    settings = Settings(variables={"A": "1"}, container=ContainerSettings(shm_size="2g", arguments=("--ipc=host",)))
    exported(definition, settings, "train", tmp_path / "system")
    own = Definition(python=Python(user_managed=True, interpreter="/opt/python"))
    exported(own, Settings(interpreter="/opt/python"), "own", tmp_path / "user")
    system, user = loaded(azure, tmp_path / "system", tmp_path / "user")
    assert system["name"] == "train"
    assert system["environmentVariables"] == {"A": "1"}
    assert system["docker"]["baseImage"] == "debian:12-slim"
    assert (system["docker"]["shmSize"], system["docker"]["arguments"]) == ("2g", ["--ipc=host"])
    packages = system["python"]["condaDependencies"]
    assert packages["dependencies"] == ["python=3.11", "numpy", {"pip": ["six==1.16.0"]}]
    assert packages["channels"] == ["conda-forge"]
    assert system["spark"]["packages"] == [{"group": "g", "artifact": "a", "version": "1"}]
    assert (system["r"]["rVersion"], system["r"]["cranPackages"][0]["name"]) == ("4.2", "x")
    assert system["inferencingStackVersion"] == "latest"
    assert user["python"]["userManagedDependencies"] is True
    assert user["python"]["interpreterPath"] == "/opt/python"
