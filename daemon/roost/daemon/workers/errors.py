"""Errors of workers: everything else that a caller gets is the job's own."""

from __future__ import annotations

import signal

from roost.model.errors import BuildError, CodedError


class WorkerCrashedError(BuildError):
    """A worker ended while it ran a job: by a signal, or by itself without a result."""

    code = "worker-crashed"
    retryable = True


class WorkerTimeoutError(BuildError):
    """A worker did not end a job within the time that the job has."""

    code = "worker-timeout"
    retryable = True


class WorkerFailedError(CodedError):
    """A job raised an error that is not of roost's tree; the daemon's log has its traceback."""

    code = "internal"


def describe_end(status: int) -> str:
    """Return how a process ended, by its status as in :mod:`subprocess`: negative for a signal."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"ended by signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        return f"ended by signal {-status}"
