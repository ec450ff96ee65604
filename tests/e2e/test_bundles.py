"""Bundles: what one machine exports, another one without any network runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.offline import OfflineRoost
from tests.support.pip_index import PipIndex, backend_files, sdist_bytes, wheel_bytes
from tests.support.roost_process import Roost


@pytest.fixture
def offline(roost: Roost) -> Iterator[OfflineRoost]:
    """A machine without a network, with a root of its own and the working folder of ``roost``."""
    machine = OfflineRoost(roost.folder, roost.config.read_text())
    yield machine
    attempts = machine.attempts()
    machine.end()
    assert attempts == 0, "nothing on it may even try to reach a network"


def test_pip_only_environment_offline(roost: Roost, offline: OfflineRoost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    pip_index.add("made", sdist_bytes("made", "2.0", str(roost.folder / "trace")))
    roost.write("requirements.txt", "greet\nmade\n")
    exported = roost.json("cache", "bundle", "export", "-o", "b.roost")
    assert exported["files"] == 2
    imported = offline.json("cache", "bundle", "import", "b.roost", "--expect", exported["digest"])
    assert imported["digest"] == exported["digest"]
    traces = (roost.folder / "trace").read_text()
    assert offline.ok("run", "python", "-c", "import greet, made; print(greet.value, made.value)") == "1.0 2.0 built\n"
    assert offline.ok("exec", "--", "python", "-c", "import greet; print(greet.value)") == "1.0\n"
    assert (roost.folder / "trace").read_text() == traces


def test_conda_and_pip_environment_offline(
    conda_roost: Roost, offline: OfflineRoost, pip_index: PipIndex, channel_url: str
) -> None:
    """The cache has the packages unpacked only, so their files come from the channel, which only one machine has."""
    roost = conda_roost
    pip_index.wheel("greet", "1.0")
    roost.write(
        "roost.toml",
        '[conda]\ndependencies = ["python=3.11", "six=1.16"]\n[pip]\nrequirements = ["greet"]\n'
        '[variables]\nGREETING = "hello"\n',
    )
    roost.ok("build")
    text = roost.ok("cache", "bundle", "export", "-o", "b.roost")
    again = roost.json("cache", "bundle", "export", "-f", "roost.toml", "-o", "c.roost")
    assert (roost.folder / "b.roost").read_bytes() == (roost.folder / "c.roost").read_bytes()
    assert again["digest"] in text
    offline.ok("cache", "bundle", "import", "b.roost")
    code = "import greet, os, six; print(greet.value, six.__version__, os.environ['GREETING'])"
    assert offline.ok("run", "python", "-c", code) == "1.0 1.16.0 hello\n"
    lock = roost.json("plan")["lock_digest"]
    assert offline.json("plan")["lock_digest"] == lock
    records = list(offline.root.glob("prefixes/*/conda-meta/six-*.json"))
    assert channel_url not in records[0].read_text()
    assert str(offline.root) + "/packages/conda/archives" not in records[0].read_text()


def test_python_comes_along(own_conda_roost: Roost, offline: OfflineRoost, pip_index: PipIndex) -> None:
    """The other machine has no Python 3.12, only that of roost."""
    roost = own_conda_roost
    offline.variables = {"HOME": str(offline.root / "home"), "PATH": "/usr/bin:/bin"}
    pip_index.wheel("greet", "1.0")
    roost.write(
        "p/pyproject.toml",
        '[project]\nname = "p"\nversion = "1"\nrequires-python = "==3.12.*"\ndependencies = ["greet"]\n',
    )
    project = roost.folder / "p"
    assert "needs a Python 3.12" in roost.run("cache", "bundle", "export", "p", "-o", "a.roost").stderr
    done = offline.run("cache", "bundle", "import", "a.roost")
    assert (done.returncode, "No Python on this machine fits" in done.stderr) == (0, True)
    assert offline.failed(125, "run", "python", "-c", "", cwd=project)["code"] == "no-interpreter"

    exported = roost.json("cache", "bundle", "export", "p", "--with-python", "-o", "b.roost")
    assert [each["name"] for each in exported["environments"]] == ["p", "python-3.12"]
    assert offline.json("cache", "bundle", "import", "b.roost")["warnings"] == []
    code = "import greet, sys; print(greet.value, sys.version_info[:2])"
    assert offline.ok("run", "python", "-c", code, cwd=project) == "1.0 (3, 12)\n"
    assert offline.json("cache", "df")["artifacts"]


def test_every_kind_of_wheel_comes_along(roost: Roost, offline: OfflineRoost, pip_index: PipIndex) -> None:
    """From an index, a URL, a file, an sdist and a folder; in the project, and by name where the project is not."""
    trace = roost.folder / "trace"
    pip_index.wheel("greet", "1.0")
    pip_index.add("made", sdist_bytes("made", "2.0", str(trace)))
    pip_index.wheel("linked", "3.0")
    name, content = wheel_bytes("given", "4.0")
    (roost.folder / name).write_bytes(content)
    for path, text in backend_files("foldered", "5.0", str(trace), static=True).items():
        roost.write(f"foldered/{path}", text)
    url = f"{pip_index.origin}/files/linked-3.0-py3-none-any.whl"
    roost.write("more.txt", f"made\nlinked @ {url}\n")
    roost.write("requirements.txt", f"greet\n-r more.txt\n./{name}\n./foldered\n")
    roost.json("cache", "bundle", "export", "-o", "b.roost")
    traces = trace.read_text()
    (environment,) = offline.json("cache", "bundle", "import", "b.roost")["environments"]
    code = "import foldered as f, given as g, greet, linked as l, made as m\n"
    code += "print(greet.value, m.value, l.value, g.value, f.value)"
    assert offline.ok("run", "python", "-c", code) == "1.0 2.0 built 3.0 4.0 5.0 built\n"
    elsewhere = roost.folder / "elsewhere"
    elsewhere.mkdir()
    reference = f"{environment['name']}:{environment['version']}"
    assert offline.ok("exec", "-e", reference, "--", "python", "-c", code, cwd=elsewhere).startswith("1.0 2.0")
    assert trace.read_text() == traces
    again = offline.json("cache", "bundle", "export", "-e", reference, "-o", "again.roost")
    assert again["files"] == 5, "without a network: everything is here as a file"


def test_an_attempt_to_connect_would_be_noticed(roost: Roost) -> None:
    roost.write("requirements.txt", "absent\n")
    machine = OfflineRoost(roost.folder, roost.config.read_text() + "[network]\nretries = 0\n")
    try:
        assert machine.failed(6, "build")["code"] == "index-unreachable"
        assert machine.attempts() > 0
    finally:
        machine.end()
