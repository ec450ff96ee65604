from __future__ import annotations

import json

import pytest

from roost.model.errors import InvalidDefinitionError
from roost.model.readers.detect import FormatUnreadError
from roost.model.readers.read import detect_format, read_definition
from roost.model.readers.source import DefinitionSource
from roost.model.writers.write import ExportSource
from roost.model.writers.write import write_export as write_format
from roost.store.sources.files import LocalFiles

CONDA = "name: inner\nchannels: [conda-forge]\ndependencies: [python=3.8, {pip: [six]}]\n"


@pytest.mark.parametrize(
    "conda_file", ["./conda.yml", "file:conda.yml", "{name: i, dependencies: [python=3.8, {pip: [six]}]}"]
)
def test_cli_v2(parse, write, conda_file):
    write("conda.yml", CONDA)
    parsed = parse(f"$schema: https://h/environment.schema.json\nname: outer\nimage: a/b:1\nconda_file: {conda_file}\n")
    assert parsed.format == "azure-v2"
    assert parsed.name == "outer"
    assert parsed.definition.base.image == "a/b:1"
    assert parsed.definition.conda.dependencies == ("python=3.8",)
    assert [item.text for item in parsed.definition.pip.requirements] == ["six"]


def test_cli_v2_keeps_what_only_azure_acts_on(parse):
    about = "version: 3\ndescription: d\ntags: {tokenizer: bert, token: t}\nos_type: linux\n"
    served = "inference_config: {liveness_route: {path: /, port: 1}, x: null}\n"
    parsed = parse(f"$schema: https://h/environment.schema.json\nimage: a\n{about}{served}")
    assert parsed.settings.passthrough["azure-v2"] == {
        "version": 3,
        "description": "d",
        "tags": {"tokenizer": "bert"},
        "os_type": "linux",
        "inference_config": {"liveness_route": {"path": "/", "port": 1}},
    }
    assert [warning.code for warning in parsed.warnings] == ["credentials-unread"]
    written = write_format("azure-v2", ExportSource(definition=parsed.definition, settings=parsed.settings))
    again = parse(written.files["environment.yml"])
    assert again.settings == parsed.settings
    assert not written.warnings


def test_cli_v2_with_a_build_context(parse, write, tmp_path):
    write("context/Dockerfile", "FROM a\n")
    base = parse("$schema: https://h/environment.schema.json\nbuild: {path: context}\n").definition.base
    assert base.context.startswith("sha256:")
    assert base.context_path == str(tmp_path / "context")


SDK = {
    "name": "train",
    "version": None,
    "environmentVariables": {"A": "1"},
    "python": {
        "userManagedDependencies": False,
        "interpreterPath": "python",
        "condaDependencies": {"dependencies": ["python=3.8", {"pip": ["six"]}]},
    },
    "docker": {
        "baseImage": "a/b:1",
        "platform": {"os": "Linux", "architecture": "amd64"},
        "shmSize": "2g",
        "arguments": ["--ipc=host"],
    },
    "spark": {"repositories": ["https://m"], "packages": [{"group": "g", "artifact": "a", "version": "1"}]},
    "inferencingStackVersion": "latest",
}


def test_the_sdks_json(parse):
    parsed = parse(json.dumps(SDK, indent=4), "azureml_environment.json")
    definition = parsed.definition
    assert parsed.format == "azure"
    assert (definition.base.image, definition.base.platform) == ("a/b:1", "linux/amd64")
    assert definition.conda.dependencies == ("python=3.8",)
    assert definition.spark.packages == ("g:a:1",)
    assert definition.inference_stack == "latest"
    assert parsed.settings.variables == {"A": "1"}
    assert parsed.settings.container.shm_size == "2g"
    assert parsed.settings.container.arguments == ("--ipc=host",)


def test_the_sdks_folder_finds_the_conda_file_beside_the_json(write, tmp_path):
    saved = {**SDK, "python": {"userManagedDependencies": False, "condaDependencies": None}}
    write("azureml_environment.json", json.dumps(saved))
    write("conda_dependencies.yml", CONDA)
    parsed = read_definition(DefinitionSource(path=str(tmp_path)), LocalFiles())
    assert parsed.definition.conda.dependencies == ("python=3.8",)
    assert [entry.path.rpartition("/")[2] for entry in parsed.inputs][-1] == "conda_dependencies.yml"


