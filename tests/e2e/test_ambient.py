"""Nothing ambient leaks in: the same definition has the same digest and the same lock whatever is set around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, clone, new_roost

CONDA = "channels: [conda-forge]\ndependencies:\n  - python=3.11\n  - numpy=1.26\n  - pip\n  - pip: [greet]\n"

NASTY = {
    "CONDA_CHANNELS": "defaults",
    "CONDA_OVERRIDE_GLIBC": "2.5",
    "CONDA_PREFIX": "/nowhere",
    "CONDA_SUBDIR": "osx-arm64",
    "RATTLER_AUTH_FILE": "/nowhere",
    "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
    "PIP_NO_BINARY": ":all:",
    "UV_INDEX_URL": "http://127.0.0.1:1/simple",
    "UV_DEFAULT_INDEX": "http://127.0.0.1:1/simple",
    "UV_RESOLUTION": "lowest",
    "UV_EXCLUDE_NEWER": "2001-01-01",
    "UV_PYTHON": "/nowhere/python",
    "PYTHONPATH": "/nowhere",
    "LD_LIBRARY_PATH": "/nowhere",
}


def offer(index: PipIndex) -> None:
    index.wheel("greet", "1.0")
    index.wheel("greet", "2.0")


def lock_digest(roost: Roost, file: str) -> str:
    return str(roost.json("plan", "--solve", "-f", file)["lock_digest"])


@pytest.fixture(scope="module")
def plain(channel_url: str, conda_packages: Path) -> Iterator[tuple[Roost, list[str]]]:
    """A root for all variables, and the digests of the locks without any: a plan stores none."""
    index, made = PipIndex(), new_roost()
    try:
        offer(index)
        mirrors = f'[conda.mirrors]\n"conda-forge" = ["{channel_url}"]\n'
        made.config.write_text(f'[pip]\nindex_url = "{index.url}"\n{mirrors}')
        clone(conda_packages, made.root / "packages")
        made.write("environment.yml", CONDA)
        made.write("requirements.txt", "greet>=1\n")
        yield made, [lock_digest(made, f) for f in ("environment.yml", "requirements.txt")]
    finally:
        made.end()
        index.close()


@pytest.mark.parametrize("name", [*NASTY, "all"])
def test_variables_of_the_client_that_starts_the_daemon_change_nothing(
    plain: tuple[Roost, list[str]], name: str
) -> None:
    roost, digests = plain
    roost.ok("daemon", "stop")
    roost.variables = NASTY if name == "all" else {name: NASTY[name]}
    assert [lock_digest(roost, f) for f in ("environment.yml", "requirements.txt")] == digests


def test_files_of_other_tools_change_nothing(conda_roost: Roost, pip_index: PipIndex, tmp_path: Path) -> None:
    offer(pip_index)
    conda_roost.write("environment.yml", CONDA)
    conda_roost.write("requirements.txt", "greet>=1\n")
    conda_roost.variables["HOME"] = str(tmp_path)
    plain = [lock_digest(conda_roost, f) for f in ("environment.yml", "requirements.txt")]
    conda_roost.ok("daemon", "stop")
    for path, text in {
        ".condarc": "channels: [nowhere]\nchannel_priority: disabled\noffline: true\n",
        ".mambarc": "channels: [nowhere]\n",
        ".config/uv/uv.toml": 'index-url = "http://127.0.0.1:1/simple"\n',
        ".config/pip/pip.conf": "[global]\nindex-url = http://127.0.0.1:1/simple\n",
        ".config/rattler/config.toml": 'mirrors = {"https://conda.anaconda.org" = ["http://127.0.0.1:1"]}\n',
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    conda_roost.write("uv.toml", 'resolution = "lowest"\n')
    conda_roost.write("pyproject.toml", '[tool.uv]\nresolution = "lowest"\nindex-url = "http://127.0.0.1:1/simple"\n')
    assert [lock_digest(conda_roost, f) for f in ("environment.yml", "requirements.txt")] == plain
