"""Factories for tests of the Python API."""

from __future__ import annotations

from pathlib import Path

from tests.support.roost_process import Roost

from roost.client import CondaDependencies, Environment, Workspace

HELLO = "import greet, os, sys\nprint('hello', greet.value, *sys.argv[1:], os.environ.get('WORD'))\n"


def make_environment(name: str = "train", *packages: str) -> Environment:
    """Return an environment with pip ``packages`` that is not registered."""
    environment = Environment(name)
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=packages or ("greet==1.0",))
    return environment


def own_names(workspace: Workspace) -> list[str]:
    """Return the names of the registered environments that are not curated."""
    return sorted(name for name in workspace.environments if not name.startswith("Roost-"))


def write_script(roost: Roost, text: str = HELLO) -> Path:
    """Write ``hello.py`` and return its folder."""
    return roost.write("project/hello.py", text).parent
