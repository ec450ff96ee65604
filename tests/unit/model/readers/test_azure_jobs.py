"""Jobs, components, deployments, pipelines and assets of Azure's CLI v2, of which only the environment is read."""

from __future__ import annotations

import json

import pytest

from roost.model.canonical.form import digest_definition
from roost.model.definition import Defaults, Definition, Settings
from roost.model.documents.document import convert_document
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.read import read_definition, read_source
from roost.model.readers.source import DefinitionSource
from roost.model.syntax.azure import parse_schema
from roost.store.sources.files import LocalFiles

SCHEMA = "$schema: https://azuremlschemas.azureedge.net/latest/{}.schema.json\n"
CONDA = "channels: [conda-forge]\ndependencies: [python=3.11, {pip: [six]}]\n"
INLINE = "environment:\n  image: a/b:1\n  conda_file: conda.yml\n"
IN_PLACE = (
    "environment: {image: 'a/b:1', conda_file: {channels: [conda-forge], dependencies: [python=3.11, pip: [six]]}}\n"
)


@pytest.fixture
def read(write, tmp_path):
    """Read a file below the test's folder, whose files are given."""

    def read(text, name="job.yml", **files):
        for path, content in {"conda.yml": CONDA, **files, name: text}.items():
            write(path.replace("__", "/"), content)
        return convert_document(read_source(DefinitionSource(path=str(tmp_path / name)), LocalFiles()))

    return read


@pytest.fixture
def refused(read):
    def refused(text, **files):
        with pytest.raises(InvalidDefinitionError) as caught:
            read(text, **files)
        assert caught.value.location is not None
        return caught.value

    return refused


@pytest.mark.parametrize(
    "text",
    [
        SCHEMA.format("commandJob") + f"command: python a.py\ncode: src\n{INLINE}compute: azureml:cpu\n",
        f"command: python a.py\n{INLINE}",
        f"type: command\nname: x\n{IN_PLACE}",
        SCHEMA.format("sweepJob") + f"trial:\n  command: x\n  {INLINE.replace(chr(10), chr(10) + '  ')}\n",
        SCHEMA.format("sparkJob") + INLINE,
        SCHEMA.format("commandComponent") + f"type: command\nname: train\nversion: 1\n{INLINE}",
        SCHEMA.format("parallelComponent") + f"task:\n  entry_script: a\n  {INLINE.replace(chr(10), chr(10) + '  ')}\n",
        SCHEMA.format("managedOnlineDeployment") + f"name: blue\nmodel: azureml:m:1\n{INLINE}",
        SCHEMA.format("batchDeployment") + f"name: b\nendpoint_name: e\n{INLINE}",
        SCHEMA.format("commandJob") + "environment: file:env.yml\n",
        SCHEMA.format("commandJob") + "environment: ./env.yml\n",
        SCHEMA.format("pipelineJob") + "jobs:\n  a: {type: command, component: file:c.yml}\n",
        SCHEMA.format("pipelineJob")
        + "jobs:\n  a: {component: ./c.yml}\n  b: {type: command, "
        + IN_PLACE[:-1]
        + "}\n",
        SCHEMA.format("schedule") + "create_job: ./j.yml\ntrigger: {type: cron}\n",
        f"type: pipeline\njobs:\n  a: {{{IN_PLACE[:-1]}}}\n",
        "type: environment\nname: e\nversion: auto\nspec: env.yml\nextra_config: x.yml\n",
    ],
)
def test_the_environment_in_another_file_of_azures_is_read(read, text):
    parsed = read(text, **{"env.yml": INLINE_FILE, "c.yml": COMPONENT, "j.yml": f"command: x\n{INLINE}"})
    assert parsed.format == "azure-job"
    assert parsed.registered is None
    assert digest_definition(parsed.definition, Defaults()) == digest_definition(read_alone(read), Defaults())


INLINE_FILE = SCHEMA.format("environment") + "name: e\nimage: a/b:1\nconda_file: conda.yml\n"
COMPONENT = SCHEMA.format("commandComponent") + f"command: x\n{INLINE}"


ITSELF = "jobs: {a: {component: c.yml}}\n"


def read_alone(read) -> Definition:
    """What the environment file itself is."""
    return read(INLINE_FILE, name="alone.yml").definition


