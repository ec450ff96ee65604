"""What may be prebuilt now: a pure decision of the queue, the machine and the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

WaitReason = Literal["battery", "load"]


class MachineState(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine has left for work that nobody waits for."""

    on_battery: bool = False
    load: float = 0.0
    """Load average of the last minute, divided by the number of processors."""


class PrebuildLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that bound prebuilding."""

    on_battery: bool = False
    """Whether it may work on battery."""
    max_load: float = 0.0
    """Load above which nothing begins; 0: no limit."""


class Start(msgspec.Struct, frozen=True):
    """The request with ``key`` begins."""

    key: str


class Wait(msgspec.Struct, frozen=True):
    """Nothing begins, for ``reason``."""

    reason: WaitReason


def may_start(queue: Sequence[str], machine: MachineState, limits: PrebuildLimits) -> Start | Wait | None:
    """Return what becomes of ``queue``, the keys of all requests, the oldest first; ``None`` if it is empty.

    The latest request begins first: its file is the one that somebody is working at.
    """
    if not queue:
        return None
    if must_pause(machine, limits):
        return Wait("battery")
    if limits.max_load and machine.load > limits.max_load:
        return Wait("load")
    return Start(queue[-1])


def must_pause(machine: MachineState, limits: PrebuildLimits) -> bool:
    """Whether a prebuild that runs has to end: the machine was unplugged. A load does not end one, since it is the
    prebuild's own too, and all others go first anyway."""
    return machine.on_battery and not limits.on_battery
