"""Prebuilding of images: what runs code in the engine waits until it ran there for somebody who asked."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import docker
from tests.support.images.machines import Machine
from tests.support.roost_process import Roost

SETTINGS = "[watch]\nmax_load = 0\non_battery = true\ndebounce_seconds = 0.05\n"


def find_watch(roost: Roost) -> dict[str, Any]:
    [watch] = roost.json("watch", "list")["watches"]
    return dict(watch)


def until(roost: Roost, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while not holds(watch := find_watch(roost)):
        assert time.monotonic() < deadline, watch
        time.sleep(0.05)
    return watch


def test_an_image_is_prebuilt_but_its_steps_wait_until_they_ran_on_the_base(
    new_machine: Machine, client: docker.DockerClient, base_image: str
) -> None:
    roost = new_machine(extra=SETTINGS)
    packages = '[conda]\ndependencies = ["dated=1"]\n'
    mark = uuid.uuid4().hex  # the engine has the images of other tests, too
    step = f"RUN echo {mark} > /made"
    roost.write("roost.toml", f'[base]\nimage = "{base_image}"\n{packages}')
    roost.ok("watch", "add", "roost.toml")
    until(roost, lambda watch: watch["state"] == "warm")
    assert '"reuse-image"' in roost.ok("plan", "--json")
    roost.write("roost.toml", f'[base]\nimage = "{base_image}"\nsteps = ["{step}"]\n{packages}')
    watch = until(roost, lambda watch: watch["state"] == "waiting")
    assert step in json.dumps(watch["reason"])
    assert all(mark not in str(image.history()) for image in client.images.list())
    roost.ok("build")
    roost.write("roost.toml", f'[base]\nimage = "{base_image}"\nsteps = ["{step}"]\n{packages.replace("=1", "=2")}')
    digest = roost.json("digest", "-f", "roost.toml")["definition_digest"]
    until(roost, lambda watch: watch["state"] == "warm" and watch["definition_digest"] == digest)
    roost.write("roost.toml", f'[base]\nimage = "{base_image}"\nsteps = ["RUN echo other > /other"]\n{packages}')
    watch = until(roost, lambda watch: watch["state"] == "waiting")
    assert "RUN echo other" in json.dumps(watch["reason"])
