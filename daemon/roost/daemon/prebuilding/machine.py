"""Whether this machine runs on battery, and how busy it is."""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from roost.daemon.prebuilding.choice import MachineState

_POWER_SUPPLIES = "/sys/class/power_supply"
"""Linux: Documentation/ABI/testing/sysfs-class-power."""


class PowerSupply(msgspec.Struct, frozen=True, kw_only=True):
    """One power supply, as the kernel describes it; what it does not say is empty."""

    kind: str = ""
    """``Battery``, ``Mains``, ``USB``, ``UPS``, ``Wireless``."""
    scope: str = ""
    """``Device`` for one that feeds a mouse or a headset."""
    status: str = ""
    """``Charging``, ``Discharging``, ``Not charging``, ``Full`` or ``Unknown``."""
    online: str = ""
    """``1`` for a source from outside that is plugged in; USB also has ``2``."""


def is_on_battery(supplies: Iterable[PowerSupply]) -> bool:
    """Return whether a battery of the machine is discharging and nothing from outside feeds it.

    A machine that says nothing of its power is one that is plugged in.
    """
    own = [supply for supply in supplies if supply.scope != "Device"]
    is_fed = any(supply.kind not in ("Battery", "UPS") and supply.online not in ("", "0") for supply in own)
    return not is_fed and any(supply.kind in ("Battery", "UPS") and supply.status == "Discharging" for supply in own)


def read_supplies(folder: str = _POWER_SUPPLIES) -> list[PowerSupply]:
    """Return the power supplies of this machine. Blocks."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [_read_supply(os.path.join(folder, name)) for name in names]


def _read_supply(path: str) -> PowerSupply:
    return PowerSupply(
        kind=_read_word(path, "type"),
        scope=_read_word(path, "scope"),
        status=_read_word(path, "status"),
        online=_read_word(path, "online"),
    )


def _read_word(path: str, name: str) -> str:
    try:
        with open(os.path.join(path, name), encoding="ascii", errors="replace") as file:
            return file.read(100).strip()
    except OSError:
        return ""


def read_machine() -> MachineState:
    """Return the state of this machine now. Blocks."""
    try:
        load = os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:
        load = 0.0
    return MachineState(on_battery=is_on_battery(read_supplies()), load=load)
