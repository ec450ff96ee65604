"""What this machine has, as virtual packages.

A module of its own because it asks CUDA's driver, a library from elsewhere.
"""

from __future__ import annotations

from rattler import VirtualPackage

from roost.daemon.engines.conda.jobs import MachineRequest
from roost.daemon.engines.conda.native.records import virtual_version
from roost.daemon.workers.context import JobContext


def detect_virtual_packages(request: MachineRequest, context: JobContext) -> dict[str, str]:
    """Return the virtual packages of this machine, ignoring ``CONDA_OVERRIDE_*``."""
    found = [package.into_generic() for package in VirtualPackage.detect()]
    return {package.name.normalized: virtual_version(package) for package in found}
