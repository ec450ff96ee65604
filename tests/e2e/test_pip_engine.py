"""The pip engine with the real uv: a real index on loopback, real virtual environments, faults of every kind."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from packaging.requirements import Requirement
from tests.support.conda_tools import close_workers, engine, solve
from tests.support.fake_python import write_fake_python
from tests.support.pip_index import PipIndex, backend_files, sdist_bytes, wheel_bytes

from roost.daemon.engines.conda.platforms import BASELINE_GLIBC
from roost.daemon.engines.host_python import engine as host_python
from roost.daemon.engines.host_python.errors import InterpreterChangedError
from roost.daemon.engines.uv import engine as engine_module
from roost.daemon.engines.uv.engine import PipConfig, PipEngine
from roost.daemon.engines.uv.errors import (
    ConflictError,
    IndexDeniedError,
    IndexUnreachableError,
    LockNeedsBuildError,
    PipUnsatisfiableError,
    RemoteLineError,
    UrlGoneError,
    UvCrashedError,
    UvFailedError,
    WheelBuildError,
    WheelCorruptError,
    WheelDigestMismatchError,
    WheelMissingError,
)
from roost.daemon.engines.uv.prefix import find_altered_wheel_files, find_dist_info, read_record
from roost.daemon.engines.uv.process import ProcessResult, UvProcess
from roost.daemon.engines.uv.request import PipLock, PipLockRequest, PythonFacts, describe_python
from roost.daemon.jobs.progress import Progress
from roost.model.definition import PipItem
from roost.model.errors import StoreFullError
from roost.model.locks.lock import BuildRequirement, HostPython, Lock, WheelSource
from roost.model.syntax.bounds import TooLargeError
from roost.model.syntax.variables import VariableMisplacedError
from roost.store.sources.files import LocalFiles

PLATFORM = "linux-64"


class Log:
    """A progress that keeps everything."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[tuple[object, ...]] = []

    def start(self, step: str, total: int | None = None) -> None:
        self.steps.append(("start", step, total))

    def advance(self, step: str, done: int, total: int | None = None) -> None:
        self.steps.append(("advance", step, done, total))

    def finish(self, step: str) -> None:
        self.steps.append(("finish", step))

    def log(self, line: str) -> None:
        self.lines.append(line)


class Bench:
    """An engine on a root of its own, and an index that it takes for its default."""

    def __init__(self, root: Path, index: PipIndex) -> None:
        self.root = root
        self.index = index
        self.trace = root / "trace"
        self.host = host_python.choose_interpreter(">=3.10")
        self.engine = self.make()

    def make(self, *, uv_binary: str | None = None, timeout: int = 5, index_url: str | None = None) -> PipEngine:
        config = PipConfig(index_url=index_url or self.index.url, timeout=timeout, retries=0)
        wheels = str(self.root / "wheels")
        return PipEngine(os.path.join(wheels, "uv"), wheels, config, uv_binary=uv_binary)

    async def remake(self, **more: object) -> None:
        self.engine = await asyncio.to_thread(self.make, **more)  # type: ignore[arg-type]

    async def lock(self, *lines: str | PipItem, progress: Progress | None = None, **more: Any) -> PipLock:
        items = [line if isinstance(line, PipItem) else item(line) for line in lines]
        python = more.pop("python", None) or describe_python(self.host)
        request = PipLockRequest(items=items, python=python, platform=PLATFORM, glibc=BASELINE_GLIBC, **more)
        return await self.engine.lock(request, progress)

    async def prefix(self, name: str, locked: PipLock, **more: object) -> Path:
        prefix = self.root / name
        await self.engine.create_venv(str(prefix), self.host.executable)
        python = str(prefix / "bin" / "python")
        await self.engine.install(locked.wheels, prefix=str(prefix), python_path=python, **more)  # type: ignore[arg-type]
        return prefix

    @property
    def runs_of_code(self) -> int:
        return len(self.trace.read_text().splitlines()) if self.trace.exists() else 0


def item(line: str) -> PipItem:
    kind = "option" if line.startswith("-") else "url" if "://" in line else "requirement"
    return PipItem(kind=kind, text=line)


