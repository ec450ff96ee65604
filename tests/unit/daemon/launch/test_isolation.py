"""What becomes of the variables of a caller and of a base image."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from roost.daemon.launch.isolation import (
    HOOK_VARIABLES,
    PYTHON_VARIABLES,
    base_changes,
    container_variables,
    isolation_changes,
)
from roost.model.records import VariableChange

VENV = (
    VariableChange(name="VIRTUAL_ENV", action="set", value="/p"),
    VariableChange(name="PATH", action="prepend", value="/p/bin"),
    VariableChange(name="PYTHONHOME", action="unset"),
)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="--help-env came with Python 3.11")
def test_the_table_has_every_variable_that_this_python_reads() -> None:
    done = subprocess.run([sys.executable, "--help-env"], capture_output=True, text=True, check=True)
    names = set(re.findall(r"^(PYTHON\w+)", done.stdout, re.MULTILINE))
    assert len(names) > 10
    assert names - set(PYTHON_VARIABLES) == set()


def test_what_would_beat_the_lock_is_cleared_and_the_user_site_is_off() -> None:
    changes = {change.name: (change.action, change.value) for change in isolation_changes(())}
    cleared = {name for name, what in PYTHON_VARIABLES.items() if what == "cleared"}
    assert cleared == {"PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__"}
    assert all(changes[name] == ("unset", "") for name in (*cleared, "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_SHLVL"))
    assert changes["PYTHONNOUSERSITE"] == ("set", "1")
    assert not changes.keys() & {name for name, what in PYTHON_VARIABLES.items() if what in ("passes", "recorded")}


def test_what_the_activation_does_itself_is_not_done_twice() -> None:
    names = [change.name for change in isolation_changes(VENV)]
    assert "VIRTUAL_ENV" not in names
    assert "PYTHONHOME" not in names
    assert "CONDA_PREFIX" in names


def test_no_hook_variable_is_cleared_whatever_its_value() -> None:
    assert not set(HOOK_VARIABLES) & {change.name for change in isolation_changes(())}
    assert len(set(HOOK_VARIABLES)) == len(HOOK_VARIABLES)


def _kept(*steps: str, is_own_base: bool = False) -> bool:
    changes = base_changes(steps, is_own_base=is_own_base)
    assert {"PYTHONHOME", "PYTHONEXECUTABLE"} <= {change.name for change in changes}
    return "PYTHONPATH" not in [change.name for change in changes]


@pytest.mark.parametrize(
    "step", ["ENV PYTHONPATH=/x", "env A=1 PYTHONPATH=/x", "ENV PYTHONPATH /x", " ENV A=1 \\\n PYTHONPATH=/x"]
)
def test_the_python_path_that_the_definitions_own_steps_set_stays(step: str) -> None:
    assert _kept("RUN true", step)


@pytest.mark.parametrize(
    "step", ["RUN echo PYTHONPATH=/x", "ENV MYPYTHONPATH=/x", "ENV PYTHONPATHS=/x", "ARG PYTHONPATH=/x"]
)
def test_that_of_the_base_image_does_not(step: str) -> None:
    assert not _kept(step)


def test_that_of_a_dockerfile_stays() -> None:
    assert _kept(is_own_base=True)


def test_containers_of_user_managed_images_are_left_as_they_are() -> None:
    assert container_variables(adds_packages=True) == {"PYTHONNOUSERSITE": "1"}
    assert container_variables(adds_packages=False) == {}
