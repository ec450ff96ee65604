from __future__ import annotations

import msgspec
import pytest

from roost.model.definition import ContainerSettings, Pip

ROOST = """\
name = "train"
[base]
image = "debian:12-slim"
steps = ["RUN true"]
platform = "linux/amd64"
[conda]
channels = ["conda-forge"]
dependencies = ["Python = 3.11", "numpy"]
[pip]
requirements = ["six==1.16.0"]
[python]
user_managed = false
interpreter = "python"
requires = ">= 3.10"
[system]
cuda = "12"
[spark]
repositories = ["https://h/maven"]
packages = ["group:artifact:version"]
[r]
version = "4.3"
cran = ["dplyr"]
snapshot = "2026-01-01"
[inference]
stack = "latest"
[variables]
OMP_NUM_THREADS = "4"
[container]
shm_size = "2g"
arguments = ["--ipc=host"]
"""


def texts(parsed):
    return [item.text for item in parsed.definition.pip.requirements]


def test_roosts_own_file_says_everything(parse):
    parsed = parse(ROOST, "roost.toml")
    definition = parsed.definition
    assert (parsed.format, parsed.name) == ("roost", "train")
    assert definition.base.image == "debian:12-slim"
    assert definition.base.steps == ("RUN true",)
    assert definition.base.platform == "linux/amd64"
    assert definition.conda.channels == ("conda-forge",)
    assert definition.conda.dependencies == ("python=3.11", "numpy")
    assert texts(parsed) == ["six==1.16.0"]
    assert definition.python.requires == ">=3.10"
    assert definition.system == {"cuda": "12"}
    assert definition.spark.packages == ("group:artifact:version",)
    assert (definition.r.version, definition.r.cran, definition.r.snapshot) == ("4.3", ("dplyr",), "2026-01-01")
    assert definition.inference_stack == "latest"
    assert parsed.settings.variables == {"OMP_NUM_THREADS": "4"}
    assert parsed.settings.container == ContainerSettings(shm_size="2g", arguments=("--ipc=host",))
    assert parsed.settings.interpreter is None


def test_no_section_keeps_credentials(parse):
    parsed = parse(
        """
[conda.explicit]
linux-64 = ["https://u:sesame@a/x-1-0.conda"]
[pip]
requirements = [{kind = "url", text = "x @ https://u:sesame@b/x.whl"}]
[spark]
repositories = ["https://u:sesame@c/maven"]
[r]
urls = ["https://u:sesame@d/x.tar.gz"]
[kept.azure]
assetId = "https://u:sesame@e/x"
[kept.azure.docker]
password = "sesame"
""",
        "roost.toml",
    )
    assert b"sesame" not in msgspec.json.encode((parsed.definition, parsed.settings))
    assert sorted(parsed.credentials) == [f"https://{host}" for host in "abcde"]
    assert [notice.code for notice in parsed.warnings if notice.code != "section-idle"] == ["credentials-unread"]


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        ('[spark]\npackages = ["g:a:1"]\n[r]\nversion = "4.2"\n', ["spark", "r"]),
        ('[spark]\nrepositories = ["https://m.example.org"]\n[r]\n', []),
        ('[kept.azure.databricks]\njarLibraries = [{library = "dbfs:/x.jar"}]\n', ["databricks"]),
        ('[inference]\nstack = "latest"\n', []),
    ],
)
def test_sections_that_nothing_installs_yet_are_reported(parse, text, sections):
    idle = [notice for notice in parse(text, "roost.toml").warnings if notice.code == "section-idle"]
    assert [notice.message.split("'")[1] for notice in idle] == sections
    assert all(notice.location.path.endswith("roost.toml") for notice in idle)


def test_tool_roost_says_the_same_and_wins_over_the_project(parse):
    nested = "".join(
        line.replace("[", "[tool.roost.", 1) if line.startswith("[") else line for line in ROOST.splitlines(True)[1:]
    )
    project = '[project]\nname = "p"\ndependencies = ["rich"]\n[tool.roost]\nname = "train"\n'
    parsed = parse(project + nested, "pyproject.toml")
    assert parsed.format == "roost"
    assert texts(parsed) == ["six==1.16.0"]
    assert parsed.name == "train"
    without_places = msgspec.structs.replace(parsed.definition, pip=Pip())
    assert without_places == msgspec.structs.replace(parse(ROOST, "roost.toml").definition, pip=Pip())
    assert parsed.settings == parse(ROOST, "roost.toml").settings


def test_a_user_managed_interpreter_is_a_setting(parse):
    parsed = parse('[python]\nuser_managed = true\ninterpreter = "/opt/py/bin/python"\n', "roost.toml")
    assert parsed.definition.python.user_managed
    assert parsed.settings.interpreter == "/opt/py/bin/python"


def test_a_dockerfile_is_a_path_or_text(parse, write):
    write("docker/Dockerfile", "FROM a\r\nRUN b\r\n")
    by_path = parse('[base]\ndockerfile = "docker/Dockerfile"\n', "roost.toml").definition.base
    in_place = parse('[base]\ndockerfile = """\nFROM a\nRUN b\n"""\n', "roost.toml").definition.base
    assert by_path.dockerfile == in_place.dockerfile == "FROM a\nRUN b\n"


def test_a_context_counts_by_content(parse, write, tmp_path):
    write("context/Dockerfile", "FROM a\n")
    base = parse('[base]\ncontext = "context"\n', "roost.toml").definition.base
    assert base.context.startswith("sha256:")
    assert base.context_path == str(tmp_path / "context")


