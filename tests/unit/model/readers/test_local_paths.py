"""Which folder relative paths in requirements files are relative to: as pip and uv have it, called beside the file that
is named; and where that is no project, further up."""

from __future__ import annotations

import ensurepip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

from roost.model.definition import PipItem, ReadResult
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

BUNDLED = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
PIP_LINKS = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from pip._internal.network.session import PipSession
from pip._internal.req.constructors import install_req_from_parsed_requirement
from pip._internal.req.req_file import parse_requirements
links = {}
for folder, name in json.loads(sys.argv[2]):
    os.chdir(folder)
    found = links[os.path.join(folder, name)] = []
    for parsed in parse_requirements(name, session=PipSession()):
        try:
            found.append(install_req_from_parsed_requirement(parsed).link.file_path)
        except Exception as error:
            found.append(None)
print(json.dumps(links))
"""
"""Each folder in turn is the current one: starting pip anew for each would take a second of processor time."""


def put_project(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    name = folder.name.replace("_", "-")
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1"\n')
    return folder


def read(path: Path) -> ReadResult:
    return read_definition(DefinitionSource(path=str(path)), LocalFiles())


def flatten(items: tuple[PipItem, ...]) -> list[PipItem]:
    return [inner for item in items for inner in (flatten(item.items) if item.kind == "requirements" else [item])]


def paths(parsed: ReadResult) -> list[str | None]:
    return [item.path for item in flatten(parsed.definition.pip.requirements)]


def list_pip_links(files: list[Path]) -> dict[Path, list[str | None]]:
    places = json.dumps([(str(named.parent), named.name) for named in files])
    words = [sys.executable, "-I", "-c", PIP_LINKS, str(BUNDLED[-1]), places]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return {
        Path(named): [link and str(Path(named).parent / link) for link in links]
        for named, links in json.loads(done.stdout).items()
    }


def list_uv_links(named: Path) -> list[str]:
    words = [find_uv_bin(), "pip", "compile", "--no-config", "--no-header", "--no-annotate", "--offline", "-q"]
    done = subprocess.run([*words, named.name], cwd=named.parent, capture_output=True, text=True, check=True)
    lines = [line.rpartition(" ")[2].removeprefix("file:") for line in done.stdout.splitlines()]
    return [str((named.parent / line).resolve()) for line in lines]


NESTED = {
    "an editable": ("requirements.txt", {"requirements.txt": "-r reqs/dev.txt\n", "reqs/dev.txt": "-e .\n"}),
    "a folder": ("requirements.txt", {"requirements.txt": "-r reqs/dev.txt\n", "reqs/dev.txt": "./lib\n"}),
    "an editable folder": ("requirements.txt", {"requirements.txt": "-r reqs/dev.txt\n", "reqs/dev.txt": "-e lib\n"}),
    "two levels": (
        "requirements.txt",
        {"requirements.txt": "-r reqs/ci/a.txt\n", "reqs/ci/a.txt": "-r ../dev.txt\n./lib\n", "reqs/dev.txt": "-e .\n"},
    ),
    "a folder of both names": ("reqs/dev.txt", {"reqs/dev.txt": "-r ../all.txt\n./lib\n", "all.txt": "-e ./lib\n"}),
    "a file above": ("reqs/dev.txt", {"reqs/dev.txt": "-r ../all.txt\n", "all.txt": "./local\n"}),
    "a URL": ("requirements.txt", {"requirements.txt": "-r reqs/dev.txt\n", "reqs/dev.txt": "file:lib\n"}),
}


def put_repository(folder: Path) -> Path:
    """A project in a repository, with projects in it, of which two have one name."""
    put_project(folder)
    (folder / ".git").mkdir()
    for name in ("lib", "reqs/lib", "reqs/local"):
        put_project(folder / name)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return put_repository(tmp_path)


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The file that is named in each case, in a repository of its own."""
    made = {}
    for name, (named, files) in NESTED.items():
        project = put_repository(tmp_path_factory.mktemp("nested") / "project")
        for path, text in files.items():
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(text)
        made[name] = project / named
    return made


@pytest.fixture(scope="module")
def pip_links(nested: dict[str, Path]) -> dict[Path, list[str | None]]:
    return list_pip_links(list(nested.values()))


@pytest.mark.skipif(not BUNDLED, reason="this Python comes without pip")
@pytest.mark.parametrize("name", NESTED)
def test_paths_lead_where_pip_and_uv_find_them(nested, pip_links, name):
    found = paths(read(nested[name]))
    assert found == pip_links[nested[name]]
    assert sorted(set(map(str, found))) == sorted(list_uv_links(nested[name]))


