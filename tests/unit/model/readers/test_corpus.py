"""248 real files, read as conda's own reader reads them. They lie beside the repository and are not part of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from rattler import MatchSpec
from rattler.exceptions import InvalidMatchSpecError
from tests.support.corpus import CORPUS, needs_corpus
from tests.support.places import check_document

from roost.model.canonical.form import digest_definition
from roost.model.definition import Defaults, ReadResult
from roost.model.documents.document import PROBLEMS
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.detect import FormatUnreadError
from roost.model.readers.read import read_definition, read_source
from roost.model.readers.source import DefinitionSource, decode_text
from roost.model.syntax.match_specs import spec_name, to_rattler
from roost.store.sources.files import LocalFiles

pytestmark = needs_corpus

WE_REFUSE = {
    "MachineLearningNotebooks__to-use-azureml_automated-machine-learning_automl_env_mac.2.yml": (
        "a pip requirement that is none ('azureml-widgets~=Latest'): conda does not look at them, pip fails later"
    ),
    "conda__tests_requirements.txt": "match specs in a requirements.txt, which is pip's here ('conda-forge::…')",
    "azureml-examples__cli_jobs_train_r_accidents_environment.yml": "an early Azure form, no conda environment at all",
    "azureml-examples__cli_jobs_train_fastai_pets-resnet34_fastai_vision_env.yml": "the same early Azure form",
}
"""Files that conda reads and roost refuses, and why."""

LEFT_TO_THE_ENGINE = {"dask__continuous_integration_environment-3.9.yaml": "mimesis<12+"}
"""Files with a spec whose version is none, and that spec: the readers judge names, the engine versions."""

UNREAD_KINDS = {"pixi_toml", "aml_spark_deps", "mlflow_python_env"}
EARLY_RUN_CONFIGURATION = "MachineLearningSamples-B__aml_config"
ERROR_KINDS = {"nfcore_lock"}  # pixi.lock without its indentation


class Beside(LocalFiles):
    """The corpus holds single files: what they name beside them is taken for empty."""

    def read(self, path: str) -> bytes:
        return super().read(path) if self.exists(path) else b""

    def is_folder(self, path: str) -> bool:
        return not path.endswith((".yml", ".yaml", ".txt", ".whl", ".json")) and not Path(path).is_file()

    def tree_digest(self, path: str) -> str:
        return "sha256:" + "0" * 64

    def context_digest(self, path: str) -> str:
        return "sha256:" + "0" * 64


def table(name: str) -> list[dict[str, str]]:
    with (CORPUS / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_one(name: str) -> ReadResult:
    return read_definition(DefinitionSource(path=str(CORPUS / "files" / name)), Beside())


def refusal(name: str) -> InvalidDefinitionError | None:
    try:
        read_one(name)
    except InvalidDefinitionError as error:
        return error
    return None


def test_every_file_that_conda_reads_is_read():
    refused = {
        row["file"] for row in table("conda-reader.tsv") if row["conda_lenient"] == "ok" and refusal(row["file"])
    }
    assert refused == set(WE_REFUSE)


def test_environment_files_that_conda_refuses_are_refused_with_their_place():
    accepted = set()
    for row in table("conda-reader.tsv"):
        if row["conda_lenient"] != "error" or row["kind"] == "requirements":
            continue
        error = refusal(row["file"])
        if error is None:
            accepted.add(row["file"])
        else:
            assert error.location is not None
            assert error.location.line is not None
    assert accepted == set(LEFT_TO_THE_ENGINE)


def test_what_is_left_to_the_engine_is_refused_there():
    for name, spec in LEFT_TO_THE_ENGINE.items():
        assert spec in read_one(name).definition.conda.dependencies
        with pytest.raises(InvalidMatchSpecError):
            MatchSpec(to_rattler(spec))


def test_requirements_files_are_pips_and_all_read():
    names = [row["file"] for row in table("index.tsv") if row["kind"] == "requirements"]
    assert {name for name in names if refusal(name)} == {"conda__tests_requirements.txt"}
    assert all(read_one(name).format == "requirements" for name in names if name not in WE_REFUSE)


def test_counts_names_and_channels_are_those_of_condas_reader():
    compared = 0
    for row in table("conda-reader.tsv"):
        if row["kind"] != "conda_env" or row["conda_lenient"] != "ok" or row["file"] in WE_REFUSE:
            continue
        parsed = read_one(row["file"])
        conda, pip = parsed.definition.conda, parsed.definition.pip.requirements
        # conda adds `pip` where a pip section has none; here that is the solver's part
        added = int(_has_pip_section(row) and "pip" not in [spec_name(spec) for spec in conda.dependencies])
        assert len(conda.dependencies) + added == int(row["n_conda"]), row["file"]
        assert len(pip) == _count(row), row["file"]
        assert list(conda.channels) == _channels(row), row["file"]
        assert parsed.name == (None if row["name"] == "None" else row["name"])
        assert parsed.settings.variables == {k: str(v) for k, v in json.loads(row["variables"] or "{}").items()}
        compared += 1
    assert compared > 120


def _has_pip_section(row: dict[str, str]) -> bool:
    text = (CORPUS / "files" / row["file"]).read_bytes().replace(b"\0", b"").decode("utf-8", "replace")
    return "pip:" in text


def _count(row: dict[str, str]) -> int:
    if row["file"] == "aml-mlops-workshop__conda_dependencies.yml":
        return int(row["n_pip"]) - 1  # conda counts a null item, which pip never sees
    return 1 if row["n_pip"] == "str" else int(row["n_pip"] or 0)  # `pip:` as one text


def _channels(row: dict[str, str]) -> list[str]:
    channels = [channel.rstrip("/") for channel in json.loads(row["channels"]) if channel != "nodefaults"]
    if row["file"] == "conda__tests_conda_env_support_variables_with_envvars.yml":
        return ["https://localhost/stable", *channels[2:]]  # two tokens for one channel: credentials are kept apart
    return list(dict.fromkeys(channels))


def test_what_is_not_read_yet_says_so():
    for row in table("index.tsv"):
        early = row["kind"] == "runconfig" and row["file"].startswith(EARLY_RUN_CONFIGURATION)
        if row["kind"] in UNREAD_KINDS or early:
            error = refusal(row["file"])
            assert isinstance(error, FormatUnreadError), row["file"]
            assert error.location is not None


def test_every_other_file_is_read_and_digested_the_same_twice():
    count = 0
    skipped = UNREAD_KINDS | ERROR_KINDS
    for row in table("index.tsv"):
        if row["kind"] in skipped or refusal(row["file"]):
            continue
        digests = {digest_definition(read_one(row["file"]).definition, Defaults()) for _ in range(2)}
        assert len(digests) == 1
        count += 1
    assert count > 185


def test_every_kind_is_told_by_content():
    formats = {
        "amlv2_environment": {"azure-v2"},
        "azureml_environment_json": {"azure"},
        "azureml_environment_yaml": {"azure"},
        "runconfig": {"azure-run"},
        "conda_lock": {"conda-lock"},
        "dockerfile": {"dockerfile"},
        "explicit": {"explicit"},
        "conda_env": {"conda", "azure-v2"},
    }
    for row in table("index.tsv"):
        if row["kind"] in formats and refusal(row["file"]) is None:
            assert read_one(row["file"]).format in formats[row["kind"]], row["file"]


def test_every_place_is_in_its_file_and_at_its_own_text():
    counted = 0
    for file in sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.suffix != ".tsv"):
        document = read_source(DefinitionSource(path=str(file)), Beside())
        assert document.errors or document.result is not None
        named = {str(file), *(item.location.path for item in document.items)}
        if any(problem.code == "definition-encoding" for problem in document.errors):
            continue  # not a text: its places are bytes
        check_document(document, {path: decode_text(Path(path).read_bytes(), path) for path in named})
        counted += sum(item.location.line is not None for item in document.items)
    assert counted > 4_000


def test_no_file_has_a_variable_that_decides_what_is_meant():
    refused = [file.name for file in sorted((CORPUS / "files").iterdir()) if _is_refused_for_variables(file.name)]
    assert refused == []


def _is_refused_for_variables(name: str) -> bool:
    error = refusal(name)
    problems: list[dict[str, object]] = error.fields.get(PROBLEMS, []) if error else []  # type: ignore[assignment]
    return any(problem["code"] == "variable-misplaced" for problem in problems)
