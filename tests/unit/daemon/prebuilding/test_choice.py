"""What may be prebuilt: never on battery or above a load unless the settings say so, and the latest request first."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.prebuilding.choice import MachineState, PrebuildLimits, Start, Wait, may_start, must_pause
from roost.daemon.prebuilding.machine import PowerSupply, is_on_battery, read_supplies

QUEUES = st.lists(st.text(max_size=3), unique=True, max_size=6)
MACHINES = st.builds(MachineState, on_battery=st.booleans(), load=st.floats(0, 100))
LIMITS = st.builds(PrebuildLimits, on_battery=st.booleans(), max_load=st.one_of(st.just(0.0), st.floats(0, 100)))
SUPPLIES = st.lists(
    st.builds(
        PowerSupply,
        kind=st.sampled_from(["Battery", "Mains", "USB", "UPS", ""]),
        scope=st.sampled_from(["", "System", "Device"]),
        status=st.sampled_from(["", "Charging", "Discharging", "Full", "Unknown"]),
        online=st.sampled_from(["", "0", "1", "2"]),
    ),
    max_size=4,
)


@given(QUEUES, MACHINES, LIMITS)
def test_the_latest_begins_or_there_is_a_reason_that_holds(
    queue: list[str], machine: MachineState, limits: PrebuildLimits
) -> None:
    match may_start(queue, machine, limits):
        case None:
            assert not queue
        case Start(key):
            assert key == queue[-1]
            assert limits.on_battery or not machine.on_battery
            assert limits.max_load in (0, max(limits.max_load, machine.load))
        case Wait("battery"):
            assert machine.on_battery
            assert not limits.on_battery
        case Wait("load"):
            assert 0 < limits.max_load < machine.load


@given(MACHINES, LIMITS)
def test_what_may_begin_is_not_paused_at_once(machine: MachineState, limits: PrebuildLimits) -> None:
    if isinstance(may_start(["key"], machine, limits), Start):
        assert not must_pause(machine, limits)


@given(SUPPLIES)
def test_a_machine_that_is_fed_or_has_no_battery_is_not_on_battery(supplies: list[PowerSupply]) -> None:
    mains = PowerSupply(kind="Mains", online="1")
    assert not is_on_battery([*supplies, mains])
    assert not is_on_battery([each for each in supplies if each.kind not in ("Battery", "UPS")])
    mouse = PowerSupply(kind="Battery", scope="Device", status="Discharging")
    assert is_on_battery([*supplies, mouse]) == is_on_battery(supplies)


def write_supply(folder: Path, name: str, **words: str) -> None:
    (folder / name).mkdir(parents=True)
    for word, text in words.items():
        (folder / name / word).write_text(f"{text}\n")


def test_an_unplugged_laptop_is_read_from_the_kernels_files(tmp_path: Path) -> None:
    write_supply(tmp_path, "BAT0", type="Battery", status="Discharging")
    write_supply(tmp_path, "AC", type="Mains", online="0")
    assert is_on_battery(read_supplies(str(tmp_path)))
    (tmp_path / "AC" / "online").write_text("1\n")
    assert not is_on_battery(read_supplies(str(tmp_path)))
    assert read_supplies(os.path.join(tmp_path, "none")) == []
