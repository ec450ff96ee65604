"""What a run is started with."""

from __future__ import annotations

from roost.daemon.runs.container_specs import ContainerLaunch
from roost.daemon.runs.starts import add_run_variables
from roost.wire.environments import ChangeView
from roost.wire.runs import Launch


def launch(lock: str | None) -> Launch:
    return Launch(
        prefix="/p",
        lease=None,
        changes=[ChangeView(name="A", action="set", value="1")],
        variables={"B": "2"},
        definition_digest="sha256:d",
        lock_digest=lock,
        generation=None,
        artifact=None,
    )


def test_a_command_learns_its_run_environment_and_lock() -> None:
    given = launch("sha256:l")
    found = add_run_variables(given, "r1", ("train", 3))
    names = {"ROOST_RUN_ID": "r1", "ROOST_ENVIRONMENT": "train:3", "ROOST_LOCK": "sha256:l"}
    assert found.variables == {"B": "2", **names}
    assert found.changes == given.changes
    assert given == launch("sha256:l")
    in_image = add_run_variables(ContainerLaunch(image="i", lock_digest="sha256:l"), "r1", ("train", 3))
    assert in_image.variables == names


def test_those_of_a_run_around_it_do_not_reach_it() -> None:
    found = add_run_variables(launch(None), "r1", None)
    assert found.variables["ROOST_RUN_ID"] == "r1"
    unset = [change.name for change in found.changes if change.action == "unset"]
    assert unset == ["ROOST_ENVIRONMENT", "ROOST_LOCK"]
