"""From pip's lines to uv's."""

from __future__ import annotations

import sys

import pytest

from roost.daemon.engines.uv.errors import PipOptionError, PipVariableError
from roost.daemon.engines.uv.project import render_configuration, render_pinned_project
from roost.daemon.engines.uv.requirements import (
    RequirementsTranslator,
    UvChoices,
    UvInputs,
    find_extras,
    split_credentials,
)
from roost.model.definition import PipItem
from roost.model.errors import Location

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WHERE = Location(path="/project/requirements.txt", line=3, column=1)


def translate(*items: PipItem, **variables: str) -> UvInputs:
    return RequirementsTranslator(variables, lambda item: "file:///store/mine-1.0-py3-none-any.whl").add(items)


def requirement(text: str) -> PipItem:
    return PipItem(kind="requirement", text=text, location=WHERE)


def option(text: str, path: str | None = None) -> PipItem:
    return PipItem(kind="option", text=text, path=path, location=WHERE)


def test_order_is_kept_and_nested_files_are_in_their_place() -> None:
    nested = PipItem(
        kind="requirements", text="more.txt", path="/project/more.txt", items=(requirement("b"), requirement("c"))
    )
    assert translate(requirement("a"), nested, requirement("d")).requirements == ["a", "b", "c", "d"]


def test_everything_below_a_constraints_file_constrains() -> None:
    inner = PipItem(kind="requirements", text="x.txt", items=(requirement("b<2"),))
    outer = PipItem(kind="constraints", text="c.txt", items=(requirement("a<1"), inner))
    out = translate(outer, requirement("a"))
    assert (out.requirements, out.constraints) == (["a"], ["a<1", "b<2"])


def test_options_hold_for_all_lines() -> None:
    out = translate(
        option("--index-url https://one.example/simple"),
        option("--extra-index-url=https://two.example/simple"),
        option("-f https://three.example/links"),
        option("--find-links", path="/project/my #links"),
        option("--trusted-host two.example:8080"),
        option("--pre"),
        option("--prefer-binary"),
        requirement("a"),
    )
    assert out.requirements_text("https://config.example/simple").splitlines() == [
        "--index-url https://one.example/simple",
        "--extra-index-url https://two.example/simple",
        "--find-links https://three.example/links",
        "--find-links file:///project/my%20%23links",
        "a",
    ]
    assert out.options() == ["--prerelease", "allow", "--allow-insecure-host", "two.example:8080"]
    assert out.ignored == ["--prefer-binary"]


def test_hashes_are_required_until_a_later_option_says_otherwise() -> None:
    assert translate(option("--require-hashes")).require_digests
    assert not translate(option("--require-hashes"), option("--no-require-hashes")).require_digests


def test_releases_are_chosen_for_all_or_by_name() -> None:
    out = translate(option("--all-releases :all:"), option("--all-releases Six,b"), option("--only-final b"))
    assert out.pre
    assert out.choices.settings == {"prerelease-package": {"six": "allow", "b": "disallow"}}
    assert not translate(option("--pre"), option("--only-final :all:")).pre


def test_the_configured_index_is_the_default() -> None:
    assert (
        translate().requirements_text("https://config.example/simple") == "--index-url https://config.example/simple\n"
    )
    assert translate().requirements_text(None) == ""


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["--no-binary a,b"], ["a", "b"]),
        (["--no-binary a", "--only-binary a"], []),
        (["--no-binary :all:", "--only-binary :all:"], []),
        (["--no-binary a", "--no-binary :none:"], []),
        (["--only-binary :all:", "--no-binary a"], ["a"]),
    ],
)
def test_the_later_of_no_binary_and_only_binary_wins(lines: list[str], expected: list[str]) -> None:
    assert translate(*(option(line) for line in lines)).no_binary == expected


@pytest.mark.parametrize(
    "item",
    [
        requirement("a --config-settings=x=y"),
        requirement("a --global-option=--no-user-cfg"),
        requirement(f"a --hash=sha512:{'0' * 128}"),
        option("--index-url"),
        option("--extra-index-url one two"),
    ],
)
def test_what_uv_has_not_is_refused_with_its_place(item: PipItem) -> None:
    with pytest.raises(PipOptionError) as caught:
        translate(item)
    assert caught.value.location == WHERE
    assert caught.value.exit_status == 3


def test_digests_are_taken_from_the_lines() -> None:
    out = translate(requirement(f"A_b==1 --hash=sha256:{'AB' * 32} --hash=sha512:{'c' * 128}"))
    assert out.requirements == ["A_b==1"]
    assert out.digests == {"a-b": {f"sha256:{'ab' * 32}", f"sha512:{'c' * 128}"}}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a @ https://x.example/a-1.zip", "a @ https://x.example/a-1.zip"),
        (
            'a[x] @ https://x.example/a-1.zip ; python_version < "4"',
            'a[x] @ https://x.example/a-1.zip ; python_version < "4"',
        ),
        (
            "git+https://x.example/a.git@v1#egg=a[x]&subdirectory=sub",
            "a[x] @ git+https://x.example/a.git@v1#subdirectory=sub",
        ),
        ("https://x.example/a-1-py3-none-any.whl", "https://x.example/a-1-py3-none-any.whl"),
        ("a @ https://who:word@x.example:8443/a-1.zip", "a @ https://x.example:8443/a-1.zip"),
        ("a @ git+ssh://git@x.example/a.git", "a @ git+ssh://git@x.example/a.git"),
    ],
)
def test_urls(text: str, line: str) -> None:
    out = translate(PipItem(kind="url", text=text))
    assert out.requirements == [line]
    assert out.credentials == ({"https://x.example:8443": "who:word"} if "word@" in text else {})


