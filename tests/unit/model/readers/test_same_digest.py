"""What several kinds of files say alike has one digest, whichever says it; what they say differently has another."""

from __future__ import annotations

import itertools

import pytest

from roost.model.canonical.form import digest_definition
from roost.model.definition import Defaults
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles


def digest(path: str, text: str) -> str:
    parsed = read_definition(DefinitionSource(path=f"/nowhere/{path}", data=text.encode()), LocalFiles())
    return digest_definition(parsed.definition, Defaults())


CONDA_AND_PIP = {
    "environment.yml": (
        "name: x\nchannels: [conda-forge]\ndependencies:\n  - python=3.11\n  - NumPy >=1.26\n  - pip\n"
        "  - pip: [Six==1.17.0, 'rich[jupyter] >= 13']\n"
    ),
    "any-name.yaml": (
        "dependencies: [python=3.11, 'numpy>=1.26', pip, {pip: ['six == 1.17.0', 'rich[jupyter]>=13']}]\n"
        "channels:\n- conda-forge\n- nodefaults\nprefix: /home/somebody/x\nvariables: {A: b}\n"
    ),
    "roost.toml": (
        'name = "y"\n[conda]\nchannels = ["conda-forge"]\ndependencies = ["python=3.11", "numpy>=1.26", "pip"]\n'
        '[pip]\nrequirements = ["six==1.17.0", "rich[jupyter]>=13"]\n[variables]\nC = "d"\n'
    ),
    "pyproject.toml": (
        '[tool.roost.conda]\nchannels = ["conda-forge"]\ndependencies = ["python=3.11", "numpy>=1.26", "pip"]\n'
        '[tool.roost.pip]\nrequirements = ["six==1.17.0", "rich[jupyter]>=13"]\n'
    ),
}
PIP_ALONE = {
    "requirements.txt": "# comment\nSix==1.17.0\nrich[jupyter] >= 13   # why\n",
    "other.txt": "six == 1.17.0\\\n\nrich[jupyter]>=13\n",
    "roost.toml": '[pip]\nrequirements = ["six==1.17.0", "rich[jupyter]>=13"]\n',
    "pyproject.toml": '[project]\nname = "p"\nversion = "1"\ndependencies = ["six==1.17.0", "rich[jupyter]>=13"]\n',
    "groups/pyproject.toml": (
        '[project]\nname = "q"\nversion = "2"\ndependencies = ["six==1.17.0"]\n'
        '[dependency-groups]\nnotebook = ["rich[jupyter]>=13"]\ndev = [{include-group = "notebook"}]\n'
    ),
    "script.py": '# /// script\n# dependencies = ["six==1.17.0", "rich[jupyter]>=13"]\n# ///\nprint("any code")\n',
}
REQUIRES = {
    "roost.toml": '[pip]\nrequirements = ["six"]\n[python]\nrequires = ">=3.10"\n',
    "pyproject.toml": '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["six"]\n',
    "script.py": '# /// script\n# requires-python = ">=3.10"\n# dependencies = ["six"]\n# ///\n',
}
SAME = {"conda and pip": CONDA_AND_PIP, "pip alone": PIP_ALONE, "a Python asked for": REQUIRES}


@pytest.mark.parametrize("files", SAME.values(), ids=SAME.keys())
def test_files_that_say_the_same_have_one_digest(files: dict[str, str]) -> None:
    digests = {path: digest(path, text) for path, text in files.items()}
    assert len(set(digests.values())) == 1, digests


DIFFERENT = {
    "plain": "dependencies: [python=3.11, numpy, {pip: [six]}]\n",
    "another channel": "channels: [bioconda]\ndependencies: [python=3.11, numpy, {pip: [six]}]\n",
    "two channels": "channels: [conda-forge, bioconda]\ndependencies: [python=3.11, numpy, {pip: [six]}]\n",
    "the channels' order": "channels: [bioconda, conda-forge]\ndependencies: [python=3.11, numpy, {pip: [six]}]\n",
    "another Python": "dependencies: [python=3.12, numpy, {pip: [six]}]\n",
    "a pin": "dependencies: [python=3.11, numpy=1.26, {pip: [six]}]\n",
    "an exact pin": "dependencies: [python=3.11, numpy==1.26, {pip: [six]}]\n",
    "a build": "dependencies: [python=3.11, numpy=1.26=py311_0, {pip: [six]}]\n",
    "a package of a channel": "dependencies: [python=3.11, bioconda::numpy, {pip: [six]}]\n",
    "from pip instead": "dependencies: [python=3.11, {pip: [six, numpy]}]\n",
    "no pip part": "dependencies: [python=3.11, numpy]\n",
    "a pip pin": "dependencies: [python=3.11, numpy, {pip: [six==1.17.0]}]\n",
    "an extra": "dependencies: [python=3.11, numpy, {pip: ['six[x]']}]\n",
    "a marker": "dependencies: [python=3.11, numpy, {pip: ['six; python_version < \"4\"']}]\n",
    "an option": "dependencies: [python=3.11, numpy, {pip: ['--pre', six]}]\n",
    "another index": "dependencies: [python=3.11, numpy, {pip: ['-i https://h.example/simple', six]}]\n",
}


def test_every_change_that_can_matter_has_a_digest_of_its_own() -> None:
    digests = {name: digest("environment.yml", text) for name, text in DIFFERENT.items()}
    same = [pair for pair in itertools.combinations(digests, 2) if digests[pair[0]] == digests[pair[1]]]
    assert same == []