@pytest.mark.parametrize(
    ("written", "reference"),
    [
        ("azureml:train@latest", "train@latest"),
        ("azureml:train:3", "train:3"),
        ("azureml:train", "train"),
        ("azureml:AzureML-sklearn-1.0@latest", "AzureML-sklearn-1.0@latest"),
        (
            "azureml:/subscriptions/0/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/"
            "environments/train/versions/3",
            "train:3",
        ),
        ("azureml:/subscriptions/0/resourceGroups/g/workspaces/w/environments/train/labels/latest", "train@latest"),
    ],
)
def test_an_environment_of_a_workspace_is_named_and_not_read(read, written, reference):
    parsed = read(
        SCHEMA.format("commandJob") + f"command: x\nenvironment: {written}\nenvironment_variables: {{A: 1}}\n"
    )
    assert parsed.registered is not None
    assert parsed.registered.reference == reference
    assert (parsed.registered.location.line, parsed.registered.location.column) == (3, 14)
    assert parsed.definition == Definition()
    assert parsed.settings == Settings(variables={"A": "1"})


def test_variables_of_the_job_count_unless_azure_fills_them_in(read):
    text = f"command: x\n{INLINE}environment_variables:\n  A: 1\n  B: ${{{{inputs.b}}}}\n  C: yes\n"
    parsed = read(text)
    assert parsed.settings.variables == {"A": "1", "C": "yes"}
    assert [warning.code for warning in parsed.warnings] == ["run-unread", "variable-unread"]
    assert "not 'command'" in parsed.warnings[0].message


def test_a_pipeline_of_equal_environments_is_one(read):
    jobs = "".join(f"  {name}: {{type: command, environment: 'azureml:train:3'}}\n" for name in "abc")
    parsed = read(SCHEMA.format("pipelineJob") + f"jobs:\n{jobs}")
    assert parsed.registered is not None
    assert parsed.registered.reference == "train:3"


def test_a_pipeline_of_several_environments_is_refused_with_their_places(refused):
    jobs = "".join(f"  a{n}: {{type: command, environment: 'azureml:train:{n}'}}\n" for n in range(1, 9))
    error = refused(SCHEMA.format("pipelineJob") + f"jobs:\n{jobs}")
    assert error.code == "azure-environment-unreadable"
    assert "This pipeline job of Azure has 8 different environments" in error.message
    assert "job.yml:3:" in error.message
    assert "and 3 more" in error.message
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("environment: azureml://registries/azureml/environments/sk/labels/latest\n", "registry 'azureml'", 2),
        ("environment: azureml:train:auto\n", "not a valid version", 2),
        ("environment: azureml:a b@latest\n", "can't be the name", 2),
        ("environment: train@latest\n", "not an environment: expected", 2),
        ("environment: ${{parent.inputs.env}}\n", "an expression that Azure fills in", 2),
        ("environment: python:3.11\n", "not an environment: expected", 2),
        ("environment: {dependencies: [python]}\n", "under 'conda_file'", 2),
        ("environment: {name: a}\n", "says nothing of an environment", 2),
        ("environment: {image: a, conda-file: b}\n", "did you mean 'conda_file'", 2),
        ("environmnt: azureml:a@latest\n", "did you mean 'environment'", 2),
        ("environment: none.yml\n", "none.yml can't be read", 2),
        ("environment: {build: {path: 'https://github.com/a/b'}}\n", "at a URL is not supported", 2),
        ("command: x\n", "has no 'environment'", 1),
        ("jobs: {a: {component: azureml:train:1}}\n", "in an Azure workspace or registry", 2),
        ("jobs: {a: {component: job.yml}}\n", "is named twice", 2),
        ("jobs: {a: 3}\n", "expected a mapping", 2),
    ],
)
def test_what_can_not_be_read_is_said_in_one_line_with_its_place(refused, text, words, line):
    error = refused(SCHEMA.format("commandJob") + text)
    assert words in error.message
    assert "\n" not in error.message
    assert error.location.line == line
    assert error.hint or "did you mean" in error.message or error.code == "yaml-invalid"


@pytest.mark.parametrize("kind", ["data", "model", "amlCompute", "managedOnlineEndpoint", "autoMLJob", "workspace"])
def test_an_asset_without_an_environment_is_refused_by_its_kind(refused, kind):
    error = refused(SCHEMA.format(kind) + "name: x\ntype: uri_folder\n")
    assert error.code == "azure-environment-unreadable"
    assert error.message.startswith("This ")
    assert "has no 'environment'" in error.message


SPEC = SCHEMA.format("environment") + "name: '{{asset.name}}'\nbuild:\n  path: '{{image.context.path}}'\n"
ASSET = "name: e\nversion: auto\ntype: environment\nspec: spec.yaml\nextra_config: environment.yaml\n"


