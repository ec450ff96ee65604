"""What an order does to a file: which entry is meant, what is refused, and what is said."""

from __future__ import annotations

import pytest
import rattler
from tests.support.editing import describe_items, edit, edit_text

from roost.model.edits.change import (
    EditOrder,
    EditRefusedError,
    PackageNotListedError,
    PackageTextError,
    with_versions,
)
from roost.model.errors import CodedError, InvalidDefinitionError, InvalidRequestError

PROJECT = '[project]\nname = "mine"\nversion = "1"\n'


def listing(*texts: str) -> str:
    return f"{PROJECT}dependencies = [{', '.join(repr(text) for text in texts)}]\n"


@pytest.mark.parametrize(
    ("listed", "added", "action", "after"),
    [
        ("numpy>=1", "numpy", "present", "numpy>=1"),
        ("numpy>=1", "NumPy >= 1", "present", "numpy>=1"),
        ("numpy>=1", "numpy==2", "changed", "numpy==2"),
        ("numpy", "numpy>=2", "changed", "numpy>=2"),
        ("PyYAML>=5", "pyyaml>=6", "changed", "PyYAML>=6"),
        ("httpx[http2]>=1", "httpx[socks]", "changed", "httpx[http2,socks]>=1"),
        ("httpx[http2]>=1", "httpx>=2", "changed", "httpx[http2]>=2"),
        ("a @ https://h.example/a.zip", "a==1", "changed", "a==1"),
        ('a>=1; os_name == "nt"', 'a>=2; os_name == "nt"', "changed", 'a>=2; os_name == "nt"'),
        ('a>=1; os_name == "nt"', "a>=2", "added", "a>=2"),
    ],
)
def test_a_requirement_that_is_listed_is_changed_as_uv_changes_it(listed, added, action, after):
    edited = edit(listing(listed), "pyproject.toml", added)
    assert [(item.action, item.after) for item in edited.items] == [(action, after)]
    kept = [listed] if action == "added" else []
    assert edited.data.decode() == listing(*kept, after)


@pytest.mark.parametrize(
    ("listed", "added", "action", "after"),
    [
        ("numpy>=1", "numpy", "present", "numpy>=1"),
        ("numpy >=1", "NUMPY>=1", "present", "numpy >=1"),
        ("numpy=1", "numpy=2", "changed", "numpy=2"),
        ("conda-forge::numpy=1", "numpy=2", "changed", "conda-forge::numpy=2"),
        ("a::numpy=1", "b::numpy=2", "changed", "b::numpy=2"),
    ],
)
def test_a_match_spec_that_is_listed_is_changed(listed, added, action, after):
    edited = edit(f"dependencies:\n  - {listed}  # mine\n", "environment.yml", added)
    assert [(item.action, item.after) for item in edited.items] == [(action, after)]
    assert edited.data.decode() == f"dependencies:\n  - {after}  # mine\n"
    assert rattler.MatchSpec(after, strict=False).name is not None


def test_one_of_several_entries_is_not_chosen():
    with pytest.raises(EditRefusedError, match="numpy is listed 2 times") as caught:
        edit("dependencies:\n  - numpy  # [linux]\n  - numpy=1  # [win]\n", "environment.yml", "numpy=2")
    assert str(caught.value.location) == "/nowhere/environment.yml:3:5"
    assert caught.value.hint == "Write it by hand, in dependencies: - numpy=2"


def test_several_packages_are_removed_and_added_at_once():
    edited = edit("a\nb\nc\n", "requirements.txt", ["d", "aa>=1"], ["b", "c"])
    assert edited.data == b"a\naa>=1\nd\n"
    assert describe_items(edited) == ["removed b", "removed c", "added d", "added aa"]
    assert [item.line for item in edited.items] == [2, 3, 3, 2]


def test_nothing_to_do_is_the_same_file():
    assert edit("a\r\nb", "requirements.txt", "a").data == b"a\r\nb"


GROUPS = (
    f"{PROJECT}dependencies = ['x']\n[project.optional-dependencies]\ngpu = ['b']\n[dependency-groups]\ndev = ['a']\n"
)


@pytest.mark.parametrize(
    ("name", "options", "hint"),
    [
        ("a", {}, "--group dev"),
        ("b", {"group": "dev"}, "--extra gpu"),
        ("x", {"extra": "gpu"}, "without --group and --extra"),
    ],
)
def test_a_package_of_another_list_is_named_with_its_option(name, options, hint):
    with pytest.raises(PackageNotListedError) as caught:
        edit(GROUPS, "pyproject.toml", remove=name, **options)
    assert hint in caught.value.hint


