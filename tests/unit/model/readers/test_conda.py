from __future__ import annotations

import codecs

import pytest

from roost.model.errors import InvalidDefinitionError

PLAIN = "name: train\nchannels: [conda-forge]\ndependencies:\n  - python=3.11\n  - pip:\n    - six==1.16.0\n"
LAUGHS = "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}' if level else 'x'] * 9)}]\n" for level in range(40)
)
DEEP = "x0: &x0 [v]\n" + "".join(f"x{level}: &x{level} [*x{level - 1}]\n" for level in range(1, 99))


def place(error):
    return error.location.line, error.location.column


def texts(parsed):
    return [item.text for item in parsed.definition.pip.requirements]


def test_a_plain_file_gives_its_channels_specs_and_requirements(parse, tmp_path):
    parsed = parse(PLAIN)
    assert parsed.format == "conda"
    assert parsed.name == "train"
    assert parsed.path == str(tmp_path / "environment.yml")
    assert parsed.definition.conda.channels == ("conda-forge",)
    assert parsed.definition.conda.dependencies == ("python=3.11",)
    assert texts(parsed) == ["six==1.16.0"]
    assert parsed.definition.base is None
    assert parsed.warnings == ()
    assert [entry.path for entry in parsed.inputs] == [parsed.path]


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF16_LE + PLAIN.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
        codecs.BOM_UTF8 + PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\t# a comment after a tab\n").encode(),
        ("---\n" + PLAIN + "...\n").encode(),
    ],
)
def test_encodings_line_ends_and_tabs_in_comments_change_nothing(parse, content):
    assert parse(content).definition.conda == parse(PLAIN).definition.conda


@pytest.mark.parametrize("name", ["environment.yml", "x.yaml", "conda-3.8", "train.env", "x.lock"])
def test_the_file_is_told_by_its_content(parse, name):
    assert parse(PLAIN, name).format == "conda"


@pytest.mark.parametrize(
    ("written", "requirements"),
    [
        ("pip: six", ["six"]),
        ("pip:", []),
        ("pip: null", []),
        ("pip: ~", []),
        ("pip: [six, null, rich]", ["six", "rich"]),
        ("pip: [six, ~]", ["six"]),
        ("pip: [six, six]", ["six", "six"]),
        ("pip: |\n      six\n      # why\n      rich", ["six", "rich"]),
    ],
)
def test_pip_may_be_text_null_or_hold_nulls(parse, written, requirements):
    assert texts(parse(f"dependencies:\n  - {written}\n")) == requirements


@pytest.mark.parametrize(
    "content", ["name: a\n", "name: a\ndependencies:\n", "dependencies: null\n", "dependencies: []\n"]
)
def test_dependencies_may_be_missing_or_null(parse, content):
    assert parse(content).definition.conda.dependencies == ()


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        ("3.10", None),
        ("python=3.10", "python=3.10"),
        ("Python = 3.10", "python=3.10"),
        ("conda-forge::NumPy>=1.8,<2|1.7", "conda-forge::numpy>=1.8,<2|1.7"),
        ("numpy=1.2=py39_0", "numpy=1.2=py39_0"),
        ("'numpy[version=\">=1.2\"]'", 'numpy[version=">=1.2"]'),
        ("blas * mkl", "blas * mkl"),
    ],
)
def test_specs_are_taken_as_text(parse, written, spec):
    expected = spec or written
    assert parse(f"dependencies:\n  - {written}\n").definition.conda.dependencies == (expected,)


def test_nodefaults_is_dropped_and_order_kept(parse):
    channels = "channels: [second, nodefaults, conda-forge/, second, 'https://h/c/']\n"
    assert parse(channels).definition.conda.channels == ("second", "conda-forge", "https://h/c")
    assert parse("channels: conda-forge\n").definition.conda.channels == ("conda-forge",)
    assert parse("channels:\n").definition.conda.channels == ()


def test_variables_are_text_as_written_and_no_part_of_the_definition(parse):
    parsed = parse("variables: {A: on, B: yes, C: 1.10, D: 010, E: 'x y', F: , G: true, H: '${HOME}'}\n")
    expected = {"A": "on", "B": "yes", "C": "1.10", "D": "010", "E": "x y", "F": "", "G": "true", "H": "${HOME}"}
    assert parsed.settings.variables == expected
    assert parsed.definition == parse("name: other\nprefix: /somewhere\n").definition


