"""Packages that a request adds: which list they go to, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from roost.model.definition import Conda, Definition, Pip, PipItem, Python, ReadResult
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.choices.additions import add_packages
from roost.store.sources.files import LocalFiles


def line(text: str) -> PipItem:
    return PipItem(kind="requirement", text=text)


PIP_ONLY = Definition(pip=Pip(requirements=(line("rich"),)))
WITH_CONDA = Definition(conda=Conda(dependencies=("python=3.11",)), pip=Pip(requirements=(line("rich"),)))


def add(definition: Definition, *texts: str, folder: str = "/nowhere") -> tuple[list[str], list[str]]:
    result = add_packages(ReadResult(definition=definition, path="/p/file"), texts, LocalFiles(), folder)
    made = result.definition
    specs = made.conda.dependencies[len(definition.conda.dependencies) :]
    items = made.pip.requirements[len(definition.pip.requirements) :]
    return list(specs), [item.text for item in items]


@pytest.mark.parametrize(
    ("definition", "text", "specs", "items"),
    [
        (PIP_ONLY, "Six >= 1", [], ["six>=1"]),
        (PIP_ONLY, "conda:cmake", ["cmake"], []),
        (PIP_ONLY, "conda-forge::cmake", ["conda-forge::cmake"], []),
        (PIP_ONLY, "rich[jupyter]", [], ["rich[jupyter]"]),
        (WITH_CONDA, "Six >= 1", ["six>=1"], []),
        (WITH_CONDA, "six=1.16", ["six=1.16"], []),
        (WITH_CONDA, "pip:six", [], ["six"]),
        (WITH_CONDA, "pip: six==1.16", [], ["six==1.16"]),
        (WITH_CONDA, "git+https://h.example/x.git", [], ["git+https://h.example/x.git"]),
        (WITH_CONDA, "x @ https://h.example/x.whl", [], ["x @ https://h.example/x.whl"]),
        (WITH_CONDA, "https://c.example/linux-64/x-1-0.conda", ["https://c.example/linux-64/x-1-0.conda"], []),
        (Definition(), "six", [], ["six"]),
    ],
)
def test_a_package_goes_to_the_list_that_it_belongs_to(
    definition: Definition, text: str, specs: list[str], items: list[str]
) -> None:
    assert add(definition, text) == (specs, items)


def test_paths_are_those_of_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "own-1.0-py3-none-any.whl").write_bytes(b"wheel")
    assert add(WITH_CONDA, "./own-1.0-py3-none-any.whl", folder=str(tmp_path)) == ([], ["own-1.0-py3-none-any.whl"])


def test_credentials_are_taken_out() -> None:
    text = "x @ https://me:secret@h.example/x.whl"
    result = add_packages(ReadResult(definition=PIP_ONLY), [text], LocalFiles(), "/nowhere")
    assert result.definition.pip.requirements[-1].text == "x @ https://h.example/x.whl"
    assert result.credentials == {"https://h.example": "me:secret"}


CLOSED = Definition(pip=Pip(requirements=(PipItem(kind="option", text="--require-hashes"),)))
EXPLICIT = Definition(conda=Conda(explicit={"linux-64": ("https://c.example/a-1-0.conda",)}))


@pytest.mark.parametrize(
    ("definition", "text", "code", "words"),
    [
        (PIP_ONLY, "a b", "requirement-invalid", "a b"),
        (WITH_CONDA, "num*", "match-spec-invalid", "num*"),
        (PIP_ONLY, "./absent.whl", "definition-file-missing", "can't be read"),
        (PIP_ONLY, "-r list.txt", "addition-refused", "is not a package"),
        (PIP_ONLY, "--index-url=https://h.example", "addition-refused", "is not a package"),
        (PIP_ONLY, "six --index=https://h.example", "requirement-invalid", "--index"),
        (CLOSED, "six", "addition-refused", "--require-hashes"),
        (EXPLICIT, "conda:six", "addition-refused", "lists the files"),
        (Definition(python=Python(user_managed=True)), "six", "addition-refused", "installs nothing"),
    ],
)
def test_what_is_no_package_or_can_not_be_added_is_refused(
    definition: Definition, text: str, code: str, words: str
) -> None:
    with pytest.raises(InvalidDefinitionError) as caught:
        add(definition, text)
    assert caught.value.code == code
    assert caught.value.message.startswith(f"--with {text}")
    assert words in caught.value.message
