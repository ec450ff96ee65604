"""Prebuilding runs no code that has not run here: it waits, by name, and somebody who asks runs and records it."""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from rattler.index import index_fs
from tests.support.channel.hostile import write_hostile
from tests.support.pip_index import PipIndex, backend_files, sdist_bytes, wheel_bytes
from tests.support.prebuilding import Prebuilding, open_services
from tests.support.roost_process import clone

from roost.daemon.config.schema import CondaSettings, ConfigFile, PipSettings, WatchSettings
from roost.store.disk.file_ops import remove_tree


class Trace:
    """A file that code of packages writes a line into."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def count(self) -> int:
        return len(self.path.read_text().splitlines()) if self.path.exists() else 0


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    return Trace(tmp_path / "ran.txt")


@pytest.fixture
def extra_channel(tmp_path: Path) -> Path:
    """A channel of the test's own."""
    return tmp_path / "extra"


@pytest.fixture
def code() -> str:
    return "known"


@pytest_asyncio.fixture
async def parts(
    pip_index: PipIndex, channel_url: str, extra_channel: Path, short_folder: Path, code: str
) -> AsyncIterator[Prebuilding]:
    config = ConfigFile(
        pip=PipSettings(index_url=pip_index.url),
        conda=CondaSettings(mirrors={"conda-forge": (channel_url,), "extra": (extra_channel.as_uri(),)}),
        watch=WatchSettings(max_load=0, on_battery=True, code=code),  # type: ignore[arg-type]
    )
    async with open_services(config) as services:
        yield Prebuilding(services, short_folder)


async def check_waits(parts: Prebuilding, text: str, kind: str, package: str) -> None:
    report = await parts.prebuild(text)
    assert (report.state, report.reason) == ("waiting", "code"), report
    assert report.error is not None
    assert (report.error.code, report.error.fields["kind"]) == ("waits-for-code", kind)
    assert package in str(report.error.fields["package"])
    assert package in report.error.message


async def check_ready(parts: Prebuilding, text: str) -> None:
    report = await parts.prebuild(text)
    assert report.state == "ready", report.error
    assert (await parts.build(text)).state == "not-needed"


def forget_wheels(parts: Prebuilding) -> None:
    """Remove the wheels that were built: their sources have to be built again."""
    remove_tree(f"{parts.services.store.layout.wheels}/built")


async def test_an_sdist_waits_until_its_very_content_was_built_here(
    parts: Prebuilding, pip_index: PipIndex, trace: Trace
) -> None:
    pip_index.add("odd", sdist_bytes("odd", "1.0", str(trace.path)))
    pip_index.add("static", sdist_bytes("static", "1.0", str(trace.path), requires=()))
    pip_index.wheel("greet", "1.0")
    await check_waits(parts, "odd", "build-backend", "odd-1.0.tar.gz")
    await check_waits(parts, "static", "build-backend", "static-1.0.tar.gz")
    assert trace.count == 0
    await parts.build("odd")
    before = trace.count
    assert before > 0
    await check_ready(parts, "odd\ngreet")
    assert trace.count == before  # its wheel is stored
    forget_wheels(parts)
    await check_ready(parts, "greet==1.0\nodd")
    assert trace.count > before  # its content is known
    before = trace.count
    pip_index.add("odd", sdist_bytes("odd", "1.1", str(trace.path)))
    await check_waits(parts, "odd>1.0\ngreet==1.0", "build-backend", "odd-1.1.tar.gz")
    assert trace.count == before


async def test_what_a_build_installs_is_code_too(parts: Prebuilding, pip_index: PipIndex, trace: Trace) -> None:
    pip_index.wheel("maker", "1.0")
    pip_index.wheel("greet", "1.0")
    pip_index.add("odd", sdist_bytes("odd", "1.0", str(trace.path), build_requires=("maker",)))
    await parts.build("odd")
    forget_wheels(parts)
    before = trace.count
    pip_index.wheel("maker", "2.0")
    await check_waits(parts, "odd\ngreet", "build-backend", "maker 2.0")
    assert trace.count == before