@pytest.mark.parametrize(
    ("content", "place", "words", "hint"),
    [
        ("[conda]\nchanels = []\n", (2, 1), "Key 'chanels' is unknown in [conda]", "'channels'"),
        ("[kondda]\nx = 1\n", (1, 2), "Key 'kondda' is unknown in the file", "'conda'"),
        ('name = "a"\nzzz = 1\n', (2, 1), "Key 'zzz' is unknown", "Expected one of"),
        ("[conda]\nchannels = 3\n", (2, 1), "'channels' is 3; expected a list", ""),
        ("[conda]\ndependencies = [\n  'six',\n  4,\n]\n", (4, 3), "contains 4; expected a list of strings", ""),
        ("[conda]\ndependencies = [\n  'six',\n  '*',\n]\n", (4, 4), "names no single package", ""),
        ("[pip]\nrequirements = ['six', 'a b']\n", (2, 27), "'a b' is not a valid requirement", ""),
        ("[python]\nuser_managed = 'yes'\n", (2, 1), "'yes'; expected true or false", ""),
        ("[python]\nrequires = 'three'\n", (2, 1), "expected version specifiers", ""),
        ("[variables]\nA = 4\n", (2, 1), "'A' is the number 4; expected a quoted string", ""),
        ("[system]\ncuda = 12.0\n", (2, 1), "the number 12.0", ""),
        ("[system]\nkuda = '12'\n", (2, 1), "'kuda' is unknown in [system]", "cuda"),
        ("[base]\nimage = 'a'\ncontext = 'b'\n", (3, 1), "at most one", ""),
        ("[base]\nsteps = ['RUN x']\ndockerfile = 'FROM a\\n'\n", (2, 1), "on top of an image only", ""),
        (
            "[pip]\nrequirements = [{kind = 'source', text = '../../x[a]', digest = 'sha256:0', path = '/x'}]\n",
            (2, 17),
            "'../../x' is not a valid file name",
            "last name of the path",
        ),
        ("[base]\ncontext = 'none'\n", (2, 1), "can't be read", ""),
        ("conda = 3\n", (1, 1), "'conda' is 3; expected a table", ""),
        ("[conda\n", (1, 7), "not valid TOML", ""),
        ("a = 1\na = 2\n", (2, 6), "not valid TOML", ""),
    ],
)
def test_errors_in_roosts_own_file_have_their_place(refused, content, place, words, hint):
    error = refused(content, "roost.toml")
    assert (error.location.line, error.location.column) == place, error.message
    assert words in error.message
    assert hint in error.hint


def test_pyproject_gives_dependencies_and_groups_but_not_the_project(parse):
    parsed = parse(
        '[project]\nname = "p"\nrequires-python = ">= 3.10"\ndependencies = ["Six", "rich"]\n'
        '[project.optional-dependencies]\nx = ["numpy"]\n'
        '[dependency-groups]\ndev = ["pytest", {include-group = "Base_x"}]\nbase-x = ["six"]\n',
        "pyproject.toml",
    )
    assert parsed.format == "pyproject"
    assert texts(parsed) == ["six", "rich", "pytest"]
    assert parsed.definition.python.requires == ">=3.10"
    assert parsed.name == "p"


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        ("[tool.black]\n", (1, 1), "no [project]"),
        ('[project]\ndynamic = ["dependencies"]\n', (2, 1), "reading runs no code"),
        ('[project]\ndependencies = [\n  "six",\n  "a b",\n]\n', (4, 6), "'a b' is not a valid requirement"),
        ('[project]\ndependencies = "six"\n', (2, 1), "expected a list"),
        ('[dependency-groups]\na = [{include-group = "b"}]\n', (2, 24), "no dependency group 'b'"),
        ('[dependency-groups]\na = [{include-group = "a"}]\n', (2, 1), "includes itself"),
        ("[dependency-groups]\na = 3\n", (2, 1), "expected a list"),
        ('project = "x"\n', (1, 1), "expected a table"),
    ],
)
def test_errors_in_pyproject_have_their_place(refused, content, place, words):
    error = refused(content, "pyproject.toml")
    assert words in error.message
    assert (error.location.line, error.location.column) == place, error.message


SCRIPT = (
    '#!/usr/bin/env python\n# /// script\n# requires-python = ">=3.10"\n# dependencies = [\n#   "six",\n# ]\n# ///\n'
)


def test_script_metadata(parse):
    parsed = parse(SCRIPT + "import six\n", "train.py")
    assert parsed.format == "pep723"
    assert texts(parsed) == ["six"]
    assert parsed.definition.python.requires == ">=3.10"
    assert parsed.definition == parse(SCRIPT.replace("\n", "\r\n"), "train.py").definition


def test_what_a_script_says_in_vain_is_noticed(parse):
    parsed = parse("# /// script\n# color = 1\n# [tool.roost]\n# [tool.ruff]\n# ///\n", "train.py")
    assert [(notice.location.line, notice.location.column) for notice in parsed.warnings] == [(2, 3), (3, 9)]


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (SCRIPT.replace('"six"', '"a b"'), (5, 8), "'a b' is not a valid requirement"),
        (SCRIPT.replace('"six",', "six,"), (5, 5), "not valid TOML"),
        (SCRIPT + SCRIPT, (9, 1), "2 '# /// script' blocks"),
        ("import six\n", (1, 1), "no '# /// script' block"),
    ],
)
def test_errors_in_script_metadata_have_their_place(parse, content, place, words):
    from roost.model.errors import InvalidDefinitionError

    with pytest.raises(InvalidDefinitionError) as caught:
        parse(content, "train.py")
    location = caught.value.location
    assert words in caught.value.message
    assert (location.line, location.column) == place
