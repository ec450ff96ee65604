"""What ``conda activate`` does for a prefix, worked out once, as changes that can be replayed on any environment."""

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

from roost.daemon.engines.conda.scripts import SYSTEM_PATH, run_captured
from roost.model.errors import BuildError
from roost.model.records import Change

_SENTINEL = "/roost/was/here/before"
_SEPARATORS = (":", ";", ",", " ")
_PASSED = ("HOME", "USER", "LOGNAME", "TMPDIR")
"""All that a script sees of the daemon's own environment: what it makes must not depend on more."""
_NOT_OURS = {"_", "SHLVL", "PWD", "OLDPWD"}
_UNSET = re.compile(r"^\s*unset\s+((?:-v\s+)?[A-Za-z_][\w ]*)", re.MULTILINE)

# `command -p`: a script may have put an `env` of its own on PATH
_SOURCE = """\
out="$1"; shift
for script in "$@"; do . "$script"; done
command -p env -0 > "$out"
"""


class ActivationError(BuildError):
    """The prefix's activation scripts could not be run."""

    code = "activation-failed"


async def activation(prefix: str, ambient: Mapping[str, str] | None = None) -> tuple[Change, ...]:
    """The changes that activating ``prefix`` makes, in the order in which they are to be made.

    ``ambient`` is what its scripts see of a user (``HOME`` …), where that is not to be the daemon's.

    A conda prefix: PATH, ``CONDA_PREFIX`` and its like, the variables of ``conda-meta/state`` and
    ``etc/conda/env_vars.d``, then what the scripts in ``etc/conda/activate.d`` do, which run here once in a scrubbed
    shell. A virtual environment: PATH, ``VIRTUAL_ENV``, no ``PYTHONHOME``.
    """
    bin_folder = Change(name="PATH", action="prepend", value=os.path.join(prefix, "bin"))
    if await asyncio.to_thread(os.path.isfile, os.path.join(prefix, "pyvenv.cfg")):
        virtual = Change(name="VIRTUAL_ENV", action="set", value=prefix)
        return (virtual, bin_folder, Change(name="PYTHONHOME", action="unset"))
    fixed = {"CONDA_PREFIX": prefix, "CONDA_DEFAULT_ENV": prefix, "CONDA_SHLVL": "1"}
    fixed |= await asyncio.to_thread(_state_variables, prefix)
    scripts = sorted(await asyncio.to_thread(glob.glob, f"{glob.escape(prefix)}/etc/conda/activate.d/*.sh"))
    changes = [bin_folder, *(Change(name=name, action="set", value=value) for name, value in fixed.items())]
    if scripts:
        changes += await _of_scripts(prefix, scripts, fixed, os.environ if ambient is None else ambient)
    return tuple(changes)


def _state_variables(prefix: str) -> dict[str, str]:
    """Packages' variables first, the prefix's own over them, as conda reads them."""
    variables: dict[str, str] = {}
    for path in sorted(glob.glob(f"{glob.escape(prefix)}/etc/conda/env_vars.d/*.json")):
        variables |= _strings(path)
    state = _read(os.path.join(prefix, "conda-meta", "state"))
    own = state.get("env_vars")
    if isinstance(own, dict):
        # conda marks a variable that was taken back with this word
        variables |= {name: str(value) for name, value in own.items() if value != "***unset***"}
    return variables


def _strings(path: str) -> dict[str, str]:
    return {name: str(value) for name, value in _read(path).items()}


def _read(path: str) -> dict[str, object]:
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as stream:
        content = json.load(stream)
        return content if isinstance(content, dict) else {}
    return {}


async def _of_scripts(
    prefix: str, scripts: Sequence[str], fixed: Mapping[str, str], ambient: Mapping[str, str]
) -> list[Change]:
    """Run the scripts twice: the second time with a mark in each variable that they touch, to see where they add."""
    base = {name: ambient[name] for name in _PASSED if name in ambient} | dict(fixed)
    base["PATH"] = f"{os.path.join(prefix, 'bin')}:{SYSTEM_PATH}"
    after = await _source(prefix, scripts, base)
    touched = {name for name, value in after.items() if base.get(name) != value} - _NOT_OURS
    removable = await asyncio.to_thread(_unset_names, scripts)
    marked = {name: _SENTINEL for name in (touched | removable) - {"PATH"} if name not in base}
    again = await _source(prefix, scripts, base | marked)
    changes = [_change(name, base.get(name, _SENTINEL), after[name], again.get(name, "")) for name in sorted(touched)]
    gone = {name for name in {**base, **marked} if name not in again} - touched - _NOT_OURS
    return changes + [Change(name=name, action="unset") for name in sorted(gone)]


def _unset_names(scripts: Sequence[str]) -> set[str]:
    names: set[str] = set()
    for script in scripts:
        with open(script, encoding="utf-8", errors="replace") as stream:
            for match in _UNSET.finditer(stream.read()):
                names |= set(match[1].replace("-v ", " ").split())
    return names


def _change(name: str, before: str, alone: str, again: str) -> Change:
    """``before`` is what the variable held when the scripts left ``again``; ``alone`` what they leave with none."""
    start, found, end = again.partition(before)
    if not found:
        return Change(name=name, action="set", value=alone)
    if not end and start[-1:] in _SEPARATORS:
        return Change(name=name, action="prepend", value=start[:-1], separator=start[-1:])
    if not start and end[:1] in _SEPARATORS:
        return Change(name=name, action="append", value=end[1:], separator=end[:1])
    return Change(name=name, action="set", value=alone)


async def _source(prefix: str, scripts: Sequence[str], base: Mapping[str, str]) -> dict[str, str]:
    """The environment that the scripts leave behind."""
    shell = await asyncio.to_thread(lambda: shutil.which("bash", path=SYSTEM_PATH) or "/bin/sh")
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="roost-activation-")
    left = os.path.join(folder, "environment")
    try:
        output, status = await run_captured([shell, "-c", _SOURCE, shell, left, *scripts], prefix, base)
        content = await asyncio.to_thread(_content, left)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    if content is None:
        raise ActivationError(
            f"Activating {prefix} stopped with status {status}: {output.decode(errors='replace').strip()[-500:]}",
            hint=f"One of the scripts in {prefix}/etc/conda/activate.d ends the shell that sources it.",
        )
    pairs = (os.fsdecode(line).partition("=") for line in content.split(b"\0") if line)
    return {name: value for name, _, value in pairs if name.isidentifier()}


def _content(path: str) -> bytes | None:
    with contextlib.suppress(OSError), open(path, "rb") as stream:
        return stream.read() or None
    return None