def output(prefix: Path, code: str) -> str:
    done = subprocess.run([prefix / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def index() -> Iterator[PipIndex]:
    served = PipIndex()
    yield served
    served.close()


@pytest.fixture(autouse=True)
def nothing_blocks() -> Iterator[None]:
    """A blocking call of the engine's in the event loop fails the test."""
    with blockbuster_ctx(["roost.daemon.engines.uv"]):
        yield


@pytest.fixture
def bench(index: PipIndex) -> Iterator[Bench]:
    root = tempfile.mkdtemp(prefix="r", dir="/tmp")
    yield Bench(Path(root), index)
    shutil.rmtree(root)


# locking and installing


def tree(prefix: Path) -> dict[str, object]:
    """Everything in it, with its own name left out, and without RECORD, which has the digest of a script."""
    return {
        str(path.relative_to(prefix)): os.readlink(path)
        if path.is_symlink()
        else path.read_text().replace(prefix.name, "")
        for path in prefix.rglob("*")
        if not path.is_dir() and path.suffix != ".pyc" and path.name != "RECORD"
    }


async def test_another_venv_of_a_python_is_the_same_but_for_its_name(bench: Bench) -> None:
    name, content = wheel_bytes("leaf", "1.0")
    made = bench.root / name
    with zipfile.ZipFile(io.BytesIO(content)) as plain, zipfile.ZipFile(made, "w") as scripted:
        for path in plain.namelist():
            scripted.writestr(path, plain.read(path))
        scripted.writestr("leaf-1.0.dist-info/entry_points.txt", "[console_scripts]\nleaf = leaf:main\n")
    bench.index.add("leaf", (name, made.read_bytes()))
    locked = await bench.lock("leaf")
    first = await bench.prefix("01234567-aaaabbbb", locked)
    second = await bench.prefix("89abcdef-ccccdddd", locked)
    assert tree(first) == tree(second)
    assert (second / "bin/leaf").read_text().startswith(f"#!{second}/bin/python")
    assert output(second, "import leaf, sys; print(leaf.value, sys.prefix)") == f"1.0 {second}"


async def test_locks_by_sha256_and_installs_exactly_that(bench: Bench) -> None:
    sha256 = bench.index.wheel("leaf", "1.0")
    bench.index.wheel("top", "2.0", "leaf")
    locked = await bench.lock("top")
    assert [(w.name, w.version, w.kind) for w in locked.wheels] == [("leaf", "1.0", "index"), ("top", "2.0", "index")]
    assert locked.wheels[0].sha256 == sha256
    assert locked.wheels[0].url == f"{bench.index.origin}/files/leaf-1.0-py3-none-any.whl"

    bench.index.wheel("leaf", "1.1")
    prefix = await bench.prefix("p", locked)
    assert output(prefix, "import leaf; print(leaf.value)") == "1.0"
    assert output(prefix, "import sys; print(sys.prefix)") == str(prefix)
    assert not list(prefix.glob("bin/pip*"))


async def test_the_prefix_says_whose_it_is(bench: Bench) -> None:
    bench.index.wheel("leaf", "1.0")
    prefix = await bench.prefix("p", await bench.lock("leaf"))
    mark = next(prefix.glob("lib/python3*/EXTERNALLY-MANAGED")).read_text()
    assert mark.startswith("[externally-managed]\nError = ")
    assert "environment file" in mark


async def test_a_second_prefix_needs_no_network_and_shares_files(bench: Bench) -> None:
    bench.index.wheel("leaf", "1.0")
    locked = await bench.lock("leaf")
    first = await bench.prefix("one", locked)
    asked = bench.index.asked.total()
    second = await bench.prefix("two", locked)
    assert bench.index.asked.total() == asked
    files = [next(prefix.glob("lib/python3*/site-packages/leaf.py")) for prefix in (first, second)]
    assert files[0].stat().st_ino == files[1].stat().st_ino


async def test_installed_files_and_an_edit_in_place(bench: Bench) -> None:
    bench.index.wheel("leaf", "1.0")
    bench.index.wheel("other", "1.0")
    locked = await bench.lock("leaf", "other")
    prefix = await bench.prefix("one", locked)
    leaf = locked.wheels[0]
    module = next(prefix.glob("lib/python3*/site-packages/leaf.py"))
    recorded = await asyncio.to_thread(lambda: read_record(find_dist_info(str(prefix), leaf) or ""))
    assert str(module) in [path for path, _ in recorded]
    assert await bench.engine.repair_cache(locked.wheels) == []

    module.write_text("value = 'edited'\n")
    assert await asyncio.to_thread(find_altered_wheel_files, str(prefix), leaf) == [str(module)]
    assert await bench.engine.repair_cache(locked.wheels) == ["leaf"]
    mended = await bench.prefix("two", locked)
    assert output(mended, "import leaf; print(leaf.value)") == "1.0"


async def test_an_edit_in_place_does_not_reach_the_next_prefix(bench: Bench) -> None:
    """Nobody has noticed the edit yet: a file written after its package was unpacked is looked at in any case."""
    bench.index.wheel("leaf", "1.0")
    locked = await bench.lock("leaf")
    module = next((await bench.prefix("one", locked)).glob("lib/python3*/site-packages/leaf.py"))
    module.write_text("value = '9.9'\n")
    os.utime(module, (time.time() + 60, time.time() + 60))
    assert output(await bench.prefix("two", locked), "import leaf; print(leaf.value)") == "1.0"


async def test_what_a_killed_uv_left_is_removed(bench: Bench) -> None:
    left = [bench.root / "wheels" / path for path in ("tmp/x", "uv/.tmpA", "uv/builds-v0/.tmpB")]
    for folder in left:
        folder.mkdir(parents=True)
    await bench.remake()
    assert not any(folder.exists() for folder in left)


async def test_a_date_is_handed_on(bench: Bench) -> None:
    bench.index.wheel("leaf", "1.0")
    with pytest.raises(PipUnsatisfiableError):  # the index tells no upload times, so nothing is old enough
        await bench.lock("leaf", as_of=datetime(2020, 1, 1, tzinfo=timezone.utc))


# conda beside pip


async def test_what_conda_provides_is_not_installed_again(bench: Bench) -> None:
    bench.index.wheel("numeric", "2.0")
    bench.index.wheel("frames", "1.0", "numeric>=1.5")
    locked = await bench.lock("frames", provided={"numeric": "1.9"})
    assert [wheel.name for wheel in locked.wheels] == ["frames"]


@pytest.mark.parametrize("wanted", ["numeric>=2", "numeric==1.8", "frames==2.0"])
async def test_a_conflict_names_both_sides(bench: Bench, wanted: str) -> None:
    bench.index.wheel("numeric", "2.0")
    bench.index.wheel("frames", "2.0", "numeric>=2,<3")
    with pytest.raises(ConflictError) as caught:
        await bench.lock(wanted, "numeric", provided={"numeric": "1.9", "other": "1"})
    assert "numeric 1.9" in caught.value.message
    assert wanted.split("==2.0")[0] in caught.value.message
    assert caught.value.exit_status == 4


async def test_a_url_for_what_conda_provides_is_a_conflict(bench: Bench) -> None:
    bench.index.wheel("numeric", "1.9")
    url = f"{bench.index.origin}/files/numeric-1.9-py3-none-any.whl"
    for line in (f"numeric @ {url}", url):
        with pytest.raises(ConflictError, match=r"numeric 1\.9"):
            await bench.lock(line, provided={"numeric": "1.9"})


EXTRA = "colours>=1 ; extra == 'bright'\nProvides-Extra: bright"


@pytest.mark.parametrize("asks", ["itself", "another"])
async def test_extras_of_what_conda_provides_are_followed(bench: Bench, asks: str) -> None:
    """What an extra needs is what that very version needs it for; what conda provides is still installed once."""
    bench.index.wheel("numeric", "1.9", "other>=1", EXTRA)
    bench.index.wheel("numeric", "2.0", EXTRA.replace("colours", "shades"))
    bench.index.wheel("colours", "1.5", "numeric>=1")
    bench.index.wheel("other", "3.0")
    bench.index.wheel("frames", "1.0", "numeric[bright]")
    line = "numeric[bright]" if asks == "itself" else "frames"
    locked = await bench.lock(line, provided={"numeric": "1.9", "other": "1"})
    assert sorted(wheel.name for wheel in locked.wheels) == sorted({"colours", *({"frames"} & {line})})


async def test_extras_that_nobody_can_tell_of_are_refused(bench: Bench) -> None:
    bench.index.wheel("numeric", "2.0", EXTRA)
    with pytest.raises(PipUnsatisfiableError) as caught:
        await bench.lock("numeric[bright]", provided={"numeric": "1.9"})
    assert "conda provides numeric 1.9" in caught.value.message
    assert "List what the extra needs" in caught.value.hint


async def test_a_version_that_pep_440_does_not_know_is_left_alone(bench: Bench) -> None:
    bench.index.wheel("frames", "1.0", "numeric")
    locked = await bench.lock("frames", provided={"numeric": "2021a_b"})
    assert [wheel.name for wheel in locked.wheels] == ["frames"]


async def test_wheels_beside_real_conda_packages(bench: Bench, channels_folder: Path) -> None:
    """numpy is conda's and stays so; what pip adds finds it, and pip then keeps its hands off the prefix."""
    conda = engine(bench.root, channels_folder)
    packages = await solve(conda, "python=3.11", "numpy=1.26", "pip")
    python = next(package for package in packages if package.name == "python")
    facts = PythonFacts(version=python.version)
    bench.index.wheel("numpy", "2.0")
    bench.index.wheel("frames", "1.0", "numpy>=1.20")
    provided = await conda.find_distributions(packages)
    assert provided["numpy"].startswith("1.26")
    with pytest.raises(ConflictError, match=f"conda provides numpy {provided['numpy']}.* need numpy>=2"):
        await bench.lock("numpy>=2", python=facts, provided=provided)
    locked = await bench.lock("frames", python=facts, provided=provided)
    assert [wheel.name for wheel in locked.wheels] == ["frames"]

    prefix = bench.root / "p"
    await conda.link(packages, str(prefix))
    await bench.engine.install(locked.wheels, prefix=str(prefix), python_path=str(prefix / "bin" / "python"))
    shown = output(prefix, "import frames, numpy; print(frames.value, numpy.__version__)")
    assert shown == f"1.0 {provided['numpy']}"
    refused = subprocess.run([prefix / "bin" / "python", "-m", "pip", "install", "x"], capture_output=True, text=True)
    assert refused.returncode != 0
    assert "externally-managed" in refused.stderr
    await close_workers()


# sources


async def test_a_package_without_a_wheel_is_built_only_where_allowed(bench: Bench) -> None:
    sha256 = bench.index.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace)))
    bench.index.wheel("leaf", "1.0")
    with pytest.raises(LockNeedsBuildError, match="sourced"):
        await bench.lock("sourced", "leaf")
    assert bench.runs_of_code == 0

    locked = await bench.lock("sourced", "leaf", allow_builds=True)
    built = locked.wheels[1]
    assert (built.kind, built.origin, built.url) == ("built", f"sha256:{sha256}", None)
    ran = bench.runs_of_code
    again = await bench.lock("sourced", "leaf", allow_builds=True)
    assert again.wheels == locked.wheels
    assert bench.runs_of_code == ran, "a source is built once"
    prefix = await bench.prefix("p", locked)
    assert output(prefix, "import sourced; print(sourced.value)") == "1.0 built"
    assert bench.runs_of_code == ran


