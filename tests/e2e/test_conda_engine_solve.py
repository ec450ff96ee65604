"""Solving against real channels: order, priority, dates, mirrors, platforms, and nothing ambient."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from tests.support.conda_tools import (
    FORGE,
    SECOND,
    close_workers,
    engine,
    http_channel,
    lock_of,
    named,
    open_workers,
    solve,
)
from tests.support.trees import link_or_copy

from roost.daemon.engines.conda.errors import ChannelMissingError, PackageDigestMismatchError, SolveError
from roost.daemon.engines.conda.rules import CondaRules
from roost.model.errors import Location
from roost.model.locks.preferences import PreferredPackage, prefer_conda_packages
from roost.model.syntax.match_specs import MatchSpecError


@pytest.fixture(autouse=True)
async def workers_end() -> AsyncIterator[None]:
    yield
    await close_workers()


@pytest.fixture(autouse=True)
def nothing_blocks() -> Iterator[None]:
    """A blocking call of ours in the event loop fails the test."""
    with blockbuster_ctx(["roost.daemon", "roost.store"]) as detector:
        detector.functions["os.path.abspath"].deactivate()  # of an absolute path it asks the system nothing
        yield


async def test_the_newest_that_fits_with_all_it_needs(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    packages = await solve(conda, "python=3.11", "scikit-learn", "wants-numpy1")
    versions = named(packages)
    assert versions["numpy"] == "1.26.4"
    assert versions["python"].startswith("3.11.")
    assert {"scipy", "joblib", "threadpoolctl", "openssl"} <= versions.keys()
    assert [package.name for package in packages] == sorted(versions)
    for package in packages:
        assert package.url.startswith(FORGE + "/" + package.subdir)
        assert len(package.sha256) == 64
        assert package.size > 0
        assert str(short_folder) not in str(package)
        assert str(channels_folder) not in str(package)


async def test_both_pythons_can_be_had(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    assert named(await solve(conda, "python=3.12", "numpy=1.26"))["python"].startswith("3.12.")
    assert named(await solve(conda, "python<3.12", "numpy"))["numpy"] == "2.1.3"


async def test_order_of_channels_and_strict_priority(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    assert named(await solve(conda, "dated", channels=["conda-forge", "second"])) == {"dated": "3.0"}
    assert named(await solve(conda, "dated", channels=["second", "conda-forge"])) == {"dated": "9.0"}
    with pytest.raises(SolveError, match="9") as caught:
        await solve(conda, "dated>=9", channels=["conda-forge", "second"])
    assert "priority" in caught.value.hint
    both = await solve(conda, "only-second", channels=["conda-forge", "second"])
    assert {package.name: package.url.rsplit("/", 2)[0] for package in both} == {"only-second": SECOND, "dated": FORGE}


async def test_strict_priority_holds_for_what_packages_need_as_well(short_folder: Path, channels_folder: Path) -> None:
    record = {
        "name": "wants-dated9",
        "version": "1.0",
        "build": "0",
        "build_number": 0,
        "depends": ["dated >=9"],
        "subdir": "noarch",
        "noarch": "generic",
        "timestamp": 1_672_531_200_000,
        "sha256": "1" * 64,
    }
    for subdir in ("noarch", "linux-64"):
        (short_folder / "third" / subdir).mkdir(parents=True)
        packages = {"wants-dated9-1.0-0.conda": record} if subdir == "noarch" else {}
        content = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": packages}
        (short_folder / "third" / subdir / "repodata.json").write_text(json.dumps(content))
    conda = engine(short_folder, channels_folder)
    third = str(short_folder / "third")
    assert named(await solve(conda, "wants-dated9", channels=["second", "conda-forge", third]))["dated"] == "9.0"
    with pytest.raises(SolveError):
        await solve(conda, "wants-dated9", channels=["conda-forge", "second", third])


@pytest.mark.parametrize("spec", ["second::dated", 'dated[channel="second"]', SECOND + "::dated", "second::dated=9"])
async def test_a_spec_names_its_channel(short_folder: Path, channels_folder: Path, spec: str) -> None:
    packages = await solve(engine(short_folder, channels_folder), spec)
    assert [package.url for package in packages] == [f"{SECOND}/noarch/dated-9.0-0.conda"]


async def test_a_spec_may_be_a_package_file(short_folder: Path, channels_folder: Path) -> None:
    packages = await solve(engine(short_folder, channels_folder), f"{FORGE}/noarch/dated-2.0-0.conda")
    assert named(packages) == {"dated": "2.0"}


async def test_as_of_leaves_out_what_came_later(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    versions = {
        moment: named(await solve(conda, "dated", as_of=datetime.fromisoformat(moment)))["dated"]
        for moment in ("2023-06-01T00:00:00+00:00", "2024-06-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00")
    }
    assert list(versions.values()) == ["1.0", "2.0", "3.0"]
    with pytest.raises(SolveError) as caught:
        await solve(conda, "dated", as_of=datetime(2020, 1, 1, tzinfo=timezone.utc))
    assert "--as-of" in caught.value.hint


async def test_as_of_minds_the_zone(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    built = datetime(2024, 1, 1, tzinfo=timezone.utc)  # of dated 2.0
    west = timezone(timedelta(hours=-8))
    assert named(await solve(conda, "dated", as_of=built.astimezone(west)))["dated"] == "2.0"
    earlier = (built - timedelta(seconds=1)).astimezone(timezone(timedelta(hours=9)))
    assert named(await solve(conda, "dated", as_of=earlier))["dated"] == "1.0"


async def test_other_platforms_are_solved_for(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    for platform in ("osx-arm64", "linux-aarch64", "win-64"):
        (python,) = await solve(conda, "python", platform=platform)
        assert python.subdir == platform


async def test_virtual_packages_are_the_baselines(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    assert named(await solve(conda, "wants-glibc"))
    for spec in ("wants-cuda", "wants-new-glibc", "wants-v3"):  # whatever this machine has
        with pytest.raises(SolveError) as caught:
            await solve(conda, spec)
        assert "[system]" in caught.value.hint or "Loosen" in caught.value.hint
    assert named(await solve(conda, "wants-cuda", platform="linux-64+cuda12"))
    assert named(await solve(conda, "wants-new-glibc", system={"glibc": "2.36"}))
    assert named(await solve(conda, "wants-v3", system={"archspec": "x86_64_v3"}))


async def test_what_can_not_be_solved_is_explained(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    with pytest.raises(SolveError, match="wants-numpy") as caught:
        await solve(conda, "python=3.11", "wants-numpy1", "wants-numpy2")
    assert "Cannot solve the request" not in caught.value.message
    with pytest.raises(SolveError, match="nosuchthing"):
        await solve(conda, "nosuchthing")
    rules, place = CondaRules(open_workers(short_folder)), Location(path="/x.yml", line=4)
    with pytest.raises(MatchSpecError, match="numpy>>1") as refused:
        await rules.check_specs(["numpy>=1", "numpy>>1"], {"numpy>>1": place})
    assert (refused.value.location, refused.value.fields) == (place, {})
    with pytest.raises(ChannelMissingError, match="nosuch"):
        await solve(engine(short_folder / "b", channels_folder), "a", channels=[str(channels_folder / "nosuch")])


async def test_http_mirrors_keep_the_canonical_url(short_folder: Path, channels_folder: Path) -> None:
    async with http_channel(channels_folder) as served:
        conda = engine(short_folder, channels_folder, mirrors={"conda-forge": [served.url + "/conda-forge"]})
        (package,) = await solve(conda, "dated")
        assert package.url == f"{FORGE}/noarch/dated-3.0-0.conda"
        await conda.link([package], str(short_folder / "p"))
    meta = (short_folder / "p/conda-meta/dated-3.0-0.json").read_text()
    assert served.url not in meta
    assert served.requests


async def test_credentials_are_sent_and_kept_nowhere(short_folder: Path, channels_folder: Path) -> None:
    async with http_channel(channels_folder) as served:
        host = served.url.removeprefix("http://")
        conda = engine(short_folder, channels_folder)
        (package,) = await solve(conda, "dated", channels=[f"http://me:hush-hush@{host}/second"])
        sent = {request.headers.get("Authorization") for request in served.requests}
        assert sent == {"Basic bWU6aHVzaC1odXNo"}
        (package,) = await solve(
            conda, "dated", channels=[f"{served.url}/t/${{TOKEN}}/second"], variables={"TOKEN": "tok-en"}
        )
        assert package.url == f"{served.url}/second/noarch/dated-9.0-0.conda"
        assert served.requests[-1].path.startswith("/t/tok-en/second/")
        spec = f"{served.url}/t/${{TOKEN}}/second::dated"
        assert await solve(conda, spec, variables={"TOKEN": "tok-en"}) == [package]
        await conda.link([package], str(short_folder / "p"), credentials={served.url: "/t/tok-en"})
    for path in short_folder.rglob("*"):
        if path.is_file():
            assert b"tok-en" not in path.read_bytes(), path
            assert b"hush-hush" not in path.read_bytes(), path


async def test_explicit_lists(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    solved = await solve(conda, "python=3.11", "six=1.16")
    assert await conda.resolve_explicit([f"{p.url}#sha256:{p.sha256}" for p in solved], "linux-64") == solved
    assert await conda.resolve_explicit([f"{p.url}#{p.record['md5']}" for p in solved], "linux-64") == solved
    with pytest.raises(PackageDigestMismatchError, match="six"):
        await conda.resolve_explicit([f"{FORGE}/noarch/six-1.16.0-pyhd_0.conda#{'0' * 32}"], "linux-64")


async def test_explicit_files_that_no_index_lists_are_read(short_folder: Path, channels_folder: Path) -> None:
    (short_folder / "bare/noarch").mkdir(parents=True)
    file_name = "six-1.16.0-pyhd_0.conda"
    link_or_copy(channels_folder / "conda-forge/noarch" / file_name, short_folder / "bare/noarch" / file_name)
    conda = engine(short_folder, channels_folder)
    (indexed,) = await conda.resolve_explicit([f"{FORGE}/noarch/{file_name}"], "linux-64")
    async with http_channel(short_folder) as served:
        for url in (f"{served.url}/bare", f"file://{short_folder}/bare"):
            (bare,) = await conda.resolve_explicit([f"{url}/noarch/{file_name}"], "linux-64")
            assert (bare.sha256, bare.size, bare.record["noarch"]) == (indexed.sha256, indexed.size, "python")
            assert bare.record["depends"] == indexed.record["depends"]


async def test_provides_names_the_distributions(short_folder: Path, channels_folder: Path) -> None:
    async with http_channel(channels_folder) as served:
        conda = engine(short_folder, channels_folder)
        packages = await solve(conda, "python=3.11", "pandas", "greeting", channels=[served.url + "/conda-forge"])
        before = await conda.find_distributions(packages)
        await conda.link(packages, str(short_folder / "p"))
        served.requests.clear()
        assert await conda.find_distributions(packages) == before
        assert not served.requests  # from the cache
    assert before["tzdata"] == "2024.2"
    assert before["greeting-lib"] == "1.0"
    assert before["python-dateutil"] == "2.9.0.post0"
    assert {"numpy", "pandas", "pytz", "six"} <= before.keys()


_CHILD = """
import asyncio, json, os, sys
from roost.daemon.engines.conda.channels import CondaConfig
from roost.daemon.engines.conda.engine import CondaEngine
from roost.daemon.workers.pool import WorkerPool
from roost.model.locks.lock import CondaPackage
import msgspec
async def main():
    config = CondaConfig(mirrors={"conda-forge": [sys.argv[2]]})
    workers = WorkerPool(sys.argv[1] + "/stage")
    conda = CondaEngine(sys.argv[1] + "/cache", sys.argv[1] + "/bytecode", config, workers)
    specs = ["python=3.11", "numpy", "wants-glibc", "dated"]
    packages = await conda.solve(channels=["conda-forge"], specs=specs, platform="linux-64", system={})
    await conda.link(packages[:1], sys.argv[1] + "/p")
    print(msgspec.json.encode(packages).decode(), flush=True)
