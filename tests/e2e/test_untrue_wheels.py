"""Wheels that contradict themselves or unpack to very much: the build fails, names them, and leaves nothing."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.roost_process import Roost

INFO = "greet-1.0.dist-info"
GOOD = "0" * 43


def altered(record: str | None = None, more: dict[str, bytes] | None = None, drop: str = "") -> tuple[str, bytes]:
    """The wheel of greet 1.0 with other lines at the end of its RECORD, with more files, or without one."""
    name, content = wheel_bytes("greet", "1.0")
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            text = old.read(info)
            if info.filename == f"{INFO}/RECORD":
                text += f"{INFO}/RECORD,,\n{record or ''}".encode()
            if info.filename != drop:
                new.writestr(zipfile.ZipInfo(info.filename, (2020, 1, 1, 0, 0, 0)), text)
        for path, added in (more or {}).items():
            new.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), added, zipfile.ZIP_DEFLATED)
    return name, buffer.getvalue()


def left_over(roost: Roost) -> list[str]:
    """Prefixes, and what uv's cache has of greet."""
    unpacked = (roost.root / "wheels/uv").glob("archive-v*/*/greet.py")
    return [*map(str, unpacked), *(path.name for path in (roost.root / "prefixes").iterdir())]


@pytest.mark.parametrize("digest", [GOOD, ""], ids=["digest", "size"])
def test_a_record_that_contradicts_its_wheel(roost: Roost, pip_index: PipIndex, digest: str) -> None:
    record = f"extra.py,sha256={digest},5\n" if digest else "extra.py,,7\n"
    pip_index.add("greet", altered(record=record, more={"extra.py": b"12345"}))
    roost.write("requirements.txt", "greet\n")
    for _ in range(2):  # what was unpacked once is not trusted the second time
        error = roost.failed(4, "build", "-f", "requirements.txt")
        assert error["code"] == "wheel-corrupt"
        assert "The wheel of greet-1.0 contradicts its own list of files" in error["message"]
        assert "'extra.py' has another content than is listed" in error["message"]
        assert left_over(roost) == []
    roost.write("requirements.txt", "greet >1\n")
    pip_index.wheel("greet", "2.0")
    roost.ok("exec", "-f", "requirements.txt", "--", "python", "-c", "import greet")


LESSER = {
    "unlisted": altered(more={"extra.py": b"value = 5\n"}),
    "absent": altered(record="absent.py,,3\n"),
    "outside": altered(record="../../../evil.py,,3\n"),
}


@pytest.mark.parametrize("wheel", LESSER.values(), ids=LESSER)
def test_a_record_that_is_merely_not_complete_is_repaired_by_uv(
    roost: Roost, pip_index: PipIndex, wheel: tuple[str, bytes]
) -> None:
    pip_index.add("greet", wheel)
    roost.write("requirements.txt", "greet\n")
    build = roost.json("build", "-f", "requirements.txt")["build"]
    roost.ok("cache", "verify")
    prefix = Path(build["artifacts"][0]["path"])
    assert list(prefix.parent.rglob("evil.py")) == []
    (record,) = prefix.rglob(f"{INFO}/RECORD")
    assert "absent.py" not in record.read_text()


def test_a_wheel_that_unpacks_to_more_than_the_bound(roost: Roost, pip_index: PipIndex) -> None:
    bomb = altered(more={"zeros.bin": bytes(30_000_000)})
    assert len(bomb[1]) < 100_000
    pip_index.add("greet", bomb)
    roost.write("requirements.txt", "greet\n")
    roost.config.write_text(roost.config.read_text() + "[builds]\nunpacked_bytes = 10_000_000\n")
    error = roost.failed(4, "build", "-f", "requirements.txt")
    assert error["code"] == "package-too-large"
    assert "greet has more than 10,000,000 bytes when it is unpacked" in error["message"]
    assert "unpacked_bytes" in error["hint"]
    assert left_over(roost) == []
    text = roost.config.read_text().replace("10_000_000", "100_000_000")
    roost.config.write_text(text)
    roost.ok("daemon", "stop")
    roost.ok("exec", "-f", "requirements.txt", "--", "python", "-c", "import greet")


def test_a_conda_package_that_unpacks_to_more_than_the_bound(own_conda_roost: Roost) -> None:
    roost = own_conda_roost
    roost.config.write_text(roost.config.read_text() + "[builds]\nunpacked_bytes = 100\n")
    roost.write("environment.yml", "dependencies: [dated]\n")
    error = roost.failed(4, "build", "-f", "environment.yml")
    assert error["code"] == "package-too-large"
    assert "dated-" in error["message"]
    assert list((roost.root / "prefixes").iterdir()) == []
    assert [path for path in Path(roost.root / "packages/conda/packages").glob("dated-*") if path.is_dir()] == []
