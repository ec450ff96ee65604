"""`roost env who` after real builds and runs."""

from __future__ import annotations

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost


@pytest.fixture
def used(roost: Roost, pip_index: PipIndex) -> Roost:
    """Version 1 of an environment has toy 1.0 and was run, version 2 has 2.0 and was built."""
    for version in ("1.0", "2.0"):
        pip_index.wheel("toy", version)
    for version in ("1.0", "2.0"):
        roost.write("roost.toml", f'name = "train"\n[pip]\nrequirements = ["toy=={version}"]\n')
        if version == "1.0":
            roost.ok("run", "--", "python", "-c", "import toy")
        else:
            roost.ok("env", "register")
            roost.ok("build")
    return roost


def test_everything_that_contains_a_package_is_counted_and_listed(used: Roost) -> None:
    all_of_it = used.json("env", "who", "toy")
    assert all_of_it["counts"] == {
        "locks": 2, "environments": 2, "generations": 2,
        "current_generations": 2, "images": 0, "prefixes": 2, "runs": 1,
    }  # fmt: skip
    old = used.json("env", "who", "toy<2")
    assert [(row["name"], row["version"], row["current"]) for row in old["environments"]] == [("train", 1, True)]
    [run] = used.json("runs", "list")["runs"]
    [row] = old["runs"]
    assert (row["id"], row["environment"], row["state"]) == (run["id"], "train:1", "succeeded")
    [prefix] = old["prefixes"]
    assert prefix["path"].startswith(str(used.root))
    assert prefix["packages"] == [{"kind": "pip", "name": "toy", "version": "1.0"}]
    shown = used.ok("env", "who", "toy<2")
    assert shown.splitlines()[0] == ("toy<2 is in 1 environment, 1 generation (1 current), 0 images, 1 prefix, 1 run")
    assert "train:1" in shown
    assert "toy 1.0 (pip)" in shown
    assert prefix["path"] in shown
    assert run["id"] in shown
    assert "and 1 more: --limit 2 shows all" in used.ok("env", "who", "toy", "--limit", "1")


def test_a_prefix_that_is_gone_is_no_longer_counted(used: Roost) -> None:
    [prefix] = used.json("env", "who", "toy==1.0")["prefixes"]
    used.ok("daemon", "stop")
    (used.root / "prefixes" / prefix["path"].rsplit("/", 1)[1]).rename(used.folder / "moved")
    after = used.json("env", "who", "toy==1.0")["counts"]
    assert (after["prefixes"], after["generations"], after["runs"]) == (0, 1, 1)


def test_what_is_not_there_is_said_and_no_failure(used: Roost) -> None:
    assert used.ok("env", "who", "toy>=3").splitlines() == [
        "nothing here contains toy>=3",
        "  available versions: toy 2.0 (pip), toy 1.0 (pip)",
    ]
    assert used.ok("env", "who", "toy", "--conda").splitlines() == ["nothing here contains toy"]
    assert used.failed(2, "env", "who", "toy[extra]")["code"] == "package-spec-invalid"
    assert used.failed(2, "env", "who", "toy", "--limit", "0")["code"] == "usage"
    assert used.failed(2, "env", "who", "toy", "--conda", "--pip")["code"] == "usage"
    assert used.failed(2, "env", "who", " ")["code"] == "usage"


def test_conda_packages_of_an_older_generation_are_not_current(conda_roost: Roost) -> None:
    conda_roost.write("environment.yml", "name: dated\ndependencies: [dated]\n")
    conda_roost.ok("env", "register")
    conda_roost.ok("build", "--as-of", "2024-06-01")
    [old] = conda_roost.json("env", "who", "dated")["versions"]
    conda_roost.ok("build", "--rebuild")
    spec = f"dated=={old['version']}"
    answer = conda_roost.json("env", "who", spec, "--conda")
    assert answer["versions"] == [old]
    assert old["kind"] == "conda"
    assert (answer["counts"]["generations"], answer["counts"]["current_generations"]) == (1, 0)
    assert [(row["name"], row["current"]) for row in answer["environments"]] == [("dated", False)]
    [newer] = conda_roost.json("env", "who", f"dated>{old['version']}")["generations"]
    assert (newer["number"], newer["current"]) == (2, True)