asyncio.run(main())
os._exit(0)
"""

AMBIENT = {
    "nothing": {},
    "condarc": {},
    "conda": {
        "CONDA_CHANNELS": "second", "CONDA_SUBDIR": "osx-arm64", "CONDA_OVERRIDE_GLIBC": "2.5",
        "CONDA_OVERRIDE_CUDA": "12",
        "CONDA_CHANNEL_ALIAS": "http://127.0.0.1:9", "CONDA_CHANNEL_PRIORITY": "disabled", "CONDA_PREFIX": "/nowhere",
        "CONDA_PKGS_DIRS": "/nowhere",
    },
    "rattler": {"RATTLER_CACHE_DIR": "HOME/rattler-cache", "RATTLER_AUTH_FILE": "HOME/auth.json"},
    "python": {"PYTHONPATH": "HOME/modules"},
}  # fmt: skip


@pytest.mark.parametrize("kind", list(AMBIENT))
def test_nothing_ambient_changes_a_solve(kind: str, short_folder: Path, channels_folder: Path) -> None:
    home = short_folder / "home"
    (home / "modules").mkdir(parents=True)
    (home / "modules" / "numpy.py").write_text("raise SystemExit('an ambient module was imported')\n")
    (home / ".rattler").mkdir()
    (home / ".rattler/credentials.json").write_text(json.dumps({"*": {"BearerToken": "ambient"}}))
    (home / "auth.json").write_text("no json")
    if kind == "condarc":
        text = "channels: [second]\nsubdir: osx-arm64\nchannel_priority: disabled\npinned_packages: [numpy <2]\n"
        (home / ".condarc").write_text(text)
        (home / ".mambarc").write_text(text)
    extra = {name: value.replace("HOME", str(home)) for name, value in AMBIENT[kind].items()}
    results = []
    for number, environ in enumerate(({}, extra)):
        folder = short_folder / str(number)
        base = {"PATH": "/usr/bin:/bin", "HOME": str(home if number else short_folder / "empty")}
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(folder), (channels_folder / "conda-forge").as_uri()],
            env=base | environ, capture_output=True, text=True, cwd=home,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        results.append(json.loads(done.stdout))
    assert results[0] == results[1]
    assert {package["name"] for package in results[0]} >= {"numpy", "dated"}
    left = {path.name for path in home.iterdir()}
    assert left <= {"modules", ".rattler", "auth.json", ".condarc", ".mambarc"}  # nothing was written there either
    assert not (short_folder / "empty").exists()


# ---------------------------------------------------------------------------- preferences
async def test_what_was_there_stays_although_there_is_something_newer(
    short_folder: Path, channels_folder: Path
) -> None:
    conda = engine(short_folder, channels_folder)
    before = await solve(conda, "python=3.11", "numpy=1.26", "dated=1")
    preferred = prefer_conda_packages(lock_of(before))
    after = await solve(conda, "python=3.11", "numpy", "dated", "scipy", preferred=preferred)
    assert {each.name: each for each in before}.items() <= {each.name: each for each in after}.items()
    assert "scipy" in named(after)


async def test_only_what_a_new_package_needs_is_moved(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    before = await solve(conda, "python=3.11", "numpy=1.26", "dated=1")
    preferred = prefer_conda_packages(lock_of(before))
    after = named(await solve(conda, "python=3.11", "numpy", "dated", "wants-numpy2", preferred=preferred))
    assert (after["numpy"], after["dated"]) == ("2.1.3", "1.0")


async def test_another_python_gets_the_same_versions(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    before = await solve(conda, "python=3.11", "numpy=1.26")
    after = await solve(conda, "python=3.12", "numpy", preferred=prefer_conda_packages(lock_of(before)))
    assert named(after)["numpy"] == "1.26.4"
    assert named(after)["python"].startswith("3.12.")


async def test_what_pip_had_is_preferred_of_conda(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    preferred = [PreferredPackage(name="numpy", version="1.26.4")]
    assert named(await solve(conda, "python=3.11", "numpy", preferred=preferred))["numpy"] == "1.26.4"


@pytest.mark.parametrize("version", ["0.5", "9.0"])
async def test_what_the_channel_that_counts_does_not_list_is_not_preferred(
    short_folder: Path, channels_folder: Path, version: str
) -> None:
    conda = engine(short_folder, channels_folder)
    preferred = [PreferredPackage(name="dated", version=version), PreferredPackage(name="gone", version="1")]
    chosen = await solve(conda, "dated", channels=["conda-forge", "second"], preferred=preferred)
    assert named(chosen)["dated"] == "3.0"
