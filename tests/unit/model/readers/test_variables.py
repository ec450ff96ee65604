"""``${NAME}`` outside of who asks and of whom is refused with its place, whatever the format."""

from __future__ import annotations

import json

import pytest

from roost.model.errors import InvalidDefinitionError
from roost.model.readers.read import read_tables
from roost.model.syntax.variables import VariableMisplacedError
from roost.store.sources.files import LocalFiles

SDK = {"name": "a", "python": {"condaDependencies": {"dependencies": ["python", {"pip": ["six==${V}"]}]}}}
FILES = {
    "a requirement": ("requirements.txt", "rich\nsix==${V}\n", (2, 6)),
    "a marker": ("requirements.txt", "six ; os_name == '${V}'\n", (1, 19)),
    "a revision": ("requirements.txt", "x @ git+https://h.example/x@${V}\n", (1, 29)),
    "an index": ("requirements.txt", "--index-url ${V}\n", (1, 13)),
    "a continued line": ("requirements.txt", "six \\\n  --hash=sha256:${V}\n", (2, 17)),
    "an editable": ("requirements.txt", "-e ${V}/x\n", (1, 4)),
    "a channel": ("environment.yml", "channels: ['${V}']\n", (1, 13)),
    "a bare channel": ("environment.yml", "channels:\n  - $V\n", (2, 5)),
    "a spec": ("environment.yml", "dependencies:\n  - six=${V}\n", (2, 9)),
    "a channel of a spec": ("environment.yml", "dependencies: ['${V}::six']\n", (1, 17)),
    "conda's pip part": ("environment.yml", "dependencies:\n- pip:\n  - six==${V}\n", (3, 10)),
    "a block": ("environment.yml", "dependencies:\n- pip: |\n    rich\n    six==${V}\n", (4, 10)),
    "a project": ("pyproject.toml", '[project]\ndependencies = [\n  "rich",\n  "six==${V}",\n]\n', (4, 9)),
    "a group": ("pyproject.toml", '[dependency-groups]\na = ["six==${V}"]\n', (2, 12)),
    "a script": ("x.py", '# /// script\n# dependencies = ["six==${V}"]\n# ///\n', (2, 25)),
    "an explicit list": ("list.txt", "@EXPLICIT\nhttps://h.example/${V}/linux-64/x-1-0.conda\n", (2, 19)),
    "roost's specs": ("roost.toml", '[conda]\ndependencies = ["six=${V}"]\n', (2, 22)),
    "roost's channels": ("roost.toml", '[conda]\nchannels = ["${V}"]\n', (2, 14)),
    "roost's requirements": ("roost.toml", '[pip]\nrequirements = ["six==${V}"]\n', (2, 23)),
    "a table": ("roost.toml", '[pip]\nrequirements = [{kind = "requirement", text = "six==${V}"}]\n', (2, 17)),
    "a package": ("roost.toml", '[conda.explicit]\nlinux-64 = ["https://h/${V}/linux-64/x-1-0.conda"]\n', (2, 24)),
    "an image": ("roost.toml", '[base]\nimage = "a:${V}"\n', (2, 12)),
    "Spark": ("roost.toml", '[spark]\npackages = ["g:a:${V}"]\n', (2, 18)),
    "R": ("roost.toml", '[r]\ncran = ["x=${V}"]\n', (2, 12)),
    "a default": ("roost.toml", '[defaults]\nindex = "https://h/${V}/simple"\n', (2, 20)),
    "the system": ("roost.toml", '[system]\ncuda = "${V}"\n', (2, 9)),
    "Azure's packages": ("azureml_environment.json", json.dumps(SDK), (1, json.dumps(SDK).index("${V}") + 1)),
    "Azure's image": ("environment.yaml", "docker:\n  baseImage: a:${V}\n", (2, 16)),
    "Azure's image of today": ("environment.yaml", "image: a:${V}\n", (1, 10)),
    "a lock": (
        "conda-lock.yml",
        "version: 1\nmetadata: {}\npackage:\n- {name: x, version: '1', manager: conda, platform: linux-64,\n"
        "   url: 'https://h/${V}/linux-64/x-1-0.conda', hash: {md5: ''}}\n",
        (5, 20),
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_it_is_refused_with_its_place(refused, name):
    file, text, (line, column) = FILES[name]
    error = refused(text, file)
    assert error.code == "variable-misplaced"
    assert "V" in str(error.fields["variable"])
    assert error.location is not None
    assert (error.location.line, error.location.column) == (line, column)
    assert text.split("\n")[line - 1][column - 1 :].startswith(("$", "{kind"))


@pytest.mark.parametrize("option", ["-r", "-c"])
def test_it_is_refused_in_files_that_are_included(parse, write, option):
    write("more/pins.txt", "rich\nsix==${V}\n")
    with pytest.raises(VariableMisplacedError) as caught:
        parse(f"{option} more/pins.txt\n", "requirements.txt")
    location = caught.value.location
    assert location is not None
    assert location.path.endswith("more/pins.txt")
    assert (location.line, location.column) == (2, 6)


def test_it_is_refused_in_what_the_python_api_sends():
    for section in ({"pip": {"requirements": ["six==${V}"]}}, {"conda": {"channels": ["${V}"]}}):
        with pytest.raises(InvalidDefinitionError) as caught:
            read_tables(section, LocalFiles(), "/here/<document>")
        assert caught.value.code == "variable-misplaced"


def test_settings_and_steps_are_taken_as_they_are(parse):
    parsed = parse(
        '[base]\nimage = "a"\nsteps = ["ARG V=1", "RUN echo ${V}"]\n[variables]\nA = "${V}"\n'
        '[container]\narguments = ["-v=${V}"]\n[python]\ninterpreter = "${V}/python"\n',
        "roost.toml",
    )
    assert parsed.settings.variables == {"A": "${V}"}
    assert parsed.settings.container.arguments == ("-v=${V}",)
    assert parsed.definition.base.steps[1] == "RUN echo ${V}"
    assert parse("FROM a:${V}\n", "Dockerfile").definition.base.dockerfile == "FROM a:${V}\n"


def test_every_reference_of_a_file_is_reported(refused):
    error = refused("channels: ['${A}']\ndependencies:\n- six=${B}\n- pip: ['rich==${C}', 'six==${D}']\n")
    assert [problem["location"]["line"] for problem in error.fields["problems"]] == [1, 3, 4, 4]
    assert {problem["code"] for problem in error.fields["problems"]} == {"variable-misplaced"}