def write_project(folder: Path, name: str, trace: Trace, *, static: bool = True) -> Path:
    project = folder / name
    project.mkdir()
    for path, text in backend_files(name, "1.0", str(trace.path), static=static).items():
        (project / path).write_text(text)
    return project


@pytest.mark.parametrize(("line", "static"), [("./proj", True), ("-e ./proj", False)])
async def test_a_folder_waits_until_it_was_built_here_as_it_is(
    parts: Prebuilding, pip_index: PipIndex, short_folder: Path, trace: Trace, line: str, static: bool
) -> None:
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("other", "1.0")
    project = write_project(short_folder, "proj", trace, static=static)
    await check_waits(parts, line, "build-backend", "proj")
    assert trace.count == 0
    await parts.build(line)
    before = trace.count
    assert before > 0
    await check_ready(parts, f"{line}\ngreet")
    before = trace.count
    (project / "extra.py").write_text("print('another content')")
    await check_waits(parts, f"other\n{line}", "build-backend", "proj")
    assert trace.count == before


async def test_a_dynamic_version_of_python_is_known_only_by_running_code(
    parts: Prebuilding, short_folder: Path, trace: Trace
) -> None:
    project = write_project(short_folder, "proj", trace)
    text = (project / "pyproject.toml").read_text()
    dynamic = 'version = "1.0"\ndynamic = ["requires-python"]'
    (project / "pyproject.toml").write_text(text.replace('version = "1.0"', dynamic))
    job = await parts.create_job("-e ./proj")
    await parts.services.planner.plan(job.resolved, job.request, job.selector)
    await check_waits(parts, "-e ./proj", "build-backend", "proj")
    assert trace.count == 0


