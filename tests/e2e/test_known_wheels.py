"""Wheels that uv has installed once are linked without it: the same prefix, or uv makes it."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hashlib
import io
import os
import shutil
import stat
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from tests.support.pip_index import PipIndex, wheel_bytes

from roost.daemon.engines.conda.platforms import BASELINE_GLIBC
from roost.daemon.engines.host_python import engine as host_python
from roost.daemon.engines.uv.engine import PipConfig, PipEngine
from roost.daemon.engines.uv.parts.files import describe_maker, load_part
from roost.daemon.engines.uv.parts.learning import learn_parts
from roost.daemon.engines.uv.parts.linking import LinkedWheels
from roost.daemon.engines.uv.prefix import find_altered_wheel_files
from roost.daemon.engines.uv.request import PipLockRequest, describe_python
from roost.daemon.integrity.records import load_known_files
from roost.daemon.integrity.trees import collect_manifest
from roost.daemon.oci.target_platforms import local_platform
from roost.daemon.prefixes.linked_wheels import complete_venv, list_venv
from roost.daemon.prefixes.seal import seal_known, seal_prefix
from roost.model.definition import PipItem
from roost.model.locks.lock import Wheel
from roost.store.disk.file_ops import measure_tree

LATER_NS = 10**9


class Bench:
    """An engine, an index with three wheels, and prefixes of the wheels."""

    def __init__(self, root: Path, index: PipIndex) -> None:
        self.root, self.count = root, 0
        self.host = host_python.choose_interpreter(">=3.10")
        wheels = str(root / "wheels")
        self.engine = PipEngine(os.path.join(wheels, "uv"), wheels, PipConfig(index_url=index.url, retries=0))
        self.wheels: list[Wheel] = []

    async def lock(self, *names: str) -> list[Wheel]:
        request = PipLockRequest(
            items=[PipItem(kind="requirement", text=name) for name in names],
            python=describe_python(self.host),
            platform=local_platform({}),
            glibc=BASELINE_GLIBC,
        )
        return list((await self.engine.lock(request)).wheels)

    async def venv(self) -> Path:
        self.count += 1
        prefix = self.root / f"01234567-aaaaaaa{'abcdefghijklmnopqrstuvwxyz'[self.count]}"
        await self.engine.create_venv(str(prefix), self.host.executable)
        return prefix

    async def installed(self, wheels: list[Wheel]) -> Path:
        prefix = await self.venv()
        await self.engine.install(wheels, prefix=str(prefix), python_path=str(prefix / "bin/python"))
        return prefix

    async def learn(self, prefix: Path, wheels: list[Wheel]) -> int:
        def learn() -> int:
            manifest = collect_manifest(str(prefix), {}, 0)
            sealed = time.time_ns() + LATER_NS
            return learn_parts(self.engine.parts, str(prefix), wheels, manifest.files, sealed)

        return await asyncio.to_thread(learn)

    async def linked(self, wheels: list[Wheel]) -> tuple[Path, LinkedWheels]:
        prefix = await self.venv()
        return prefix, await self.engine.link_known(wheels, str(prefix))

    def unpacked(self, path: str) -> Path:
        (found,) = (self.root / "wheels/uv").glob(f"archive-v*/*/{path}")
        return found


def special_wheel() -> tuple[str, bytes]:
    """A wheel with scripts of both kinds, data, a header, a module that is not ASCII, and byte-code of its own."""
    info, data = "special-1.0.dist-info", "special-1.0.data"
    files = {
        f"{info}/entry_points.txt": b"[console_scripts]\nspecial = special:main\nalso = special:main\n",
        f"{data}/scripts/given": b"#!python\nprint('given')\n",
        f"{data}/scripts/shell": b"#!/bin/sh\necho shell\n",
        f"{data}/data/share/special/data.txt": b"data\n",
        f"{data}/headers/special.h": b"int x;\n",
        "special_parts/größe.py": b"",
        "special_parts/below/__init__.py": b"x = 1\n",
        "special_parts/below/empty.txt": b"",
        "special_parts/__pycache__/other.cpython-311.pyc": b"no byte-code",
    }
    return extend_wheel("special", files)


def wheel_with_tool(name: str) -> tuple[str, bytes]:
    """A wheel with a script of its own metadata, and one that it brings along."""
    return extend_wheel(
        name,
        {
            f"{name}-1.0.dist-info/entry_points.txt": f"[console_scripts]\ntool = {name}:main\n".encode(),
            f"{name}-1.0.data/scripts/given": f"#!python\nprint({name!r})\n".encode(),
            "shared/__init__.py": f"{name!r:9}\n".encode(),
        },
    )


def extend_wheel(name: str, more: dict[str, bytes]) -> tuple[str, bytes]:
    """A wheel in version 1.0 with more files."""
    file, content = wheel_bytes(name, "1.0")
    with zipfile.ZipFile(io.BytesIO(content)) as plain:
        files = {path: plain.read(path) for path in plain.namelist() if not path.endswith("RECORD")}
    info = f"{name}-1.0.dist-info"
    files |= more
    rows = [f"{path},{encode_digest(text)},{len(text)}\n" for path, text in files.items()]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return file, buffer.getvalue()


def encode_digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@pytest.fixture(autouse=True)
def nothing_blocks() -> Iterator[None]:
    with blockbuster_ctx(["roost.daemon.engines.uv"]):
        yield


@pytest.fixture
def bench() -> Iterator[Bench]:
    index, root = PipIndex(), Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    for name in ("leaf", "other"):
        index.wheel(name, "1.0")
    index.add("special", special_wheel())
    for name in ("first", "second"):
        index.add(name, wheel_with_tool(name))
    yield Bench(root, index)
    index.close()
    subprocess.run(["chmod", "-R", "u+w", root], check=True)
    shutil.rmtree(root)


def tree(prefix: Path) -> dict[str, object]:
    """Type, mode, links and content of everything; without its own name, and RECORD, which has the digest of that."""
    found: dict[str, object] = {}
    for path in prefix.rglob("*"):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file() and path.name != "RECORD":
            content = path.read_bytes().replace(prefix.name.encode(), b"")
        shared = status.st_ino if status.st_nlink > 1 and not path.is_dir() else None
        found[str(path.relative_to(prefix))] = (stat.filemode(status.st_mode), shared, content)
    return found


async def test_a_linked_prefix_is_the_one_that_uv_makes(bench: Bench) -> None:
    wheels = await bench.lock("leaf", "special")
    first = await bench.installed(wheels)
    assert await bench.learn(first, wheels) == 2
    assert await bench.learn(first, wheels) == 0
    by_uv = await bench.installed(wheels)
    prefix, linked = await bench.linked(wheels)
    assert linked.rest == []
    assert tree(prefix) == tree(by_uv)
    for wheel in wheels:
        part = linked.parts[wheel.sha256]
        assert await asyncio.to_thread(find_altered_wheel_files, str(prefix), wheel) == []
        for written in part.render(by_uv.name):
            assert (by_uv / part.locate(written.path)).read_bytes() == written.content
    done = subprocess.run([prefix / "bin/given"], capture_output=True, text=True, check=True)
    assert done.stdout == "given\n"


async def test_its_content_is_known_without_looking(bench: Bench) -> None:
    wheels = await bench.lock("leaf", "special")
    by_uv, prefix = await bench.installed(wheels), await bench.venv()
    await bench.learn(by_uv, wheels)
    venv = await asyncio.to_thread(list_venv, str(prefix), 0)
    linked = await bench.engine.link_known(wheels, str(prefix))

    def check() -> None:
        store = str(bench.root / "bytecode")
        content = complete_venv(venv, linked, str(prefix), store, "cpython-311-00")
        assert content.bytecode_due
        seen = collect_manifest(str(prefix), {}, 0)
        assert dict(content.manifest.files) == dict(seen.files)
        assert sorted(content.manifest.folders) == sorted(seen.folders)
        assert content.manifest.links == seen.links
        seal_known(str(prefix), [], content)
        seal_prefix(str(by_uv), [], {}, 0)
        os.sync()
        assert content.count.measure() == measure_tree(str(prefix))
        assert tree(prefix) == tree(by_uv)

    await asyncio.to_thread(check)


def edit_in_place(file: Path) -> None:
    file.write_text("value = '2.0'\n")


def replace_with_the_same(file: Path) -> None:
    status = file.stat()
    shutil.copy2(file, f"{file}.new")
    os.replace(f"{file}.new", file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def delete(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("damage", [edit_in_place, replace_with_the_same, delete])
async def test_what_was_changed_since_is_left_to_uv(bench: Bench, damage: Callable[[Path], None]) -> None:
    wheels = await bench.lock("leaf", "other")
    await bench.learn(await bench.installed(wheels), wheels)
    await asyncio.to_thread(lambda: damage(bench.unpacked("leaf.py")))
    prefix, linked = await bench.linked(wheels)
    assert [wheel.name for wheel in linked.rest] == ["leaf"]
    assert not list(prefix.rglob("leaf*"))
    assert list(prefix.rglob("other.py"))
    installed = await bench.engine.install(linked.rest, prefix=str(prefix), python_path=str(prefix / "bin/python"))
    assert installed.modified == (["leaf"] if damage is not replace_with_the_same else [])
    assert next(prefix.rglob("leaf.py")).read_text() == "value = '1.0'\n"
    assert await bench.learn(prefix, wheels) == 1
    assert (await bench.linked(wheels))[1].rest == []


async def test_a_file_in_the_way_and_a_cache_that_is_cleaned_leave_it_to_uv(bench: Bench) -> None:
    wheels = await bench.lock("leaf", "other")
    await bench.learn(await bench.installed(wheels), wheels)
    prefix = await bench.venv()
    site = next(prefix.glob("lib/python3*/site-packages"))
    (site / "leaf.py").write_text("own\n")
    linked = await bench.engine.link_known(wheels, str(prefix))
    assert [wheel.name for wheel in linked.rest] == ["leaf"]
    assert (site / "leaf.py").read_text() == "own\n"
    assert not list(site.glob("leaf-*"))
    lock = os.open(bench.root / "wheels/uv/.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert (await bench.linked(wheels))[1].rest == wheels
    os.close(lock)
    assert (await bench.linked(wheels))[1].rest == []


async def test_parts_of_others_and_damaged_parts_are_not_used(bench: Bench) -> None:
    wheels = await bench.lock("leaf")
    first = await bench.installed(wheels)
    await bench.learn(first, wheels)
    (path,) = (bench.root / "wheels/parts").iterdir()
    maker = await asyncio.to_thread(describe_maker, bench.engine.parts, str(first))
    assert await asyncio.to_thread(load_part, str(path), maker) is not None
    assert await asyncio.to_thread(load_part, str(path), f"{maker}x") is None
    content = path.read_bytes()
    for damaged in (content[:-1], content[:90], b"", content.replace(b"leaf", b"life")):
        path.write_bytes(damaged)
        assert await asyncio.to_thread(load_part, str(path), maker) is None
        assert (await bench.linked(wheels))[1].rest == wheels
    assert await bench.learn(first, wheels) == 1
    assert (await bench.linked(wheels))[1].rest == []


async def test_what_is_not_understood_is_not_learned(bench: Bench) -> None:
    wheels = await bench.lock("leaf", "other")
    prefix = await bench.installed(wheels)
    site = next(prefix.glob("lib/python3*/site-packages"))

    def change() -> None:
        manifest = collect_manifest(str(prefix), {}, 0)
        (site / "other.py").unlink()
        (site / "other.py").symlink_to("leaf.py")
        os.chmod(site / "leaf-1.0.dist-info/INSTALLER", 0o644)
        (site / "leaf-1.0.dist-info/INSTALLER").write_text("me")
        assert learn_parts(bench.engine.parts, str(prefix), wheels, manifest.files, time.time_ns() + LATER_NS) == 0

    await asyncio.to_thread(change)
    assert not (bench.root / "wheels/parts").exists()
    assert [part.name for part in (await bench.linked(wheels))[1].rest] == ["leaf", "other"]


async def test_files_of_two_wheels_are_neither_mistaken_nor_learned(bench: Bench) -> None:
    wheels = await bench.lock("first", "second")
    both = await bench.installed(wheels)
    records = await asyncio.to_thread(load_known_files, str(both))
    seen = await asyncio.to_thread(collect_manifest, str(both), records.digests, time.time_ns() + LATER_NS)
    for path in ("bin/tool", "bin/given", *(str(each.relative_to(both)) for each in both.rglob("shared/*.py"))):
        assert seen.files[path][1] == hashlib.sha256((both / path).read_bytes()).hexdigest()
    await bench.learn(both, wheels)
    for wheel in wheels:
        prefix, linked = await bench.linked([wheel])
        if linked.rest:
            await bench.engine.install(linked.rest, prefix=str(prefix), python_path=str(prefix / "bin/python"))
        assert f"from {wheel.name} import main" in (prefix / "bin/tool").read_text()
        assert f"print({wheel.name!r})" in (prefix / "bin/given").read_text()
        assert await asyncio.to_thread(find_altered_wheel_files, str(prefix), wheel) == []


async def test_what_was_written_with_the_manifest_is_read_again(bench: Bench) -> None:
    wheels = await bench.lock("leaf", "other")
    prefix = await bench.installed(wheels)

    def learn() -> None:
        manifest = collect_manifest(str(prefix), {}, 0)
        module = next(prefix.rglob("leaf.py"))
        status = module.stat()
        module.write_text("value = '2.0'\n")
        os.utime(module, ns=(status.st_atime_ns, status.st_mtime_ns))
        time.sleep(0.06)  # younger files are left for the next time
        assert learn_parts(bench.engine.parts, str(prefix), wheels, manifest.files, status.st_mtime_ns) == 1

    await asyncio.to_thread(learn)
    assert [wheel.name for wheel in (await bench.linked(wheels))[1].rest] == ["leaf"]