async def test_a_lock_says_from_what_and_with_what_a_wheel_was_built(bench: Bench) -> None:
    made = sdist_bytes("sourced", "1.0", str(bench.trace), build_requires=("helper>=1",), dynamic=("late",))
    sha256 = bench.index.add("sourced", made)
    helper, late = bench.index.wheel("helper", "1.5"), bench.index.wheel("late", "0.3")
    expected = WheelSource(
        kind="sdist",
        url=f"{bench.index.origin}/files/sourced-1.0.tar.gz",
        sha256=sha256,
        requires=(
            BuildRequirement(name="helper", version="1.5", sha256=helper),
            BuildRequirement(name="late", version="0.3", sha256=late),
        ),
    )
    assert (await bench.lock("sourced", allow_builds=True)).wheels[0].source == expected
    bench.index.wheel("helper", "1.6")
    assert (await bench.lock("sourced", allow_builds=True)).wheels[0].source == expected, "it is not built again"
    folder = project(bench, "mine", static=True)
    digest = f"sha256:{LocalFiles().tree_digest(str(folder)).removeprefix('sha256:')}"
    local = PipItem(kind="source", text="mine", path=str(folder), digest=digest)
    (wheel,) = (await bench.lock(local, allow_builds=True)).wheels
    assert wheel.source == WheelSource(kind="folder", sha256=digest.removeprefix("sha256:"))


