"""Wheels in layers: fetched once by sha256, installed for the path in the image, whatever platform they are for."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.images.layers import Place, extract, lock_of, place
from tests.support.pip_index import PipIndex, wheel_bytes

from roost.daemon.engines.uv.errors import IndexUnreachableError, WheelCorruptError, WheelDigestMismatchError
from roost.daemon.layers.grouping import PREFIX_IN_IMAGE
from roost.model.locks.lock import Wheel

SITE = "lib/python3.11/site-packages"
INFO = "tool-1.0.dist-info"


@pytest.fixture
def index() -> Iterator[PipIndex]:
    server = PipIndex()
    yield server
    server.close()


def offered(index: PipIndex, made: tuple[str, bytes], name: str = "tool") -> Wheel:
    index.add(name, made)
    return Wheel(
        name=name, version="1.0", file_name=made[0], url=f"{index.origin}/files/{made[0]}",
        sha256=hashlib.sha256(made[1]).hexdigest(), size=len(made[1]),
    )  # fmt: skip


def full_wheel(tag: str = "py3-none-any", **replaced: str) -> tuple[str, bytes]:
    """A wheel with everything that a wheel may have."""
    files = {
        "tool/__init__.py": "def main():\n    print('hello')\n",
        "tool/data.txt": "data\n",
        "tool-1.0.data/scripts/tool-script": "#!python\nimport tool\ntool.main()\n",
        "tool-1.0.data/data/share/tool/x.txt": "x\n",
        "tool-1.0.data/headers/tool.h": "int x;\n",
        "tool-1.0.data/platlib/tool/native.py": "N = 1\n",
        f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n",
        f"{INFO}/WHEEL": f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{INFO}/entry_points.txt": "[console_scripts]\ntool-entry = tool:main\n",
        **replaced,
    }
    rows = [f"{path},{_digest(text)},{len(text)}\n" for path, text in files.items()]
    files[f"{INFO}/RECORD"] = "".join([*rows, f"{INFO}/RECORD,,\n"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), text)
    return f"tool-1.0-{tag}.whl", buffer.getvalue()


def _digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


async def python(there: Place):  # type: ignore[no-untyped-def]
    return await there.solve("python=3.11")


async def test_a_wheel_is_installed_for_its_path_in_the_image(
    short_folder: Path, channel: Path, index: PipIndex
) -> None:
    wheel = offered(index, full_wheel())
    async with place(short_folder / "r", channel) as there:
        content = await there.write(lock_of(await python(there), [wheel]))
    prefix = extract(content.layers, short_folder / "x")
    assert (prefix / "bin/tool-script").read_text().startswith(f"#!{PREFIX_IN_IMAGE}/bin/python\n")
    assert (prefix / "bin/tool-entry").read_text().startswith(f"#!{PREFIX_IN_IMAGE}/bin/python\n")
    assert {(prefix / "bin" / name).stat().st_mode & 0o777 for name in ("tool-script", "tool-entry")} == {0o755}
    assert (prefix / "share/tool/x.txt").read_text() == "x\n"
    assert (prefix / "include/python3.11/tool/tool.h").read_text() == "int x;\n"
    assert (prefix / SITE / "tool/native.py").exists()
    record = (prefix / SITE / INFO / "RECORD").read_text()
    assert "../../../bin/tool-entry,sha256=" in record
    assert (prefix / SITE / "tool/__pycache__/__init__.cpython-311.pyc").read_bytes()[4:8] == b"\x01\0\0\0"
    (layer,) = [layer for layer in content.layers if "tool 1.0" in layer.packages]
    assert layer.packages == ("tool 1.0",)


async def test_a_wheel_is_fetched_once_and_another_platforms_too(
    short_folder: Path, channel: Path, index: PipIndex
) -> None:
    wheel = offered(index, full_wheel("cp311-cp311-manylinux_2_28_aarch64"))
    async with place(short_folder / "r", channel) as there:
        first = await there.pip.fetch_wheel_files([wheel])
        second = await there.pip.fetch_wheel_files([wheel])
        path = Path(first[wheel.sha256])
        assert first == second
        assert path.parent == Path(there.store.layout.wheels, "fetched", wheel.sha256)
        assert index.asked[f"/files/{wheel.file_name}"] == 1
        path.write_bytes(path.read_bytes() + b"x")  # damaged: fetched anew
        await there.pip.fetch_wheel_files([wheel])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == wheel.sha256
        assert index.asked[f"/files/{wheel.file_name}"] == 2
        content = await there.write(lock_of(await python(there), [wheel]))
    assert (extract(content.layers, short_folder / "x") / SITE / "tool/data.txt").exists()


async def test_what_an_index_sends_is_checked(short_folder: Path, channel: Path, index: PipIndex) -> None:
    wheel = offered(index, full_wheel())
    index.files[wheel.file_name] = wheel_bytes("tool", "1.0")[1]
    async with place(short_folder / "r", channel) as there:
        with pytest.raises(WheelDigestMismatchError, match=r"tool-1\.0"):
            await there.pip.fetch_wheel_files([wheel])
        index.files[wheel.file_name] = full_wheel()[1]
        index.truncated.add(wheel.file_name)
        with pytest.raises(IndexUnreachableError):
            await there.pip.fetch_wheel_files([wheel])
        assert not Path(there.store.layout.wheels, "fetched", wheel.sha256).exists()
        index.truncated.clear()
        assert await there.pip.fetch_wheel_files([wheel])


async def test_a_wheel_that_is_none_is_an_error_with_its_name(
    short_folder: Path, channel: Path, index: PipIndex
) -> None:
    broken = [("tool-1.0-py3-none-any.whl", b"no zip"), full_wheel(**{f"{INFO}/WHEEL": "Wheel-Version: 9.0\n"})]
    async with place(short_folder / "r", channel) as there:
        packages = await python(there)
        for made in broken:
            with pytest.raises(WheelCorruptError, match=r"tool-1\.0-py3"):
                await there.write(lock_of(packages, [offered(index, made)]))
        assert not list(Path(there.store.layout.stage).iterdir())
        assert await there.write(lock_of(packages))