EXPLICIT = "@EXPLICIT\nhttps://h.example/noarch/a-1-0.conda#" + "0" * 32 + "\n"


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("list.txt", EXPLICIT, "write it again"),
        ("Dockerfile", "FROM x\n", "RUN pip install numpy"),
        ("pixi.toml", "[workspace]\nchannels = []\n", "`pixi add numpy`"),
        ("pyproject.toml", "[tool.poetry.dependencies]\na = '1'\n", "`poetry add numpy`"),
        ("Pipfile", "[packages]\na = '*'\n", "`pipenv install numpy`"),
        ("uv.lock", "version = 1\nrequires-python = '>=3'\n", "pyproject.toml"),
        ("env.yml", "$schema: https://h.example/environment.schema.json\nconda_file: conda.yml\n", "-f conda.yml"),
        ("env.yml", "image: x\nconda_file:\n  dependencies: [a]\n", "edited by hand"),
    ],
)
def test_a_format_that_is_not_edited_is_refused_with_what_to_do_instead(name, text, hint):
    with pytest.raises(EditRefusedError) as caught:
        edit(text, name, "numpy")
    assert hint in caught.value.hint
    assert caught.value.location is not None


@pytest.mark.parametrize(
    ("name", "text", "options", "error", "message"),
    [
        ("requirements.txt", "", {"section": "conda"}, InvalidRequestError, "packages of pip only"),
        ("requirements.txt", "", {"group": "dev"}, InvalidRequestError, "--group"),
        ("pyproject.toml", PROJECT, {"group": "a", "extra": "b"}, InvalidRequestError, "two lists"),
        ("pyproject.toml", PROJECT, {"section": "conda"}, InvalidRequestError, "packages of pip only"),
        ("pyproject.toml", PROJECT, {"group": "a b"}, InvalidRequestError, "not a valid name for --group"),
        ("pyproject.toml", f"{PROJECT}[tool.roost]\n", {"group": "a"}, InvalidRequestError, "--group"),
        ("pyproject.toml", "[dependency-groups]\n", {}, EditRefusedError, r"no \[project\] table"),
        (
            "pyproject.toml",
            f"{PROJECT}dynamic = ['optional-dependencies']\n",
            {"extra": "a"},
            EditRefusedError,
            "dynamic",
        ),
        ("requirements.txt", "a ==\n", {}, InvalidDefinitionError, "a =="),
        ("requirements.txt", "a\n".encode("utf-16"), {}, EditRefusedError, "UTF-8"),
        ("requirements.txt", "a\rb\r", {}, EditRefusedError, "carriage return"),
        ("environment.yml", "dependencies: [a]\n---\ndependencies: [b]\n", {}, InvalidDefinitionError, "second YAML"),
    ],
)
def test_an_order_or_a_file_that_does_not_fit_is_refused(name, text, options, error, message):
    with pytest.raises(error, match=message):
        edit(text, name, "numpy", **options)


@pytest.mark.parametrize(
    "text",
    ["", "numpy=2", "-r x.txt", "./x", "numpy # x", "numpy\nscipy", "numpy @ https://u:p@h.example/a.zip", "$NAME"],
)
def test_what_is_not_a_package_is_refused(text):
    with pytest.raises((PackageTextError, EditRefusedError)) as caught:
        edit("a\n", "requirements.txt", text)
    assert ":p@" not in caught.value.message + caught.value.hint


def test_the_text_of_a_package_can_not_make_the_file_invalid(tmp_path):
    (tmp_path / "base.txt").write_text("", encoding="utf-8")
    with pytest.raises(CodedError, match="is a file, and not a package"):
        edit("a\n", str(tmp_path / "requirements.txt"), "base.txt")


def test_new_packages_without_a_bound_are_named_where_they_get_one():
    assert edit(listing("b"), "pyproject.toml", ["a[x]", "b", "c>=1"]).unbounded == ("a",)
    assert edit("b\n", "requirements.txt", "a").unbounded == ()


def test_packages_get_the_versions_of_a_solve():
    order = EditOrder(add=("NumPy", "pip: requests[socks] ; os_name == 'nt'", "a>=1", "conda:b", "c", "d"))
    versions = {"numpy": "2.1.0+cu128", "requests": "3", "a": "2", "b": "1", "d": "not a version"}
    expected = ("NumPy>=2.1.0", "pip: requests[socks]>=3 ; os_name == 'nt'", "a>=1", "conda:b", "c", "d")
    assert with_versions(order, versions).add == expected


