"""Compute what ``conda activate`` does for a prefix, once, as changes that can be replayed on any environment."""

from __future__ import annotations

import asyncio
import contextlib
import glob
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence

from roost.daemon.engines.conda.errors import ActivationError
from roost.daemon.engines.conda.scripts import SYSTEM_PATH, find_shell, run_captured
from roost.model.records import VariableChange

_SENTINEL = "/roost/was/here/before"
_SEPARATORS = (":", ";", ",", " ")
_PASSED = ("HOME", "USER", "LOGNAME", "TMPDIR")
"""What a script sees of the daemon's own environment; its result must not depend on more."""
_SHELL_VARIABLES = {"_", "SHLVL", "PWD", "OLDPWD"}
_UNSET = re.compile(r"^[ \t]*unset[ \t]+((?:-v[ \t]+)?[A-Za-z_][\w ]*)", re.MULTILINE)

# `command -p` because a script may have put an `env` of its own on PATH.
_SOURCE_SCRIPT = """\
out="$1"; shift
for script in "$@"; do . "$script"; done
command -p env -0 > "$out"
"""


async def compute_activation(prefix: str, ambient: Mapping[str, str] | None = None) -> tuple[VariableChange, ...]:
    """Return the changes that activating ``prefix`` makes, in the order in which to make them.

    A conda prefix sets PATH, ``CONDA_PREFIX`` and its like, the variables of ``conda-meta/state`` and
    ``etc/conda/env_vars.d``, then whatever the scripts in ``etc/conda/activate.d`` do, which run here in a shell with a
    sanitized environment. A virtual environment sets PATH and ``VIRTUAL_ENV`` and unsets ``PYTHONHOME``.

    ``ambient`` is the environment from which the scripts see the user (``HOME`` …); default: the daemon's.

    Raises:
        ActivationError: if a script ends the shell that sources it.
    """
    bin_folder = VariableChange(name="PATH", action="prepend", value=os.path.join(prefix, "bin"))
    if await asyncio.to_thread(os.path.isfile, os.path.join(prefix, "pyvenv.cfg")):
        virtual = VariableChange(name="VIRTUAL_ENV", action="set", value=prefix)
        return (virtual, bin_folder, VariableChange(name="PYTHONHOME", action="unset"))
    fixed = {"CONDA_PREFIX": prefix, "CONDA_DEFAULT_ENV": prefix, "CONDA_SHLVL": "1"}
    fixed |= await asyncio.to_thread(_read_variables, prefix)
    scripts = sorted(await asyncio.to_thread(glob.glob, f"{glob.escape(prefix)}/etc/conda/activate.d/*.sh"))
    changes = [bin_folder, *(VariableChange(name=name, action="set", value=value) for name, value in fixed.items())]
    if scripts:
        changes += await _script_changes(prefix, scripts, fixed, os.environ if ambient is None else ambient)
    return tuple(changes)


def _read_variables(prefix: str) -> dict[str, str]:
    """Return the variables that packages set, overridden by the prefix's own, as conda reads them."""
    variables: dict[str, str] = {}
    for path in sorted(glob.glob(f"{glob.escape(prefix)}/etc/conda/env_vars.d/*.json")):
        variables |= {name: str(value) for name, value in _read_json(path).items()}
    own = _read_json(os.path.join(prefix, "conda-meta", "state")).get("env_vars")
    if isinstance(own, dict):
        # conda marks a variable that was unset again with this word
        variables |= {name: str(value) for name, value in own.items() if value != "***unset***"}
    return variables


def _read_json(path: str) -> dict[str, object]:
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as stream:
        content = json.load(stream)
        return content if isinstance(content, dict) else {}
    return {}


async def _script_changes(
    prefix: str, scripts: Sequence[str], fixed: Mapping[str, str], ambient: Mapping[str, str]
) -> list[VariableChange]:
    """Run the scripts twice, the second time with a marker in each variable that they touch.

    The position of the marker shows whether a script replaces a variable, prepends to it or appends to it.
    """
    base = {name: ambient[name] for name in _PASSED if name in ambient} | dict(fixed)
    base["PATH"] = f"{os.path.join(prefix, 'bin')}:{SYSTEM_PATH}"
    after = await _source_scripts(prefix, scripts, base)
    touched = {name for name, value in after.items() if base.get(name) != value} - _SHELL_VARIABLES
    removable = await asyncio.to_thread(_find_unset_names, scripts)
    marked = {name: _SENTINEL for name in (touched | removable) - {"PATH"} if name not in base}
    again = await _source_scripts(prefix, scripts, base | marked)
    changes = [
        _derive_change(name, base.get(name, _SENTINEL), after[name], again.get(name, "")) for name in sorted(touched)
    ]
    unset = {name for name in {**base, **marked} if name not in again} - touched - _SHELL_VARIABLES
    return changes + [VariableChange(name=name, action="unset") for name in sorted(unset)]


def _find_unset_names(scripts: Sequence[str]) -> set[str]:
    """Return the variables that the scripts unset, by their text: one that is not set leaves no trace at run time."""
    names: set[str] = set()
    for script in scripts:
        with open(script, encoding="utf-8", errors="replace") as stream:
            for match in _UNSET.finditer(stream.read()):
                names |= set(match[1].replace("-v ", " ").split())
    return names


def _derive_change(name: str, before: str, alone: str, again: str) -> VariableChange:
    """Return the change of one variable.

    ``alone`` is its value after the first run; ``again`` its value after the second run, which began with ``before``.
    """
    start, found, end = again.partition(before)
    if not found:
        return VariableChange(name=name, action="set", value=alone)
    if not end and start[-1:] in _SEPARATORS:
        return VariableChange(name=name, action="prepend", value=start[:-1], separator=start[-1:])
    if not start and end[:1] in _SEPARATORS:
        return VariableChange(name=name, action="append", value=end[1:], separator=end[:1])
    return VariableChange(name=name, action="set", value=alone)


async def _source_scripts(prefix: str, scripts: Sequence[str], base: Mapping[str, str]) -> dict[str, str]:
    """Run ``scripts`` in one shell with the environment ``base``; return the environment that they leave."""
    shell = await find_shell()
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="roost-activation-")
    result = os.path.join(folder, "environment")
    try:
        output, status = await run_captured([shell, "-c", _SOURCE_SCRIPT, shell, result, *scripts], prefix, base)
        content = await asyncio.to_thread(_read_content, result)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    if content is None:
        raise ActivationError(
            f"Activating {prefix} stopped with status {status}: {output.decode(errors='replace').strip()[-500:]}",
            hint=f"One of the scripts in {prefix}/etc/conda/activate.d ends the shell that sources it.",
        )
    pairs = (os.fsdecode(line).partition("=") for line in content.split(b"\0") if line)
    return {name: value for name, _, value in pairs if name.isidentifier()}


def _read_content(path: str) -> bytes | None:
    with contextlib.suppress(OSError), open(path, "rb") as stream:
        return stream.read() or None
    return None
