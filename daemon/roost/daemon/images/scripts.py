"""Link scripts of packages as docker steps: an image has no other way to run them. Pure.

Separate because it writes Dockerfile and shell syntax, which nothing else here does.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import msgspec

from roost.daemon.layers.grouping import PREFIX_IN_IMAGE
from roost.model.locks.lock import CondaPackage, Lock

_ROOT = ("", "0", "root")
# As conda runs them: sourced in the activated environment. Messages for the user go to the log.
_SOURCED = """\
for s in "$PREFIX"/etc/conda/activate.d/*.sh; do [ -r "$s" ] && . "$s"; done; . "$0"; status=$?; \
cat "$PREFIX/.messages.txt" 2>/dev/null; rm -f "$PREFIX/.messages.txt"; exit $status"""


class _Run(msgspec.Struct):
    user: str = msgspec.field(name="User", default="")


class _Config(msgspec.Struct):
    config: _Run = msgspec.field(default_factory=_Run)


def script_steps(lock: Lock, names: Sequence[str], config: bytes) -> list[str]:
    """Return one ``RUN`` for each of ``names`` (dependencies first), with the variables that conda sets for scripts.
    They run as root; the user of the image with ``config`` stays the same."""
    by_name = {package.name: package for package in lock.conda}
    runs = [_run_line(by_name[name]) for name in names]
    user = msgspec.json.decode(config, type=_Config).config.user
    return runs if user in _ROOT else ["USER root", *runs, f"USER {user}"]


def _run_line(package: CondaPackage) -> str:
    prefix = PREFIX_IN_IMAGE
    variables = {
        "PREFIX": prefix,
        "ROOT_PREFIX": prefix,
        "CONDA_PREFIX": prefix,
        "PKG_NAME": package.name,
        "PKG_VERSION": package.version,
        "PKG_BUILDNUM": str(package.record.get("build_number", 0)),
    }
    assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    script = shlex.quote(f"{prefix}/bin/.{package.name}-post-link.sh")
    shell = "$(command -v bash || echo sh)"
    return f"RUN env {assignments} PATH={prefix}/bin:$PATH {shell} -c {shlex.quote(_SOURCED)} {script}"
