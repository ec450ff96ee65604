"""A pinned digest comes before code: nothing of a source runs before it has every digest that is known of it.

With the real uv. Every source leaves a trace as soon as its build backend is imported, so a count of zero means that no
code of it ran, whether for metadata or for a wheel.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.test_pip_engine import Bench, item, project
from tests.support.pip_index import PipIndex, backend_files, sdist_bytes, wheel_bytes

from roost.daemon.engines.uv.errors import LockNeedsBuildError, WheelBuildError, WheelDigestMismatchError
from roost.model.definition import PipItem
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

PINNED = "a" * 64
"""The sha256 of the sdist that the author meant."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    index = PipIndex()
    try:
        yield Bench(tmp_path, index)
    finally:
        index.close()


def read_lines(bench: Bench, name: str, text: str) -> list[PipItem]:
    """The pip lines of a definition in a file."""
    source = DefinitionSource(path=str(bench.root / name), data=text.encode())
    return list(read_definition(source, LocalFiles()).definition.pip.requirements)


def conda_lock(bench: Bench, sha256: str) -> str:
    return f"""version: 1
metadata: {{}}
package:
- name: sourced
  version: '1.0'
  manager: pip
  platform: linux-64
  dependencies: {{}}
  url: {bench.index.origin}/files/sourced-1.0.tar.gz
  hash:
    sha256: {sha256}
  category: main
  optional: false
"""


def pixi_lock(bench: Bench, sha256: str) -> str:
    return f"""version: 6
environments:
  default:
    channels: []
    indexes:
    - {bench.index.url}
    packages:
      linux-64:
      - pypi: {bench.index.origin}/files/sourced-1.0.tar.gz
packages:
- pypi: {bench.index.origin}/files/sourced-1.0.tar.gz
  name: sourced
  version: '1.0'
  sha256: {sha256}
"""


def lines_of(bench: Bench, way: str, sha256: str) -> list[PipItem]:
    url = f"{bench.index.origin}/files/sourced-1.0.tar.gz"
    if way == "find-links":
        links = bench.root / "links"
        links.mkdir(exist_ok=True)
        (links / "sourced-1.0.tar.gz").write_bytes(bench.index.files["sourced-1.0.tar.gz"])
        options = [PipItem(kind="option", text="--find-links", path=str(links)), item("--no-index")]
        return [*options, item(f"sourced==1.0 --hash=sha256:{sha256}")]
    if way == "file":
        path = bench.root / "sourced-1.0.tar.gz"
        path.write_bytes(bench.index.files[path.name])
        text = f"./sourced-1.0.tar.gz --hash=sha256:{sha256}\n"
        return read_lines(bench, "requirements.txt", text)
    texts = {
        "line": ("requirements.txt", f"sourced==1.0 --hash=sha256:{sha256}\n"),
        "range": ("requirements.txt", f"sourced --hash=sha256:{sha256}\n"),
        "require-hashes": ("requirements.txt", f"--require-hashes\nsourced==1.0 --hash=sha256:{sha256}\n"),
        "no-binary": ("requirements.txt", f"--no-binary sourced\nsourced==1.0 --hash=sha256:{sha256}\n"),
        "no-binary-all": ("requirements.txt", f"--no-binary :all:\nsourced==1.0 --hash=sha256:{sha256}\n"),
        "constraint": ("requirements.txt", f"-r {bench.index.origin}/pins.txt\n"),
        "fragment": ("requirements.txt", f"sourced @ {url}#sha256={sha256}\n"),
        "md5-fragment": ("requirements.txt", f"sourced @ {url}#md5={sha256[:32]}\n"),
        "bare-fragment": ("requirements.txt", f"{url}#sha256={sha256}\n"),
        "url-line": ("requirements.txt", f"sourced @ {url} --hash=sha256:{sha256}\n"),
        "bare-url-line": ("requirements.txt", f"{url} --hash=sha256:{sha256}\n"),
        "conda": ("environment.yml", f"dependencies:\n- pip:\n  - sourced==1.0 --hash=sha256:{sha256}\n"),
        "conda-lock": ("conda-lock.yml", conda_lock(bench, sha256)),
        "pixi-lock": ("pixi.lock", pixi_lock(bench, sha256)),
        "explicit": ("explicit.txt", f"@EXPLICIT\n# pip sourced @ {url} --hash=sha256:{sha256}\n"),
        "script": ("x.py", f'# /// script\n# dependencies = ["sourced @ {url}#sha256={sha256}"]\n# ///\n'),
        "pyproject": ("pyproject.toml", f'[project]\nname = "x"\ndependencies = ["sourced @ {url}#sha256={sha256}"]\n'),
    }
    bench.index.text["/pins.txt"] = f"sourced==1.0 --hash=sha256:{sha256}\n"
    return read_lines(bench, *texts[way])


WAYS = [
    *("line", "range", "require-hashes", "no-binary", "no-binary-all", "constraint", "fragment", "md5-fragment"),
    *("bare-fragment", "url-line", "bare-url-line", "conda", "conda-lock", "pixi-lock", "explicit", "script"),
    *("pyproject", "file", "find-links"),
]


