"""The tags of wheels (PEP 425) that an interpreter accepts, from what it reports about itself. Pure.

``packaging.tags`` knows the rules for implementation and ABI, and asks the interpreter that it runs in for the rest.
Here the interpreter is another one, so ABI and platforms are passed to it. Sources: PEP 600 (manylinux), PEP 703 and
PEP 803 (free-threaded ABI), the platform compatibility tags of packaging.python.org.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.tags import Tag, compatible_tags, cpython_tags, generic_tags, mac_platforms

from roost.daemon.engines.host_python.interpreters import Interpreter

_LEGACY = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
"""glibc to the names that PEP 600 replaced; the last two exist for x86 only."""
_OLDEST_MINOR = {"x86_64": 5, "i686": 5}
"""Oldest glibc 2.N of manylinux by machine; 17 for the others."""


def accepted_tags(interpreter: Interpreter) -> frozenset[Tag]:
    """Return the tags of the wheels that fit ``interpreter``."""
    version = [int(part) for part in interpreter.version.split(".")[:2]]
    platforms = list(_platforms(interpreter))
    digits = "".join(map(str, version))
    if interpreter.implementation == "cpython":
        own_abi = interpreter.soabi.split("-")[1:2] or [f"{digits}{'t' if interpreter.free_threaded else ''}"]
        abi = f"cp{own_abi[0]}"
        own = cpython_tags(version, abis=[abi], platforms=platforms)
        return frozenset([*own, *compatible_tags(version, f"cp{digits}", platforms)])
    if interpreter.implementation == "pypy":
        abi = "_".join(interpreter.soabi.split("-")[:2])
        own = generic_tags(f"pp{digits}", [abi] if abi else [], platforms)
        return frozenset([*own, *compatible_tags(version, "pp3", platforms)])
    return frozenset(compatible_tags(version, None, platforms))


def glibc_of(interpreter: Interpreter) -> tuple[int, int]:
    """Return the glibc of ``interpreter``, ``(0, 0)`` if it is linked against none."""
    found = re.fullmatch(r"glibc (\d+)\.(\d+).*", interpreter.libc)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _platforms(interpreter: Interpreter) -> Iterator[str]:
    system, _, machine = interpreter.platform.partition("-")
    if system == "linux":
        yield from _linux_platforms("i686" if (machine, interpreter.bits) == ("x86_64", 32) else machine, interpreter)
    elif system == "macosx":
        release, _, machine = machine.partition("-")
        numbers = [int(part) for part in re.findall(r"\d+", release)] + [0]
        yield from mac_platforms((numbers[0], numbers[1]), machine)
    else:
        yield re.sub(r"[-.]", "_", interpreter.platform)


def _linux_platforms(machine: str, interpreter: Interpreter) -> Iterator[str]:
    major, minor = glibc_of(interpreter)
    if major == 2:
        for number in range(minor, _OLDEST_MINOR.get(machine, 17) - 1, -1):
            yield f"manylinux_2_{number}_{machine}"
            if (2, number) in _LEGACY:
                yield f"{_LEGACY[2, number]}_{machine}"
    yield f"linux_{machine}"
