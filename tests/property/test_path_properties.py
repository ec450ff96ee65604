"""Paths with any characters mean the same file everywhere: in lines, in URLs, in the digest and in what uv gets."""

from __future__ import annotations

import shlex
from urllib.parse import unquote, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from roost.daemon.engines.uv.requirements import RequirementsTranslator, UvInputs, path_url
from roost.model.canonical.pip_items import canonicalise_pip_items
from roost.model.definition import PipItem
from roost.model.syntax.pip_lines import parse_pip_line, split_local_text, strip_file_scheme

ODD = ["a b", "a#b", "a%20b", "100%", "a?b", "$HOME", "${X}", "{b}", "it's", 'q"q', "café", "caf\udce9", "a;b", "a ; b"]
ODD += [
    "a b --pre",
    "x[1]",
    "a\\b",
    "-dash",
    "nl\nx",
    "tab\tx",
    "~",
    "a@b",
    "a:b",
    "file:x",
    " lead",
    "trail ",
    "\x1b[31m",
]
BYTES = st.binary(min_size=1, max_size=12).map(lambda data: data.replace(b"/", b"").replace(b"\0", b""))
TEXTS = st.text(max_size=12).filter(lambda text: not any("\ud800" <= each <= "\udfff" for each in text))
NAMES = (
    (st.sampled_from(ODD) | BYTES.map(lambda data: data.decode("utf-8", "surrogateescape")) | TEXTS)
    .map(lambda name: name.replace("/", "").replace("\0", ""))
    .filter(lambda name: name not in ("", ".", ".."))
)
"""Names of folders: anything but a slash and NUL, with bytes that are not UTF-8 as surrogates."""
REST = st.sampled_from(["", "[a,b]", ' ; python_version > "3"', f" --hash=sha256:{'0a' * 32}", '[a] ; os_name == "x"'])


def translate(item: PipItem) -> UvInputs:
    return RequirementsTranslator({}, lambda item: "file:///s/x-1-py3-none-any.whl").add([item])


@given(NAMES)
def test_a_file_url_leads_to_the_path_that_it_was_made_of(name):
    url = path_url(f"/p/{name}")
    assert url.isascii()
    assert strip_file_scheme(url) == f"/p/{name}"
    assert unquote(urlsplit(url).path, errors="surrogateescape") == f"/p/{name}"


@given(NAMES, REST)
@example("x[1]", "")
@example("a b --pre", "")
@example("${X}", "[a,b]")
def test_what_a_line_says_does_not_depend_on_the_name_of_the_folder(name, rest):
    odd, plain = (
        PipItem(kind="source", text=f"{each}{rest}", path=f"/p/{each}", digest="sha256:x") for each in (name, "plain")
    )
    assert split_local_text(odd) == (name, rest)
    assert canonicalise_pip_items([odd]) == canonicalise_pip_items([plain])
    lines = [
        RequirementsTranslator({}, lambda item: "file:///s/x-1-py3-none-any.whl").add([item]) for item in (odd, plain)
    ]
    assert lines[0].requirements == lines[1].requirements


@given(NAMES, st.sampled_from(["", ' ; python_version > "3"']))
def test_an_editable_folder_of_any_name_gets_to_uv_as_a_url(name, rest):
    item = PipItem(kind="editable", text=f"{name}{rest}", path=f"/p/{name}", digest="sha256:x")
    (line,) = translate(item).requirements
    target, _, marker = line.removeprefix("-e ").partition(" ; ")
    url = target.partition(" @ ")[2] if "#" in name else target  # uv needs a name where it takes # for a fragment
    assert strip_file_scheme(url) == f"/p/{name}"
    assert marker == rest.removeprefix(" ; ")


@given(NAMES)
def test_links_in_a_folder_of_any_name_get_to_uv_as_a_url(name):
    item = PipItem(kind="option", text="--find-links", path=f"/p/{name}", digest="sha256:x")
    (line,) = translate(item).requirements_text(None).splitlines()
    assert strip_file_scheme(line.removeprefix("--find-links ")) == f"/p/{name}"


@given(NAMES.filter(lambda name: not name.endswith("]")))
@example("a ; b")
@example("trail ")
def test_a_quoted_path_is_that_path(name):
    path = f"./{name}"
    assert parse_pip_line(f"-e {shlex.quote(path)}").target == path
    assert parse_pip_line(f"-f {shlex.quote(path)}").target == path
    assert parse_pip_line(f"-r {shlex.quote(path)}").target == path
