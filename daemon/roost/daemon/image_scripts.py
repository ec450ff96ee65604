"""Link scripts of packages as docker steps: an image has no other way to run them. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from roost.daemon.image_layers import PREFIX_IN_IMAGE
from roost.store.lock import CondaPackage, Lock

_SOURCED = 'for s in "$PREFIX"/etc/conda/activate.d/*.sh; do [ -r "$s" ] && . "$s"; done; . "$0"'


def script_steps(lock: Lock, names: Sequence[str]) -> list[str]:
    """One ``RUN`` for each of ``names`` (dependencies first), with the variables that conda sets for scripts."""
    by_name = {package.name: package for package in lock.conda}
    return [_step(by_name[name]) for name in names]


def _step(package: CondaPackage) -> str:
    prefix = PREFIX_IN_IMAGE
    variables = {
        "PREFIX": prefix,
        "ROOT_PREFIX": prefix,
        "CONDA_PREFIX": prefix,
        "PKG_NAME": package.name,
        "PKG_VERSION": package.version,
        "PKG_BUILDNUM": str(package.record.get("build_number", 0)),
    }
    said = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    script = shlex.quote(f"{prefix}/bin/.{package.name}-post-link.sh")
    return f"RUN env {said} PATH={prefix}/bin:$PATH $(command -v bash || echo sh) -c {shlex.quote(_SOURCED)} {script}"
