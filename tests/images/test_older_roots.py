"""An image of the version before: made again from the layers that its root kept, it is the same."""

from __future__ import annotations

import docker
from tests.support.images.machines import forget
from tests.support.older_roots import WORK, base_image, expected, root_of_format_1


def test_an_older_image_is_loaded_from_the_layers_that_its_root_kept(
    docker_host: str, client: docker.DockerClient
) -> None:
    (before,) = expected("image-list")["images"]
    client.images.load(base_image())
    try:
        with root_of_format_1(f'[docker]\nhost = "{docker_host}"\n') as older:
            (older.root.parent / "roost-channel-1").rename(older.root.parent / "roost-channel-1.gone")
            built = older.json("build", cwd=WORK / "img")["build"]
            assert built["artifacts"][0]["digest"] == before["digest"]
            assert older.json("plan", cwd=WORK / "img")["plans"][0]["action"] == "reuse-image"
    finally:
        forget(client, before["name"], "roost-test/tiny:1")
