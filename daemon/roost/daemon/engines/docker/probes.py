"""Files in an image, found through a container that is created and never started.

Separate from ``containers``, whose class holds one operation per method.
"""

from __future__ import annotations

import base64
import json
import posixpath
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import docker

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of a container whose image sets none (moby, oci/defaults)."""
_LINK_LIMIT = 8
_GO_MODE_DIR = 0x80000000


def candidate_paths(names: Sequence[str], variables: Sequence[str]) -> list[str]:
    """Return the paths at which ``names`` (paths, or names of programs) may be, by the PATH in ``variables``."""
    path = next((line.partition("=")[2] for line in variables if line.startswith("PATH=")), DEFAULT_PATH)
    folders = [folder for folder in path.split(":") if folder]
    found: list[str] = []
    for name in names:
        found += [name] if "/" in name else [posixpath.join(folder, name) for folder in folders]
    return found


def is_file_in_container(api: docker.APIClient, container: str, path: str) -> bool:
    """Return whether ``path`` is a file, links followed within the container. Blocks."""
    for _ in range(_LINK_LIMIT):
        status = _read_status(api, container, path)
        if status is None:
            return False
        if not status["linkTarget"] or status["linkTarget"] == path:
            return not status["mode"] & _GO_MODE_DIR
        path = status["linkTarget"]
    return False


def _read_status(api: docker.APIClient, container: str, path: str) -> dict[str, Any] | None:
    url = f"{api.base_url}/v{api.api_version}/containers/{container}/archive?path={quote(path)}"
    response = api.head(url, timeout=60)
    if response.status_code == 404:
        return None
    response.raise_for_status()
    status: dict[str, Any] = json.loads(base64.b64decode(response.headers["X-Docker-Container-Path-Stat"]))
    return status