@pytest.mark.parametrize("extra", ["{dir: c, dockerfile: gpu.Dockerfile}", "{dockerfile: Dockerfile}"])
def test_an_asset_of_azures_own_is_read_with_the_context_that_its_templates_stand_for(read, tmp_path, extra):
    files = {"spec.yaml": SPEC, "environment.yaml": f"image:\n  name: a\n  context: {extra}\n"}
    files |= {"c/gpu.Dockerfile": "FROM a\nCOPY x /x\n", "c/x": "x", "context/Dockerfile": "FROM b\n"}
    base = read(ASSET, name="asset.yaml", **files).definition.base
    named = "c" if "c," in extra else "context"
    assert (base.context_path, base.dockerfile_path) == (
        str(tmp_path / named),
        "gpu.Dockerfile" if named == "c" else None,
    )


def test_a_dockerfile_with_templates_is_refused_at_the_first(read):
    files = {"spec.yaml": SPEC, "environment.yaml": "image: {context: {dir: c}}\n"}
    with pytest.raises(InvalidDefinitionError, match=r"contains \{\{latest-image-tag:a\.\*\}\}") as caught:
        read(ASSET, name="asset.yaml", **files, **{"c/Dockerfile": "FROM a:1\nFROM b:{{latest-image-tag:a.*}}\n"})
    assert caught.value.location is not None
    assert str(caught.value.location).endswith("c/Dockerfile:2:8")


def test_the_deployments_of_an_endpoint_are_read_in_its_early_form(read):
    deployment = f"  - name: blue\n    {INLINE.replace(chr(10), chr(10) + '    ')}"
    parsed = read(SCHEMA.format("k8sOnlineEndpoint") + f"name: e\ndeployments:\n{deployment}\n")
    assert parsed.definition == read_alone(read)


def test_an_asset_whose_spec_is_a_template_names_the_folder_as_the_way(refused):
    spec = SCHEMA.format("environment") + "name: e\nbuild:\n  path: '{{image.context.path}}'\n"
    error = refused("type: environment\nname: e\nspec: spec.yaml\n", **{"spec.yaml": spec})
    assert "is a template" in error.message
    assert error.location.path.endswith("spec.yaml")


@pytest.mark.parametrize("version", [None, "3", 3])
def test_a_run_configuration_that_names_an_environment_is_read_through_it(read, version):
    form = {"framework": "python", "environment": {"name": "train", "version": version}, "script": "a.py"}
    form["environmentVariables"] = {"A": "1"}
    parsed = read(json.dumps(form), name="a.runconfig")
    assert parsed.format == "azure-run"
    assert parsed.registered is not None
    assert parsed.registered.reference == ("train" if version is None else "train:3")
    assert parsed.settings.variables == {"A": "1"}


def test_a_file_that_only_names_an_environment_is_no_definition(write, tmp_path):
    path = write("job.yml", SCHEMA.format("commandJob") + "environment: azureml:train@latest\n")
    with pytest.raises(InvalidDefinitionError, match=r"\(train@latest\) and does not contain it") as caught:
        read_definition(DefinitionSource(path=str(path)), LocalFiles())
    assert caught.value.location is not None
    assert caught.value.location.line == 2


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ("https://azuremlschemas.azureedge.net/latest/commandJob.schema.json", "commandJob"),
        ("http://azureml/sdk-2-0/CommandComponent.json", "CommandComponent"),
        ("./environment.schema.json", "environment"),
        ("https://json.schemastore.org/github-workflow.json", None),
        ("https://h/x.yaml", None),
        ("azureml/" * 100_000, None),
    ],
)
def test_the_kind_of_a_schema(schema, kind):
    assert parse_schema(schema) == kind


@pytest.mark.parametrize(
    "text",
    [
        "name: e\nversion: 1\ntype: environment\n",
        "type: pipeline\njobs: {a: {command: x}}\n",
        "environment: {sdk: '>=3'}\nflutter: {}\n",
        "environment: production\nport: 80\n",
        "command: x\nenvironment: [A=1]\n",
    ],
)
def test_other_files_with_the_same_words_are_refused_as_no_environment(refused, text):
    assert refused(text).code == "definition-format-unread"


def test_a_component_that_names_itself_ends(refused):
    error = refused(SCHEMA.format("pipelineJob") + ITSELF, **{"c.yml": ITSELF})
    assert error.code == "azure-environment-unreadable"
