"""Where this user's conda has its environments: the daemon's own variables say nothing of it."""

from __future__ import annotations

import os
import shutil

NAMES = (
    *("HOME", "XDG_CONFIG_HOME", "CONDARC", "CONDA_ENVS_PATH", "CONDA_ENVS_DIRS", "CONDA_ROOT", "CONDA_EXE"),
    *("CONDA_PREFIX", "MAMBA_ROOT_PREFIX", "USER", "LOGNAME"),
)


def conda_variables() -> dict[str, str]:
    """Those of this process that are set; ``CONDA_EXE``, which a shell that knows conda has, else from ``PATH``."""
    found = {name: os.environ[name] for name in NAMES if os.environ.get(name)}
    if "CONDA_EXE" not in found and (path := shutil.which("conda")):
        found["CONDA_EXE"] = os.path.realpath(path)
    return found
