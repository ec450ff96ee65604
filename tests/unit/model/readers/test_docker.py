"""Dockerfiles and their build contexts, however they are named."""

from __future__ import annotations

import json

import pytest

from roost.model.canonical.form import digest_definition
from roost.model.definition import Defaults
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

SCHEMA = "$schema: https://h/environment.schema.json\n"
COPYING = "FROM a\nRUN b\nCOPY word /word\n"


@pytest.fixture
def read(write, tmp_path):
    """Read a file or folder below the test's folder, whose files are given."""

    def read(name, files):
        for path, content in files.items():
            write(path, content)
        return read_definition(DefinitionSource(path=str(tmp_path / name)), LocalFiles())

    return read


def digest(result):
    return digest_definition(result.definition, Defaults())


@pytest.mark.parametrize(
    ("name", "files", "line", "way"),
    [
        ("d/Dockerfile", {}, 3, "-f {folder}/d"),
        ("d/Dockerfile.gpu", {}, 3, 'context = {{ path = "{folder}/d", dockerfile = "Dockerfile.gpu" }}'),
        ("roost.toml", {"roost.toml": '[base]\ndockerfile = "d/Dockerfile"\n'}, 3, 'context = "d"'),
        ("roost.toml", {"roost.toml": '[base]\ndockerfile = "x.Dockerfile"\n'}, 3, 'dockerfile = "x.Dockerfile"'),
        ("roost.toml", {"roost.toml": f'[base]\ndockerfile = """\n{COPYING}"""\n'}, 5, 'context = "FOLDER"'),
        ("roost.toml", {"roost.toml": '[base]\nimage = "a"\nsteps = ["RUN b", "COPY word /x"]\n'}, 3, "context ="),
        ("a", {"a/azureml_environment.json": "{}", "a/BaseDockerfile": COPYING}, 3, "-f FOLDER"),
        ("e.json", {"e.json": json.dumps({"name": "e", "docker": {"baseDockerfile": COPYING}})}, 1, "-f FOLDER"),
    ],
)
def test_a_dockerfile_without_its_context_that_copies_is_refused_with_the_way(read, tmp_path, name, files, line, way):
    given = {"d/Dockerfile": COPYING, "d/Dockerfile.gpu": COPYING, "x.Dockerfile": COPYING, **files}
    with pytest.raises(InvalidDefinitionError, match="reads files of a build context") as caught:
        read(name, given)
    error = caught.value
    assert error.code == "context-unnamed"
    assert way.format(folder=tmp_path) in error.hint
    assert error.location is not None
    assert error.location.line == line


def test_every_use_of_the_context_is_a_problem_of_its_own(read):
    with pytest.raises(InvalidDefinitionError) as caught:
        read("Dockerfile", {"Dockerfile": "FROM a\nCOPY a /a\nADD b /b\nRUN --mount=target=/c c\n"})
    lines = [problem["location"]["line"] for problem in caught.value.fields["problems"]]  # type: ignore[attr-defined]
    assert lines == [2, 3, 4]


def test_the_folder_that_is_named_as_the_way_is_read(read):
    files = {"d/Dockerfile": COPYING, "d/word": "x"}
    by_folder = read("d", files)
    by_file = read("roost.toml", {**files, "roost.toml": '[base]\ncontext = "d"\n'})
    assert digest(by_folder) == digest(by_file)


NAMED = {
    "d/docker/gpu.Dockerfile": COPYING,
    "d/word": "x",
    "d/roost.toml": '[base]\ncontext = { path = ".", dockerfile = "docker/gpu.Dockerfile" }\n',
    "e.yml": f"{SCHEMA}build:\n  path: d\n  dockerfile_path: ./docker/gpu.Dockerfile\n",
}


def test_a_dockerfile_of_another_name_is_read(read):
    azure, own = read("e.yml", NAMED), read("d/roost.toml", NAMED)
    assert azure.definition.base is not None
    assert azure.definition.base.dockerfile_path == "docker/gpu.Dockerfile"
    assert digest(azure) == digest(own)


def test_its_name_and_text_count_in_the_digest(read):
    before = digest(read("e.yml", NAMED))
    other = {**NAMED, "d/Dockerfile": COPYING}
    default = digest(read("f.yml", {**other, "f.yml": f"{SCHEMA}build: {{path: d}}\n"}))
    named = digest(read("f.yml", {"f.yml": f"{SCHEMA}build: {{path: d, dockerfile_path: Dockerfile}}\n"}))
    assert default == named, "the usual name need not be written"
    assert len({before, default, digest(read("e.yml", {}))}) == 3
    changed = digest(read("e.yml", {"d/docker/gpu.Dockerfile": "FROM b\n"}))
    assert changed != digest(read("e.yml", {"d/docker/gpu.Dockerfile": COPYING}))


def test_its_text_counts_although_it_is_ignored(read):
    ignoring = {**NAMED, "d/.dockerignore": "docker\n"}
    before = digest(read("e.yml", ignoring))
    assert digest(read("e.yml", {"d/docker/other": "x"})) == before
    assert digest(read("e.yml", {"d/docker/gpu.Dockerfile": "FROM b\n"})) != before


@pytest.mark.parametrize(
    ("build", "code", "words"),
    [
        ("{path: d, dockerfile_path: none}", "definition-file-missing", "d/none can't be read"),
        ("{path: d, dockerfile_path: ../x}", "context-unnamed", "not in its build context"),
        ("{path: d, dockerfile_path: /x}", "context-unnamed", "not in its build context"),
        ("{path: d, dockerfile: x}", "yaml-invalid", "did you mean 'dockerfile_path'"),
        ("{path: d, dockerfile-path: x}", "key-misspelled", "did you mean 'dockerfile_path'"),
        ("{path: 'https://github.com/a/b.git#main'}", "yaml-invalid", "at a URL is not supported"),
        ("{path: 'git@github.com:a/b.git'}", "yaml-invalid", "at a URL is not supported"),
        ("{path: '{{image.context.path}}'}", "yaml-invalid", "is a template"),
        ("{path: d, dockerfile_path: '{{image.dockerfile.path}}'}", "yaml-invalid", "is a template"),
    ],
)
def test_a_context_that_cannot_be_read_is_an_error_at_its_place(read, build, code, words):
    with pytest.raises(InvalidDefinitionError, match=words) as caught:
        read("e.yml", {"d/Dockerfile": "FROM a\n", "e.yml": f"{SCHEMA}name: a\nbuild: {build}\n"})
    assert caught.value.code == code
    assert caught.value.location is not None
    assert caught.value.location.line == 3


def test_credentials_in_a_dockerfile_of_another_name_are_refused(read):
    text = "FROM a\nRUN pip install --index-url https://me:s3cret@h.example/simple x\n"
    with pytest.raises(InvalidDefinitionError) as caught:
        read("e.yml", {**NAMED, "d/docker/gpu.Dockerfile": text})
    assert caught.value.code == "credentials-written"
