from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.model.syntax.pip_lines import (
    PipLine,
    normalise_marker,
    normalise_name,
    parse_pip_line,
    parse_pip_lines,
    split_extras,
    strip_file_scheme,
)
from roost.model.syntax.pip_options import RequirementError, Word

FILE = "x-1-py3-none-any.whl"
KEPT = f"roost-wheel:sha256:{'0a' * 32}/{FILE}"


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("-rmore.txt", PipLine("requirements", "more.txt", "more.txt")),
        ("--requirement=more.txt", PipLine("requirements", "more.txt", "more.txt")),
        ("-r 'a b.txt'", PipLine("requirements", "a b.txt", "a b.txt")),
        (
            "-r https://h/x.txt [--no-deps]",
            PipLine("requirements", "https://h/x.txt", "https://h/x.txt", leftover=(Word("[--no-deps]", 19),)),
        ),
        ("-e .[dev]", PipLine("editable", ".[dev]", ".")),
        ("--editable=file:../x#egg=x&subdirectory=y", PipLine("editable", "y", "../x/y")),
        ("-e git+https://h/x@v#egg=x", PipLine("url", "git+https://h/x@v#egg=x")),
        ("./x-1-py3-none-any.whl[b,a]", PipLine("wheel", "x-1-py3-none-any.whl[a,b]", "./x-1-py3-none-any.whl")),
        (
            "x @ file:///w/x-1-py3-none-any.whl",
            PipLine("wheel", "x-1-py3-none-any.whl", "/w/x-1-py3-none-any.whl", "x"),
        ),
        ("x[a] @ file:///w/x ; os_name=='nt'", PipLine("source", 'x[a] ; os_name == "nt"', "/w/x", name="x")),
        (f"{KEPT}[b,a] ; os_name=='nt'", PipLine("wheel", f'{FILE}[a,b] ; os_name == "nt"', KEPT)),
        (f"x[a] @ {KEPT}", PipLine("wheel", f"{FILE}[a]", KEPT)),
        ("x.tar.gz", PipLine("source", "x.tar.gz", "x.tar.gz")),
        ("sub/folder", PipLine("source", "folder", "sub/folder")),
        ("-f wheels", PipLine("option", "--find-links wheels", "wheels")),
        ("-f https://h/w", PipLine("option", "--find-links https://h/w")),
        ("six==1 --config-settings=a=b", PipLine("requirement", "six==1 --config-settings=a=b")),
        ("six === 1.0-x", PipLine("requirement", "six===1.0-x")),
        ("name@https://h/x.whl#sha256=a", PipLine("url", "name @ https://h/x.whl#sha256=a")),
    ],
)
def test_lines(line, read):
    assert parse_pip_line(line) == read


@pytest.mark.parametrize(
    ("name", "normal"), [("Foo_Bar.baz", "foo-bar-baz"), ("a--b__c..d", "a-b-c-d"), ("six", "six")]
)
def test_names_by_pep_503(name, normal):
    assert normalise_name(name) == normal


@pytest.mark.parametrize(
    ("marker", "normal"),
    [
        ("python_version<'3'", 'python_version < "3"'),
        ("( os_name=='nt' )and( python_version>='3' )", '(os_name == "nt") and (python_version >= "3")'),
        ("os_name in 'a b'", 'os_name in "a b"'),
        ("x == 'say \"hi\"'", "x == 'say \"hi\"'"),
        ("os_name not  in 'nt'", 'os_name not in "nt"'),
    ],
)
def test_markers(marker, normal):
    assert normalise_marker(marker) == normal
    assert normalise_marker(normal) == normal


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:x", "x"),
        ("file:///a/b", "/a/b"),
        ("file://localhost/a", "/a"),
        ("file:.#egg=x[e]", ".[e]"),
        ("./x", "./x"),
    ],
)
def test_file_urls(url, path):
    assert strip_file_scheme(url) == path


def test_extras():
    assert split_extras("x.whl[B_b, a]") == ("x.whl", "[a,b-b]")
    assert split_extras("x.whl") == ("x.whl", "")


@pytest.mark.parametrize("line", ["foo bar", "==1", "foo>=", "foo ; nonsense", "foo[", "@ https://h"])
def test_what_is_no_line_is_refused(line):
    with pytest.raises(RequirementError) as caught:
        parse_pip_line(line)
    assert 0 <= caught.value.column <= len(line)
    assert "Expected" in caught.value.hint


@pytest.mark.parametrize(
    "line",
    [
        "roost-wheel:x-1-py3-none-any.whl",
        "roost-wheel:sha256:0a/x-1-py3-none-any.whl",
        f"roost-wheel:sha256:{'0a' * 32}/../../x-1-py3-none-any.whl",
        f"roost-wheel:sha256:{'0a' * 32}/x.tar.gz",
        f"x @ roost-wheel:md5:{'0a' * 16}/x-1-py3-none-any.whl",
    ],
)
def test_a_reference_to_a_wheel_that_is_none(line):
    with pytest.raises(RequirementError, match="does not name a wheel by its content"):
        parse_pip_line(line)


def test_several_options_in_a_line_are_several_lines():
    first, second = parse_pip_lines("--no-index  --find-links='my wheels'")
    assert (first.text, first.offset, second.text, second.offset) == ("--no-index", 0, "--find-links my wheels", 12)
    assert second.target == "my wheels"


def test_words_that_no_option_takes_are_noted_as_pip_passes_over_them():
    (line,) = parse_pip_lines("-r https://h/x.txt [--no-deps]")
    assert (line.kind, line.target, line.leftover) == ("requirements", "https://h/x.txt", (Word("[--no-deps]", 19),))


WORDS = ["--no-index", "--pre", "-i https://h/", "-f wheels", "-r x", "six", "'a b'", "-e .", "--no-indx"]


@given(st.lists(st.sampled_from(WORDS), min_size=1))
def test_places_of_options_are_in_the_line(words):
    line = " ".join(words)
    try:
        parsed = parse_pip_lines(line)
    except RequirementError as error:
        places = [error.column]
    else:
        places = [each.offset for each in parsed] + [word.offset for each in parsed for word in each.leftover]
        assert len(places) == len(set(places))
    assert all(place == 0 or line[place - 1] in " '" for place in places)
