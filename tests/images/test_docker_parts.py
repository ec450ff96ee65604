"""The engine and the images that the other tests here work with are real ones."""

from __future__ import annotations

import docker


def test_the_base_image_runs_in_the_engine(docker_host: str, base_image: str, python_image: str):
    client = docker.DockerClient(base_url=docker_host)
    try:
        release = client.containers.run(base_image, ["cat", "/etc/os-release"], remove=True)
        python = client.containers.run(python_image, ["python3", "-c", "print(6 * 7)"], remove=True)
    finally:
        client.close()
    assert b"bookworm" in release
    assert python == b"42\n"
