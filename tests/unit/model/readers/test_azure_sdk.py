"""What Azure's SDK writes, read without loss: kept sections, parts in files beside it, run configurations."""

from __future__ import annotations

import csv
import json

import pytest
from tests.support.corpus import CORPUS, needs_corpus

from roost.model.canonical.form import canonicalise_settings, digest_settings
from roost.model.definition import Settings
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.read import detect_format, read_definition
from roost.model.readers.source import DefinitionSource
from roost.model.syntax.secret_keys import is_secret_key
from roost.store.sources.files import LocalFiles

CONDA = "name: project_environment\nchannels: [conda-forge]\ndependencies: [python=3.8, {pip: [six]}]\n"
FULL = {
    "name": "full",
    "version": "7",
    "environmentVariables": {"A": "1"},
    "python": {
        "userManagedDependencies": False,
        "interpreterPath": "python",
        "condaDependenciesFile": None,
        "baseCondaEnvironment": "base",
    },
    "docker": {
        "enabled": True,
        "baseImage": "a/b:1",
        "sharedVolumes": False,
        "gpuSupport": True,
        "shmSize": "4g",
        "arguments": ["--ipc=host"],
        "baseImageRegistry": {"address": "r.example", "username": "u", "password": "s3cret", "registryIdentity": None},
        "platform": {"os": "Linux", "architecture": "amd64"},
    },
    "spark": {
        "repositories": ["https://u:s3cret@m.example"],
        "packages": [{"group": "g", "artifact": "a", "version": "1"}],
        "precachePackages": False,
    },
    "databricks": {
        "mavenLibraries": [{"coordinates": "a:b:1", "repo": None, "exclusions": ["x"]}],
        "pypiLibraries": [],
        "rcranLibraries": None,
        "jarLibraries": [],
        "eggLibraries": [],
    },
    "r": {
        "rVersion": "3.6",
        "userManaged": True,
        "rscriptPath": "/usr/bin/Rscript",
        "snapshotDate": "2019-04-17",
        "cranPackages": [{"name": "dplyr", "version": "1.0", "repository": "https://cran.example"}, {"name": "x"}],
        "githubPackages": [{"repository": "a/b@v1", "authToken": "s3cret"}],
        "customUrlPackages": ["https://h.example/p.tar.gz"],
        "bioconductorPackages": ["limma"],
    },
    "inferencingStackVersion": "latest",
    "assetId": "azureml://x",
}


@pytest.fixture
def saved(write, tmp_path):
    """Read a folder as Azure saves it."""

    def saved(form, conda=CONDA, dockerfile=None, called="BaseDockerfile"):
        write("azureml_environment.json", json.dumps(form, indent=4))
        if conda is not None:
            write("conda_dependencies.yml", conda)
        if dockerfile is not None:
            write(called, dockerfile)
        return read_definition(DefinitionSource(path=str(tmp_path)), LocalFiles())

    return saved


def test_every_section_is_read_or_kept(saved):
    parsed = saved(FULL)
    definition = parsed.definition
    assert definition.r is not None
    assert definition.r.cran == ("dplyr=1.0 @ https://cran.example", "x")
    assert (definition.r.version, definition.r.snapshot) == ("3.6", "2019-04-17")
    assert definition.r.github == ("a/b@v1",)
    assert definition.r.urls == ("https://h.example/p.tar.gz",)
    assert definition.r.bioconductor == ("limma",)
    assert definition.spark.repositories == ("https://m.example",)
    assert definition.base is not None
    assert definition.base.image == "r.example/a/b:1"
    assert parsed.settings.passthrough == {
        "azure": {
            "version": "7",
            "assetId": "azureml://x",
            "python": {"baseCondaEnvironment": "base"},
            "docker": {
                "enabled": True,
                "sharedVolumes": False,
                "gpuSupport": True,
                "baseImageRegistry": {"address": "r.example"},
            },
            "spark": {"precachePackages": False},
            "databricks": {"mavenLibraries": [{"coordinates": "a:b:1", "exclusions": ["x"]}]},
            "r": {"userManaged": True, "rscriptPath": "/usr/bin/Rscript"},
            "null": ["databricks.rcranLibraries"],
        }
    }


def test_no_credential_is_kept_and_each_is_named(saved):
    parsed = saved(FULL)
    assert "s3cret" not in repr((parsed.definition, parsed.settings))
    named = [warning.message.split()[0] for warning in parsed.warnings if warning.code == "credentials-unread"]
    assert named == ["'username'", "'password'", "'authToken'"]
    assert {warning.code for warning in parsed.warnings} == {"credentials-unread", "section-idle", "key-unused"}


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        *(
            (key, True)
            for key in ("password", "authToken", "userName", "username", "user_name", "API_KEY", "accessKey")
        ),
        *((key, True) for key in ("tokens", "clientSecrets", "credentials", "DB_PWD", "privateKey", "storageKeys")),
        *((key, True) for key in ("sasToken", "SECRET", "connection-string", "apikey", "AccountKeys")),
        *((key, False) for key in ("tokenizer", "secretary", "key", "registryIdentity", "clientId", "user", "port")),
    ],
)
def test_credentials_are_told_by_their_words(key, secret):
    assert is_secret_key(key) == secret