def test_everything_else_in_a_file_stays():
    text = '# a\n[project]\nname="a"\nversion = "1"\ndependencies=["b"] # c\n\n\n[tool.y]\nz = nan\nt = 1979-05-27\n'
    assert edit_text(text, "pyproject.toml", "c") == text.replace('["b"]', '["b", "c"]')


@pytest.mark.parametrize("name", ["numpy_", "numpy[extra_]", "numpy_>=1"])
def test_a_name_that_uv_refuses_is_no_package(name):
    with pytest.raises(PackageTextError, match="ends with a letter or a digit"):
        edit("", "requirements.txt", name)
    with pytest.raises(InvalidDefinitionError, match="ends with a letter or a digit"):
        edit(f"{name}\n", "requirements.txt", "six")


@pytest.mark.parametrize(
    ("text", "added", "expected"),
    [
        ("", ["idna", "idna>=3"], [("added", None, "idna>=3")]),
        ("idna<3\n", ["idna>=3", "idna==4"], [("changed", "idna<3", "idna==4")]),
        ("idna\n", ["idna", "idna>=3"], [("changed", "idna", "idna>=3")]),
        ("", ["idna", "six", "idna"], [("added", None, "idna"), ("added", None, "six")]),
    ],
)
def test_a_package_that_is_named_twice_is_one_change_with_its_line(text, added, expected):
    edited = edit(text, "requirements.txt", added)
    assert [(item.action, item.before, item.after) for item in edited.items] == expected
    assert all(item.line for item in edited.items)


@pytest.mark.parametrize(
    ("name", "text", "refused"),
    [("notes.md", "# hi\n", True), ("notes", "", True), ("notes.md", "six\n", False), ("NOTES.TXT", "# hi\n", False),
     ("all.in", "", False)],
)  # fmt: skip
def test_a_file_that_nothing_says_to_be_one_of_requirements_is_left_alone(name, text, refused):
    if refused:
        with pytest.raises(EditRefusedError, match="not that of a requirements file"):
            edit(text, name, "idna")
    else:
        assert describe_items(edit(text, name, "idna")) == ["added idna"]


@pytest.mark.parametrize(
    ("options", "what"), [({"group": "nope"}, "group 'nope'"), ({"extra": "nope"}, "extra 'nope'")]
)
def test_removing_from_a_group_that_is_not_there_names_it(options, what):
    text = f"{PROJECT}[dependency-groups]\ntest = ['six']\n"
    with pytest.raises(InvalidDefinitionError, match=what):
        edit(text, "pyproject.toml", remove="six", **options)


@pytest.mark.parametrize(("listed", "after"), [("Idna >= 3", "Idna < 4"), ("Idna>=3", "Idna<4"), ("Idna", "Idna<4")])
def test_a_changed_requirement_keeps_its_spaces(listed, after):
    assert edit_text(f"{listed}\nsix>=1\n", "requirements.txt", "idna<4") == f"{after}\nsix>=1\n"


@pytest.mark.parametrize(
    ("text", "added", "hint"),
    [
        ("dependencies: &d [python, {pip: [six]}]\n", "attrs", "attrs, in the brackets of dependencies"),
        ("dependencies: &d [python, {pip: [six]}]\n", "pip:a>=1,<2", '"a>=1,<2", in the brackets of pip'),
        ("dependencies: &d\n- python\n", "attrs", "- attrs"),
    ],
)
def test_what_is_to_be_written_by_hand_suits_the_list(text, added, hint):
    with pytest.raises(EditRefusedError, match="anchor") as caught:
        edit(text, "environment.yml", added)
    assert caught.value.hint == f"Write it by hand: {hint}"


def test_a_prefix_is_named_as_it_was_written():
    for added, options, written in (("conda:attrs", {}, "conda:"), ("attrs", {"section": "conda"}, "--conda")):
        with pytest.raises(InvalidRequestError) as caught:
            edit("", "requirements.txt", added, **options)
        assert caught.value.hint.startswith(f"Leave {written} out")


@pytest.mark.parametrize(("name", "command"), [("pixi.toml", "pixi add six"), ("Pipfile", "pipenv install six")])
def test_an_empty_file_of_another_tool_is_not_filled(name, command):
    with pytest.raises(EditRefusedError, match="is a file of") as caught:
        edit("", name, "six")
    assert caught.value.hint == f"Run `{command}`."
