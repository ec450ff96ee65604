"""Projects that say with ``[tool.uv]`` where their packages come from: uv is the judge, then the real daemon."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.e2e.test_pip_engine import Bench
from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.roost_process import Roost
from uv import find_uv_bin

from roost.model.definition import Choices
from roost.model.readers.read import read_definition, read_source
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    index = PipIndex()
    try:
        yield Bench(tmp_path, index)
    finally:
        index.close()


def fill(public: PipIndex, private: PipIndex) -> None:
    """The public index has every private name too, at a higher version."""
    for version in ("1.0", "2.0", "3.0a1"):
        public.wheel("leaf", version)
    public.wheel("secret", "9.0")
    private.wheel("secret", "1.0", "leaf")
    public.wheel("top", "1.0", "leaf>1")
    public.wheel("shared", "5.0")
    private.wheel("shared", "1.0")
    private.wheel("private", "1.0", "shared")


PLACES = {"a": "libs/one", "b": "libs/two"}
CASES = {
    "explicit": (
        'dependencies = ["secret", "top"]\n',
        '[tool.uv.sources]\nsecret = { index = "own" }\n[[tool.uv.index]]\nname = "own"\nurl = "PRIVATE"\n'
        "explicit = true\n",
    ),
    "first index": (
        'dependencies = ["secret", "top", "private"]\n',
        '[[tool.uv.index]]\nname = "own"\nurl = "PRIVATE"\n',
    ),
    "best match": (
        'dependencies = ["private"]\n',
        '[tool.uv]\nindex-strategy = "unsafe-best-match"\n[[tool.uv.index]]\nurl = "PRIVATE"\n',
    ),
    "override": ('dependencies = ["top"]\n', '[tool.uv]\noverride-dependencies = ["leaf==1.0"]\n'),
    "constraint": ('dependencies = ["leaf"]\n', '[tool.uv]\nconstraint-dependencies = ["leaf<2"]\n'),
    "exclusion": ('dependencies = ["top"]\n', '[tool.uv]\nexclude-dependencies = ["leaf"]\n'),
    "prerelease": ('dependencies = ["top"]\n', '[tool.uv]\nprerelease = "allow"\n'),
    "lowest": ('dependencies = ["top", "leaf"]\n', '[tool.uv]\nresolution = "lowest"\n'),
    "markers": (
        'dependencies = ["secret"]\n',
        '[tool.uv.sources]\nsecret = [{ index = "own", marker = "sys_platform == \'win32\'" }]\n'
        '[[tool.uv.index]]\nname = "own"\nurl = "PRIVATE"\nexplicit = true\n',
    ),
    "path": ('dependencies = ["one"]\n', '[tool.uv.sources]\none = { path = "libs/one", editable = true }\n'),
    "workspace": (
        'dependencies = ["two"]\n',
        '[tool.uv.sources]\ntwo = { workspace = true }\n[tool.uv.workspace]\nmembers = ["libs/*"]\n',
    ),
}


def write_project(root: Path, public: PipIndex, private: PipIndex, case: str) -> Path:
    dependencies, more = CASES[case]
    folder = root / "project"
    for name, needs in (("one", '"secret"'), ("two", '"one"')):
        lib = folder / "libs" / name
        lib.mkdir(parents=True)
        source = "one = { workspace = true }" if name == "two" else 'secret = { index = "own" }'
        index = f'[[tool.uv.index]]\nname = "own"\nurl = "{private.url}"\nexplicit = true\n' if name == "one" else ""
        project = f'[project]\nname = "{name}"\nversion = "1.0"\ndependencies = [{needs}]\n'
        build = '[build-system]\nrequires = []\nbuild-backend = "x"\n'
        (lib / "pyproject.toml").write_text(f"{project}{build}[tool.uv.sources]\n{source}\n{index}")
    default = f'[[tool.uv.index]]\nurl = "{public.url}"\ndefault = true\n'
    head = f'[project]\nname = "own"\nversion = "1.0"\nrequires-python = ">=3.10"\n{dependencies}'
    text = head + more.replace("PRIVATE", private.url) + default
    (folder / "pyproject.toml").write_text(text)
    return folder / "pyproject.toml"


def lock_with_uv(bench: Bench, project: Path) -> dict[str, str]:
    """The versions that uv itself installs here for the project."""
    environ = {"HOME": str(bench.root), "UV_CACHE_DIR": str(bench.root / "judge"), "PATH": "/usr/bin:/bin"}
    uv = [bench.engine._process._binary]
    options = ["--python", bench.host.executable, "--no-python-downloads"]
    for words in (["lock"], ["export", "--no-hashes", "--no-emit-project", "--format", "pylock.toml", "--frozen"]):
        run = subprocess.run([*uv, *words, *options], cwd=project.parent, capture_output=True, text=True, env=environ)
        assert run.returncode == 0, run.stderr
    project.with_name("pylock.toml").write_text(run.stdout)
    packages = tomllib.loads(run.stdout)["packages"]
    here = [each for each in packages if "win32" not in each.get("marker", "") or "!=" in each["marker"]]
    return {package["name"]: package.get("version", "1.0") for package in here}


@pytest.mark.parametrize("case", CASES)
async def test_the_same_packages_are_chosen_as_by_uv(bench: Bench, private: PipIndex, case: str) -> None:
    fill(bench.index, private)
    project = await asyncio.to_thread(write_project, bench.root, bench.index, private, case)
    expected = await asyncio.to_thread(lock_with_uv, bench, project)
    source = DefinitionSource(path=str(project))
    read = await asyncio.to_thread(read_definition, source, LocalFiles())
    locked = await bench.lock(*read.definition.pip.requirements)
    assert {wheel.name: wheel.version for wheel in locked.wheels} == expected
    assert expected


@pytest.mark.parametrize("case", CASES)
async def test_the_locks_of_uv_hold_when_the_indexes_have_moved_on(bench: Bench, private: PipIndex, case: str) -> None:
    fill(bench.index, private)
    project = await asyncio.to_thread(write_project, bench.root, bench.index, private, case)
    expected = await asyncio.to_thread(lock_with_uv, bench, project)
    for index in (bench.index, private):
        for name in ("leaf", "secret", "top", "shared", "private"):
            index.wheel(name, "99.0")
    for name in ("uv.lock", "pylock.toml"):
        source = DefinitionSource(path=str(project.with_name(name)))
        read = await asyncio.to_thread(read_definition, source, LocalFiles())
        locked = await bench.lock(*read.definition.pip.requirements)
        assert {wheel.name: wheel.version for wheel in locked.wheels} == expected, name


PROJECT = """[project]
name = "own"
dependencies = ["secret"]
[tool.uv.sources]
secret = {{ index = "own" }}
[[tool.uv.index]]
name = "own"
url = "{url}"
explicit = true
"""
SAY = ("--", "python", "-c", "import secret; print(secret.value)")


def test_a_private_name_never_comes_from_the_public_index(roost: Roost, pip_index: PipIndex, private: PipIndex) -> None:
    pip_index.wheel("secret", "9.0")
    private.wheel("secret", "1.0")
    (roost.folder / "pyproject.toml").write_text(PROJECT.format(url=private.url))
    assert roost.ok("run", *SAY).strip() == "1.0"
    assert not any("secret" in path for path in pip_index.asked)
    script = roost.folder / "x.py"
    table = PROJECT.format(url=private.url).partition("name")[2].partition("\n")[2]
    script.write_text(f"# /// script\n{''.join(f'# {line}{chr(10)}' for line in table.splitlines())}# ///\n")
    assert roost.ok("run", "-f", "x.py", *SAY).strip() == "1.0"
    assert not any("secret" in path for path in pip_index.asked)


def test_a_lock_is_used_if_it_is_named(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("top", "1.0", "secret")
    pip_index.wheel("secret", "1.0")
    index = f'[[tool.uv.index]]\nurl = "{pip_index.url}"\ndefault = true\n'
    project = f'[project]\nname = "own"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["top"]\n{index}'
    (roost.folder / "pyproject.toml").write_text(project)
    environ = {"HOME": str(roost.root), "UV_CACHE_DIR": str(roost.folder / "judge"), "PATH": "/usr/bin:/bin"}
    for words in ("lock", "export -q --no-emit-project --frozen --format pylock.toml -o pylock.toml"):
        command = [find_uv_bin(), *words.split(), "--python", sys.executable, "--no-python-downloads"]
        subprocess.run(command, cwd=roost.folder, env=environ, check=True, capture_output=True)
    pip_index.wheel("secret", "2.0")
    done = roost.run("run", *SAY)
    assert (done.stdout.strip(), done.returncode) == ("2.0", 0)
    assert "uv.lock beside it is not used: for its versions, name it (-f uv.lock)" in done.stderr
    for name in ("uv.lock", "pylock.toml"):
        assert roost.ok("run", "-f", name, *SAY).strip() == "1.0"
        assert roost.ok("exec", "-f", name, *SAY).strip() == "1.0"
        imported = roost.json("env", "import", name, "--name", name.partition(".")[0])
        assert imported["warnings"] == []
        shown = roost.json("env", "show", name.partition(".")[0])
        assert [generation["number"] for generation in shown["generations"]] == [1]
    pip_index.wheel("secret", "1.0", "leaf; os_name == 'nowhere'")  # the file has another content now
    error = roost.failed(4, "build", "-f", "uv.lock", "--rebuild")
    assert "secret" in error["message"]
    assert "digest" in error["message"]


def test_a_uv_toml_that_appears_is_noticed(roost: Roost, pip_index: PipIndex, private: PipIndex) -> None:
    pip_index.wheel("secret", "1.0")
    pip_index.wheel("secret", "2.0")
    (roost.folder / "pyproject.toml").write_text('[project]\nname = "own"\ndependencies = ["secret"]\n')
    for _ in range(3):
        assert roost.ok("exec", *SAY).strip() == "2.0"
    (roost.folder / "uv.toml").write_text('resolution = "lowest"\n')
    assert roost.ok("exec", *SAY).strip() == "1.0"
    (roost.folder / "uv.toml").unlink()
    assert roost.ok("exec", *SAY).strip() == "2.0"


def test_credentials_of_an_index_come_with_the_request_and_are_not_kept(
    roost: Roost, pip_index: PipIndex, private: PipIndex
) -> None:
    private.wheel("secret", "1.0")
    private.password = "s3cret-w0rd"
    (roost.folder / "pyproject.toml").write_text(PROJECT.format(url=private.url))
    error = roost.failed(3, "build")
    assert error["code"] == "variable-missing"
    assert "UV_INDEX_OWN_PASSWORD" in error["hint"]
    roost.variables |= {"UV_INDEX_OWN_USERNAME": "somebody", "UV_INDEX_OWN_PASSWORD": "s3cret-w0rd"}
    assert roost.ok("run", *SAY).strip() == "1.0"
    roost.ok("daemon", "stop")
    for path in roost.root.rglob("*"):
        assert not path.is_file() or b"s3cret-w0rd" not in path.read_bytes(), path


def test_what_is_not_followed_is_refused_with_its_place(roost: Roost) -> None:
    text = '[project]\nname = "own"\ndependencies = []\n[[tool.poetry.source]]\nname = "x"\nurl = "https://x.example"\n'
    (roost.folder / "pyproject.toml").write_text(text)
    error = roost.failed(3, "plan")
    assert error["code"] == "tool-key-refused"
    assert error["location"]["line"] == 4
    assert "tool.uv.index" in error["hint"]
    assert json.dumps(error)


LEAVES = [f"leaf{number}" for number in range(8)]
EXTRAS, GROUPS = ["fast", "Full_set", "all"], ["dev", "docs", "test-more"]


@st.composite
def draw_projects(draw: st.DrawFn) -> tuple[str, list[str], list[str]]:
    """A project with extras that name each other and groups that include each other, and choices."""
    leaves = st.lists(st.sampled_from(LEAVES), max_size=2)
    lines = ["[project]", 'name = "Own.p"', 'version = "1"', 'requires-python = ">=3.10"']
    lines += [f"dependencies = {draw(leaves)}", "[project.optional-dependencies]"]
    for name in EXTRAS:
        inner = draw(st.lists(st.sampled_from(EXTRAS), max_size=2))
        lines.append(f"{name} = {draw(leaves) + [f'own-p[{each}]' for each in inner if each != name]}")
    lines.append("[dependency-groups]")
    count = draw(st.integers(0, len(GROUPS)))
    for index, name in enumerate(GROUPS[:count]):
        included = [f'{{ include-group = "{each}" }}' for each in GROUPS[:index] if draw(st.booleans())]
        extras = [f'"own_p[{each}]"' for each in EXTRAS if draw(st.integers(0, 3)) == 0]
        lines.append(f"{name} = [{', '.join([*map(repr, draw(leaves)), *included, *extras])}]")
    default = draw(st.sampled_from([None, '"all"', repr(GROUPS[:count][-1:]), "[]"]))
    lines += ["[tool.uv]", *([f"default-groups = {default}"] if default else [])]
    extras = draw(st.lists(st.sampled_from(EXTRAS), max_size=2, unique=True))
    return "\n".join(lines) + "\n", extras, draw(st.lists(st.sampled_from(GROUPS), max_size=2, unique=True))


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(drawn=draw_projects())
def test_uv_is_the_judge_of_which_groups_and_extras_are_read(
    wheels: Path, drawn: tuple[str, list[str], list[str]]
) -> None:
    text, extras, groups = drawn
    project = wheels.parent / "project" / "pyproject.toml"
    project.parent.mkdir(exist_ok=True)
    project.write_text(text)
    project.with_name("uv.lock").unlink(missing_ok=True)
    chosen = [f"--extra={name}" for name in extras] + [f"--group={name}" for name in groups]
    words = [find_uv_bin(), "export", "-q", "--no-hashes", "--no-header", "--no-annotate", "--no-emit-project", *chosen]
    words += ["--no-index", "--find-links", str(wheels), "--python", sys.executable, "--no-python-downloads"]
    environ = {"HOME": str(wheels.parent), "UV_CACHE_DIR": str(wheels.parent / "cache"), "PATH": "/usr/bin:/bin"}
    judged = subprocess.run(words, cwd=project.parent, env=environ, capture_output=True, text=True)
    choices = Choices(extras=tuple(extras), groups=tuple(groups))
    document = read_source(DefinitionSource(path=str(project)), LocalFiles(), choices)
    is_refused = any(problem.severity == "error" for problem in document.problems)
    assert is_refused == (judged.returncode != 0), (text, chosen, document.problems, judged.stderr)
    if document.result is not None and not is_refused:
        expected = {line.partition("=")[0] for line in judged.stdout.splitlines() if "==" in line}
        assert {item.text for item in document.result.definition.pip.requirements} == expected, (text, chosen)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of each of LEAVES."""
    folder = tmp_path_factory.mktemp("judge") / "wheels"
    folder.mkdir()
    for name in LEAVES:
        file, content = wheel_bytes(name, "1.0")
        (folder / file).write_bytes(content)
    return folder