@pytest.mark.parametrize("way", WAYS)
async def test_a_tampered_source_is_refused_before_it_runs(bench: Bench, way: str) -> None:
    bench.index.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace), tampered="yes"))
    with pytest.raises(WheelDigestMismatchError, match=r"sourced|aaaaaaaa"):
        await bench.lock(*await asyncio.to_thread(lines_of, bench, way, PINNED), allow_builds=True)
    assert bench.runs_of_code == 0


@pytest.mark.parametrize("way", [way for way in WAYS if way != "md5-fragment"])
async def test_the_right_source_is_built_whatever_way_it_is_pinned(bench: Bench, way: str) -> None:
    sha256 = bench.index.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace)))
    locked = await bench.lock(*await asyncio.to_thread(lines_of, bench, way, sha256), allow_builds=True)
    assert [(wheel.name, wheel.kind) for wheel in locked.wheels] == [("sourced", "built")]
    assert bench.runs_of_code > 0


async def test_the_digest_of_the_index_comes_before_code(bench: Bench) -> None:
    bench.index.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace)))
    bench.index.wrong_digests.add("sourced-1.0.tar.gz")
    with pytest.raises(WheelDigestMismatchError, match="nothing of it was run"):
        await bench.lock("sourced", allow_builds=True)
    assert bench.runs_of_code == 0


async def test_a_source_without_a_required_digest_is_refused_before_it_runs(bench: Bench) -> None:
    bench.index.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace)))
    with pytest.raises(WheelDigestMismatchError, match="--require-hashes is set"):
        await bench.lock("--require-hashes", "sourced==1.0", allow_builds=True)
    folder = project(bench, "mine")
    local = PipItem(kind="source", text="mine", path=str(folder))
    with pytest.raises(WheelDigestMismatchError, match="--require-hashes is set"):
        await bench.lock("--require-hashes", local, allow_builds=True)
    assert bench.runs_of_code == 0


async def test_a_commit_has_no_digest_that_a_line_could_pin(bench: Bench) -> None:
    folder = project(bench, "mine")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-C", str(folder), *words]
        subprocess.run(command, check=True, capture_output=True)
    line = PipItem(kind="url", text=f"mine @ git+file://{folder} --hash=sha256:{PINNED}")
    with pytest.raises(WheelDigestMismatchError, match="comes from a repository"):
        await bench.lock(line, allow_builds=True)
    assert bench.runs_of_code == 0
    for line in (f"mine @ git+file://{folder}", f"git+file://{folder}"):
        locked = await bench.lock(line, allow_builds=True)
        assert [(wheel.name, wheel.kind) for wheel in locked.wheels] == [("mine", "built")]


# what builds install


@pytest.mark.parametrize("step", ["build_requires", "dynamic"])
@pytest.mark.parametrize("kind", ["sdist", "wheel"])
async def test_a_build_requirement_is_checked_before_it_is_used(bench: Bench, step: str, kind: str) -> None:
    helper = bench.root / "helper-trace"
    made = sdist_bytes("helper", "1.0", str(helper)) if kind == "sdist" else wheel_bytes("helper", "1.0")
    bench.index.add("helper", made)
    sdist = sdist_bytes("sourced", "1.0", str(bench.trace), **{step: ("helper>=1",)})  # type: ignore[arg-type]
    bench.index.add("sourced", sdist)
    bench.index.wrong_digests.add(made[0])
    with pytest.raises(WheelDigestMismatchError, match="helper"):
        await bench.lock("sourced", allow_builds=True)
    assert not helper.exists()

    bench.index.wrong_digests.clear()
    locked = await bench.lock("sourced", allow_builds=True)
    assert [wheel.name for wheel in locked.wheels] == ["sourced"]
    assert helper.exists() == (kind == "sdist")


async def test_build_requirements_of_build_requirements_are_checked(bench: Bench) -> None:
    deepest = bench.root / "deepest-trace"
    made = sdist_bytes("deepest", "1.0", str(deepest))
    bench.index.add("deepest", made)
    bench.index.add("helper", sdist_bytes("helper", "1.0", str(bench.trace), build_requires=("deepest",)))
    bench.index.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace), build_requires=("helper",)))
    bench.index.wrong_digests.add(made[0])
    with pytest.raises(WheelDigestMismatchError, match="deepest"):
        await bench.lock("sourced", allow_builds=True)
    assert not deepest.exists()
    bench.index.wrong_digests.clear()
    await bench.lock("sourced", allow_builds=True)
    assert deepest.exists()


async def test_sources_that_need_each_other_to_be_built_are_refused(bench: Bench) -> None:
    bench.index.add("one", sdist_bytes("one", "1.0", str(bench.trace), build_requires=("two",)))
    bench.index.add("two", sdist_bytes("two", "1.0", str(bench.trace), build_requires=("one",)))
    with pytest.raises(WheelBuildError, match="one for the other"):
        await bench.lock("one", allow_builds=True)
    assert bench.runs_of_code == 0