async def test_allowing_builds_changes_nothing_for_those_with_wheels(bench: Bench) -> None:
    bench.index.wheel("leaf", "1.0")
    bench.index.add("leaf", sdist_bytes("leaf", "2.0", str(bench.trace)))
    bench.index.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace)))
    locked = await bench.lock("leaf", "sourced", allow_builds=True)
    assert [(wheel.name, wheel.version) for wheel in locked.wheels] == [("leaf", "1.0"), ("sourced", "1.0")]


async def test_a_kept_wheel_that_is_gone_or_damaged(bench: Bench) -> None:
    bench.index.add("sourced", sdist_bytes("sourced", "1.0", str(bench.trace)))
    locked = await bench.lock("sourced", allow_builds=True)
    kept = next((bench.root / "wheels" / "built").glob("*/sourced*.whl"))
    kept.chmod(0o644)
    kept.write_bytes(b"something else")
    with pytest.raises(WheelDigestMismatchError):
        await bench.prefix("one", locked)
    with pytest.raises(WheelMissingError):
        await bench.prefix("two", locked)


async def test_a_local_folder_is_built_in_a_copy(bench: Bench) -> None:
    folder = project(bench, "mine", static=True)
    digest = await asyncio.to_thread(LocalFiles().tree_digest, str(folder))
    source = PipItem(kind="source", text="mine", path=str(folder), digest=digest)
    with pytest.raises(LockNeedsBuildError, match="mine"):
        await bench.lock(source)
    before = sorted(folder.rglob("*"))
    locked = await bench.lock(source, allow_builds=True)
    assert [(wheel.name, wheel.kind) for wheel in locked.wheels] == [("mine", "built")]
    assert sorted(folder.rglob("*")) == before
    assert output(await bench.prefix("p", locked), "import mine; print(mine.value)") == "1.0 built"


async def test_a_folder_that_changes_meanwhile_is_noticed(bench: Bench) -> None:
    folder = project(bench, "mine")
    source = PipItem(kind="source", text="mine", path=str(folder), digest="sha256:" + "0" * 64)
    with pytest.raises(WheelDigestMismatchError, match="changed while"):
        await bench.lock(source, allow_builds=True)


async def test_a_given_wheel_is_kept_by_its_sha256(bench: Bench) -> None:
    bench.index.wheel("leaf", "1.0")
    name, content = wheel_bytes("given", "1.0", ("leaf",))
    path = bench.root / name
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    locked = await bench.lock(PipItem(kind="wheel", text=name, path=str(path), digest=f"sha256:{sha256}"))
    assert [(w.name, w.kind) for w in locked.wheels] == [("given", "local"), ("leaf", "index")]
    assert locked.wheels[0].sha256 == sha256
    path.unlink()
    assert output(await bench.prefix("p", locked), "import given; print(given.value)") == "1.0"


async def test_an_editable_folder_is_linked_and_not_copied(bench: Bench) -> None:
    folder = project(bench, "mine", static=True)
    editable = PipItem(kind="editable", text="mine", path=str(folder), digest="sha256:" + "a" * 64)
    locked = await bench.lock(editable)
    assert bench.runs_of_code == 0
    wheel = locked.wheels[0]
    assert (wheel.name, wheel.version, wheel.kind, wheel.path) == ("mine", "1.0", "editable", str(folder))
    assert wheel.sha256 == "a" * 64
    prefix = await bench.prefix("p", locked)
    info = next(prefix.glob("lib/python3*/site-packages/mine-1.0.dist-info/direct_url.json")).read_text()
    assert str(folder) in info


async def test_an_editable_folder_that_must_run_to_speak_is_refused_without_builds(bench: Bench) -> None:
    folder = project(bench, "mine")
    with pytest.raises(LockNeedsBuildError):
        await bench.lock(PipItem(kind="editable", text="mine", path=str(folder)))
    assert bench.runs_of_code == 0


