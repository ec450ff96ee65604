"""Where requirements come from by ``[tool.uv]``, of the project, its workspace, its uv.toml and local projects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from roost.model.canonical.form import canonicalise_definition, digest_definition
from roost.model.definition import Defaults, PipItem, ReadResult
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.read import read_definition, read_tables
from roost.model.readers.source import DefinitionSource
from roost.model.writers.document import to_document
from roost.store.sources.files import LocalFiles

Write = Callable[[str, str], Path]
URL = "https://own.example/simple"
HEAD = '[project]\nname = "own"\nversion = "1"\ndependencies = ["torch[gpu]>=2; python_version < \'4\'", "leaf"]\n'
EXPLICIT = f'[[tool.uv.index]]\nname = "Own"\nurl = "{URL}"\nexplicit = true\n'


def read(path: Path) -> ReadResult:
    return read_definition(DefinitionSource(path=str(path)), LocalFiles())


def items(path: Path) -> list[PipItem]:
    return list(read(path).definition.pip.requirements)


def texts(path: Path) -> list[str]:
    return [item.text for item in items(path)]


def refusal(path: Path) -> InvalidDefinitionError:
    with pytest.raises(InvalidDefinitionError) as caught:
        read(path)
    assert caught.value.location is not None
    assert caught.value.hint
    return caught.value


LIMIT = 'python_version < "4"'


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('{ git = "https://h/r" }', f"torch[gpu] @ git+https://h/r ; {LIMIT}"),
        ('{ git = "https://h/r", rev = "abc" }', f"torch[gpu] @ git+https://h/r@abc ; {LIMIT}"),
        ('{ git = "ssh://git@h/r", branch = "b" }', f"torch[gpu] @ git+ssh://git@h/r@b ; {LIMIT}"),
        (
            '{ git = "https://h/r", tag = "v1", subdirectory = "p" }',
            f"torch[gpu] @ git+https://h/r@v1#subdirectory=p ; {LIMIT}",
        ),
        ('{ url = "https://h/t.whl" }', f"torch[gpu] @ https://h/t.whl ; {LIMIT}"),
        ('{ index = "Own" }', f"torch[gpu]>=2 ; {LIMIT} --index={URL}"),
        ('{ index = "Own", extra = "x" }', f"torch[gpu]>=2 ; {LIMIT}"),
        ('{ index = "Own", group = "x" }', f"torch[gpu]>=2 ; {LIMIT}"),
    ],
)
def test_a_source_takes_the_place_of_the_name(write: Write, source: str, expected: str) -> None:
    path = write("pyproject.toml", f"{HEAD}{EXPLICIT}[tool.uv.sources]\nTorch = {source}\n")
    assert texts(path) == [expected, "leaf"]
    assert items(path)[0].location is not None
    assert items(path)[0].location.line == 4  # type: ignore[union-attr]


def test_a_list_of_sources_holds_by_markers_and_elsewhere_the_name(write: Write) -> None:
    sources = (
        "[tool.uv.sources]\nleaf = [\n"
        '{ index = "Own", marker = "sys_platform == \'linux\'" },\n'
        '{ url = "https://h/l.whl", marker = "sys_platform == \'win32\'" },\n]\n'
    )
    path = write("pyproject.toml", HEAD + EXPLICIT + sources)
    assert texts(path)[1:] == [
        f'leaf ; sys_platform == "linux" --index={URL}',
        'leaf @ https://h/l.whl ; sys_platform == "win32"',
        'leaf ; (sys_platform != "linux") and (sys_platform != "win32")',
    ]


def test_sources_of_a_group_are_for_that_group(write: Write) -> None:
    text = HEAD + '[dependency-groups]\ndev = ["tool"]\n[tool.uv.sources]\n'
    path = write("pyproject.toml", text + 'tool = { url = "https://h/t.whl", group = "dev" }\n')
    assert texts(path)[-1] == "tool @ https://h/t.whl"


def test_indexes_stand_in_their_order_of_priority(write: Write) -> None:
    text = (
        f'[tool.uv]\nextra-index-url = ["{URL}/3"]\nindex = [{{ url = "{URL}/1" }}, '
        f'{{ url = "{URL}/0", default = true }}, {{ name = "x", url = "{URL}/2" }}]\n'
    )
    path = write("pyproject.toml", HEAD + text)
    assert texts(path)[:5] == [
        f"--index-url {URL}/0",
        f"--index {URL}/1",
        f"--index {URL}/2",
        f"--index {URL}/3",
        "--index-strategy first-index",
    ]
    assert b'"index":"pypi"' not in canonicalise_definition(read(path).definition, Defaults())


def test_an_index_that_nothing_names_and_its_name_change_no_digest(write: Write) -> None:
    plain = digest_definition(read(write("pyproject.toml", HEAD)).definition, Defaults())
    assert digest_definition(read(write("pyproject.toml", HEAD + EXPLICIT)).definition, Defaults()) == plain
    source = '[tool.uv.sources]\nleaf = { index = "Own" }\n'
    pinned = read(write("pyproject.toml", HEAD + EXPLICIT + source)).definition
    other = read(write("pyproject.toml", (HEAD + EXPLICIT + source).replace("Own", "other"))).definition
    assert digest_definition(pinned, Defaults()) == digest_definition(other, Defaults()) != plain


def test_paths_are_read_as_files_and_folders_with_their_content(write: Write) -> None:
    write("lib/pyproject.toml", '[project]\nname = "leaf"\nversion = "1"\n')
    path = write("app/pyproject.toml", HEAD + '[tool.uv.sources]\nleaf = { path = "../lib" }\n')
    before = items(path)[1]
    assert (before.kind, before.text, before.path) == ("source", "lib", str(path.parent.parent / "lib"))
    write("lib/pyproject.toml", '[project]\nname = "leaf"\nversion = "2"\n')
    assert items(path)[1].digest != before.digest
    write("app/pyproject.toml", HEAD + '[tool.uv.sources]\nleaf = { path = "../lib", editable = true }\n')
    assert items(path)[1].kind == "editable"
    write("app/pyproject.toml", HEAD + '[tool.uv.sources]\nleaf = { path = "../absent" }\n')
    assert "absent" in refusal(path).message


WORKSPACE = '[tool.uv.workspace]\nmembers = ["libs/*", "app"]\nexclude = ["libs/old"]\n'


def test_members_of_a_workspace_are_editable(write: Write) -> None:
    write("libs/other_name/pyproject.toml", '[project]\nname = "Leaf"\nversion = "1"\n')
    source = "[tool.uv.sources]\nleaf = { workspace = true }\n"
    path = write("pyproject.toml", HEAD + WORKSPACE + source)
    found = items(path)[1]
    assert (found.kind, found.path) == ("editable", str(path.parent / "libs" / "other_name"))
    write("pyproject.toml", HEAD + WORKSPACE.replace("old", "other_name") + source)
    assert "not a member" in refusal(path).message


def test_a_member_has_the_settings_of_the_root_and_its_own_sources_first(write: Write) -> None:
    root = (
        f'[project]\nname = "root"\n{WORKSPACE}[tool.uv]\nconstraint-dependencies = ["torch<3"]\n'
        '[tool.uv.sources]\nleaf = { index = "Own" }\ntorch = { url = "https://h/root.whl" }\n' + EXPLICIT
    )
    root = root.replace("[tool.uv.workspace]", "[tool.uv.workspace]")
    write("pyproject.toml", root)
    path = write("app/pyproject.toml", HEAD + '[tool.uv.sources]\ntorch = { url = "https://h/member.whl" }\n')
    assert texts(path) == [
        "--constraint-dependency torch<3",
        f"torch[gpu] @ https://h/member.whl ; {LIMIT}",
        f"leaf --index={URL}",
    ]
    outside = write("elsewhere/pyproject.toml", HEAD)
    assert texts(outside) == [f"torch[gpu]>=2 ; {LIMIT}", "leaf"]


def test_requirements_of_a_local_project_have_its_own_sources(write: Write) -> None:
    """Its wheel has names only, and any index would do for these."""
    nested = '[project]\nname = "leaf"\nversion = "1"\ndependencies = ["secret>1", "public"]\n'
    write("lib/pyproject.toml", nested + EXPLICIT + '[tool.uv.sources]\nsecret = { git = "https://h/secret" }\n')
    path = write("app/pyproject.toml", HEAD + '[tool.uv.sources]\nleaf = { path = "../lib" }\n')
    assert texts(path)[1:] == ["lib", "secret @ git+https://h/secret"]
    write("lib/pyproject.toml", nested.replace("dependencies", "dynamic") + '[tool.uv.sources]\nx = { url = "u" }\n')
    lib = (path.parent.parent / "lib" / "pyproject.toml").read_text()
    write("lib/pyproject.toml", lib.replace('["secret>1", "public"]', '["dependencies"]'))
    assert "computes its dependencies" in refusal(path).message


def test_a_uv_toml_takes_the_place_of_the_settings(write: Write) -> None:
    path = write("pyproject.toml", HEAD + '[tool.uv]\nprerelease = "allow"\noverride-dependencies = ["leaf==1"]\n')
    write("uv.toml", 'resolution = "lowest"\n')
    result = read(path)
    assert [item.text for item in result.definition.pip.requirements][:2] == [
        "--resolution lowest",
        "--override leaf==1",
    ]
    assert [(notice.code, notice.location.line) for notice in result.warnings if notice.location] == [
        ("tool-key-unused", 6)
    ]
    assert [Path(file.path).name for file in result.inputs] == ["pyproject.toml", "uv.toml"]
    write("uv.toml", "nonsense = 1\n")
    error = refusal(path)
    assert error.location is not None
    assert error.location.path.endswith("uv.toml")


def test_a_script_is_read_like_a_project(write: Write) -> None:
    source = '# [tool.uv.sources]\n# leaf = {{ index = "Own" }}\n'
    block = f'# /// script\n# dependencies = ["leaf"]\n{source}{{}}# ///\n'
    table = "".join(f"# {line}\n" for line in EXPLICIT.splitlines())
    assert texts(write("x.py", block.format(table))) == [f"leaf --index={URL}"]
    write("uv.toml", 'resolution = "lowest"\n')
    assert texts(write("x.py", block.format(table))) == [f"leaf --index={URL}"], "only its own block counts"
    assert "no index 'Own'" in refusal(write("y.py", block.format(""))).message


def test_roosts_own_table_beside_it_has_the_sources_too(write: Write) -> None:
    text = f'[tool.roost.pip]\nrequirements = ["leaf"]\n{EXPLICIT}[tool.uv.sources]\nleaf = {{ index = "Own" }}\n'
    assert texts(write("pyproject.toml", text)) == [f"leaf --index={URL}"]


def test_credentials_are_no_part_of_the_definition(write: Write) -> None:
    text = HEAD + EXPLICIT.replace("https://", "https://me:s3cret@") + '[tool.uv.sources]\nleaf = { index = "Own" }\n'
    result = read(write("pyproject.toml", text))
    assert "s3cret" not in repr(result.definition)
    variables = "${UV_INDEX_OWN_USERNAME}:${UV_INDEX_OWN_PASSWORD}"
    assert result.credentials == {"https://own.example": "me:s3cret", "uv-index+https://own.example": variables}


def test_overrides_have_sources_that_can_be_told(write: Write) -> None:
    text = HEAD + '[tool.uv]\noverride-dependencies = ["leaf"]\n[tool.uv.sources]\nleaf = '
    path = write("pyproject.toml", text + '{ git = "https://h/r", tag = "v1" }\n')
    assert texts(path)[0] == "--override leaf @ git+https://h/r@v1"
    assert "only a dependency" in refusal(write("pyproject.toml", text + '{ index = "Own" }\n' + EXPLICIT)).message


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2025-06-30", "2025-07-01T00:00:00Z"),
        ("2025-06-30T23:59:59Z", "2025-06-30T23:59:59Z"),
        ("2025-06-30T12:00:00+02:00", "2025-06-30T10:00:00Z"),
        ("7 days", "P7D"),
        ("1 week", "P7D"),
        ("P2W", "P14D"),
        ("24 hours", "PT24H"),
        ("pt24h", "PT24H"),
    ],
)
def test_a_date_is_the_same_on_every_machine(write: Write, written: str, expected: str) -> None:
    path = write("pyproject.toml", HEAD + f'[tool.uv]\nexclude-newer = "{written}"\n')
    assert texts(path)[0] == f"--exclude-newer {expected}"


@pytest.mark.parametrize("written", ["yesterday", "P1M", "3", "", "2025-13-01"])
def test_what_is_no_date_is_refused(write: Write, written: str) -> None:
    error = refusal(write("pyproject.toml", HEAD + f'[tool.uv]\nexclude-newer = "{written}"\n'))
    assert "expected a date" in error.message


def test_a_package_can_be_left_out_of_the_date(write: Write) -> None:
    path = write("pyproject.toml", HEAD + "[tool.uv]\nexclude-newer-package = { leaf = false }\n")
    assert texts(path)[0] == "--exclude-newer-package leaf=false"


def test_what_is_followed_survives_a_document(write: Write) -> None:
    text = (
        HEAD
        + '[tool.uv]\nprerelease = "allow"\noverride-dependencies = ["other==1"]\n'
        + 'dependency-metadata = [{ name = "a b", requires-dist = ["x; python_version < \'4\'"] }]\n'
        + EXPLICIT
        + '[tool.uv.sources]\nleaf = { index = "Own" }\n'
    )
    result = read(write("pyproject.toml", text))
    document = to_document(result.definition, result.settings)
    again = read_tables(document, LocalFiles(), "/document")
    assert digest_definition(again.definition, Defaults()) == digest_definition(result.definition, Defaults())


def test_the_project_itself_is_not_installed(write: Write) -> None:
    path = write("pyproject.toml", HEAD + '[tool.uv.sources]\nleaf = { path = "." }\n')
    assert texts(path) == [f"torch[gpu]>=2 ; {LIMIT}"]
