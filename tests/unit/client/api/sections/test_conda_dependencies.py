"""``CondaDependencies`` behaves as Azure's (recorded from ``azureml-core``), except for faults of that."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from roost.client import CondaDependencies, DefinitionError, Environment, UsageError
from roost.client.api.sections.pip_lines import StructuredLine

DATA = json.loads((Path(__file__).parent / "azureml_conda_dependencies.json").read_text())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "environment.yml"
    path.write_text(DATA["file"])
    return path


def refused(dependencies: CondaDependencies, name: str, *arguments: Any) -> bool:
    try:
        getattr(dependencies, name)(*arguments)
    except UsageError:
        return True
    return False


def state(dependencies: CondaDependencies) -> dict[str, Any]:
    return {
        "channels": list(dependencies.conda_channels),
        "conda": list(dependencies.conda_packages),
        "pip": list(dependencies.pip_packages),
        "options": list(dependencies.pip_options),
        "python": dependencies.get_python_version(),
    }


@pytest.mark.parametrize("case", DATA["cases"], ids=lambda case: case["about"])
def test_calls_do_what_azures_do(case: dict[str, Any], file: Path) -> None:
    dependencies = CondaDependencies(file)
    assert [refused(dependencies, *call) for call in case["calls"]] == case["refused"]
    assert state(dependencies) == case["state"]


def test_nothing_is_in_new_ones_that_nobody_asked_for() -> None:
    assert CondaDependencies().as_dict() == {"dependencies": []}
    assert CondaDependencies.create().as_dict() == {"dependencies": []}
    assert CondaDependencies().get_default_number_of_packages() == (0, 0)


def test_create_takes_lists() -> None:
    made = CondaDependencies.create(
        pip_indexurl="https://index.example.org/simple",
        pip_packages=["six", "six==1.16.0"],
        conda_packages=["numpy", "python=3.11"],
        python_version="3.10",
    )
    assert made.as_dict() == {
        "dependencies": [
            "python=3.11",
            "numpy",
            {"pip": ["--extra-index-url https://index.example.org/simple", "six==1.16.0"]},
        ]
    }


def test_one_package_is_one_however_it_is_written() -> None:
    made = CondaDependencies.create(pip_packages=["Typing_Extensions >= 4", "six @ https://example.org/six-1.0.tar.gz"])
    made.add_pip_package("typing-extensions==4.1")
    made.add_pip_package("six")
    assert list(made.pip_packages) == ["typing-extensions==4.1", "six"]


@pytest.mark.parametrize("spec", ["python>=3.8", "python 3.11.*", "conda-forge::python=3.12", "python"])
def test_a_spec_for_python_keeps_its_meaning(spec: str) -> None:
    made = CondaDependencies.create(python_version="3.9", conda_packages=["numpy", spec])
    assert list(made.conda_packages) == [spec, "numpy"]


def test_requirements_are_merged_by_package() -> None:
    assert CondaDependencies.merge_requirements(["a>=1", "b", "a<2", "b==3"]) == ["a>=1,<2", "b==3"]


def test_it_is_a_conda_environment_file_and_read_again_the_same(file: Path, tmp_path: Path) -> None:
    dependencies = CondaDependencies(file)
    assert yaml.safe_load(dependencies.serialize_to_string()) == yaml.safe_load(DATA["file"])
    saved = dependencies.save(tmp_path / "saved.yml")
    assert CondaDependencies(saved).as_dict() == dependencies.as_dict()
    assert dependencies.save_to_file(str(tmp_path), "own.yml") == "own.yml"
    for path in ("own.yml", dependencies.save_to_file(str(tmp_path))):
        assert CondaDependencies(tmp_path / path).as_dict() == dependencies.as_dict()


def test_a_line_that_stands_for_more_than_its_text_is_copied_whole() -> None:
    entry = {"kind": "constraints", "text": "c.txt", "items": [{"kind": "requirement", "text": "six==1"}]}
    line = StructuredLine(entry)
    for same in (line, copy.deepcopy(line), pickle.loads(pickle.dumps(line))):
        assert (str(same), same.entry) == ("-c c.txt", entry)
    made = CondaDependencies()
    made.set_pip_requirements([line])
    assert copy.deepcopy(made).serialize_to_string() == "dependencies:\n- pip:\n  - -c c.txt\n"


def test_the_lists_are_copies(file: Path) -> None:
    dependencies = CondaDependencies(file)
    dependencies.as_dict()["dependencies"].clear()
    next(dependencies.conda_packages)
    assert len(list(dependencies.conda_packages)) == 3


def test_scalars_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "e.yml"
    path.write_text("name: 3.10\ndependencies: [python=3.10, yes]\nvariables: {N: 0010}\n")
    read = CondaDependencies(path)
    assert read.as_dict() == {"name": "3.10", "dependencies": ["python=3.10", "yes"], "variables": {"N": "0010"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "not a mapping"),
        ("", "not a mapping"),
        ("dependancies: []\n", "'dependancies'"),
        ("dependencies: numpy\n", "not a list"),
        ("dependencies:\n- conda: [a]\n", "neither a package nor"),
        ("channels: {a: b}\n", "not a list of strings"),
        ("variables: [a]\n", "not a table of strings"),
        ("dependencies: [\n", "not valid YAML"),
    ],
)
def test_what_is_no_conda_environment_file_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "e.yml"
    path.write_text(text)
    with pytest.raises(DefinitionError, match=said) as caught:
        CondaDependencies(path)
    assert caught.value.location is not None
    assert caught.value.location["path"] == str(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.yml"
    path.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(DefinitionError, match="not valid UTF-8"):
        CondaDependencies(path)


def test_requirements_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_bytes(b"six  # caf\xe9\n")
    with pytest.raises(DefinitionError, match="not valid UTF-8") as caught:
        Environment.from_pip_requirements("x", path)
    assert caught.value.location == {"path": str(path), "line": None, "column": None}


def test_saving_goes_to_a_file_in_a_folder_that_is_there(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none" / "e.yml", None):
        with pytest.raises(UsageError):
            CondaDependencies().save(place)
