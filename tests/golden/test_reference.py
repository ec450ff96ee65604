"""The pages for users say what the code does: generated ones are current, examples are tried, commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import msgspec
import pytest
from tests.golden import roost_toml_page
from tests.golden.reference import PAGES, REPOSITORY

from roost.client.cli.parser import parse
from roost.client.cli.reference.topics import TOPICS, read_page
from roost.client.errors import ClientError
from roost.model.canonical.form import digest_definition, digest_settings
from roost.model.definition import Defaults, ReadResult
from roost.model.documents.toml_text import TomlText
from roost.model.errors import CodedError
from roost.model.readers import roost_file
from roost.model.readers.read import DefinitionSource, read_definition
from roost.model.readers.roost_keys import KEYS, TOP_KEYS
from roost.store.sources.discover import AmbiguousDefinitionError, NoDefinitionError, discover
from roost.store.sources.files import LocalFiles

SHELL_WORDS = ("&&", "||", "|", ">", ";", "#")
PLACEHOLDERS = {"ID": "r20261123-112753-83aa05", "sha256:…": "sha256:" + "a" * 64, "FORMAT": "conda", "…": "x"}
COMMANDS = re.compile(r"`(roost [^`]+)`|^    (?:\$ )?(roost .+)$", re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    assert (REPOSITORY / name).read_text(encoding="utf-8") == PAGES[name](), (
        "write it anew: python -m tests.golden.reference"
    )


def find_commands(page: str) -> list[str]:
    """Every command of roost on a page, in code or behind a prompt."""
    return [match[1] or match[2] for match in COMMANDS.finditer(page)]


def to_words(command: str) -> list[str]:
    """The words of a command with values in the place of placeholders, up to what a shell would take away."""
    words = shlex.split(" ".join(command.split()), comments=True)[1:]
    end = next((number for number, word in enumerate(words) if word in SHELL_WORDS), len(words))
    return [PLACEHOLDERS.get(word, word) for word in words[:end]]


@pytest.mark.parametrize("topic", [each for each in TOPICS if each.name != "tool-tables"], ids=lambda each: each.name)
def test_every_command_on_a_page_is_one_that_roost_has(topic) -> None:
    wrong = {}
    for command in find_commands(read_page(topic)):
        try:
            parse(to_words(command))
        except ClientError as error:
            # What is named in running text may lack what it needs: `roost add`.
            if " needs " not in error.body["message"]:
                wrong[command] = error.body["message"]
        except SystemExit:
            pass
    assert wrong == {}


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_link_on_a_page_leads_to_a_file(topic) -> None:
    page = Path(topic.path).resolve()
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_listed_and_lies_where_a_wheel_takes_it_from() -> None:
    folder = Path(TOPICS[0].path).parent
    assert {path.name for path in folder.iterdir()} == {f"{topic.name}.md" for topic in TOPICS}
    assert all(path.resolve().is_relative_to(REPOSITORY) for path in folder.iterdir())


def read(text: str, folder: Path, name: str = "roost.toml") -> ReadResult:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_definition(DefinitionSource(path=str(path)), LocalFiles())


def test_the_example_is_what_the_reader_reads(tmp_path: Path) -> None:
    result = read(roost_toml_page.EXAMPLE, tmp_path)
    assert result.warnings == ()
    assert result.name == "train"
    assert result.definition.base is not None
    assert result.definition.base.image == "debian:12-slim"
    assert result.definition.conda.dependencies == ("python=3.11", "numpy>=1.26")
    assert [item.name or item.text for item in result.definition.pip.requirements]
    assert result.definition.system == {"cuda": "12"}
    assert result.settings.variables == {"OMP_NUM_THREADS": "4"}
    assert result.settings.container.arguments == ("--ulimit", "memlock=-1")
    assert set(TomlText(roost_toml_page.EXAMPLE, "/roost.toml").data) <= {*KEYS, *TOP_KEYS}


VALUES = {
    ("base", "image"): '"debian:12"',
    ("base", "dockerfile"): '{ text = "FROM debian:12" }',
    ("base", "context"): '"context"',
    ("base", "platform"): '"linux/arm64"',
    ("conda", "explicit"): '{ linux-64 = ["https://c.example.org/linux-64/a-1-0.conda"] }',
    ("python", "user_managed"): "true",
    ("python", "requires"): '">=3.9"',
    ("container", "shm_size"): '"2g"',
    ("r", "snapshot"): '"2026-01-01"',
    ("spark", "packages"): '["g:a:1"]',
    ("spark", "repositories"): '["https://s.example.org/r"]',
    ("conda", "channels"): '["bioconda"]',
    ("defaults", "channels"): '["bioconda"]',
}
"""A value for each key whose shape does not give one that goes."""
SHAPE_VALUES = {"text": '"x"', "texts": '["RUN true"]', "flag": "true", "entries": '["six"]'}
FLAT = [(section, key) for section, rules in KEYS.items() for key in rules.keys or (rules.names or ("NAME",))]


@pytest.mark.parametrize(("section", "key"), FLAT)
def test_a_key_counts_where_the_page_says(section: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM debian:12\n")
    rules = KEYS[section]
    rule = rules.keys.get(key)
    value = VALUES.get((section, key)) or (SHAPE_VALUES[rule.shape] if rule else '"12"')
    # A default applies only to what needs it, and an interpreter only if it is the user's.
    rest = {"defaults": "[conda]\ndependencies = ['a']\n[pip]\nrequirements = ['b']\n", "python": ""}.get(section, "")
    extra = "user_managed = true\n" if key == "interpreter" else ""
    before = read(f"{rest}[{section}]\n{extra}", tmp_path) if section != "base" else read("[conda]\n", tmp_path)
    after = read(f"{rest}[{section}]\n{extra}{key} = {value}\n", tmp_path)
    changed = {
        "definition": digest_of(before) != digest_of(after),
        "settings": digest_settings(before.settings) != digest_settings(after.settings),
    }
    part = rule.part if rule else rules.part
    assert changed["definition"] == (part == "definition")
    # `user_managed` brings the setting `interpreter` along.
    assert changed["settings"] == (part == "settings" or key == "user_managed")


def digest_of(result: ReadResult) -> str:
    return digest_definition(result.definition, result.defaults.apply_to(Defaults()))


def test_an_unknown_key_is_an_error_and_known_ones_are_those_of_the_page(tmp_path: Path) -> None:
    with pytest.raises(CodedError, match="unknown"):
        read("[conda]\ndependencis = []\n", tmp_path)
    assert {field.name for field in msgspec.structs.fields(roost_file.ContextTable)} >= {"path", "dockerfile"}


ROW = re.compile(r"^\| (.+?) \| (.+?) \|$", re.MULTILINE)


def list_examples() -> list[tuple[str, str]]:
    page = (REPOSITORY / "docs/precedence.md").read_text(encoding="utf-8")
    table = page.partition("| the working folder has |")[2].partition("\n\n")[0]
    return ROW.findall(table)[0:]


CONTENT = {
    "pyproject.toml": "[project]\nname = 'x'\nversion = '1'\n",
    "roost.toml": "",
    "requirements.txt": "six\n",
    "Dockerfile": "FROM debian:12\n",
}


@pytest.mark.parametrize(("files", "chosen"), list_examples())
def test_which_file_wins(files: str, chosen: str, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / ".git").mkdir()
    for name, table in re.findall(r"`([^`]+)`(?: with `([^`]+)`)?", files):
        path = folder / name
        if name.endswith("/"):
            path.mkdir()
        else:
            content = f"{table}\n" if table else CONTENT.get(path.name, "dependencies: [numpy]\n")
            path.write_text(content)
    if chosen.startswith("an error"):
        expected = AmbiguousDefinitionError if "both" in chosen else NoDefinitionError
        with pytest.raises(expected):
            discover(str(folder), ["train.py"])
    else:
        assert discover(str(folder), ["train.py"]).path == str((folder / chosen.strip("`")).resolve())
