"""What the tests of the Python API share."""

from __future__ import annotations

from pathlib import Path

from tests.support.roost_process import Roost

from roost.client import CondaDependencies, Environment, Workspace

HELLO = "import greet, os, sys\nprint('hello', greet.value, *sys.argv[1:], os.environ.get('WORD'))\n"


def described(name: str = "train", *packages: str) -> Environment:
    environment = Environment(name)
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=packages or ("greet==1.0",))
    return environment


def own(workspace: Workspace) -> list[str]:
    """The names of those that are not curated."""
    return sorted(name for name in workspace.environments if not name.startswith("Roost-"))


def script(roost: Roost, text: str = HELLO) -> Path:
    return roost.write("project/hello.py", text).parent
