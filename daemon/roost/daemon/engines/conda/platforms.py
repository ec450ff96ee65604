"""What packages may count on: the fixed baseline of virtual packages for each platform, and what this machine has.

A solve never looks at the machine it runs on, so that it gives the same lock everywhere: it assumes the baseline
(linux-64: glibc 2.28, linux 4.18, the first level of x86_64), what the platform's suffix promises, and what the
definition states under ``[system]``. A machine that has less refuses the lock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from roost.model.errors import BuildError, InvalidDefinitionError

BASELINE_GLIBC = "2.28"
"""The glibc that packages for Linux may count on, wheels too, unless ``[system]`` states another."""
_LINUX = {"__unix": "0", "__linux": "4.18", "__glibc": BASELINE_GLIBC}
_BASELINES: dict[str, dict[str, str]] = {
    "linux-64": {**_LINUX, "__archspec": "x86_64"},
    "linux-aarch64": {**_LINUX, "__archspec": "aarch64"},
    "linux-ppc64le": {**_LINUX, "__archspec": "ppc64le"},
    "linux-s390x": {**_LINUX, "__archspec": "s390x"},
    "osx-64": {"__unix": "0", "__osx": "11.0", "__archspec": "x86_64"},
    "osx-arm64": {"__unix": "0", "__osx": "11.0", "__archspec": "m1"},
    "win-64": {"__win": "10.0", "__archspec": "x86_64"},
}
_STATED = {"cuda", "glibc", "linux", "osx", "win", "archspec"}

_LEVELS = {
    name: level
    for level, names in {
        1: ("x86_64", "core2", "k10", "bulldozer"),
        2: ("x86_64_v2", "nehalem", "westmere", "sandybridge", "ivybridge", "piledriver", "steamroller"),
        3: ("x86_64_v3", "haswell", "broadwell", "skylake", "excavator", "zen", "zen2", "zen3", "alderlake"),
        4: ("x86_64_v4", "skylake_avx512", "cascadelake", "cannonlake", "icelake", "mic_knl", "sapphirerapids",
            "graniterapids", "zen4", "zen5"),
    }.items()
    for name in names
}  # fmt: skip
"""archspec's microarchitectures to the psABI level of x86-64 that they have."""


class PlatformUnknownError(InvalidDefinitionError):
    """No baseline is known for the platform."""

    code = "platform-unknown"


class SystemInvalidError(InvalidDefinitionError):
    """``[system]`` states something that is no virtual package, or no version."""

    code = "system-invalid"


class MachineLacksError(BuildError):
    """This machine has less than the lock was solved for."""

    code = "machine-lacks"


def subdir_of(platform: str) -> str:
    """``linux-64+cuda12`` → ``linux-64``."""
    return platform.partition("+")[0]


def baseline(platform: str, system: Mapping[str, str]) -> dict[str, str]:
    """Virtual package to version (``__archspec``: to its name), as a solve for ``platform`` assumes them."""
    subdir, _, suffix = platform.partition("+")
    if subdir not in _BASELINES:
        raise PlatformUnknownError(
            f"{platform!r} is no platform that can be solved for", hint=f"Choose one of {', '.join(_BASELINES)}."
        )
    packages = dict(_BASELINES[subdir])
    if suffix.startswith("cuda"):
        packages["__cuda"] = suffix.removeprefix("cuda")
    for name, version in system.items():
        _check_stated(name, version)
        packages[f"__{name}"] = version
    return packages


def _check_stated(name: str, version: str) -> None:
    if name not in _STATED:
        raise SystemInvalidError(f"[system] states {name!r}; it can state {', '.join(sorted(_STATED))}")
    pattern = r"[a-z0-9_]+" if name == "archspec" else r"\d+(\.\d+)*"
    if not re.fullmatch(pattern, version):
        raise SystemInvalidError(f'[system] {name} = "{version}" is no version', hint='Write it like "12.4".')


def check_machine(system: Mapping[str, str], detected: Mapping[str, str]) -> None:
    """Refuse a lock that was solved for more than this machine has.

    ``system`` is the lock's, ``detected`` what :meth:`CondaEngine.detect` found, both in the form of :func:`baseline`.
    Raises :class:`MachineLacksError` naming everything that is missing or too old.
    """
    lacking = [text for name, needed in sorted(system.items()) if (text := _lack(name, needed, detected.get(name)))]
    if lacking:
        raise MachineLacksError(
            f"This machine lacks what the packages were solved for: {'; '.join(lacking)}",
            hint="Run it on another target, or state less under [system] and build anew with --rebuild.",
            fields={"needed": dict(system), "detected": dict(detected)},
        )


def _lack(name: str, needed: str, found: str | None) -> str:
    if found is None:
        return f"{name} {needed} is needed and there is none"
    if name == "__archspec":
        return _lack_level(needed, found)
    if _version(found) < _version(needed):
        return f"{name} {needed} is needed and it has {found}"
    return ""


def _lack_level(needed: str, found: str) -> str:
    """Levels are compared where both are known; a processor too new for the table is given the benefit."""
    has, wants = _LEVELS.get(found), _LEVELS.get(needed)
    if has is not None and wants is not None and has < wants:
        return f"a processor of level {needed} is needed and it is {found}"
    return ""


def _version(text: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