def test_a_plain_environment_keeps_nothing(saved):
    parsed = saved({"name": "a", "version": None, "docker": {"baseImage": "a", "baseDockerfile": None}, "r": None})
    assert parsed.settings.passthrough == {}


def test_what_is_kept_counts_in_the_settings_and_whose_version_it_was_does_not(saved):
    plain, other = Settings(), Settings(passthrough={"azure": {"version": "7", "assetId": "x"}})
    assert canonicalise_settings(other) == canonicalise_settings(plain)
    assert digest_settings(Settings(passthrough={"azure": {"docker": {"enabled": True}}})) != digest_settings(plain)


def test_the_dockerfile_beside_the_json_is_the_base(saved):
    parsed = saved({**FULL, "docker": {"enabled": True}}, dockerfile="FROM a\r\nRUN b\n")
    assert parsed.definition.base is not None
    assert parsed.definition.base.dockerfile == "FROM a\nRUN b\n"
    same = saved({**FULL, "docker": {"baseDockerfile": "FROM a\nRUN b\n"}}, dockerfile="FROM a\nRUN b\n")
    assert same.definition.base == parsed.definition.base
    both = saved({**FULL, "docker": {}}, dockerfile="FROM c\n", called="Dockerfile")
    assert both.definition.base == parsed.definition.base


@pytest.mark.parametrize("docker", [{}, {"baseImage": "a"}, {"baseDockerfile": "FROM b\n"}])
def test_a_dockerfile_of_another_name_beside_the_json_is_not_its_base(saved, docker):
    alone = saved({**FULL, "docker": docker})
    beside = saved({**FULL, "docker": docker}, dockerfile="FROM a\nCOPY . /x\n", called="Dockerfile")
    assert beside.definition == alone.definition
    told = [warning.message for warning in beside.warnings if warning.code == "file-unused"]
    assert len(told) == (0 if docker else 1)


@pytest.mark.parametrize(
    ("docker", "python", "conda", "dockerfile", "words", "where"),
    [
        ({"baseImage": "a"}, {}, CONDA, "FROM a\n", "Both 'baseImage' and the file BaseDockerfile", "Dockerfile"),
        ({"baseDockerfile": "FROM b\n"}, {}, CONDA, "FROM a\n", "is not the one of", "Dockerfile"),
        ({}, {"condaDependencies": {"dependencies": ["python=3.9"]}}, CONDA, None, "are not those of", CONDA),
        ({}, {"condaDependenciesFile": "x.yml"}, None, None, "x.yml can't be read", "azureml_environment.json"),
        ({"buildContext": {"locationType": "git", "location": "https://h"}}, {}, CONDA, None, "'buildContext'", "json"),
    ],
)
def test_missing_and_contradicting_files_are_errors_with_a_place(
    saved, docker, python, conda, dockerfile, words, where
):
    with pytest.raises(InvalidDefinitionError, match=words) as caught:
        saved({**FULL, "docker": docker, "python": python}, conda, dockerfile)
    location = caught.value.location
    assert location is not None
    assert location.line is not None
    assert location.path.endswith("conda_dependencies.yml" if where == CONDA else where)
    assert caught.value.hint


def test_json_is_read_as_json(write, tmp_path):
    told = {**FULL, "environmentVariables": {"A": "\U0001f600 \\ud83d\\ude00 é / \t"}}
    write("azureml_environment.json", json.dumps(told, indent="\t").replace(": ", ":\t"))
    write("conda_dependencies.yml", CONDA)
    parsed = read_definition(DefinitionSource(path=str(tmp_path)), LocalFiles())
    assert parsed.name == "full"
    assert parsed.settings.variables == told["environmentVariables"]


def test_a_folder_without_its_packages_says_so(saved):
    assert "file-missing" in [warning.code for warning in saved({**FULL, "python": {}}, conda=None).warnings]


def test_files_that_agree_and_a_named_file_that_was_saved_beside_are_fine(saved):
    inline = {"condaDependencies": {"channels": ["conda-forge"], "dependencies": ["python=3.8", {"pip": ["six"]}]}}
    assert saved({**FULL, "python": inline}).definition.conda.dependencies == ("python=3.8",)
    named = saved({**FULL, "python": {"condaDependenciesFile": "train_dependencies.yml"}})
    assert named.definition.conda.dependencies == ("python=3.8",)
    assert named.settings.passthrough["azure"]["python"] == {"condaDependenciesFile": "train_dependencies.yml"}


def test_user_managed_packages_survive_and_are_not_needed(saved, tmp_path):
    own = {"userManagedDependencies": True, "interpreterPath": "/opt/python"}
    assert saved({**FULL, "python": own}).definition.conda.dependencies == ("python=3.8",)
    (tmp_path / "conda_dependencies.yml").unlink()
    missing = saved({**FULL, "python": {**own, "condaDependenciesFile": "x.yml"}}, conda=None)
    assert missing.definition.conda.dependencies == ()
    assert "file-missing" in [warning.code for warning in missing.warnings]