def test_a_wheel_and_links_of_a_nested_file_lead_where_pip_finds_them(project):
    (project / "wheels").mkdir()
    (project / "reqs" / "near").mkdir()
    (project / "wheels" / "x-1-py3-none-any.whl").write_bytes(b"wheel")
    (project / "reqs" / "dev.txt").write_text("wheels/x-1-py3-none-any.whl\n-f near\n-f wheels\n")
    (project / "requirements.txt").write_text("-r reqs/dev.txt\n")
    found = paths(read(project / "requirements.txt"))
    assert found[0] == str(project / "wheels" / "x-1-py3-none-any.whl")
    assert found[1:] == [str(project / place) for place in ("reqs/near", "wheels")]


def test_the_folder_is_reported_once_for_each_file(project):
    (project / "reqs" / "dev.txt").write_text("-e .\n./lib\nsix\n")
    (project / "requirements.txt").write_text("-r reqs/dev.txt\n-e .\n")
    (notice,) = read(project / "requirements.txt").warnings
    assert (notice.code, notice.location.path, notice.location.line) == (
        "path-base",
        str(project / "reqs" / "dev.txt"),
        1,
    )
    assert str(project) in notice.message


def test_the_nearest_project_above_a_named_file_is_meant_if_its_own_folder_is_none(project):
    (project / "reqs" / "ci").mkdir()
    file = project / "reqs" / "ci" / "dev.txt"
    file.write_text("-e .\n./local\nlib\n")
    parsed = read(file)
    assert paths(parsed)[:2] == [str(project), str(project / "reqs" / "local")]
    assert [notice.message.split(" is taken relative to ")[0] for notice in parsed.warnings] == ["'.'", "'./local'"]


def test_the_search_for_a_project_ends_at_the_repository(tmp_path):
    put_project(tmp_path)
    (tmp_path / "repo" / "reqs").mkdir(parents=True)
    (tmp_path / "repo" / ".git").write_text("gitdir: elsewhere\n")
    file = tmp_path / "repo" / "reqs" / "dev.txt"
    file.write_text("-e ./sub\n-e .\n")
    put_project(tmp_path / "sub")
    with pytest.raises(InvalidDefinitionError) as caught:
        read(file)
    assert str(tmp_path / "repo" / "reqs" / "sub") in caught.value.message
    put_project(tmp_path / "repo" / "sub")
    put_project(tmp_path / "repo")
    assert paths(read(file)) == [str(tmp_path / "repo" / "sub"), str(tmp_path / "repo")]


def test_without_a_repository_only_the_next_folder_above_is_looked_at(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    put_project(tmp_path / "far")
    put_project(tmp_path / "a" / "near")
    file = tmp_path / "a" / "b" / "requirements.txt"
    file.write_text("-e ./near\n")
    assert paths(read(file)) == [str(tmp_path / "a" / "near")]
    file.write_text("-e ./far\n")
    with pytest.raises(InvalidDefinitionError):
        read(file)


def test_a_path_that_only_its_own_file_finds_leads_there(project):
    """As earlier versions read it, and people who call pip in that folder."""
    (project / "reqs" / "inner").mkdir()
    put_project(project / "reqs" / "inner" / "mine")
    (project / "reqs" / "inner" / "dev.txt").write_text("./mine\n")
    (project / "requirements.txt").write_text("-r reqs/inner/dev.txt\n")
    parsed = read(project / "requirements.txt")
    assert paths(parsed) == [str(project / "reqs" / "inner" / "mine")]
    assert parsed.warnings == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("environment.yml", "dependencies:\n- pip:\n  - -e .\n"),
        ("environment.yml", "dependencies:\n- pip:\n  - -r dev.txt\n"),
        ("roost.toml", '[pip]\nrequirements = ["-e ."]\n'),
    ],
)
def test_lists_in_other_files_are_read_alike(project, name, text):
    (project / "reqs" / "dev.txt").write_text("-e .\n")
    (project / "reqs" / name).write_text(text)
    assert paths(read(project / "reqs" / name)) == [str(project)]


def test_an_absolute_path_is_taken_as_it_is(project):
    (project / "requirements.txt").write_text(f"-e {project}/lib\nfile://{project}/reqs/lib\n")
    parsed = read(project / "requirements.txt")
    assert paths(parsed) == [str(project / "lib"), str(project / "reqs" / "lib")]
    assert parsed.warnings == ()