def test_what_conda_leaves_unread_is_a_notice_with_its_place(parse):
    parsed = parse("name: a\nplatforms: [linux-64]\ndependencies:\n  - npm: [x]\n  - sel(win): pywin32\n  - six\n")
    assert parsed.definition.conda.dependencies == ("six",)
    assert [(n.code, n.location.line, n.location.column) for n in parsed.warnings] == [
        ("key-unknown", 2, 1),
        ("section-unknown", 4, 5),
        ("section-unknown", 5, 5),
    ]


def test_anchors_and_merges_are_followed(parse):
    parsed = parse("x: &c [conda-forge]\ny: &d\n  dependencies: [six]\nchannels: *c\n<<: *d\n")
    assert parsed.definition.conda.channels == ("conda-forge",)
    assert parsed.definition.conda.dependencies == ("six",)


def test_credentials_are_kept_apart(parse):
    parsed = parse(
        "channels: ['https://u:p@h/c', 'https://g/t/TOKEN/c', 'https://g/t/${T}/d']\n"
        "dependencies:\n  - https://x:y@i/ch::six\n  - pip: ['--index-url https://a:b@j/simple']\n"
    )
    assert parsed.definition.conda.channels == ("https://h/c", "https://g/c", "https://g/t/${T}/d")
    assert parsed.definition.conda.dependencies == ("https://i/ch::six",)
    assert texts(parsed) == ["--index-url https://j/simple"]
    assert parsed.credentials == {
        "https://h": "u:p",
        "https://g": "/t/TOKEN",
        "https://i": "x:y",
        "https://j": "a:b",
    }


@pytest.mark.parametrize(
    ("content", "where", "words"),
    [
        ("dependencies: numpy\n", (1, 15), ["the string 'numpy'", "expected a list"]),
        ("dependencies:\n  - [a]\n", (2, 5), ["a list", "expected a conda match spec"]),
        ("channels: {a: b}\n", (1, 11), ["a mapping", "expected a list"]),
        ("variables: [a]\n", (1, 12), ["a list", "expected a mapping"]),
        ("variables: {a: [b]}\n", (1, 16), ["variable 'a'", "a list", "expected a string"]),
        ("dependencies:\n  - pip: {six: 1}\n", (2, 10), ["'pip' is a mapping", "expected a list"]),
        ("dependencies:\n  - pip:\n    - six: 1\n", (3, 7), ["a mapping", "expected a string"]),
        ("dependencies:\n  - pip:\n    - six ==\n", (3, 11), ["'six =='"]),
        ("dependencies:\n  - six\n  - '*'\n", (3, 6), ["names no single package"]),
        ("dependencies:\n  - six\n - b\n", (3, 2), ["not valid YAML"]),
        ("dependencies:\n\t- six\n", (2, 1), ["not valid YAML", "character"]),
        ("name: a\nname: b\n", (2, 1), ["'name' occurs twice", "line 1"]),
        ("name: a\n---\nname: b\n", (3, 1), ["second YAML document"]),
        ("- six\n", (1, 1), ["a list", "expected a mapping"]),
        ("", (1, 1), ["empty"]),
        ("a: &a [*a]\n", (1, 8), ["contains itself"]),
        (LAUGHS, (6, 5), ["is too large", "aliases"]),
        (
            f"a: &a {'x' * 1000}\nb: &b [{', '.join(['*a'] * 99)}]\nc: [{', '.join(['*b'] * 99)}]\n",
            (3, 4),
            ["too large"],
        ),
        (DEEP, (50, 12), ["nested too deeply"]),
        ("dependencies: [*nothing]\n", (1, 16), ["undefined alias"]),
        ("dependencies:\n  - ./x-1-0.conda\n", (2, 5), ["package file on disk"]),
    ],
)
def test_what_is_wrong_has_its_place_and_says_what_was_expected(refused, content, where, words):
    error = refused(content)
    assert place(error) == where
    assert all(word in error.message for word in words), error.message


def test_bytes_that_are_no_text_have_their_place(refused):
    assert place(refused(b"name: a\nchannels: [\xff]\n")) == (2, 12)
    assert "not a text" in refused("name: a\0b\n").message


def test_a_missing_source_is_a_definition_error(tmp_path):
    from roost.model.readers.read import read_definition
    from roost.model.readers.source import DefinitionSource
    from roost.store.sources.files import LocalFiles

    with pytest.raises(InvalidDefinitionError, match="can't be read"):
        read_definition(DefinitionSource(path=str(tmp_path / "none.yml")), LocalFiles())
