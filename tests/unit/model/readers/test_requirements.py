from __future__ import annotations

import errno
import os

import pytest

from roost.model.canonical.form import digest_bytes
from roost.store.sources.files import LocalFiles


def items(parse, text):
    return parse(text, "requirements.txt").definition.pip.requirements


def shown(parse, text):
    return [(item.kind, item.text) for item in items(parse, text)]


def test_comments_continuations_and_blank_lines(parse):
    text = "# top\n\nSix == 1.16.0  # why\nrich>=1, \\\n  <2\n   # end \\\nfoo\n"
    read = items(parse, text)
    assert [item.text for item in read] == ["six==1.16.0", "rich>=1,<2", "foo"]
    assert [item.location.line for item in read] == [3, 4, 7]


@pytest.mark.parametrize(
    ("line", "kind", "text"),
    [
        ("Foo_Bar [B,a]>=1 ; python_version<'3'", "requirement", 'foo-bar[a,b]>=1 ; python_version < "3"'),
        ("six==1 --hash=sha256:b --hash sha256:a", "requirement", "six==1 --hash=sha256:a --hash=sha256:b"),
        ("-i https://h/simple", "option", "--index-url https://h/simple"),
        ("--extra-index-url=https://h/simple", "option", "--extra-index-url https://h/simple"),
        ("--pre", "option", "--pre"),
        ("--no-binary :all:", "option", "--no-binary :all:"),
        ("git+https://h/x@v1#egg=x", "url", "git+https://h/x@v1#egg=x"),
        ("-e git+ssh://git@h/x", "url", "git+ssh://git@h/x"),
        ("X @ https://h/x-1-py3-none-any.whl", "url", "x @ https://h/x-1-py3-none-any.whl"),
        ("https://h/x.tar.gz ; os_name=='nt'", "url", 'https://h/x.tar.gz ; os_name == "nt"'),
        ("-r https://h/more.txt", "requirements", "https://h/more.txt"),
        ("-c https://h/pins.txt", "constraints", "https://h/pins.txt"),
        ("foo (>=1,<2)", "requirement", "foo>=1,<2"),
    ],
)
def test_one_line_of_each_kind(parse, line, kind, text):
    assert shown(parse, line + "\n") == [(kind, text)]


def test_a_file_that_may_not_be_read_is_a_matter_of_its_mode(refused, write, monkeypatch):
    write("secret.txt", "six\n")
    read = LocalFiles.read

    def read_most(files, path):
        if path.endswith("secret.txt"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return read(files, path)

    monkeypatch.setattr(LocalFiles, "read", read_most)
    error = refused("-r secret.txt\n", "requirements.txt")
    assert error.hint.startswith("Its mode or its owner")
    assert "Create the file" in refused("-r absent.txt\n", "requirements.txt").hint


def test_nested_files_are_read_relative_to_where_they_are_named(parse, write):
    write("sub/more.txt", "six\n-r deeper.txt\n")
    write("sub/deeper.txt", "rich\n")
    write("pins.txt", "six<2\n")
    parsed = parse("-r sub/more.txt\n-c pins.txt\n", "requirements.txt")
    nested, pins = parsed.definition.pip.requirements
    assert (nested.kind, nested.text) == ("requirements", "more.txt")
    assert [item.text for item in nested.items] == ["six", "deeper.txt"]
    assert [item.text for item in nested.items[1].items] == ["rich"]
    assert [item.text for item in pins.items] == ["six<2"]
    assert [entry.path.rpartition("/")[2] for entry in parsed.inputs] == [
        "requirements.txt",
        "more.txt",
        "deeper.txt",
        "pins.txt",
    ]


def test_local_things_go_by_name_and_digest(parse, write, tmp_path):
    write("wheels/x-1.0-py3-none-any.whl", b"wheel")
    write("project/pyproject.toml", "[project]\n")
    write("project/src/a.py", "a = 1\n")
    lines = "./wheels/x-1.0-py3-none-any.whl[b,a]\nfile:project#egg=p\n-e ./project[dev]\n-f wheels\n"
    wheel, source, editable, links = items(parse, lines)
    assert (wheel.kind, wheel.text, wheel.digest) == ("wheel", "x-1.0-py3-none-any.whl[a,b]", digest_bytes(b"wheel"))
    assert (source.kind, source.text, source.path) == ("source", "project", str(tmp_path / "project"))
    assert (editable.kind, editable.text, editable.path) == ("editable", "project[dev]", str(tmp_path / "project"))
    assert (links.kind, links.text, links.path) == ("option", "--find-links", str(tmp_path / "wheels"))
    assert source.digest != editable.digest


def test_dots_after_a_link_go_where_the_system_goes(parse, write, tmp_path):
    write("real/deep/r.txt", "-r ../more.txt\n")
    write("real/more.txt", "six\n")
    write("more.txt", "rich\n")
    (tmp_path / "link").symlink_to("real/deep")
    (outer,) = items(parse, "-r link/r.txt\n")
    assert [item.text for item in outer.items[0].items] == ["six"]
    assert outer.items[0].path == str(tmp_path.resolve() / "real" / "more.txt")


def test_an_editable_counts_by_its_build_files_and_a_source_by_all(parse, write):
    write("p/pyproject.toml", "[project]\n")
    write("p/a.py", "a = 1\n")
    before = [item.digest for item in items(parse, "-e p\n./p\n")]
    write("p/a.py", "a = 2\n")
    middle = [item.digest for item in items(parse, "-e p\n./p\n")]
    write("p/setup.cfg", "[metadata]\n")
    after = [item.digest for item in items(parse, "-e p\n./p\n")]
    assert before[0] == middle[0] != after[0]
    assert len({before[1], middle[1], after[1]}) == 3


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("six\n  foo bar\n", (2, 7), "'foo bar' is not a valid requirement"),
        ("-r none.txt\n", (1, 1), "none.txt can't be read: No such file"),
        ("-e ./none\n", (1, 1), "can't be read: it is not a folder"),
        ("./none.whl\n", (1, 1), "can't be read"),
        ("-r requirements.txt\n", (1, 1), "includes itself"),
        ("-r\n", (1, 1), "--requirement needs a value"),
        ("-r ${DIR}/more.txt\n", (1, 4), "${DIR} is not allowed here"),
        ("-e\n", (1, 1), "names no folder"),
        ("-i 'x\n", (1, 4), "has no end"),
        ("six>=\n", (1, 4), "'six>=' is not a valid requirement"),
    ],
)
def test_errors_have_their_place(refused, text, place, words):
    error = refused(text, "requirements.txt")
    assert (error.location.line, error.location.column) == place
    assert words in error.message
    assert error.hint


def test_an_error_in_a_nested_file_names_that_file(parse, write):
    from roost.model.syntax.pip_options import RequirementError

    write("more.txt", "six\nfoo bar\n")
    with pytest.raises(RequirementError) as caught:
        parse("-r more.txt\n", "requirements.txt")
    assert caught.value.location.path.endswith("more.txt")
    assert caught.value.location.line == 2
