"""What a command in an environment of roost gets of its caller's variables, and of its base image's. Pure.

The lock must win over them: a variable that would put another Python's packages, standard library or user site before
the prefix's is cleared. A variable that only changes how Python behaves is the caller's wish, and passes.
``[variables]`` and ``--var`` are applied after all this, and so they win: ``PYTHONNOUSERSITE = ""`` brings the user
site back. Environments with an interpreter of the user are left as they are.

Sources: "Environment variables" in Python's manual of usage (using/cmdline), up to 3.15; the activation of conda 24 to
26 and of venv; the scripts in ``etc/conda/activate.d`` of conda-forge's packages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from roost.model.records import VariableChange

PYTHON_VARIABLES: Mapping[str, Literal["passes", "recorded", "cleared", "set"]] = {
    "PYTHONHOME": "cleared",  # another standard library
    "PYTHONPLATLIBDIR": "cleared",  # the same, by the name of its folder
    "PYTHONEXECUTABLE": "cleared",  # another prefix, by the path that is taken for the interpreter's own
    "__PYVENV_LAUNCHER__": "cleared",  # the same on macOS
    "PYTHONNOUSERSITE": "set",
    "PYTHONPATH": "recorded",  # the caller's own modules; they reach the command, and the record of the run
    "PYTHONASYNCIODEBUG": "passes",
    "PYTHONBREAKPOINT": "passes",
    "PYTHONCASEOK": "passes",
    "PYTHONCOERCECLOCALE": "passes",
    "PYTHONDEBUG": "passes",
    "PYTHONDEVMODE": "passes",
    "PYTHONDONTWRITEBYTECODE": "passes",
    "PYTHONDUMPREFS": "passes",
    "PYTHONDUMPREFSFILE": "passes",
    "PYTHONFAULTHANDLER": "passes",
    "PYTHONHASHSEED": "passes",
    "PYTHONINSPECT": "passes",
    "PYTHONINTMAXSTRDIGITS": "passes",
    "PYTHONIOENCODING": "passes",
    "PYTHONLEGACYWINDOWSFSENCODING": "passes",
    "PYTHONLEGACYWINDOWSSTDIO": "passes",
    "PYTHONMALLOC": "passes",
    "PYTHONMALLOCSTATS": "passes",
    "PYTHONNODEBUGRANGES": "passes",
    "PYTHONOPTIMIZE": "passes",
    "PYTHONPERFSUPPORT": "passes",
    "PYTHONPROFILEIMPORTTIME": "passes",
    "PYTHONPYCACHEPREFIX": "passes",
    "PYTHONSAFEPATH": "passes",
    "PYTHONSTARTUP": "passes",
    "PYTHONTHREADDEBUG": "passes",
    "PYTHONTRACEMALLOC": "passes",
    "PYTHONUNBUFFERED": "passes",
    "PYTHONUSERBASE": "passes",  # without effect, since there is no user site
    "PYTHONUTF8": "passes",
    "PYTHONVERBOSE": "passes",
    "PYTHONWARNDEFAULTENCODING": "passes",
    "PYTHONWARNINGS": "passes",
    "PYTHON_BASIC_REPL": "passes",
    "PYTHON_COLORS": "passes",
    "PYTHON_CONTEXT_AWARE_WARNINGS": "passes",
    "PYTHON_CPU_COUNT": "passes",
    "PYTHON_DISABLE_REMOTE_DEBUG": "passes",
    "PYTHON_FROZEN_MODULES": "passes",
    "PYTHON_GIL": "passes",
    "PYTHON_HISTORY": "passes",
    "PYTHON_JIT": "passes",
    "PYTHON_LAZY_IMPORTS": "passes",
    "PYTHON_PERF_JIT_SUPPORT": "passes",
    "PYTHON_PRESITE": "passes",
    "PYTHON_THREAD_INHERIT_CONTEXT": "passes",
    "PYTHON_TLBC": "passes",
}
"""What becomes of each variable of the caller that Python reads."""

_OTHER_ENVIRONMENTS = (
    *("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_SHLVL"),
    *("CONDA_PROMPT_MODIFIER", "_CONDA_PYTHON_SYSCONFIGDATA_NAME"),
    *(f"CONDA_{kind}_{level}" for kind in ("PREFIX", "STACKED") for level in range(1, 6)),
)
"""Names by which an activated environment is known. (The sysconfig's name is of conda's compilers: with it, another
conda Python does not find its own.)"""

HOOK_VARIABLES = (
    *(
        "ADDR2LINE",
        "AR",
        "AS",
        "CC",
        "CC_FOR_BUILD",
        "CFLAGS",
        "CMAKE_ARGS",
        "CMAKE_PREFIX_PATH",
        "CONDA_BUILD_SYSROOT",
    ),
    *("CPP", "CPPFLAGS", "CXX", "CXXFILT", "CXXFLAGS", "CXX_FOR_BUILD", "DEBUG_CFLAGS", "DEBUG_CPPFLAGS"),
    *("DEBUG_CXXFLAGS", "DEBUG_FFLAGS", "DEBUG_FORTRANFLAGS", "ELFEDIT", "F77", "F90", "F95", "FC", "FFLAGS"),
    *("FORTRANFLAGS", "GCC", "GCC_AR", "GCC_NM", "GCC_RANLIB", "GFORTRAN", "GPROF", "GXX", "LD", "LDFLAGS", "LD_GOLD"),
    *("MESON_ARGS", "NM", "OBJCOPY", "OBJDUMP", "RANLIB", "READELF", "SIZE", "STRINGS", "STRIP"),
    *("CARGO_HOME", "CUDA_HOME", "CUDA_PATH", "NVCC_APPEND_FLAGS", "NVCC_PREPEND_FLAGS"),
    *("ECCODES_DEFINITION_PATH", "ESMFMKFILE", "FONTCONFIG_FILE", "FONTCONFIG_PATH", "GDAL_DATA", "GDAL_DRIVER_PATH"),
    *("GEOTIFF_CSV", "GSETTINGS_SCHEMA_DIR", "HDF5_PLUGIN_PATH", "JAVA_HOME", "JAVA_LD_LIBRARY_PATH", "JUPYTER_PATH"),
    *("OCL_ICD_VENDORS", "PROJ_DATA", "PROJ_LIB", "QT_PLUGIN_PATH", "R_HOME", "R_LIBS", "R_LIBS_SITE"),
    *("SSL_CERT_DIR", "SSL_CERT_FILE", "UDUNITS2_XML_PATH", "XML_CATALOG_FILES"),
)
"""Variables that scripts of conda packages set when their environment is activated. One whose value names a path in
the caller's ``CONDA_PREFIX`` is cleared, as deactivation would; any other value is the caller's own."""

_BASE_VARIABLES = ("PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE", "PYTHONPATH")
_OWN_VARIABLES = ("PYTHONPATH",)


def isolation_changes(activation: Iterable[VariableChange]) -> tuple[VariableChange, ...]:
    """Return the changes that come before ``activation`` of a prefix, and which it does not make itself."""
    made = {change.name for change in activation if change.action in ("set", "unset")}
    cleared = (name for name, what in PYTHON_VARIABLES.items() if what == "cleared")
    unset = (VariableChange(name=name, action="unset") for name in (*cleared, *_OTHER_ENVIRONMENTS) if name not in made)
    return (*unset, VariableChange(name="PYTHONNOUSERSITE", action="set", value="1"))


def container_variables(*, adds_packages: bool) -> dict[str, str]:
    """Return the variables of a container of an image that roost built, under those of the settings. They are not in
    the image, whose digest would change."""
    return {"PYTHONNOUSERSITE": "1"} if adds_packages else {}


def base_changes(steps: Sequence[str], *, is_own_base: bool) -> tuple[VariableChange, ...]:
    """Return the changes to the variables of a base image that packages of a lock are put on.

    ``steps``: the docker steps of the definition, whose own ``ENV PYTHONPATH`` stays. ``is_own_base``: the base is the
    result of the definition's Dockerfile, of which nothing tells whose variables it has.
    """
    kept = {name for name in _OWN_VARIABLES if is_own_base or any(_sets_variable(step, name) for step in steps)}
    return tuple(VariableChange(name=name, action="unset") for name in _BASE_VARIABLES if name not in kept)


def _sets_variable(step: str, name: str) -> bool:
    return re.match(rf"\s*ENV\s(?:.*\s)?{name}[\s=]", step, re.IGNORECASE | re.DOTALL) is not None