RUN = """
script: train.py
target: local
framework: Python
environment:
  name: inner
  python: {condaDependenciesFile: aml_config/conda.yml}
  docker: {baseImage: a, shmSize: 1g}
  environmentVariables: {A: "1", B: "2"}
environmentVariables: {B: "3"}
docker: {useDocker: true, shmSize: 4g}
"""


def test_a_run_configurations_environment(write):
    write("aml_config/conda.yml", CONDA)
    path = write("aml_config/x.runconfig", RUN)
    assert detect_format(DefinitionSource(path=str(path)), LocalFiles()) == "azure-run"
    parsed = read_definition(DefinitionSource(path=str(path)), LocalFiles())
    assert (parsed.format, parsed.name, parsed.path) == ("azure-run", "inner", str(path))
    assert parsed.definition.conda.dependencies == ("python=3.8",)
    assert parsed.settings.variables == {"A": "1", "B": "3"}
    assert parsed.settings.container.shm_size == "4g"
    assert [warning.code for warning in parsed.warnings] == ["run-unread"]
    assert "'script', 'target', 'framework'" in parsed.warnings[0].message


def test_a_run_configuration_may_name_the_environments_file(write):
    write("environment.yml", "name: e\npython: {userManagedDependencies: true}\n")
    parsed = read_definition(
        DefinitionSource(path=str(write("x.runconfig", "target: a\nenvironment: environment.yml\n"))), LocalFiles()
    )
    assert parsed.definition.python.user_managed
    assert parsed.path is not None
    assert parsed.path.endswith("x.runconfig")


@pytest.mark.parametrize("folder", [".azureml", "aml_config"])
def test_the_environments_file_is_named_from_the_projects_folder(write, folder):
    write(f"{folder}/environment.yml", f"name: e\npython: {{condaDependenciesFile: {folder}/conda.yml}}\n")
    write(f"{folder}/conda.yml", "dependencies: [python=3.8]\n")
    path = write(f"{folder}/x.runconfig", f"target: a\nenvironment: {folder}/environment.yml\n")
    parsed = read_definition(DefinitionSource(path=str(path)), LocalFiles())
    assert (parsed.name, parsed.definition.conda.dependencies) == ("e", ("python=3.8",))
    path = write("elsewhere/x.runconfig", "target: a\nenvironment: other/environment.yml\n")
    with pytest.raises(InvalidDefinitionError, match=r"other/environment\.yml"):
        read_definition(DefinitionSource(path=str(path)), LocalFiles())


def test_a_run_configuration_that_holds_no_environment_says_where_to_get_it(refused):
    error = refused("script: a\ntarget: b\nenvironment: {name: e, version: 3}\n", "x.runconfig")
    assert "names an environment of an Azure workspace" in error.message
    assert "save_to_directory" in error.hint
    assert error.location is not None
    assert error.location.line == 3


@needs_corpus
def test_azures_own_reader_finds_the_same_in_real_files():
    """Every file that azureml-core reads, in one way or another, gives the base, packages and variables it read."""
    best = {}
    with open(CORPUS / "azureml-reader.tsv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["result"] == "ok" and (row["context"] != "alone" or row["file"] not in best):
                best.setdefault(row["file"], row)
    compared = 0
    for name, row in best.items():
        folder = CORPUS / "folders" / name
        wanted = (CORPUS / "files" / name).read_bytes()
        path = next(
            (path for path in sorted(folder.rglob("*")) if path.is_file() and path.read_bytes() == wanted), None
        )
        if path is None or row["name"] == "default-environment":  # an early form: Azure reads nothing of it
            continue
        definition = read_definition(DefinitionSource(path=str(path)), LocalFiles()).definition
        assert (definition.base.image if definition.base else None) == row["baseImage"], name
        assert (len(definition.conda.dependencies), len(definition.pip.requirements)) == (
            int(row["n_conda"]),
            int(row["n_pip"]),
        ), name
        assert definition.python.user_managed == (row["userManaged"] == "True")
        assert definition.python.interpreter == row["interpreter"]
        if row["channels"] != "null":
            assert list(definition.conda.channels) == json.loads(row["channels"])
        spark = json.loads(row["spark"])
        assert list(definition.spark.repositories) == spark["repositories"]
        assert list(definition.spark.packages) == [":".join(package.values()) for package in spark["packages"]]
        compared += 1
    assert compared >= 18


def test_a_spark_package_may_be_one_text(saved):
    spark = {"packages": ["g:a:1", {"group": "h", "artifact": "b", "version": "2"}]}
    assert saved({"name": "x", "spark": spark}).definition.spark.packages == ("g:a:1", "h:b:2")
    with pytest.raises(InvalidDefinitionError, match="expected a mapping"):
        saved({"name": "x", "spark": {"packages": ["g:a"]}})
