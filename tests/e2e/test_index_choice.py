"""Where packages come from and which are chosen, as ``[tool.uv]`` says it: with the real uv."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from tests.e2e.test_pip_engine import Bench, project
from tests.support.pip_index import PipIndex, sdist_bytes

from roost.daemon.engines.uv.errors import LockNeedsBuildError, WheelDigestMismatchError
from roost.daemon.engines.uv.request import PipLockRequest, describe_python
from roost.model.definition import PipItem


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    index = PipIndex()
    try:
        yield Bench(tmp_path, index)
    finally:
        index.close()


def option(text: str) -> PipItem:
    return PipItem(kind="option", text=text)


async def versions(bench: Bench, *lines: PipItem | str, **more: object) -> dict[str, str]:
    locked = await bench.lock(*lines, **more)
    return {wheel.name: wheel.version for wheel in locked.wheels}


async def test_an_index_of_its_own_gives_a_package_and_no_other_index(bench: Bench, private: PipIndex) -> None:
    bench.index.wheel("secret", "9.0")
    private.wheel("secret", "1.0")
    private.wheel("leaf", "9.0")
    bench.index.wheel("leaf", "1.0", "secret")
    pinned = PipItem(kind="requirement", text=f"secret --index={private.url}")
    locked = await bench.lock("leaf", pinned)
    assert {wheel.name: wheel.version for wheel in locked.wheels} == {"leaf": "1.0", "secret": "1.0"}
    assert [wheel.url or "" for wheel in locked.wheels][1].startswith(private.origin)
    assert not any("/simple/secret" in path for path in bench.index.asked), "nobody else is asked for the name"


async def test_the_first_index_that_has_a_package_is_the_only_one(bench: Bench, private: PipIndex) -> None:
    bench.index.wheel("secret", "9.0")
    bench.index.wheel("leaf", "1.0")
    private.wheel("secret", "1.0")
    lines = [option(f"--index {private.url}"), option("--index-strategy first-index"), "secret", "leaf"]
    assert await versions(bench, *lines) == {"leaf": "1.0", "secret": "1.0"}
    lines[1] = option("--index-strategy unsafe-best-match")
    assert await versions(bench, *lines) == {"leaf": "1.0", "secret": "9.0"}


async def test_a_pin_to_an_index_holds_under_a_marker_only(bench: Bench, private: PipIndex) -> None:
    bench.index.wheel("secret", "9.0")
    private.wheel("secret", "1.0")
    pinned = PipItem(kind="requirement", text=f'secret ; sys_platform == "linux" --index={private.url}')
    other = PipItem(kind="requirement", text='secret ; sys_platform != "linux"')
    assert await versions(bench, pinned, other) == {"secret": "1.0"}
    elsewhere = PipItem(kind="requirement", text=f'secret ; sys_platform != "linux" --index={private.url}')
    here = PipItem(kind="requirement", text='secret ; sys_platform == "linux"')
    assert await versions(bench, elsewhere, here) == {"secret": "9.0"}


async def test_sources_of_an_editable_folder_are_not_followed_by_uv_alone(bench: Bench, private: PipIndex) -> None:
    folder = project(bench, "mine", static=True)
    bench.index.wheel("secret", "9.0")
    private.wheel("other", "1.0")
    file = folder / "pyproject.toml"
    file.write_text(file.read_text().replace('version = "1.0"\n', 'version = "1.0"\ndependencies = ["secret"]\n', 1))
    editable = PipItem(kind="editable", text="mine", path=str(folder))
    pinned = PipItem(kind="requirement", text=f"other --index={private.url}")
    assert await versions(bench, editable, pinned) == {"mine": "1.0", "other": "1.0", "secret": "9.0"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--override leaf==1.0", {"top": "1.0", "leaf": "1.0"}),
        ("--exclude-dependency leaf", {"top": "1.0"}),
        ("--constraint-dependency leaf<3", {"top": "1.0", "leaf": "2.0"}),
        ("--resolution lowest", {"top": "1.0", "leaf": "2.0"}),
        ("--prerelease allow", {"top": "1.0", "leaf": "4.0a1"}),
        ("--prerelease-package leaf=allow", {"top": "1.0", "leaf": "4.0a1"}),
        ('--dependency-metadata {"name": "top", "requires-dist": []}', {"top": "1.0"}),
    ],
)
async def test_each_choice_acts(bench: Bench, text: str, expected: dict[str, str]) -> None:
    for version in ("1.0", "2.0", "3.0", "4.0a1"):
        bench.index.wheel("leaf", version)
    bench.index.wheel("top", "1.0", "leaf>=2")
    assert await versions(bench, "top") == {"top": "1.0", "leaf": "3.0"}
    assert await versions(bench, "top", option(text)) == expected


@pytest.mark.parametrize("text", ["--no-build", "--no-build-package Sourced"])
async def test_what_may_not_be_built_is_refused(bench: Bench, text: str) -> None:
    bench.index.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace)))
    with pytest.raises(LockNeedsBuildError, match="no-build forbids"):
        await bench.lock("sourced", option(text), allow_builds=True)
    assert bench.runs_of_code == 0


async def test_builds_get_what_their_constraints_allow(bench: Bench) -> None:
    bench.index.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace), build_requires=("helper",)))
    bench.index.wheel("helper", "1.0")
    bench.index.wheel("helper", "2.0")
    await bench.lock("sourced", option("--build-constraint helper<2"), allow_builds=True)
    assert bench.index.asked["/files/helper-1.0-py3-none-any.whl"] > 0
    assert bench.index.asked["/files/helper-2.0-py3-none-any.whl"] == 0


async def test_a_lock_is_attested_by_the_index_that_a_package_comes_from(bench: Bench, private: PipIndex) -> None:
    bench.index.wheel("secret", "1.0", "leaf")
    bench.index.wheel("leaf", "1.0")
    sha256 = private.wheel("secret", "1.0")
    pinned = PipItem(kind="requirement", text=f"secret --index={private.url}")
    locked = await bench.lock(pinned)
    request = PipLockRequest(
        items=[pinned], python=describe_python(bench.host), platform="linux-64", glibc="2.28", index=bench.index.url
    )
    assert await bench.engine.list_digests(request, locked.wheels) == {"secret": frozenset({sha256})}


async def test_later_uploads_are_ignored(bench: Bench) -> None:
    """By the definition's own date, the request's, or the earlier of both; for one package by its own."""
    for year in ("2023", "2024", "2025"):
        bench.index.wheel("leaf", f"{year}.1")
        bench.index.uploaded[f"leaf-{year}.1-py3-none-any.whl"] = f"{year}-06-30T00:00:00.000000Z"
    stated = option("--exclude-newer 2025-01-01T00:00:00Z")
    early, late = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (2024, 2026))
    assert await versions(bench, "leaf") == {"leaf": "2025.1"}
    assert await versions(bench, "leaf", stated) == {"leaf": "2024.1"}
    assert await versions(bench, "leaf", stated, as_of=early) == {"leaf": "2023.1"}
    assert await versions(bench, "leaf", stated, as_of=late) == {"leaf": "2024.1"}
    assert await versions(bench, "leaf", option("--exclude-newer P1D"), as_of=early) == {"leaf": "2023.1"}
    assert await versions(bench, "leaf", option("--exclude-newer P1D")) == {"leaf": "2025.1"}
    exempt = option("--exclude-newer-package leaf=false")
    assert await versions(bench, "leaf", stated, exempt) == {"leaf": "2025.1"}
    own = option("--exclude-newer-package leaf=2024-01-01T00:00:00Z")
    assert await versions(bench, "leaf", own) == {"leaf": "2023.1"}


async def test_builds_look_for_requirements_where_the_definition_does(bench: Bench, private: PipIndex) -> None:
    bench.index.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace), build_requires=("helper",)))
    bench.index.wheel("helper", "9.0")
    private.wheel("helper", "1.0")
    lines = [option(f"--index {private.url}"), option("--index-strategy first-index"), "sourced"]
    await bench.lock(*lines, allow_builds=True)
    assert private.asked["/files/helper-1.0-py3-none-any.whl"] > 0
    assert bench.index.asked["/files/helper-9.0-py3-none-any.whl"] == 0


async def test_what_is_pinned_to_an_index_can_be_built_from_source(bench: Bench, private: PipIndex) -> None:
    bench.index.wheel("sourced", "9.0")
    sha256 = private.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace)))
    locked = await bench.lock(PipItem(kind="requirement", text=f"sourced --index={private.url}"), allow_builds=True)
    assert [(wheel.version, wheel.kind, wheel.origin) for wheel in locked.wheels] == [
        ("1.0", "built", f"sha256:{sha256}")
    ]


async def test_a_digest_and_an_index_may_both_be_stated(bench: Bench, private: PipIndex) -> None:
    sha256 = private.wheel("secret", "1.0")
    line = f"secret==1.0 --hash=sha256:{sha256} --index={private.url}"
    assert await versions(bench, PipItem(kind="requirement", text=line)) == {"secret": "1.0"}
    wrong = PipItem(kind="requirement", text=line.replace(sha256, "a" * 64))
    with pytest.raises(WheelDigestMismatchError):
        await bench.lock(wrong)
