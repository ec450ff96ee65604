"""Run configurations as files: nothing that a file says is lost on the way in and out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from roost.client import DefinitionError, EnvironmentReference, RunConfiguration, UsageError
from roost.client.api.configurations import files
from roost.client.api.configurations.form import ATTRIBUTES, build_form, read_attributes
from roost.client.api.configurations.parts import PARTS, MpiConfiguration, camel_case
from roost.client.api.configurations.refusals import refusal
from roost.client.api.configurations.text import parse, parse_typed, serialize

AZURES = """\
script: train.py
arguments: [--rate, 1.10, -n, 3, --flag, true]
target: local
framework: Tensorflow
communicator: ParameterServer
autoPrepareEnvironment: true
maxRunDurationSeconds: 60
nodeCount: 4
priority: 2
environment: {name: train, version: '3'}
history: {outputCollection: false, snapshotProject: true, directoriesToWatch: [logs], added: {A: b}}
spark: {configuration: {spark.app.name: mine}}
docker: {useDocker: true, sharedVolumes: false, arguments: [--ipc=host], shmSize: 4g, more: 1.50}
hdi: {yarnDeployMode: client}
tensorflow: {workerCount: 2, parameterServerCount: 1}
mpi: {processCountPerNode: 2, nodeCount: 1}
pytorch: {communicationBackend: gloo, processCount: 2, nodeCount: 1}
paralleltask: {maxRetriesPerWorker: 1, workerCountPerNode: 1, terminalExitCodes: null}
dataReferences:
  x: {dataStoreName: s, pathOnDataStore: a, mode: download, overwrite: true, pathOnCompute: null}
