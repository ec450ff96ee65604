"""Labels that roost puts on containers.

Separate because naming a container's root must not load the Docker SDK.
"""

from __future__ import annotations

import hashlib
import os

ROOT_LABEL = "org.roost.root"
"""The root whose daemon created the container: :func:`root_name`."""
RUN_LABEL = "org.roost.run"
"""Id of the run that the container belongs to."""
PROBE_LABEL = "org.roost.probe"
"""On a container that is created to look into an image and never started; its value identifies the creator."""


def root_name(root: str) -> str:
    """Return the value of :data:`ROOT_LABEL` for the root at ``root``: 16 hex digits."""
    return hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
