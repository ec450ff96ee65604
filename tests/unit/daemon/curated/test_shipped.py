"""The curated environments that come with roost: fixed for good, of use everywhere, and in the wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from itertools import groupby
from pathlib import Path

import pytest

from roost.daemon.curated.catalogue import Catalogue, check_curated_name, make_entry
from roost.daemon.curated.shipped import SHIPPED_FOLDER, load_shipped_names, load_shipped_versions
from roost.daemon.curated.validation import read_versions
from roost.model.canonical.form import digest_settings
from roost.model.definition import Settings

RELEASED = {
    ("Roost-Minimal", 1): "sha256:fb608fef3927165e4d0f2fd4b8f851e416f4fa9bc9c196e9f39f63f1dba90380",
    ("Roost-Scikit-Learn", 1): "sha256:0a2642d66c8e46d83025168442270c21ed9b7c95065c6b77c0040f208eb87b7b",
}
"""What was released never changes: add a line for a new version, and touch none."""


def test_what_was_released_is_as_it_was() -> None:
    assert {(new.name, new.number): new.definition_digest for new in load_shipped_versions()} == RELEASED
    assert {new.settings_digest for new in load_shipped_versions()} == {digest_settings(Settings())}


def test_numbers_count_from_one_under_reserved_names() -> None:
    for name, versions in groupby(load_shipped_versions(), key=lambda new: new.name):
        assert [new.number for new in versions] == list(
            range(1, sum(new.name == name for new in load_shipped_versions()) + 1)
        )
        assert check_curated_name(name) == name
        assert name.lower() in load_shipped_names()
    assert {new.kind for new in load_shipped_versions()} == {"curated"}


def test_they_are_such_as_a_catalogue_may_hold() -> None:
    entries = tuple(make_entry(new.name, new.number or 0, new.body) for new in load_shipped_versions())
    read = read_versions(Catalogue(entries=entries), "here")
    assert [(each.name, each.number, each.canonical) for each in read] == [
        (each.name, each.number, each.canonical) for each in load_shipped_versions()
    ]


def test_they_are_in_the_wheel(tmp_path: Path) -> None:
    root = Path(__file__).parents[4]
    if not (root / "pyproject.toml").exists():
        pytest.skip("not in a checkout")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        held = {name for name in wheel.namelist() if "/curated/environments/" in name}
    files = {
        f"{name}/{file}"
        for name in os.listdir(SHIPPED_FOLDER)
        for file in os.listdir(os.path.join(SHIPPED_FOLDER, name))
    }
    assert held == {f"roost/daemon/curated/environments/{file}" for file in files}
