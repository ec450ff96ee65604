"""uv.lock and pylock.toml as definitions: versions, digests, markers and places are those of the lock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker

from roost.model.definition import Choices, PipItem, Selection
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.python_locks.lock_markers import decide_marker
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

A, B, C = "a" * 64, "b" * 64, "c" * 64
INDEX = "https://index.example/simple"


def texts(items: tuple[PipItem, ...]) -> list[str]:
    return [item.text for item in items if item.kind != "constraints"]


def pins(parsed) -> list[str]:
    (lock,) = [item for item in parsed.definition.pip.requirements if item.kind == "constraints"]
    return [item.text for item in lock.items]


def package(name: str, version: str, source: str = f'registry = "{INDEX}"', more: str = "", digest: str = A) -> str:
    files = f'wheels = [{{ url = "https://f.example/{name}.whl", hash = "sha256:{digest}" }}]\n' if digest else ""
    return f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ {source} }}\n{files}{more}\n'


def uv_lock(*packages: str, head: str = "") -> str:
    return f'version = 1\nrevision = 3\nrequires-python = ">=3.10"\n{head}\n' + "".join(packages)


def project(*dependencies: str, more: str = "", source: str = 'virtual = "."') -> str:
    listed = "".join(f"    {{ {dependency} }},\n" for dependency in dependencies)
    return package("app", "0.1", source, f"dependencies = [\n{listed}]\n{more}", digest="")


def test_what_the_project_requires_is_pinned_and_all_that_it_reaches_is_limited(parse):
    text = uv_lock(
        project('name = "top"', 'name = "web", extra = ["socks"], marker = "sys_platform != \'win32\'"'),
        package("top", "1.0", more='dependencies = [{ name = "leaf" }]'),
        package("leaf", "2.0", digest=B),
        package("web", "3.0", more='[package.optional-dependencies]\nsocks = [{ name = "socks" }]\n'),
        package("socks", "4.0"),
        package("unrelated", "5.0"),
    )
    parsed = parse(text, "uv.lock")
    assert (parsed.format, parsed.name, parsed.definition.python.requires) == ("uv-lock", "app", ">=3.10")
    assert texts(parsed.definition.pip.requirements) == [
        "--require-hashes",
        f"--index-url {INDEX}",
        "top==1.0",
        'web[socks]==3.0 ; sys_platform != "win32"',
    ]
    assert pins(parsed) == [
        f"top==1.0 --hash=sha256:{A}",
        f"leaf==2.0 --hash=sha256:{B}",
        f"web==3.0 --hash=sha256:{A}",
        f"socks==4.0 --hash=sha256:{A}",
    ]


def test_several_versions_of_a_package_each_have_their_marker(parse):
    new, old = "python_full_version >= '3.12'", "python_full_version < '3.12'"
    text = uv_lock(
        project(
            f'name = "n", version = "1.0", source = {{ registry = "{INDEX}" }}, marker = "{old}"',
            f'name = "n", version = "2.0", source = {{ registry = "{INDEX}" }}, marker = "{new}"',
        ),
        package("n", "1.0", more=f'resolution-markers = ["{old}"]'),
        package("n", "2.0", more=f'resolution-markers = ["{new}", "sys_platform == \'x\'"]', digest=B),
    )
    parsed = parse(text, "uv.lock")
    assert texts(parsed.definition.pip.requirements)[2:] == [
        'n==1.0 ; python_full_version < "3.12"',
        'n==2.0 ; python_full_version >= "3.12"',
    ]
    assert pins(parsed) == [
        f'n==1.0 ; (python_full_version < "3.12") --hash=sha256:{A}',
        f'n==2.0 ; (python_full_version >= "3.12") or (sys_platform == "x") --hash=sha256:{B}',
    ]


def test_places_beyond_indexes_are_kept(parse, write, tmp_path):
    write("lib/pyproject.toml", "[project]\nname = 'lib'\n")
    write("files/w-1-py3-none-any.whl", b"wheel")
    commit = "0" * 40
    text = uv_lock(
        project('name = "lib"', 'name = "g"', 'name = "u"', 'name = "w"', 'name = "d"'),
        package("lib", "1", 'editable = "lib"', 'dependencies = [{ name = "deep" }]', digest=""),
        package("deep", "1", 'directory = "lib"', digest=""),
        package("g", "1", f'git = "https://h.example/g?subdirectory=x&rev=main#{commit}"', digest=""),
        package("u", "1", 'url = "https://h.example/u.whl"'),
        package("w", "1", 'path = "files/w-1-py3-none-any.whl"'),
        package("d", "1", 'directory = "lib"', digest=""),
    )
    parsed = parse(text, "uv.lock")
    git = f"g @ git+https://h.example/g@{commit}#subdirectory=x"
    assert texts(parsed.definition.pip.requirements) == [
        *("lib", git, "u @ https://h.example/u.whl", "w-1-py3-none-any.whl", "lib"),
    ]
    kinds = [(item.kind, item.path) for item in parsed.definition.pip.requirements if item.path and item.items == ()]
    assert kinds == [
        ("editable", f"{tmp_path}/lib"),
        ("wheel", f"{tmp_path}/files/w-1-py3-none-any.whl"),
        ("source", f"{tmp_path}/lib"),
    ]
    assert pins(parsed) == [git, f"u @ https://h.example/u.whl --hash=sha256:{A}"]


def test_a_local_package_further_down_is_a_line_of_its_own(parse, write):
    for name in ("one", "two"):
        write(f"{name}/pyproject.toml", f"[project]\nname = '{name}'\n")
    text = uv_lock(
        project('name = "one", marker = "sys_platform == \'linux\'"'),
        package("one", "1", 'editable = "one"', 'dependencies = [{ name = "two", marker = "os_name == \'x\'" }]'),
        package("two", "1", 'editable = "two"', digest=""),
    )
    items = parse(text, "uv.lock").definition.pip.requirements
    assert texts(items) == [
        'one ; sys_platform == "linux"',
        'two ; (sys_platform == "linux") and (os_name == "x")',
    ]


def test_a_member_that_is_no_package_stands_for_what_it_requires(parse):
    text = uv_lock(
        project('name = "member", extra = ["more"], marker = "os_name == \'x\'"'),
        package(
            *("member", "1", 'virtual = "member"'),
            'dependencies = [{ name = "leaf" }, { name = "member" }]\n'
            '[package.optional-dependencies]\nmore = [{ name = "other" }]\n',
            digest="",
        ),
        package("leaf", "2.0"),
        package("other", "3.0"),
    )
    assert texts(parse(text, "uv.lock").definition.pip.requirements)[2:] == [
        'leaf==2.0 ; os_name == "x"',
        'other==3.0 ; os_name == "x"',
    ]


GROUPS = """[package.optional-dependencies]
extra = [{ name = "extra" }]
[package.dev-dependencies]
dev = [{ name = "dev" }]
docs = [{ name = "docs" }]
"""


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        (None, ["leaf==2.0", "dev==1.0"]),
        ("[project]\nname = 'app'\n", ["leaf==2.0", "dev==1.0"]),
        ("[tool.uv]\ndefault-groups = ['empty']\n", ["leaf==2.0"]),
        ("[tool.uv]\ndefault-groups = ['docs']\n", ["leaf==2.0", "docs==1.0"]),
        ("[tool.uv]\ndefault-groups = 'all'\n", ["leaf==2.0", "dev==1.0", "docs==1.0"]),
    ],
)
def test_groups_are_those_of_the_project_beside_the_lock(parse, write, beside, expected):
    if beside is not None:
        write("pyproject.toml", beside)
    more = [package(name, "1.0") for name in ("dev", "docs", "extra")]
    text = uv_lock(project('name = "leaf"', more=GROUPS), package("leaf", "2.0"), *more)
    assert texts(parse(text, "uv.lock").definition.pip.requirements)[2:] == expected


@pytest.mark.parametrize("name", ["uv.lock", "pylock.toml"])
def test_extras_and_groups_of_a_lock_can_be_chosen(write, name):
    more = [package(name, "1.0") for name in ("dev", "docs", "extra")]
    text = uv_lock(project('name = "leaf"', more=GROUPS), package("leaf", "2.0"), *more)
    if name == "pylock.toml":
        markers = {
            "dev": "'dev' in dependency_groups",
            "docs": "'docs' in dependency_groups",
            "extra": "'extra' in extras",
        }
        entries = [entry(each, "1.0", f'marker = "{marker}"\n') for each, marker in markers.items()]
        head = 'extras = ["extra"]\ndependency-groups = ["dev", "docs"]\ndefault-groups = ["dev"]\n'
        text = pylock(entry("leaf", "2.0"), *entries, head=head)
    path = write(name, text)

    def read(**choices):
        result = read_definition(DefinitionSource(path=str(path)), LocalFiles(), Choices(**choices))
        lines = [line for line in texts(result.definition.pip.requirements) if "==" in line]
        return {line.partition("==")[0] for line in lines if not line.startswith("--")}, result.selection

    assert read() == ({"leaf", "dev"}, Selection(groups=("dev",), other_groups=("docs",), other_extras=("extra",)))
    found, selection = read(extras=("Extra",), groups=("docs",))
    assert found == {"leaf", "dev", "docs", "extra"}
    assert selection == Selection(groups=("dev", "docs"), extras=("extra",))
    for choices in ({"extras": ("docs",)}, {"groups": ("extra",)}):
        with pytest.raises(InvalidDefinitionError) as caught:
            read(**choices)
        assert caught.value.code == "choice-unknown"


CHOICES = (("one", "1"), ("two", "2"))


def test_a_lock_with_conflicts_is_read_with_one_of_them(write):
    head = 'conflicts = [[{ package = "app", extra = "one" }, { package = "app", extra = "two" }]]\n'
    extras = "".join(
        f'{name} = [{{ name = "leaf", version = "{version}" }}]\n' for name, version in (("one", 1), ("two", 2))
    )
    own = project('name = "base"', more=f"[package.optional-dependencies]\n{extras}")
    path = write("uv.lock", uv_lock(own, *(package("leaf", each) for each in "12"), package("base", "1"), head=head))

    def read(*extras):
        return read_definition(DefinitionSource(path=str(path)), LocalFiles(), Choices(extras=extras))

    assert texts(read("two").definition.pip.requirements)[2:] == ["base==1", "leaf==2"]
    assert texts(read().definition.pip.requirements)[2:] == ["base==1"]
    with pytest.raises(InvalidDefinitionError) as caught:
        read("one", "two")
    assert caught.value.code == "choices-conflict"
    assert caught.value.location.line == 4


METADATA = """[package.metadata]
requires-dist = [
    { name = "leaf", specifier = ">=1,<3" },
    { name = "Other.Name", marker = "python_full_version >= '3.11'" },
    { name = "place", git = "https://h.example/x" },
    { name = "only-extra", marker = "extra == 'x'" },
]
"""


@pytest.mark.parametrize(
    ("dependencies", "changed"),
    [
        ('"leaf<3, >=1", "other_name; python_version > \'3.10\'", "place>=1"', None),
        ('"leaf<3,>=1", "other-name", "place", "new"', "(new)"),
        ('"leaf<4,>=1", "other-name", "place"', "(leaf)"),
        ('"leaf<3,>=1", "place"', "(other-name)"),
        ('"leaf<3,>=1", "other-name==1"', "(other-name, place)"),
        ('"not a requirement !"', None),
    ],
)
def test_a_project_that_changed_since_its_lock_was_made_is_reported(parse, write, dependencies, changed):
    write("pyproject.toml", f"[project]\nname = 'app'\ndependencies = [{dependencies}]\n")
    parsed = parse(uv_lock(project('name = "leaf"', more=METADATA), package("leaf", "2.0")), "uv.lock")
    found = [notice.message for notice in parsed.warnings if notice.code == "lock-stale"]
    assert len(found) == (changed is not None)
    assert all(changed in message and "uv lock" in message for message in found)


def test_the_lock_of_a_script_and_of_a_workspace_without_a_project(parse):
    stated = '{ name = "leaf", extras = ["x"], marker = "os_name == \'a\'", specifier = "<3" }'
    head = f"[manifest]\nrequirements = [{stated}]\n"
    parsed = parse(uv_lock(package("leaf", "2.0"), head=head), "train.py.lock")
    assert texts(parsed.definition.pip.requirements)[2:] == ['leaf[x]==2.0 ; os_name == "a"']
    head = '[manifest]\nmembers = ["a", "b"]\n[manifest.dependency-groups]\ndev = [{ name = "dev" }]\n'
    members = [package(name, "1", f'virtual = "{name}"', 'dependencies = [{ name = "leaf" }]', "") for name in "ab"]
    parsed = parse(uv_lock(*members, package("leaf", "2.0"), package("dev", "1"), head=head), "uv.lock")
    assert texts(parsed.definition.pip.requirements)[2:] == ["leaf==2.0", "dev==1"]


def test_settings_of_the_lock_are_kept(parse):
    head = (
        '[options]\nprerelease-mode = "allow"\n[manifest]\nexcludes = ["gone"]\n'
        'overrides = [{ name = "leaf", specifier = "==2.0", marker = "os_name == \'x\'" }]\n'
        'build-constraints = [{ name = "setuptools", specifier = "<80" }]\n'
        '[[manifest.dependency-metadata]]\nname = "leaf"\nrequires-dist = []\n'
    )
    parsed = parse(uv_lock(project('name = "leaf"'), package("leaf", "2.0"), head=head), "uv.lock")
    assert texts(parsed.definition.pip.requirements)[1:-2] == [
        "--prerelease allow",
        "--override leaf==2.0 ; os_name == 'x'",
        "--build-constraint setuptools<80",
        "--exclude-dependency gone",
        '--dependency-metadata {"name": "leaf", "requires-dist": []}',
    ]


def test_credentials_of_an_index_are_taken_out(parse):
    index = 'registry = "https://me:secret@index.example/simple"'
    parsed = parse(uv_lock(project('name = "leaf"'), package("leaf", "2.0", index)), "uv.lock")
    assert f"--index-url {INDEX}" in texts(parsed.definition.pip.requirements)
    assert parsed.credentials == {"https://index.example": "me:secret"}


def test_the_usual_index_is_left_to_the_configuration(parse):
    usual = ".".join(("https://pypi", "org/simple"))
    lock = uv_lock(project('name = "leaf"', 'name = "own"'), package("leaf", "2", f'registry = "{usual}"'))
    assert "--index-url" not in str(parse(lock + package("own", "1", f'registry = "{usual}"'), "uv.lock").definition)
    mixed = parse(lock + package("own", "1"), "uv.lock")
    assert f"--extra-index-url {INDEX}" in texts(mixed.definition.pip.requirements)
    assert "--index-url" not in " ".join(texts(mixed.definition.pip.requirements))


def test_a_folder_of_links_is_one(parse, tmp_path, write):
    write("wheels/leaf-2.0-py3-none-any.whl", b"wheel")
    parsed = parse(uv_lock(project('name = "leaf"'), package("leaf", "2.0", 'registry = "wheels"')), "uv.lock")
    (links,) = [item for item in parsed.definition.pip.requirements if item.text == "--find-links"]
    assert links.path == str(tmp_path / "wheels")


def test_without_all_digests_other_packages_are_not_refused(parse):
    parsed = parse(uv_lock(project('name = "leaf"'), package("leaf", "2.0", digest="")), "uv.lock")
    assert texts(parsed.definition.pip.requirements) == [f"--index-url {INDEX}", "leaf==2.0"]
    assert pins(parsed) == ["leaf==2.0"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("version = 2\nrequires-python = '3'\n", 1, "format 2 is not supported"),
        (uv_lock(project('name = "none"')), 10, "0 packages for 'none'"),
        (uv_lock(project('name = "leaf"'), package("leaf", "1", 'moon = "x"')), 16, "'moon'"),
        (uv_lock("[[package]]\nname = 'x'\nversion = '1'\n"), 5, "no source"),
        (uv_lock("[[package]]\nversion = '1'\n"), 5, "no 'name'"),
        (uv_lock(head="package = 'x'\n"), 4, "not a list of tables"),
        (
            uv_lock(project('name = "leaf", marker = "extra == \'extra-3-app-x\'"'), package("leaf", "1")),
            10,
            "conflicting extras",
        ),
    ],
)
def test_wrong_locks_of_uv(refused, text, line, words):
    error = refused(text, "uv.lock")
    assert words in error.message
    assert error.location.line == line
    assert error.hint or "packages for" in words


def pylock(*packages: str, head: str = "") -> str:
    return f'lock-version = "1.0"\ncreated-by = "x"\nrequires-python = ">=3.10"\n{head}\n' + "".join(packages)


def entry(name: str, version: str, more: str = "", index: str = f'index = "{INDEX}"\n') -> str:
    wheel = f'wheels = [{{ url = "https://f.example/{name}.whl", hashes = {{ sha256 = "{A}" }} }}]\n'
    return f'[[packages]]\nname = "{name}"\nversion = "{version}"\n{index}{more}{wheel}'


def nothing(name: str, version: str) -> str:
    return f'--dependency-metadata {{"name": "{name}", "version": "{version}", "requires-dist": []}}'


@pytest.mark.parametrize("name", ["pylock.toml", "pylock.gpu.toml", "locked"])
def test_every_package_of_a_pylock_is_a_line(parse, name):
    parsed = parse(pylock(entry("a", "1"), entry("b", "2", "marker = \"os_name == 'x'\"\n")), name)
    assert (parsed.format, parsed.definition.python.requires) == ("pylock", ">=3.10")
    assert texts(parsed.definition.pip.requirements) == [
        "--require-hashes",
        f"--index-url {INDEX}",
        f"a==1 --hash=sha256:{A}",
        nothing("a", "1"),
        f'b==2 ; os_name == "x" --hash=sha256:{A}',
        nothing("b", "2"),
    ]


def test_extras_and_groups_of_a_pylock_are_those_that_nobody_has_to_name(parse):
    text = pylock(
        entry("a", "1", "marker = \"'gpu' in extras\"\n"),
        entry("b", "1", "marker = \"'dev' in dependency_groups and os_name == 'x'\"\n"),
        entry("c", "1", "marker = \"'test' in dependency_groups or 'gpu' not in extras\"\n"),
        entry("d", "1", "marker = \"'test' in dependency_groups\"\n"),
        head='extras = ["gpu"]\ndependency-groups = ["dev", "test"]\ndefault-groups = ["dev"]\n',
    )
    parsed = parse(text, "pylock.toml")
    lines = [text for text in texts(parsed.definition.pip.requirements) if not text.startswith("--")]
    assert lines == [f'b==1 ; os_name == "x" --hash=sha256:{A}', f"c==1 --hash=sha256:{A}"]
    assert parsed.selection == Selection(groups=("dev",), other_groups=("test",), other_extras=("gpu",))


def test_places_of_a_pylock(parse, write, tmp_path):
    write("lib/pyproject.toml", "[project]\nname = 'lib'\n")
    write("wheels/p-1-py3-none-any.whl", b"wheel")
    path_wheel = f'wheels = [{{ path = "wheels/p-1-py3-none-any.whl", hashes = {{ sha256 = "{A}" }} }}]\n'
    text = pylock(
        '[[packages]]\nname = "e"\ndirectory = { path = "lib", editable = true }\n',
        '[[packages]]\nname = "d"\ndirectory = { path = "./lib" }\n',
        f'[[packages]]\nname = "v"\nvcs = {{ type = "git", url = "https://h.example/v", commit-id = "{C[:40]}" }}\n',
        f'[[packages]]\nname = "z"\narchive = {{ url = "https://h.example/z.zip", hashes = {{ sha256 = "{B}" }} }}\n',
        f'[[packages]]\nname = "p"\nversion = "1"\n{path_wheel}',
        entry("u", "1", index=""),
    )
    items = [
        item
        for item in parse(text, "pylock.toml").definition.pip.requirements
        if not item.text.startswith("--dependency-metadata")
    ]
    assert [(item.kind, item.text) for item in items] == [
        ("option", "--find-links"),
        ("editable", "lib"),
        ("source", "lib"),
        ("url", f"v @ git+https://h.example/v@{C[:40]}"),
        ("url", f"z @ https://h.example/z.zip --hash=sha256:{B}"),
        ("requirement", f"p==1 --hash=sha256:{A}"),
        ("url", f"u @ https://f.example/u.whl --hash=sha256:{A}"),
    ]
    assert items[0].path == str(tmp_path / "wheels")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('lock-version = "2.0"\npackages = []\n', "format '2.0' is not supported"),
        ("lock-version = 1\n", "format 1 is not supported"),
        (pylock(entry("a", "1", 'marker = "what?"\n')), "not a valid marker"),
        (pylock('[[packages]]\nname = "a"\nversion = "1"\n'), "has no file"),
        (pylock('[[packages]]\nversion = "1"\n'), "no 'name'"),
        (pylock('[[packages]]\nname = "a"\nvcs = { type = "hg", url = "https://h", commit-id = "1" }\n'), "'hg'"),
        (pylock(entry("a", "").replace('version = ""\n', "")), "no 'version'"),
    ],
)
def test_wrong_pylocks(refused, text, words):
    error = refused(text, "pylock.toml")
    assert words in error.message
    assert error.location.line is not None
    assert error.hint


ATOMS = (
    "'x' in extras",
    "'y' not in extras",
    "'dev' in dependency_groups",
    '"other" in dependency_groups',
    "os_name == 'posix'",
    "sys_platform == 'nope'",
)
MARKERS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.tuples(inner, st.sampled_from(("and", "or")), inner).map(lambda parts: f"({' '.join(parts)})"),
    max_leaves=8,
)


@given(MARKERS)
def test_a_decided_marker_means_what_it_meant_with_these_choices(marker):
    environment = {"os_name": "posix", "sys_platform": "linux"}
    plain = marker
    for text, is_true in zip(ATOMS, (False, True, True, False), strict=False):
        plain = plain.replace(text, "os_name == 'posix'" if is_true else "os_name == 'nt'")
    decided = decide_marker(marker, ["dev"])
    found = decided is not None and (decided == "" or Marker(decided).evaluate(environment))
    assert found == Marker(plain).evaluate(environment)


@pytest.mark.parametrize(
    ("name", "is_read"), [("uv.lock", True), ("pylock.toml", True), ("poetry.lock", False), ("pdm.lock", False)]
)
def test_a_lock_beside_a_project_is_reported_and_not_used(parse, write, name, is_read):
    before = parse("[project]\nname = 'x'\ndependencies = ['six']\n", "pyproject.toml")
    write(name, "")
    after = parse("[project]\nname = 'x'\ndependencies = ['six']\n", "pyproject.toml")
    assert after.definition == before.definition
    assert before.warnings == ()
    (notice,) = after.warnings
    assert notice.code == "lock-unused"
    assert name in notice.message
    assert (f"-f {name}" in notice.message) == is_read
