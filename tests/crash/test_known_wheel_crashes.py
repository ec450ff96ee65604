"""SIGKILL while it is learned what uv makes of wheels, and while they are linked from that."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, new_roost

CHECK = ("exec", "-f", "two.txt", "--", "python", "-c", "import two; print(two.value)")


@pytest.fixture
def roost() -> Iterator[Roost]:
    index = PipIndex()
    for name in ("one", "two"):
        index.wheel(name, "1.0")
    made = new_roost()
    made.config.write_text(f'[pip]\nindex_url = "{index.url}"\n')
    yield made
    made.end()
    index.close()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def list_names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


def list_prefixes(roost: Roost) -> set[str]:
    return {str(path) for path in (roost.root / "prefixes").iterdir() if path.is_dir()}


def build(roost: Roost, *names: str) -> str:
    file = f"{'-'.join(names)}.txt"
    roost.write(file, "\n".join(names))
    path: str = roost.json("build", "-f", file)["build"]["artifacts"][0]["path"]
    return path


def test_killed_while_learning_and_while_linking(roost: Roost) -> None:
    parts = roost.root / "wheels/parts"
    roost.variables["ROOST_FAILPOINT"] = "parts.written"
    ready = {build(roost, "one")}
    wait_until(lambda: roost.daemon_pid() is None)
    (cut,) = list_names(parts)
    assert cut.endswith(".new")
    del roost.variables["ROOST_FAILPOINT"]
    ready.add(build(roost, "one", "two"))
    wait_until(lambda: len(list_names(parts)) == 2 and cut not in list_names(parts))

    roost.ok("daemon", "stop")
    roost.write("two.txt", "two")
    assert roost.run("build", "-f", "two.txt", variables={"ROOST_FAILPOINT": "parts.linked"}).returncode != 0
    (begun,) = list_prefixes(roost) - ready
    assert list(Path(begun).rglob("two.py"))
    linked = build(roost, "two")
    ready.add(linked)
    assert list_prefixes(roost) == ready
    logs = [path.read_text() for path in (roost.root / "logs").rglob("*") if path.is_file()]
    assert sum("Linked 1 packages that were installed before" in text for text in logs) == 1
    assert roost.ok(*CHECK) == "1.0\n"
    assert roost.json("cache", "verify")["findings"] == []

    # An edit in place reaches uv's cache: the wheel is unpacked anew, and what was learned of it is not used.
    (module,) = Path(linked).rglob("two.py")
    with module.open("a") as stream:
        stream.write("value = 'edited'\n")
    os.utime(module, (time.time() + 9, time.time() + 9))  # after what unpacking may have taken
    roost.run("cache", "verify", "--repair")
    assert roost.ok(*CHECK) == "1.0\n"
    assert roost.json("cache", "verify")["findings"] == []
