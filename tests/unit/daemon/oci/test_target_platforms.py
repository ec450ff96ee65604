"""Platforms of targets and of the images of definitions."""

from __future__ import annotations

import sys

import pytest

from roost.daemon.oci import target_platforms
from roost.daemon.oci.references import ReferenceInvalidError
from roost.daemon.oci.target_platforms import (
    can_run,
    format_platform,
    local_platform,
    machine_subdir,
    split_platform,
    target_image_platform,
)


@pytest.mark.parametrize(
    ("system", "processor", "subdir"),
    [
        ("linux", "x86_64", "linux-64"),
        ("linux", "AMD64", "linux-64"),
        ("linux", "arm64", "linux-aarch64"),
        ("linux", "riscv64", "linux-riscv64"),
        ("darwin", "arm64", "osx-arm64"),
        ("darwin", "x86_64", "osx-64"),
    ],
)
def test_a_machine_has_a_conda_subdir(system: str, processor: str, subdir: str):
    assert machine_subdir(system, processor) == subdir


def test_an_accelerator_is_part_of_a_platform():
    platform = local_platform({"cuda": "12.4"})
    assert platform == f"{local_platform({})}+cuda12"
    assert split_platform(platform) == (local_platform({}), "12")
    assert split_platform("linux-64") == ("linux-64", None)


def test_images_are_linux_on_the_machines_processor(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(target_platforms.machine, "machine", lambda: "arm64")
    assert target_image_platform({"cuda": "12"}, None) == "linux-aarch64+cuda12"
    assert target_image_platform({"cuda": "12"}, "linux/x86_64") == "linux-64+cuda12"
    with pytest.raises(ReferenceInvalidError, match="no packages"):
        target_image_platform({}, "windows/amd64")


def test_a_generation_of_this_machine_is_shown_as_such():
    assert format_platform("linux-64") == "linux-64"
    assert format_platform("linux-64+host") == "linux-64 (this machine only)"


def test_an_engine_runs_its_own_and_narrower_platforms(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(target_platforms.os.path, "exists", lambda path: path.endswith("/qemu-aarch64"))
    assert can_run("linux/amd64", "linux/amd64")
    assert can_run("linux/386", "linux/amd64")
    assert can_run("linux/arm64", "linux/amd64"), "by emulation"
    assert not can_run("linux/s390x", "linux/amd64")
    assert not can_run("windows/amd64", "linux/amd64")
