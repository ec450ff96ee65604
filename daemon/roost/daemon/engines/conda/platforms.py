"""Virtual packages: the fixed baseline that a solve assumes for each platform, and whether this machine has it.

A solve never looks at the machine it runs on, so that it returns the same lock everywhere: it assumes the baseline
(linux-64: glibc 2.28, linux 4.18, the first level of x86_64), what the platform's suffix promises, and what the
definition states under ``[system]``. A machine that has less refuses the lock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from roost.daemon.engines.conda.errors import MachineLacksError, PlatformUnknownError, SystemInvalidError
from roost.model.definition import BASELINE_GLIBC

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
_STATABLE = {"cuda", "glibc", "linux", "osx", "win", "archspec"}
"""What ``[system]`` may state."""

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
"""archspec's microarchitectures to their psABI level of x86-64."""


def conda_subdir(platform: str) -> str:
    """Return the conda subdir of a platform: ``linux-64+cuda12`` → ``linux-64``."""
    return platform.partition("+")[0]


def baseline_packages(platform: str, system: Mapping[str, str]) -> dict[str, str]:
    """Return the virtual packages that a solve for ``platform`` assumes, by name (``__glibc``) to version.

    ``__archspec`` has the name of a microarchitecture in place of a version. ``system`` is the definition's
    ``[system]`` (names without the underscores); it overrides the baseline.

    Raises:
        PlatformUnknownError: if there is no baseline for ``platform``.
        SystemInvalidError: if ``system`` states an unknown name or an invalid version.
    """
    subdir, _, suffix = platform.partition("+")
    if subdir not in _BASELINES:
        raise PlatformUnknownError(
            f"{platform!r} is not a supported platform", hint=f"Choose one of {', '.join(_BASELINES)}."
        )
    packages = dict(_BASELINES[subdir])
    if suffix.startswith("cuda"):
        packages["__cuda"] = suffix.removeprefix("cuda")
    for name, version in system.items():
        if name not in _STATABLE:
            raise SystemInvalidError(f"[system] sets {name!r}; it can set {', '.join(sorted(_STATABLE))}")
        pattern = r"[a-z0-9_]+" if name == "archspec" else r"\d+(\.\d+)*"
        if not re.fullmatch(pattern, version):
            raise SystemInvalidError(
                f'[system] {name} = "{version}" is not a valid version', hint='Write it like "12.4".'
            )
        packages[f"__{name}"] = version
    return packages


def check_machine(system: Mapping[str, str], detected: Mapping[str, str]) -> None:
    """Refuse a lock that was solved for more than this machine has.

    ``system`` is the lock's, ``detected`` what :meth:`CondaEngine.detect_virtual_packages` found; both have the form
    of :func:`baseline_packages`.

    Raises:
        MachineLacksError: naming everything that is missing or too old.
    """
    lacking = [
        text for name, needed in sorted(system.items()) if (text := _describe_lack(name, needed, detected.get(name)))
    ]
    if lacking:
        raise MachineLacksError(
            f"This machine lacks what the packages were solved for: {'; '.join(lacking)}",
            hint="Run it on another target, or require less under [system] and build with --rebuild.",
            fields={"needed": dict(system), "detected": dict(detected)},
        )


def _describe_lack(name: str, needed: str, found: str | None) -> str:
    """Return what is missing of the virtual package ``name``; empty if it is sufficient."""
    if found is None:
        return f"{name} {needed} is needed and there is none"
    if name == "__archspec":
        # Compared only if both levels are known: a processor too new for the table is assumed to suffice.
        found_level, needed_level = _LEVELS.get(found), _LEVELS.get(needed)
        if found_level is not None and needed_level is not None and found_level < needed_level:
            return f"a processor of level {needed} is needed and it is {found}"
        return ""
    if _version_numbers(found) < _version_numbers(needed):
        return f"{name} {needed} is needed and it has {found}"
    return ""


def _version_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a version without trailing zeros, so that 12.0 equals 12."""
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