async def test_a_commit_is_not_even_checked_out(
    parts: Prebuilding, pip_index: PipIndex, short_folder: Path, trace: Trace
) -> None:
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("other", "1.0")
    project = write_project(short_folder, "proj", trace)
    hook = f"#!/bin/sh\necho hook >> {trace.path}\n"
    git = ["git", "-C", str(project), "-c", "user.name=x", "-c", "user.email=x@y"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    for name in ("post-checkout", "post-upload-pack", "pre-auto-gc", "reference-transaction"):
        (project / ".git/hooks" / name).write_text(hook)
        (project / ".git/hooks" / name).chmod(0o755)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    for line in (f"proj @ git+file://{project}@main", f"proj @ git+file://{project}@{commit}"):
        await check_waits(parts, line, "git-checkout", commit)
    assert trace.count == 0
    await parts.build(f"proj @ git+file://{project}@main")
    before = trace.count
    assert before > 0
    await check_ready(parts, f"proj @ git+file://{project}@{commit}\ngreet")
    (project / "more.txt").write_text("more")
    for command in (["add", "-A"], ["commit", "-qm", "second"]):
        subprocess.run([*git, "-c", "core.hooksPath=/nonexistent", *command], check=True)
    before = trace.count
    await check_waits(parts, f"other\nproj @ git+file://{project}@main", "git-checkout", "proj@")
    assert trace.count == before


async def index(channel: Path) -> None:
    await index_fs(channel, write_zst=False, write_shards=False, force=True)


def conda(*lines: str, pip: str = "", channels: str = "extra, conda-forge") -> str:
    more = f"  - pip:\n    - {pip}\n" if pip else ""
    return f"channels: [{channels}]\ndependencies:\n" + "".join(f"  - {line}\n" for line in lines) + more


SCRIPTS = {
    "linked": ("bin/.linked-post-link.sh", "link-script"),
    "early": ("bin/.early-pre-link.sh", "link-script"),
    "active": ("etc/conda/activate.d/active.sh", "activation-script"),
    "shadow": ("lib/python3.99/os.py", "interpreter-file"),
}
"""Name of a package to its file that is code."""


async def test_scripts_of_conda_packages_wait(parts: Prebuilding, extra_channel: Path, trace: Trace) -> None:
    for name, (path, _) in SCRIPTS.items():
        write_hostile(extra_channel, name, {path: f"echo ran >> {trace.path}\n"})
    write_hostile(extra_channel, "plain", {"share/plain.txt": "x"})
    await index(extra_channel)
    for name, (_, kind) in SCRIPTS.items():
        await check_waits(parts, conda(name), kind, f"{name} 1.0")
    await check_waits(
        parts, conda("linked", "active"), "activation-script", "active 1.0"
    )  # all are in the cache by now
    assert trace.count == 0
    assert await parts.services.store.index.artifacts.list_all() == []
    await parts.build(conda("linked", "active"))
    assert trace.count > 0
    await check_ready(parts, conda("active", "plain"))
    before = trace.count
    path, kind = SCRIPTS["linked"]
    write_hostile(extra_channel, "linked", {path: f"echo ran >> {trace.path} # other\n"}, build="1", build_number=1)
    (extra_channel / "noarch/linked-1.0-0.conda").rename(extra_channel / "noarch/linked-1.0-1.conda")
    await index(extra_channel)
    await check_waits(parts, conda("plain", "linked"), kind, "linked 1.0")
    assert trace.count == before


async def test_no_code_of_conda_packages_runs_while_wheels_are_installed(
    parts: Prebuilding, pip_index: PipIndex, extra_channel: Path, conda_packages: Path, trace: Trace
) -> None:
    """uv asks the Python of the prefix, whose ``site`` runs lines of ``.pth`` files and ``sitecustomize``."""
    clone(conda_packages, Path(parts.services.store.layout.packages))
    writes = f"open({str(trace.path)!r}, 'a').write('ran\\n')"
    write_hostile(
        extra_channel,
        "starts",
        {"site-packages/starts.pth": f"import sys; {writes}\n", "site-packages/sitecustomize.py": f"{writes}\n"},
        noarch="python",
        depends=["python"],
    )
    await index(extra_channel)
    pip_index.wheel("greet", "1.0")
    text = conda("python", "starts", pip="greet")
    report = await parts.prebuild(text)
    assert report.state == "ready", report.error
    assert trace.count == 0
    [prefix] = await parts.services.store.index.artifacts.list_all()
    python = f"{prefix.path}/bin/python"
    found = subprocess.run([python, "-c", "import greet; print(greet.value)"], capture_output=True, text=True)
    assert (found.stdout, trace.count > 0) == ("1.0\n", True)
    before = trace.count
    script = f"echo ran >> {trace.path}\n"
    pip_index.add("data", wheel_with_data("data", {"etc/conda/activate.d/data.sh": script}))
    await check_waits(parts, conda("python", pip="data"), "activation-script", "data 1.0")
    assert trace.count == before


def wheel_with_data(name: str, files: dict[str, str]) -> tuple[str, bytes]:
    """A wheel with ``files`` by their paths in the prefix."""
    file_name, content = wheel_bytes(name, "1.0")
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as wheel:
        record = wheel.read(f"{name}-1.0.dist-info/RECORD").decode()
    data = {f"{name}-1.0.data/data/{path}": text for path, text in files.items()}
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer := io.BytesIO(), "w") as wheel:
        for item in old.infolist():
            if not item.filename.endswith("RECORD"):
                wheel.writestr(item, old.read(item))
        for path, text in data.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", record + "".join(f"{path},,\n" for path in data))
    return file_name, buffer.getvalue()


async def test_a_wheel_in_the_place_of_a_virtual_environments_config_waits(
    parts: Prebuilding, pip_index: PipIndex
) -> None:
    pip_index.add("home", wheel_with_data("home", {"pyvenv.cfg": "home = /nonexistent\n"}))
    await check_waits(parts, "home", "interpreter-file", "home 1.0")


@pytest.mark.parametrize("code", ["always"])
async def test_a_setting_allows_all_code(
    parts: Prebuilding, pip_index: PipIndex, extra_channel: Path, trace: Trace
) -> None:
    pip_index.add("odd", sdist_bytes("odd", "1.0", str(trace.path)))
    await check_ready(parts, "odd")
    assert trace.count > 0


async def test_a_definition_that_needs_a_callers_secret_waits_for_credentials(parts: Prebuilding) -> None:
    report = await parts.prebuild("--index-url https://${TOKEN}@localhost:1/simple\ngreet")
    assert (report.state, report.reason) == ("waiting", "credentials")
    assert report.error is not None
    assert report.error.fields["variables"] == ["TOKEN"]
