"""What jobs declare is what their functions take and return, and every error of theirs can travel."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from typing import Any, get_type_hints

import pytest

from roost.daemon.engines.conda import jobs
from roost.daemon.workers.context import JobContext
from roost.daemon.workers.jobs import WorkerJob

JOBS: dict[str, WorkerJob[Any, Any]] = {
    name: value for name, value in vars(jobs).items() if isinstance(value, WorkerJob)
}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_names_a_function_of_its_types(name: str) -> None:
    job = JOBS[name]
    module, _, function_name = job.target.partition(":")
    function = getattr(importlib.import_module(module), function_name)
    hints = get_type_hints(function)
    payload, context = inspect.signature(function).parameters
    assert (hints[payload], hints[context], hints["return"]) == (job.payload, JobContext, job.result)


def test_the_daemon_imports_no_rattler() -> None:
    modules = ("serve", "routes.table", "engines.conda.engine", "engines.conda.rules", "locks.attest")
    imported = ", ".join(f"roost.daemon.{name}" for name in modules)
    script = f"import sys, {imported}; print(sorted(n for n in sys.modules if n == 'rattler' or '.native' in n))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