def test_credentials_from_variables_are_kept_out_of_the_file() -> None:
    out = translate(option("--index-url https://${WHO}:${WORD}@x.example/simple"), WHO="somebody", WORD="s%40crt")
    assert out.credentials == {"https://x.example": "somebody:s%40crt"}
    assert out.requirements_text(None) == "--index-url https://x.example/simple\n"


def test_a_path_that_only_a_variable_knows_is_refused() -> None:
    for kind in ("wheel", "source", "editable"):
        with pytest.raises(PipVariableError) as caught:
            translate(PipItem(kind=kind, text="${HERE}/a", location=WHERE), HERE="/x")
        assert caught.value.location == WHERE


def test_a_variable_that_is_not_set_names_its_place() -> None:
    with pytest.raises(PipVariableError, match="TOKEN") as caught:
        translate(option("--index-url https://x.example/${TOKEN}/simple"))
    assert caught.value.location == WHERE


def test_local_things() -> None:
    out = translate(
        PipItem(
            kind="wheel",
            text='mine-1.0-py3-none-any.whl[x] ; python_version < "4"',
            path="/project/mine-1.0-py3-none-any.whl",
        ),
        PipItem(kind="editable", text="my folder[x,y]", path="/project/my folder"),
    )
    assert out.requirements == [
        'mine[x] @ file:///store/mine-1.0-py3-none-any.whl ; python_version < "4"',
        "-e file:///project/my%20folder[x,y]",
    ]


@pytest.mark.parametrize(
    ("text", "extras"), [(".", ""), (".[a, b]", "[a,b]"), ("x.whl[a] ; extra == 'b'", "[a]"), ("a[0-9]b", "")]
)
def test_extras(text: str, extras: str) -> None:
    assert find_extras(text) == extras


def test_split_credentials() -> None:
    assert split_credentials("https://u:p@h:1/x#y") == ("https://h:1/x#y", "u:p")
    assert split_credentials("https://h/x@1") == ("https://h/x@1", None)


def test_choices_are_kept_apart_from_pips_options() -> None:
    out = translate(
        option("--index https://user:word@one.example/simple"),
        option("--index-strategy first-index"),
        option("--exclude-newer-package a=P7D"),
        option("--override a==1 ; python_version < '4'"),
        option('--dependency-metadata {"name": "A.b", "requires-dist": []}'),
        option("--no-build-package A_b"),
        requirement("a>1 --index=https://user:word@two.example/simple"),
    )
    assert out.choices.indexes == ["https://one.example/simple"]
    assert out.credentials == {"https://one.example": "user:word", "https://two.example": "user:word"}
    assert out.choices.settings == {"index-strategy": "first-index", "exclude-newer-package": {"a": "P7D"}}
    assert out.choices.overrides == ["a==1 ; python_version < '4'"]
    assert out.pinned == [("a>1", "https://two.example/simple")]
    assert out.requirements == []
    assert out.choices.has_metadata("a-b", "1")
    assert out.choices.forbids_build("a-b")
    assert out.requirements_text("https://default.example/simple").strip() == "", "the configuration has all indexes"


@pytest.mark.parametrize(
    "text",
    ["--exclude-newer 7 days", "--exclude-newer-package a=soon", "--dependency-metadata {", "--dependency-metadata []"],
)
def test_a_choice_that_is_not_valid_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(PipOptionError) as caught:
        translate(option(text))
    assert caught.value.location == WHERE
    assert caught.value.hint


def test_the_project_that_uv_gets_has_an_index_for_each_package() -> None:
    pinned = [("a>1", "https://one/simple"), ('b ; sys_platform == "linux"', "https://two/simple")]
    project = tomllib.loads(render_pinned_project([*pinned, ("c", "https://one/simple")]))
    assert project["project"]["dependencies"] == ["a>1", 'b ; sys_platform == "linux"', "c"]
    assert project["tool"]["uv"]["sources"] == {
        "a": [{"index": "index-0"}],
        "b": [{"index": "index-1", "marker": 'sys_platform == "linux"'}],
        "c": [{"index": "index-0"}],
    }
    assert [index["url"] for index in project["tool"]["uv"]["index"]] == ["https://one/simple", "https://two/simple"]
    assert all(index["explicit"] for index in project["tool"]["uv"]["index"])


def test_the_configuration_has_the_default_index_last() -> None:
    choices = UvChoices(indexes=["https://one/simple"], settings={"exclude-newer-package": {"a": "false"}})
    configuration = tomllib.loads(render_configuration(choices, "https://default/simple"))
    assert configuration["index"] == [
        {"url": "https://one/simple"},
        {"url": "https://default/simple", "default": True},
    ]
    assert configuration["exclude-newer-package"] == {"a": False}
    assert tomllib.loads(render_configuration(UvChoices(), "https://default/simple")) == {}


@pytest.mark.parametrize(
    ("url", "bare", "login"),
    [
        ("git+file:///srv/r@v1", "git+file:///srv/r@v1", None),
        ("git+https://me:word@h/r@v1", "git+https://h/r@v1", "me:word"),
        ("https://h/me:word@h/x", "https://h/me:word@h/x", None),
    ],
)
def test_a_url_stays_as_it_was_written(url: str, bare: str, login: str | None) -> None:
    assert split_credentials(url) == (bare, login)
    assert translate(PipItem(kind="url", text=f"{url}#egg=mine")).requirements == [f"mine @ {bare}"]