def test_user_managed_leaves_the_interpreter_to_the_settings(parse):
    own = {**SDK, "python": {"userManagedDependencies": True, "interpreterPath": "/opt/python"}}
    parsed = parse(json.dumps(own), "azureml_environment.json")
    assert parsed.definition.python.user_managed
    assert parsed.definition.conda.dependencies == ()
    assert parsed.settings.interpreter == "/opt/python"


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("ArgumentVector: []\nTarget: docker\n", "x.runconfig", "an Azure run configuration of an early form"),
        ("python: 3.8\nbuild_dependencies: [pip]\n", "python_env.yaml", "an MLflow python_env"),
        ("[workspace]\nchannels = []\n", "pixi.toml", "a pixi manifest"),
        ("configuration: {}\npackages: []\n", "spark.yml", "a list of Spark dependencies"),
    ],
)
def test_what_is_known_by_sight_and_not_read_says_so(parse, content, name, words):
    with pytest.raises(FormatUnreadError, match=words) as caught:
        parse(content, name)
    assert caught.value.location.path.endswith(name)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        ("build: here\n", (1, 8), "the string 'here'; expected a mapping"),
        ("docker: {baseImage: a, platform: linux}\n", (1, 34), "expected a mapping"),
        (
            "docker: {baseImage: a}\nspark:\n  packages: [{group: g}]\n",
            (3, 14),
            "'artifact' is null; expected a string",
        ),
        ("image: a\nbuild: {path: .}\n", (2, 8), "Both 'image' and 'build'"),
        ("build: {path: ., dockerfile_path: x}\n", (1, 35), "x can't be read"),
    ],
)
def test_wrong_shapes_have_their_place(refused, content, place, words):
    error = refused(content)
    assert words in error.message, error.message
    assert (error.location.line, error.location.column) == place


def test_dockerfiles_and_contexts(parse, write, tmp_path):
    parsed = parse("# syntax=docker/dockerfile:1\nFROM a\r\nRUN b\n", "Dockerfile")
    assert parsed.format == "dockerfile"
    assert parsed.definition.base.dockerfile == "# syntax=docker/dockerfile:1\nFROM a\nRUN b\n"
    folder = read_definition(DefinitionSource(path=str(tmp_path)), LocalFiles())
    assert folder.format == "context"
    assert folder.definition.base.context_path == str(tmp_path)


def test_a_folder_without_anything_is_refused(tmp_path):
    with pytest.raises(InvalidDefinitionError, match="no environment file, no Dockerfile"):
        read_definition(DefinitionSource(path=str(tmp_path)), LocalFiles())


@pytest.mark.parametrize(
    ("content", "name", "format"),
    [
        ("FROM a\n", "x", "dockerfile"),
        ("six\n", "x", "requirements"),
        ("six\n", "x.in", "requirements"),
        ("@EXPLICIT\n", "x.yml", "explicit"),
        ("name: a\n", "x", "conda"),
        ("# c\n\n'name': a\n", "x", "conda"),
        ("[conda]\n", "x", "roost"),
        ("[project]\nname = 'x'\n", "x.toml", "pyproject"),
        ("[tool.roost]\n", "pyproject.toml", "roost"),
        ("# /// script\n# dependencies = []\n# ///\n", "tool", "pep723"),
        ("print()\n", "x.py", "pep723"),
        ("image: a\n", "x.yml", "azure-v2"),
        ("docker: {baseImage: a}\n", "x.yml", "azure"),
        ('{"python": {"userManagedDependencies": true}}', "x.json", "azure"),
    ],
)
def test_formats_are_told_by_content(write, content, name, format):
    path = write(name, content)
    assert detect_format(DefinitionSource(path=str(path)), LocalFiles()) == format
    assert detect_format(DefinitionSource(path="/elsewhere/" + name, data=content.encode()), LocalFiles()) == format
    assert detect_format(DefinitionSource(path=str(path), format="roost"), LocalFiles()) == "roost"


def test_the_base_images_registry_stands_in_front_and_its_password_is_left_where_docker_keeps_it(parse):
    registry = {"address": "reg.example.org:5000", "username": "u", "password": "s3cret", "registryIdentity": None}
    own = {**SDK, "docker": {"baseImage": "a/b:1", "baseImageRegistry": registry}, "spark": {}}
    parsed = parse(json.dumps(own), "azureml_environment.json")
    assert parsed.definition.base.image == "reg.example.org:5000/a/b:1"
    assert [warning.code for warning in parsed.warnings] == ["credentials-unread", "credentials-unread"]
    assert "s3cret" not in repr(parsed)


def test_a_variable_is_a_reference_to_credentials_which_the_request_alone_sees(parse):
    registry = {"address": "reg.example.org:5000", "username": "${REG_USER}", "password": "${REG_PASSWORD}"}
    own = {**SDK, "docker": {"baseImage": "a/b:1", "baseImageRegistry": registry}}
    parsed = parse(json.dumps(own), "azureml_environment.json")
    assert parsed.credentials == {"docker://reg.example.org:5000": "${REG_USER}:${REG_PASSWORD}"}
    assert [warning.code for warning in parsed.warnings] == ["section-idle"]
    without = {**SDK, "docker": {"baseImage": "reg.example.org:5000/a/b:1"}}
    assert parsed.definition == parse(json.dumps(without), "azureml_environment.json").definition
    half = {**SDK, "docker": {"baseImage": "a/b:1", "baseImageRegistry": {**registry, "password": "a${B}"}}}
    refused = parse(json.dumps(half), "azureml_environment.json")
    assert refused.credentials == {}
    assert "registries.credentials" in refused.warnings[1].message


def test_an_image_and_a_dockerfile_are_one_too_many(parse):
    own = {**SDK, "docker": {"baseImage": "a/b:1", "baseDockerfile": "FROM a\n"}}
    with pytest.raises(InvalidDefinitionError, match="at most one"):
        parse(json.dumps(own), "azureml_environment.json")
