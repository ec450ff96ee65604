"""What a removed part of the root leads to, for every combination."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.upkeep.damage import Damage, Repair, find_fatal, plan_repairs
from roost.daemon.upkeep.inspection import find_damage
from roost.store.disk.layout import FOLDERS, Layout
from roost.store.disk.root_lock import claim_root

damages = st.builds(
    Damage,
    root=st.booleans(),
    index=st.booleans(),
    lock=st.booleans(),
    socket=st.booleans(),
    folders=st.lists(st.sampled_from(FOLDERS), unique=True).map(tuple),
)


@given(damages)
def test_only_the_root_and_the_index_are_fatal(damage):
    assert (find_fatal(damage) is not None) == (damage.root or damage.index)


@given(damages)
def test_everything_else_has_its_repair_and_the_socket_comes_last(damage):
    repairs = plan_repairs(damage)
    assert (Repair.RESTORE_LOCK in repairs) == damage.lock
    assert (Repair.MAKE_FOLDERS in repairs) == bool(damage.folders)
    assert (Repair.REOPEN_LOG in repairs) == ("logs" in damage.folders)
    assert (Repair.BIND_SOCKET in repairs) == damage.socket
    if damage.socket:
        assert repairs[-1] is Repair.BIND_SOCKET
    if Repair.REOPEN_LOG in repairs:
        assert repairs.index(Repair.MAKE_FOLDERS) < repairs.index(Repair.REOPEN_LOG)


def test_an_undamaged_root_needs_nothing():
    assert plan_repairs(Damage()) == []
    assert find_fatal(Damage()) is None


def test_the_folder_of_launch_plans_comes_and_goes(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path / "root"))
    layout.make_folders()
    (tmp_path / "root" / "launch").rmdir()
    lock = claim_root(layout)
    try:
        assert find_damage(layout, lock, None, layout.root) == Damage()
        (tmp_path / "root" / "wheels").rmdir()
        assert find_damage(layout, lock, None, layout.root) == Damage(folders=("wheels",))
    finally:
        lock.release()