async def test_an_editable_folder_gets_checked_build_requirements(bench: Bench) -> None:
    helper = bench.root / "helper-trace"
    made = sdist_bytes("helper", "1.0", str(helper))
    bench.index.add("helper", made)
    bench.index.wrong_digests.add(made[0])
    folder = bench.root / "mine"
    folder.mkdir()
    for name, text in backend_files("mine", "1.0", str(bench.trace), static=True, build_requires=("helper",)).items():
        (folder / name).write_text(text)
    locked = await bench.lock(PipItem(kind="editable", text="mine", path=str(folder)), allow_builds=True)
    with pytest.raises(WheelDigestMismatchError, match="helper"):
        await bench.prefix("one", locked)
    assert not helper.exists()
    (folder / "pyproject.toml").write_text((folder / "pyproject.toml").read_text().partition("[build-system]")[2])
    (folder / "pyproject.toml").write_text("[build-system]" + (folder / "pyproject.toml").read_text())
    with pytest.raises(WheelDigestMismatchError, match="helper"):
        await bench.lock(PipItem(kind="editable", text="mine", path=str(folder)), allow_builds=True)
    assert not helper.exists()

    bench.index.wrong_digests.clear()
    await bench.prefix("two", locked)
    assert helper.exists()


# choosing without running


async def test_static_metadata_is_read_and_not_run(bench: Bench) -> None:
    """A version that loses because of what it depends on is never built."""
    loser, winner = str(bench.root / "loser"), str(bench.trace)
    bench.index.add("sourced", sdist_bytes("sourced", "2.0", loser, requires=("leaf>5",)))
    bench.index.add("sourced", sdist_bytes("sourced", "1.0", winner, requires=("leaf",)))
    bench.index.wheel("leaf", "1.0")
    locked = await bench.lock("sourced", "leaf", allow_builds=True)
    assert [(wheel.name, wheel.version) for wheel in locked.wheels] == [("leaf", "1.0"), ("sourced", "1.0")]
    assert not Path(loser).exists()


async def test_what_a_build_reveals_counts_in_the_choice(bench: Bench) -> None:
    """Metadata that only a build knows leads to another version, as if uv had built it itself."""
    folder = bench.root / "own"
    files = backend_files("sourced", "2.0", str(bench.trace))
    files["backend.py"] = (
        files["backend.py"]
        .replace("Version: {version}", "")
        .replace('Version: 2.0\\n"', 'Version: 2.0\\nRequires-Dist: leaf>5\\n"')
    )
    bench.index.add("sourced", pack(folder, "sourced-2.0", files))
    bench.index.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace)))
    bench.index.wheel("leaf", "1.0")
    locked = await bench.lock("sourced", "leaf", allow_builds=True)
    assert [(wheel.name, wheel.version) for wheel in locked.wheels] == [("leaf", "1.0"), ("sourced", "1.0")]


def pack(folder: Path, stem: str, files: dict[str, str]) -> tuple[str, bytes]:
    (folder / stem).mkdir(parents=True)
    for name, text in files.items():
        (folder / stem / name).write_text(text)
    path = shutil.make_archive(str(folder / stem), "gztar", folder, stem)
    return f"{stem}.tar.gz", Path(path).read_bytes()


async def test_no_source_runs_where_builds_are_not_allowed(bench: Bench) -> None:
    sha256 = bench.index.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace), requires=()))
    for way in ("line", "fragment", "bare-url-line", "file", "no-binary", "no-binary-all"):
        with pytest.raises(LockNeedsBuildError):
            await bench.lock(*await asyncio.to_thread(lines_of, bench, way, sha256))
    assert bench.runs_of_code == 0


@pytest.mark.parametrize("line", ["leaf @ {url} --hash=sha256:{pin}", "{url} --hash=sha256:{pin}"])
async def test_a_wheel_by_url_with_another_digest_is_refused(bench: Bench, line: str) -> None:
    bench.index.wheel("leaf", "1.0")
    url = f"{bench.index.origin}/files/leaf-1.0-py3-none-any.whl"
    [wheel] = read_lines(bench, "requirements.txt", line.format(url=url, pin=PINNED))
    with pytest.raises(WheelDigestMismatchError, match="leaf"):
        await bench.lock(wheel)


async def test_a_given_wheel_with_another_digest_is_refused(bench: Bench) -> None:
    name, content = wheel_bytes("given", "1.0")
    (bench.root / name).write_bytes(content)
    right = hashlib.sha256(content).hexdigest()
    lines = await asyncio.to_thread(read_lines, bench, "requirements.txt", f"./{name} --hash=sha256:{PINNED}\n")
    with pytest.raises(WheelDigestMismatchError, match="given"):
        await bench.lock(*lines)
    lines = await asyncio.to_thread(read_lines, bench, "requirements.txt", f"./{name} --hash=sha256:{right}\n")
    assert (await bench.lock(*lines)).wheels[0].sha256 == right