@pytest.mark.skipif(
    not shutil.which("git") and not os.environ.get("ROOST_TEST_REQUIRE_ALL"), reason="this machine has no git"
)
async def test_a_git_commit_is_locked(bench: Bench) -> None:
    folder = project(bench, "mine", static=True)
    quiet = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-C", str(folder)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"], ["tag", "v1"]):
        subprocess.run([*quiet, *words], check=True, capture_output=True)
    commit = subprocess.run([*quiet, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    line = f"mine @ git+file://{folder}@v1"
    with pytest.raises(LockNeedsBuildError, match="mine"):
        await bench.lock(line)
    assert bench.runs_of_code == 0
    locked = await bench.lock(line, allow_builds=True)
    assert locked.wheels[0].kind == "built"
    assert locked.wheels[0].origin == f"git+file://{folder}@{commit}"
    assert locked.wheels[0].source == WheelSource(kind="git", url=f"file://{folder}", commit=commit)
    assert output(await bench.prefix("p", locked), "import mine; print(mine.value)") == "1.0 built"


async def test_a_build_that_fails_says_why(bench: Bench) -> None:
    folder = project(bench, "mine", static=True)
    (folder / "extra.py").write_text("raise SystemExit('no compiler today')")
    with pytest.raises(WheelBuildError, match="no compiler today"):
        await bench.lock(PipItem(kind="source", text="mine", path=str(folder)), allow_builds=True)


async def test_a_direct_url_is_locked_by_its_sha256(bench: Bench) -> None:
    sha256 = bench.index.wheel("leaf", "1.0")
    url = f"{bench.index.origin}/files/leaf-1.0-py3-none-any.whl"
    locked = await bench.lock(f"leaf @ {url}")
    wheel = locked.wheels[0]
    assert (wheel.kind, wheel.url, wheel.sha256, wheel.version) == ("url", url, sha256, "1.0")
    assert output(await bench.prefix("p", locked), "import leaf; print(leaf.value)") == "1.0"


async def test_a_url_that_leads_nowhere(bench: Bench) -> None:
    for line in (
        item(f"leaf @ {bench.index.origin}/files/leaf-9.0-py3-none-any.whl"),
        PipItem(kind="requirements", text=f"{bench.index.origin}/leaf.txt"),
    ):
        with pytest.raises(UrlGoneError, match="leaf"):
            await bench.lock(line)


# remote files, options, digests in the requirements


async def test_remote_requirements_are_read_once_and_recorded(bench: Bench) -> None:
    bench.index.wheel("leaf", "1.0")
    bench.index.wheel("leaf", "2.0")
    bench.index.text["/r/all.txt"] = "# what we use\n-c limits.txt\nleaf\n"
    bench.index.text["/r/limits.txt"] = "leaf<2\n"
    url = f"{bench.index.origin}/r/all.txt"
    locked = await bench.lock(PipItem(kind="requirements", text=url))
    assert [(wheel.name, wheel.version) for wheel in locked.wheels] == [("leaf", "1.0")]
    read = {remote.url: remote.sha256 for remote in locked.inputs}
    texts = {f"{bench.index.origin}{path}": text for path, text in bench.index.text.items()}
    assert read == {url: hashlib.sha256(text.encode()).hexdigest() for url, text in texts.items()}


@pytest.mark.parametrize("line", ["-e .", "./here.whl", "-f links"])
async def test_remote_requirements_get_nothing_of_this_machine(bench: Bench, line: str) -> None:
    bench.index.text["/r.txt"] = f"{line}\n"
    with pytest.raises(RemoteLineError, match="a path on this machine") as caught:
        await bench.lock(PipItem(kind="requirements", text=f"{bench.index.origin}/r.txt"))
    assert caught.value.location is not None
    assert caught.value.location.line == 1


@pytest.mark.parametrize(("option", "kind"), [("-r", "requirements"), ("-c", "constraints")])
async def test_a_variable_in_a_remote_file_decides_nothing(bench: Bench, option: str, kind: Any) -> None:
    bench.index.wheel("leaf", "1.0")
    bench.index.text["/r/all.txt"] = f"{option} inner.txt\n"
    bench.index.text["/r/inner.txt"] = "leaf\nleaf==${V}\n"
    with pytest.raises(VariableMisplacedError) as caught:
        await bench.lock("leaf", PipItem(kind=kind, text=f"{bench.index.origin}/r/all.txt"), variables={"V": "1.0"})
    where = caught.value.location
    assert where is not None
    assert (where.path, where.line, where.column) == (f"{bench.index.origin}/r/inner.txt", 2, 7)


async def test_remote_files_that_multiply_are_read_once_and_refused(bench: Bench) -> None:
    for level in range(30):
        bench.index.text[f"/r/{level}.txt"] = f"-r {level + 1}.txt\n" * 2
    bench.index.text["/r/30.txt"] = "leaf\n"
    with pytest.raises(TooLargeError, match="100,000 lines"):
        await bench.lock(PipItem(kind="requirements", text=f"{bench.index.origin}/r/12.txt"))
    bench.index.wheel("leaf", "1.0")
    locked = await bench.lock(PipItem(kind="requirements", text=f"{bench.index.origin}/r/25.txt"))
    assert [wheel.name for wheel in locked.wheels] == ["leaf"]


async def test_the_best_version_of_all_indexes_wins(bench: Bench) -> None:
    other = PipIndex()
    try:
        bench.index.wheel("leaf", "2.0")
        other.wheel("leaf", "1.0")
        locked = await bench.lock(f"--extra-index-url {other.url}", "leaf")
    finally:
        other.close()
    assert locked.wheels[0].version == "2.0"


async def test_links_in_a_folder_and_no_index(bench: Bench) -> None:
    bench.index.wheel("leaf", "2.0")
    links = bench.root / "links"
    links.mkdir()
    name, content = wheel_bytes("leaf", "1.0")
    (links / name).write_bytes(content)
    find = PipItem(kind="option", text="--find-links", path=str(links))
    locked = await bench.lock(find, "--no-index", "leaf")
    assert [(w.version, w.kind, w.sha256) for w in locked.wheels] == [
        ("1.0", "local", hashlib.sha256(content).hexdigest())
    ]


async def test_digests_in_the_requirements_are_honoured(bench: Bench) -> None:
    sha256 = bench.index.wheel("leaf", "1.0")
    locked = await bench.lock(f"leaf==1.0 --hash=sha256:{sha256}")
    assert locked.wheels[0].sha256 == sha256
    with pytest.raises(WheelDigestMismatchError, match="not one of the digests"):
        await bench.lock(f"leaf==1.0 --hash=sha256:{'a' * 64}")
    with pytest.raises(WheelDigestMismatchError, match="--require-hashes"):
        await bench.lock("--require-hashes", "leaf==1.0")


# faults of the index


async def test_a_lying_digest(bench: Bench) -> None:
    bench.index.wheel("leaf", "1.0")
    bench.index.wrong_digests.add("leaf-1.0-py3-none-any.whl")
    locked = await bench.lock("leaf")
    with pytest.raises(WheelDigestMismatchError, match="leaf"):
        await bench.prefix("p", locked)


async def test_a_truncated_wheel_and_the_next_try(bench: Bench) -> None:
    bench.index.wheel("leaf", "1.0")
    locked = await bench.lock("leaf")
    bench.index.truncated.add("leaf-1.0-py3-none-any.whl")
    await asyncio.to_thread(shutil.rmtree, bench.root / "wheels" / "uv")
    with pytest.raises(IndexUnreachableError):
        await bench.prefix("one", locked)
    bench.index.truncated.clear()
    assert output(await bench.prefix("two", locked), "import leaf; print(leaf.value)") == "1.0"


async def test_a_hanging_index_is_given_up(bench: Bench) -> None:
    bench.index.wheel("leaf", "1.0")
    bench.index.hanging.add("leaf-1.0-py3-none-any.whl")
    await bench.remake(timeout=1)
    start = time.monotonic()
    with pytest.raises(IndexUnreachableError) as caught:
        await bench.lock("leaf")
    assert time.monotonic() - start < 30
    assert caught.value.retryable
    assert caught.value.exit_status == 6


async def test_an_index_that_is_not_there(bench: Bench) -> None:
    await bench.remake(index_url="http://127.0.0.1:9/simple")
    with pytest.raises(IndexUnreachableError, match=r"127\.0\.0\.1:9"):
        await bench.lock("leaf")


async def test_credentials_open_the_index_and_show_nowhere(bench: Bench) -> None:
    bench.index.wheel("leaf", "1.0")
    bench.index.password = "s3cret-w0rd"
    with pytest.raises(IndexDeniedError) as caught:
        await bench.lock("leaf")
    assert not caught.value.retryable

    log = Log()
    credentials = {bench.index.origin: "somebody:s3cret-w0rd"}
    locked = await bench.lock("leaf", credentials=credentials, progress=log)
    await bench.prefix("p", locked, credentials=credentials, progress=log)
    assert "s3cret" not in repr(locked) + "".join(log.lines)
    wrong = {bench.index.origin: "somebody:other-w0rd"}
    with pytest.raises(IndexDeniedError) as denied:
        await bench.lock("leaf", "absent", credentials=wrong)
    assert "other-w0rd" not in denied.value.message
    for path in (bench.root / "wheels").rglob("*"):
        assert not path.is_file() or b"s3cret" not in path.read_bytes()


async def test_variables_fill_in_credentials(bench: Bench) -> None:
    bench.index.wheel("leaf", "1.0")
    bench.index.password = "s3cret-w0rd"
    await bench.remake(index_url="http://127.0.0.1:9/simple")
    line = f"--index-url {bench.index.url}".replace("://", "://${WHO}:${WORD}@")
    locked = await bench.lock(line, "leaf", variables={"WHO": "somebody", "WORD": "s3cret-w0rd"})
    assert "s3cret" not in repr(locked)
    assert locked.wheels[0].name == "leaf"


async def test_secrets_are_not_among_the_arguments(bench: Bench) -> None:
    script = bench.root / "uv"
    script.write_text(f'#!/bin/sh\necho "$@" >> {bench.root}/argv\ncat "$NETRC" >> {bench.root}/netrc\nexit 2\n')
    script.chmod(0o755)
    await bench.remake(uv_binary=str(script))
    with pytest.raises(UvFailedError):
        await bench.lock("leaf", credentials={bench.index.origin: "somebody:s3cret-w0rd"})
    assert "s3cret" not in (bench.root / "argv").read_text()
    assert "s3cret-w0rd" in (bench.root / "netrc").read_text()


async def test_a_wheel_that_is_none(bench: Bench) -> None:
    name, content = wheel_bytes("leaf", "1.0")
    bench.index.add("leaf", (name, content[: len(content) // 2]))
    with pytest.raises(WheelCorruptError):
        await bench.prefix("p", await bench.lock("leaf"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
async def test_a_full_disk(bench: Bench) -> None:
    """A real one: the store on a tmpfs of 4 MB."""
    name, content = wheel_bytes("large", "1.0", code="value = '" + "x" * 6_000_000 + "'\n")
    bench.index.add("large", (name, content))
    bench.index.wheel("leaf", "1.0")
    small = bench.root / "wheels"
    small.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        await bench.remake()
        prefix = bench.root / "p"
        await bench.engine.create_venv(str(prefix), bench.host.executable)
        locked = await bench.lock("large")
        python = str(prefix / "bin" / "python")
        with pytest.raises(StoreFullError) as caught:
            await bench.engine.install(locked.wheels, prefix=str(prefix), python_path=python)
        assert caught.value.retryable
        locked = await bench.lock("leaf")
        assert [wheel.name for wheel in locked.wheels] == ["leaf"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


# faults of uv


async def double(bench: Bench, body: str) -> None:
    """Makes the engine one whose uv is a script: faults that the real one does not show on command."""
    script = bench.root / "uv"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    await bench.remake(uv_binary=str(script))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("kill -9 $$", UvCrashedError),
        ("echo 'error: something odd' >&2; exit 2", UvFailedError),
        (
            "echo 'error: failed to write' >&2; echo '  cause: No space left on device (os error 28)' >&2; exit 2",
            StoreFullError,
        ),
    ],
)
async def test_a_uv_that_fails(bench: Bench, body: str, expected: type[Exception]) -> None:
    await double(bench, body)
    with pytest.raises(expected):
        await bench.lock("leaf")
    assert list((bench.root / "wheels" / "tmp").iterdir()) == []


async def test_a_uv_that_is_not_there(bench: Bench) -> None:
    await bench.remake(uv_binary="/nowhere/uv")
    with pytest.raises(UvCrashedError, match="/nowhere/uv"):
        await bench.lock("leaf")


async def test_cancelling_ends_everything_that_uv_started(bench: Bench) -> None:
    folder = project(bench, "mine", static=True)
    marks = bench.root / "pids"
    (folder / "extra.py").write_text(
        "import subprocess, os, time\n"
        "child = subprocess.Popen(['sh', '-c', 'trap \"\" TERM; sleep 60 & wait; sleep 60'])\n"
        f"open({str(marks)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n')\n"
        "time.sleep(60)\n"
    )
    source = PipItem(kind="source", text="mine", path=str(folder))
    task = asyncio.ensure_future(bench.lock(source, allow_builds=True))
    while not (marks.exists() and marks.read_text().endswith("\n")):
        await asyncio.sleep(0.05)
        assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for pid in marks.read_text().split():
        assert await gone(int(pid)), f"{pid} still runs"
    assert list((bench.root / "wheels" / "tmp").iterdir()) == []


async def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        await asyncio.sleep(0.02)
    return False


# nothing ambient


async def test_nothing_ambient_leaks_in(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.index.wheel("leaf", "1.0")
    bench.index.wheel("leaf", "2.0a1")
    before = await bench.lock("leaf")
    home, nowhere = bench.root / "home", "http://127.0.0.1:9/simple"
    for path, text in {
        "uv/uv.toml": f'prerelease = "allow"\nno-binary = true\nindex-url = "{nowhere}"\n',
        "pip/pip.conf": f"[global]\nindex-url = {nowhere}\npre = true\n",
    }.items():
        (home / ".config" / path).parent.mkdir(parents=True)
        (home / ".config" / path).write_text(text)
    work = bench.root / "work"
    work.mkdir()
    (work / "pyproject.toml").write_text(
        f'[tool.uv]\nprerelease = "allow"\nindex-url = "{nowhere}"\nconstraint-dependencies = ["leaf<1"]\n'
    )
    (work / "leaf.py").write_text("value = 'ambient'\n")
    monkeypatch.chdir(work)
    for name, value in {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "PIP_INDEX_URL": nowhere,
        "PIP_PRE": "1",
        "UV_INDEX_URL": nowhere,
        "UV_DEFAULT_INDEX": nowhere,
        "UV_PRERELEASE": "allow",
        "UV_NO_BINARY": "1",
        "UV_OFFLINE": "1",
        "UV_CONSTRAINT": str(work / "absent.txt"),
        "UV_CACHE_DIR": str(work / "cache"),
        "UV_CONFIG_FILE": str(home / ".config" / "uv" / "uv.toml"),
        "PYTHONPATH": str(work),
        "PYTHONHOME": "/nowhere",
        "VIRTUAL_ENV": str(work),
        "CONDA_PREFIX": str(work),
    }.items():
        monkeypatch.setenv(name, value)
    await bench.remake()
    after = await bench.lock("leaf")
    assert after == before
    await bench.prefix("p", after)
    assert not (work / "cache").exists()


# interpreters


async def test_the_python_of_a_lock_of_format_1_is_that_executable_or_none(bench: Bench) -> None:
    def choose(version: str, executable: str) -> str:
        provider = HostPython(version=version, executable=executable)
        return host_python.choose_for_lock(Lock(platform=PLATFORM, provider=provider)).executable

    assert choose(bench.host.version, bench.host.executable) == bench.host.executable
    with pytest.raises(InterpreterChangedError, match=r"3\.9\.99"):
        choose("3.9.99", bench.host.executable)
    with pytest.raises(InterpreterChangedError, match="no longer exists"):
        choose("3.9.99", "/nowhere/python3")


async def test_an_interpreter_replaced_by_another_version_is_noticed(bench: Bench) -> None:
    """A stand-in for a distribution's upgrade: the same path, another Python behind it."""
    path = bench.root / "python3.99"
    write_fake_python(path, "3.99.1")
    locked = HostPython(version="3.99.1", executable=str(path))
    await asyncio.to_thread(host_python.check_unchanged, locked)
    write_fake_python(path, "3.99.2")
    with pytest.raises(InterpreterChangedError, match=r"3\.99\.2 now"):
        await asyncio.to_thread(host_python.check_unchanged, locked)


# the default index


async def test_the_default_index(bench: Bench) -> None:
    """uv's own default, for real; the one test here that needs a network."""
    wheels = str(bench.root / "wheels")
    engine = await asyncio.to_thread(PipEngine, os.path.join(wheels, "uv"), wheels, PipConfig())
    try:
        python = PythonFacts(version="3.11.5")
        request = PipLockRequest(items=[item("six==1.16.0")], python=python, platform=PLATFORM, glibc=BASELINE_GLIBC)
        locked = await engine.lock(request)
    except IndexUnreachableError:
        pytest.skip("the default index can't be reached from here")
    assert [(wheel.name, wheel.version) for wheel in locked.wheels] == [("six", "1.16.0")]
    assert locked.wheels[0].file_name == "six-1.16.0-py2.py3-none-any.whl"


def project(bench: Bench, name: str, *, static: bool = False) -> Path:
    folder = bench.root / "projects" / name
    folder.mkdir(parents=True)
    for path, text in backend_files(name, "1.0", str(bench.trace), static=static).items():
        (folder / path).write_text(text)
    return folder


# ---------------------------------------------------------------------------- preferences
async def test_what_was_there_stays_although_the_index_has_something_newer(bench: Bench) -> None:
    for version in ("1.0", "2.0"):
        bench.index.wheel("left", version)
        bench.index.wheel("right", version)
    preferences = {"left": "1.0", "right": "0.9", "absent": "1.0"}
    locked = await bench.lock("left", "right", preferences=preferences)
    assert {wheel.name: wheel.version for wheel in locked.wheels} == {"left": "1.0", "right": "2.0"}
    assert locked == await bench.lock("left==1.0", "right==2.0"), "a preference is in no lock"


async def test_a_preference_gives_way_to_a_requirement(bench: Bench) -> None:
    for version in ("1.0", "2.0"):
        bench.index.wheel("left", version)
    bench.index.wheel("new", "1.0", "left>=2")
    locked = await bench.lock("left", "new", preferences={"left": "1.0"})
    assert {wheel.name: wheel.version for wheel in locked.wheels} == {"left": "2.0", "new": "1.0"}


async def test_preferences_and_what_conda_provides_get_along(bench: Bench) -> None:
    for version in ("1.0", "2.0"):
        bench.index.wheel("left", version, "given")
    locked = await bench.lock("left", provided={"given": "3.0"}, preferences={"left": "1.0", "given": "1.0"})
    assert [(wheel.name, wheel.version) for wheel in locked.wheels] == [("left", "1.0")]


async def test_what_had_to_be_built_is_preferred_too(bench: Bench) -> None:
    for version in ("1.0", "2.0"):
        bench.index.add("built", sdist_bytes("built", version, str(bench.trace)))
    locked = await bench.lock("built", allow_builds=True, preferences={"built": "1.0"})
    assert [(wheel.name, wheel.version, wheel.kind) for wheel in locked.wheels] == [("built", "1.0", "built")]


async def test_a_new_package_moves_exactly_what_does_not_fit_it(bench: Bench) -> None:
    former = {"one": "1", "two": "2", "three": "3"}
    for name in former:
        for version in ("1", "2", "3", "4"):
            bench.index.wheel(name, version)
    needs = [(), ("one>=2",), ("one<=1", "two>2"), ("one", "two", "three"), ("one>=2", "two!=2", "three<3")]
    for number, lines in enumerate(needs):
        bench.index.wheel(f"new{number}", "1", *lines)
        locked = await bench.lock(*former, f"new{number}", preferences=former)
        requirements = {parsed.name: parsed for parsed in map(Requirement, lines)}
        moved = {wheel.name for wheel in locked.wheels if former.get(wheel.name, wheel.version) != wheel.version}
        unfit = {name for name, r in requirements.items() if not r.specifier.contains(former[name])}
        assert moved == unfit, lines


async def test_the_cache_is_tried_alone_only_if_it_may_have_everything(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[str] = []
    run, is_reachable = UvProcess.run, True

    async def noted(self: UvProcess, arguments: Any, *words: Any, **options: Any) -> Any:
        if arguments[:2] == ["pip", "install"]:
            ways.append("cache" if "--offline" in arguments else "index")
            if ways[-1] == "index" and not is_reachable:
                return ProcessResult(status=2, stdout="", stderr="error: the index is away")
        return await run(self, arguments, *words, **options)

    monkeypatch.setattr(UvProcess, "run", noted)
    bench.index.wheel("single", "1.0")
    bench.index.wheel("other", "1.0")
    one, both = await bench.lock("single"), await bench.lock("single", "other")
    for name, locked, expected in (
        ("first", one, ["index"]),
        ("again", one, ["cache"]),
        ("more", both, ["index"]),
        ("all", both, ["cache"]),
    ):
        ways.clear()
        await bench.prefix(name, locked)
        assert ways == expected, name
    monkeypatch.setattr(engine_module, "find_absent", lambda *words: ["single"])
    is_reachable = False  # what is cached under a name that is not expected installs without an index
    ways.clear()
    prefix = await bench.prefix("kept", both)
    assert ways == ["index", "cache"]
    assert await asyncio.to_thread(find_dist_info, str(prefix), both.wheels[0])
