"""A conda environment of this machine, pip packages and all, becomes an environment: a real prefix, made by an
installer, with a real pip in it. What conda writes besides (its history, its lists) is written as conda writes it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.conda_tools import close_workers, engine, solve
from tests.support.pip_index import PipIndex, backend_files, wheel_bytes
from tests.support.roost_process import Roost

HISTORY = """==> 2024-01-01 10:00:00 <==
# cmd: /opt/conda/bin/conda create -n old python=3.11 zlib pip xz
# conda version: 24.1.0
+conda-forge/linux-64::python-3.11.1-h1_0
# update specs: ['python=3.11', 'zlib', 'pip', 'xz']
==> 2024-01-02 10:00:00 <==
# cmd: /opt/conda/bin/conda remove xz
# remove specs: ['xz']
==> 2024-01-03 10:00:00 <==
# cmd: /opt/conda/bin/conda install zlib>=1
# update specs: ['zlib[version=">=1"]', 'gone']
"""


class Old:
    """A prefix below an ``envs`` folder, and what is around it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.prefix = base / "envs" / "old"

    def pip(self, *words: str) -> None:
        done = subprocess.run(
            [
                self.prefix / "bin/python",
                "-m",
                "pip",
                "install",
                "-q",
                "--no-build-isolation",
                "--break-system-packages",
                *words,
            ],
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.base), "PIP_CONFIG_FILE": "/dev/null"},
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def made(channels_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """python, pip, zlib and xz, linked."""
    base = tmp_path_factory.mktemp("conda")

    async def make() -> None:
        conda = engine(base, channels_folder)
        packages = await solve(conda, "python=3.11", "pip", "zlib", "xz")
        await conda.link(packages, str(base / "envs/old"))
        await close_workers()

    asyncio.run(make())
    return base


@pytest.fixture
def old(made: Path, short_folder: Path) -> Old:
    """A copy of it, with what pip put there, by name and version."""
    shutil.copytree(made / "envs", short_folder / "envs", symlinks=True)
    return Old(short_folder)


@pytest.fixture
def home(conda_roost: Roost, old: Old) -> Roost:
    """roost whose user's home folder is the one of that conda."""
    conda_roost.variables["HOME"] = str(old.base)
    return conda_roost


def imported(roost: Roost, *words: str, cwd: Path | None = None) -> dict:
    return roost.json("env", "import", *words, cwd=cwd)


def test_what_was_asked_for_and_what_pip_installed(home: Roost, old: Old, pip_index: PipIndex) -> None:
    pip_index.wheel("toy", "1.0")
    wheel, content = wheel_bytes("mine", "2.0")
    (old.base / wheel).write_bytes(content)
    project = old.base / "project"
    project.mkdir()
    for name, text in backend_files("edited", "3.0", str(old.base / "trace")).items():
        (project / name).write_text(text)
    old.pip("--index-url", pip_index.url, "toy")
    old.pip(str(old.base / wheel))
    old.pip("-e", str(project))
    (old.base / "trace").unlink()
    (old.prefix / "conda-meta/history").write_text(HISTORY)
    state = {"env_vars": {"COLOUR": "red", "GONE": "***unset***"}}
    (old.prefix / "conda-meta/state").write_text(json.dumps(state))

    answer = imported(home, "--prefix", str(old.prefix))
    definition = answer["environment"]["definition"]
    assert (answer["environment"]["name"], answer["format"], answer["warnings"]) == ("old", "conda-prefix", [])
    assert definition["conda"] == {
        "channels": ["conda-forge"],
        "dependencies": ["python=3.11", "pip", 'zlib[version=">=1"]'],
    }
    lines = [line if isinstance(line, str) else line["kind"] for line in definition["pip"]["requirements"]]
    assert sorted(line.partition(":")[0] for line in lines) == ["editable", "roost-wheel", "toy==1.0"]
    assert answer["environment"]["settings"]["variables"] == {"COLOUR": "red"}
    assert not (old.base / "trace").exists(), "nothing of it was run"

    say = "import toy, mine, edited; print(toy.value, mine.value)"
    assert home.ok("run", "-e", "old", "--", "python", "-c", say) == "1.0 2.0\n"


def test_without_a_record_of_what_was_asked_everything_is_pinned(home: Roost, old: Old) -> None:
    (old.prefix / "conda-meta/history").unlink(missing_ok=True)
    for path in (old.prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({k: v for k, v in record.items() if not k.startswith("requested_spec")}))
    answer = imported(home, "--prefix", "./envs/old/", "--name", "pinned", cwd=old.base)
    specs = answer["environment"]["definition"]["conda"]["dependencies"]
    assert all(spec.count("==") == 1 for spec in specs)
    assert len(specs) == len(list((old.prefix / "conda-meta").glob("*.json")))
    assert [warning["code"] for warning in answer["warnings"]] == ["history-missing"]
    exact = imported(home, "--prefix", str(old.prefix), "--name", "pinned", "--exact")
    assert exact["environment"]["version"] == 2
    built = home.json("build", "-e", "pinned")["build"]
    listed = home.ok("lock", "-e", "pinned", "--format", "explicit")
    names = {path.stem for path in (old.prefix / "conda-meta").glob("*.json")}
    assert names == {
        line.partition("#")[0].rpartition("/")[2].removesuffix(".conda") for line in listed.splitlines()[2:]
    }
    assert built["state"] == "succeeded"


def test_what_can_not_be_had_any_more_is_said(home: Roost, old: Old) -> None:
    wheel, content = wheel_bytes("mine", "2.0")
    (old.base / wheel).write_bytes(content)
    old.pip(str(old.base / wheel))
    (old.base / wheel).unlink()
    answer = imported(home, "--prefix", str(old.prefix))
    assert "pip" not in answer["environment"]["definition"]
    missing = [warning for warning in answer["warnings"] if warning["code"] == "package-missing"]
    assert len(missing) == 1
    assert wheel in missing[0]["message"]
    assert "mine-2.0.dist-info" in missing[0]["location"]["path"]


def test_by_name_as_conda_finds_them(home: Roost, old: Old) -> None:
    assert home.failed(7, "env", "import", "--prefix", "old")["code"] == "prefix-unknown"
    listed = old.base / ".conda/environments.txt"
    listed.parent.mkdir()
    listed.write_text(f"/nowhere/else\n{old.prefix}\n")
    assert imported(home, "--prefix", "old")["source"] == str(old.prefix)
    assert "It knows old." in home.failed(7, "env", "import", "--prefix", "odd")["hint"]
    listed.unlink()
    (old.base / ".condarc").write_text(f"envs_dirs:\n  - {old.base}/envs\n")
    assert imported(home, "--prefix", "old")["source"] == str(old.prefix)
    (old.base / ".condarc").write_text("envs_dirs: [~/envs]\n")
    assert imported(home, "--prefix", "old")["source"] == str(old.prefix)
    (old.base / ".condarc").write_text("nonsense: [")
    home.variables["CONDA_ENVS_DIRS"] = f"/nowhere:{old.base}/envs"
    assert imported(home, "--prefix", "old")["source"] == str(old.prefix)


def test_what_is_no_conda_environment_says_what_it_is(home: Roost, old: Old) -> None:
    (old.base / "venv").mkdir()
    (old.base / "venv/pyvenv.cfg").write_text("home = /usr/bin\n")
    assert "virtual environment" in home.failed(7, "env", "import", "--prefix", f"{old.base}/venv")["hint"]
    record = next((old.prefix / "conda-meta").glob("zlib-*.json"))
    record.write_text("{")
    error = home.failed(3, "env", "import", "--prefix", str(old.prefix))
    assert (error["code"], error["location"]["path"]) == ("prefix-record-invalid", str(record))
    assert home.json("env", "list")["environments"] == []