data: {x: {dataLocation: {dataset: {id: 1}}, mechanism: mount}}
datacaches: [{datacacheId: a}]
outputData: {x: {mechanism: upload}}
sourceDirectoryDataStore: s
amlcompute: {vmSize: D2, vmPriority: lowpriority, retainCluster: true, name: c, clusterMaxNodeCount: 3}
autoClusterComputeSpecification: {a: 1}
kubernetescompute: {instanceType: gpu}
credentialPassthrough: true
command: ''
environmentVariables: {A: '', B: 1.10, C: yes}
applicationEndpoints: {ssh: {type: SSH, port: 22, properties: {a: b}}}
nobodyKnows: {this: [1, 1.10, no, null]}
"""


def reread(text: str, tmp_path: Path) -> str:
    (tmp_path / "one.runconfig").write_text(text)
    RunConfiguration.load(tmp_path / "one.runconfig").save(tmp_path / "other.runconfig")
    return (tmp_path / "other.runconfig").read_text()


def test_every_key_of_azures_survives_with_its_type(tmp_path: Path) -> None:
    written = yaml.safe_load(reread(AZURES, tmp_path))
    expected = yaml.safe_load(AZURES)
    expected["environmentVariables"] = {"A": "", "B": "1.10", "C": "yes"}
    expected["arguments"][-1] = "true"
    expected["nobodyKnows"]["this"][2] = "no"
    assert written == expected
    assert set(written) == {*map(camel_case, set(ATTRIBUTES) - {"services"}), "applicationEndpoints"} | {
        "autoPrepareEnvironment",
        "nobodyKnows",
    }
    assert "1.10" in reread(AZURES, tmp_path), "numbers stay as they were written"


def test_a_new_one_has_the_29_keys_of_azures_sdk(tmp_path: Path) -> None:
    config = RunConfiguration()
    config.environment = EnvironmentReference("train", 3)
    config.save(tmp_path, "new")
    assert len(yaml.safe_load((tmp_path / ".azureml/new.runconfig").read_text())) == 29


@pytest.mark.parametrize("key", ["node_count", "NodeCount", "nodeCount"])
def test_keys_are_read_in_every_spelling_of_azures_sdk(tmp_path: Path, key: str) -> None:
    (tmp_path / "one.runconfig").write_text(f"script: a.py\n{key}: 4\nmpi: {{process_count_per_node: 2}}\n")
    config = RunConfiguration.load(tmp_path / "one.runconfig")
    assert (config.node_count, config.mpi) == (4, MpiConfiguration(2))


@pytest.mark.parametrize(
    "text",
    [
        "history: [a]",
        "mpi: 3",
        "dataReferences: [a]",
        "dataReferences: {x: 3}",
        "datacaches: {a: b}",
        "arguments: {a: b}",
    ],
)
def test_a_key_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "one.runconfig").write_text(f"script: a.py\n{text}\n")
    with pytest.raises(DefinitionError, match="is not a"):
        RunConfiguration.load(tmp_path / "one.runconfig")


def test_what_the_command_line_reads_is_loaded_and_refused_where_it_is_run(tmp_path: Path) -> None:
    (tmp_path / "one.runconfig").write_text("script: a.py\ncommunicator:\n  processCountPerNode: 1\nnodeCount: many\n")
    error = refusal(RunConfiguration.load(tmp_path / "one.runconfig"), in_container=False)
    assert error is not None
    assert "communicator = {'processCountPerNode': 1}, node_count = 'many'" in error.message


def test_a_file_is_found_by_every_name_that_azures_sdk_knows_it_by(tmp_path: Path) -> None:
    config = RunConfiguration("a.py")
    config.environment = EnvironmentReference("train")
    config.save(tmp_path, "mine.runconfig")
    config.save(tmp_path / "beside.runconfig")
    assert os.listdir(tmp_path / ".azureml") == ["mine.runconfig"]
    for path, name in (
        *((tmp_path, "mine"), (tmp_path, "mine.runconfig"), (tmp_path, "beside"), (tmp_path / "beside", None)),
        (tmp_path / "beside.runconfig", None),
    ):
        assert RunConfiguration.load(path, name).script == "a.py"
    loaded = RunConfiguration.load(tmp_path, "mine")
    loaded.script = "b.py"
    loaded.save()
    assert RunConfiguration.load(tmp_path, "mine").script == "b.py"


def test_the_environment_goes_to_a_file_of_its_own_and_overwrites_no_other(tmp_path: Path) -> None:
    form = {"name": "x", "version": None, "python": {}, "docker": {"baseImage": "a"}}
    for folder, value in ((".azureml", ".azureml/environment.yml"), ("other", "environment.yml")):
        (tmp_path / folder).mkdir()
        assert files.write_environment(form, str(tmp_path / folder / "x.runconfig")) == value
        assert files.write_environment({**form, "name": "y"}, str(tmp_path / folder / "x.runconfig")) == value
        assert yaml.safe_load((tmp_path / folder / "environment.yml").read_text()) == {**form, "name": "y"}
    conda = "name: mine\ndependencies: [python]\n"
    (tmp_path / "environment.yml").write_text(conda)
    with pytest.raises(UsageError, match="is not an environment of a run configuration"):
        files.write_environment(form, str(tmp_path / "x.runconfig"))
    assert (tmp_path / "environment.yml").read_text() == conda
    reference = {"name": "x", "version": "3"}
    assert files.write_environment(reference, str(tmp_path / "x.runconfig")) == reference


scalars = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text("ab 1.:-#{yes", max_size=6)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abC", min_size=1), inner, max_size=2)
)
tables = st.fixed_dictionaries(
    {},
    optional={
        "unknownKey": values,
        "zzz": values,
        **{
            key: st.dictionaries(st.sampled_from(["nodeCount", "other", "more"]), values, max_size=2)
            for key in PARTS
            if key != "docker"
        },
    },
)


@given(tables)
def test_what_was_written_is_read_as_the_same(table: dict[str, Any]) -> None:
    text = serialize({"script": "a.py", **table})
    attributes, unknown = read_attributes(parse(text, "x"), parse_typed(text))
    config = RunConfiguration()
    form = build_form(
        {**{name: getattr(config, name) for name in ATTRIBUTES if name != "environment"}, **attributes}, None, unknown
    )
    again = serialize(form)
    first = {key: value for key, value in parse_typed(again).items() if key in table}
    for key, value in table.items():
        assert first[key] == (value if key in ("unknownKey", "zzz") else {**first[key], **value})
