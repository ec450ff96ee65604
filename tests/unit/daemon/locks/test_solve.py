"""Pip lines are resolved under one set of conditions: for a lock of our own, and for judging another machine's."""

from __future__ import annotations

from typing import Any

import pytest

from roost.daemon.engines.conda.errors import ChannelUnreachableError, SolveError
from roost.daemon.engines.host_python.errors import NoInterpreterError
from roost.daemon.engines.uv.request import PipLockRequest, PythonFacts
from roost.daemon.jobs.progress import Silent
from roost.daemon.locks import attest, solve
from roost.daemon.locks.expectation import LockJob, derive_expectation
from roost.daemon.locks.solve import SolveJob, conda_specs, create_pip_request
from roost.model.definition import Defaults, Definition, Pip, PipItem, Python
from roost.model.errors import CodedError
from roost.model.locks.lock import CondaPackage, CondaPython, HostPython, Lock, Wheel

INDEX = "https://index.example.org/simple"
JOB = SolveJob(
    definition=Definition(pip=Pip(requirements=(PipItem(kind="requirement", text="six"),)), system={"glibc": "2.34"}),
    defaults=Defaults(index=INDEX),
    platform="linux-64",
)
PYTHON = CondaPackage(
    name="python",
    version="3.11.7",
    build="0",
    subdir="linux-64",
    file_name="python-3.11.7-0.conda",
    url="u",
    sha256="1",
)
SIX = Wheel(name="six", version="1.16.0", file_name="six-1.16.0-py2.py3-none-any.whl", sha256="2" * 64, kind="index")
LOCK = Lock(platform="linux-64", provider=CondaPython(), conda=(PYTHON,), wheels=(SIX,))


class SeenError(Exception):
    """Ends a test once the request was seen."""


class Recorder:
    """The engines, as far as judging wheels asks them before uv does."""

    request: PipLockRequest

    async def conda(self) -> Any:
        return self

    async def pip(self) -> Any:
        return self

    def channel_credentials(self, *arguments: Any) -> dict[str, str]:
        return {}

    async def find_distributions(self, *arguments: Any, **options: Any) -> dict[str, str]:
        return {}

    async def lock(self, request: PipLockRequest, progress: Any) -> Any:
        self.request = request
        raise SeenError


def test_the_index_is_the_one_of_the_digest_and_glibc_the_definitions():
    request = create_pip_request(JOB, PythonFacts(version="3.11.7"))
    assert (request.index, request.glibc, request.platform) == (INDEX, "2.34", "linux-64")


async def test_a_lock_from_elsewhere_is_judged_by_the_index_of_the_digest():
    engines: Any = Recorder()
    job = LockJob(definition_digest="sha256:" + "0" * 64, solve=JOB)
    with pytest.raises(SeenError):
        await attest._check_indexes(engines, LOCK, job, {}, (), PythonFacts(version="3.11.7"), Silent())
    assert (engines.request.index, engines.request.glibc) == (INDEX, "2.34")


@pytest.mark.parametrize(
    ("requires", "expected"),
    [
        (">=3.10,==3.12.*", ">=3.10,3.12.*"),
        ("==3.12.*", "3.12.*"),
        (">= 3.10, != 3.11.*", ">=3.10,!=3.11.*"),
        ("==3.12.4", "==3.12.4"),
        ("~=3.10", "~=3.10"),
    ],
)
def test_a_bound_for_python_means_the_same_to_conda(requires: str, expected: str) -> None:
    definition = Definition(python=Python(requires=requires))
    assert conda_specs(definition) == [f"python {expected}"]


@pytest.mark.parametrize("requires", [None, ">=3.12"])
def test_a_lock_with_condas_python_is_expected_to_have_one_that_fits(requires: str | None) -> None:
    definition = Definition(pip=JOB.definition.pip, python=Python(requires=requires))
    solve = SolveJob(definition=definition, defaults=Defaults(), platform="linux-64")
    job = LockJob(definition_digest="sha256:" + "0" * 64, solve=solve)
    host = Lock(platform="linux-64", provider=HostPython(implementation="cpython", version="3.12"))
    conda = Lock(platform="linux-64", provider=CondaPython())
    expected = derive_expectation(job, False, None, host)
    assert (expected.uses_host_python, expected.specs) == (True, ())
    expected = derive_expectation(job, False, None, conda)
    assert expected.uses_host_python is False
    assert expected.specs[0] == "pip"
    assert expected.specs[1] == ("python >=3.12" if requires else "python")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ChannelUnreachableError("no network"), "Whether conda-forge has one could not be found out: no network"),
        (SolveError("no python 3.99"), "None comes from conda-forge either: no python 3.99"),
    ],
)
async def test_a_channel_that_was_not_reached_is_not_known_to_have_no_python(
    error: CodedError, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(solve, "_choose_conda_packages", fail)
    job = SolveJob(definition=Definition(), defaults=Defaults(channels=["conda-forge"]), platform="linux-64")
    missing = NoInterpreterError("No Python fits; found:\n3.11.7 at /x")
    with pytest.raises(NoInterpreterError) as caught:
        await solve._solve_without_host_python(Recorder(), job, missing, Silent())  # type: ignore[arg-type]
    assert caught.value.message.split("\n") == ["No Python fits; found:", "3.11.7 at /x", said]
