"""``Run``: one execution of a command, and everything that is known of it."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from roost.client.api.environment import Environment, of_view
from roost.client.api.errors import NotFoundError, RunFailedError
from roost.client.api.experiment import Experiment
from roost.client.api.run_output import OVER, RunOutput
from roost.client.api.variables import own_variables
from roost.client.api.workspace import Workspace, path_to

Json = dict[str, Any]
STATUSES = {
    "queued": "Queued",
    "preparing": "Preparing",
    "running": "Running",
    "succeeded": "Completed",
    "failed": "Failed",
    "cancelled": "Canceled",
    "lost": "NotResponding",
}
"""roost's word for a state, and the one that Azure's scripts compare with."""
NO_EXPERIMENT = "default"
LOG = "user_logs/std_log.txt"
"""What Azure calls a run's output."""


class Run:
    """A run of an experiment, by its id. Raises ``NotFoundError`` where there is none."""

    def __init__(self, experiment: Experiment, run_id: str) -> None:
        self._experiment = experiment
        self._record = experiment.workspace._request("GET", path_to("runs", run_id))

    @staticmethod
    def _of_record(experiment: Experiment, record: Json) -> Run:
        run = Run.__new__(Run)
        run._experiment, run._record = experiment, record
        return run

    @staticmethod
    def get(workspace: Workspace, run_id: str) -> Run:
        """The run with this id. Raises ``NotFoundError``."""
        return _placed(workspace, workspace._request("GET", path_to("runs", run_id)))

    @staticmethod
    def list(experiment: Experiment, *, status: str | None = None) -> Iterator[Run]:
        """The runs of an experiment, the latest first; ``status``: only those, such as ``Completed``."""
        for record in experiment.workspace._pages("/v1/runs", "runs", "before"):
            if record.get("experiment") == experiment.name and status in (None, STATUSES[record["state"]]):
                yield Run._of_record(experiment, record)

    @property
    def id(self) -> str:
        """Its id, such as ``r20261123-073107-837df4``."""
        return str(self._record["id"])

    @property
    def experiment(self) -> Experiment:
        """What it belongs to."""
        return self._experiment

    @property
    def status(self) -> str:
        """As ``get_status``."""
        return self.get_status()

    def get_status(self) -> str:
        """``Preparing`` (its environment is being made), ``Queued``, ``Running``, ``Completed``, ``Failed``,
        ``Canceled``, or ``NotResponding``: it is gone, and nobody knows how it ended."""
        return STATUSES[self._state()]

    def _state(self) -> str:
        return str(self._fresh()["state"])

    def _fresh(self) -> Json:
        if self._record["state"] not in OVER:
            self._record = self._workspace._request("GET", path_to("runs", self.id))
        return self._record

    @property
    def _workspace(self) -> Workspace:
        return self._experiment.workspace

    @property
    def exit_status(self) -> int | None:
        """Of its command, once that has ended; 125 where roost could not start it."""
        status = self._fresh()["exit_status"]
        return None if status is None else int(status)

    def get_details(self) -> Json:
        """``runId``, ``target``, ``status``, ``startTimeUtc``, ``endTimeUtc``, ``runDefinition``, ``logFiles`` (name to
        path), with ``error`` where it never started; and under ``roost`` all that is recorded, as ``roost runs show
        --json`` prints it."""
        record = self._fresh()
        error = record.get("error")
        return {
            "runId": record["id"],
            "target": record["target"],
            "status": STATUSES[record["state"]],
            "startTimeUtc": record["started"],
            "endTimeUtc": record["ended"],
            "runDefinition": {
                "command": builtins.list(record["command"]),
                "target": record["target"],
                "environment": dict(record["environment"]),
                "environmentVariables": dict(record.get("variables") or {}),
            },
            "logFiles": {LOG: os.path.join(self._workspace.root, "runs", self.id, "output")} if self._keeps() else {},
            **({"error": dict(error)} if error else {}),
            "roost": dict(record),
        }

    def _keeps(self) -> bool:
        """Whether its output is kept; that of a run at a terminal is not."""
        return bool(self._record["detached"])

    def get_all_logs(self, destination: str | os.PathLike[str] | None = None) -> builtins.list[str]:
        """Write its output so far to ``<id>.txt`` in the folder ``destination`` (by default the working folder) and
        return the paths. Raises ``OSError``."""
        folder = os.fspath(destination or os.curdir)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"{self.id}.txt")
        with open(path, "wb") as file:
            file.write(self._output())
        return [path]

    def get_details_with_logs(self) -> Json:
        """As ``get_details``, with the output so far in the place of its path."""
        details = self.get_details()
        return {**details, "logFiles": {name: self._output().decode(errors="replace") for name in details["logFiles"]}}

    def _output(self) -> bytes:
        with closing(self._workspace._chunks(path_to("runs", self.id, "logs"))) as chunks:
            return b"".join(chunks)

    def wait_for_completion(
        self, show_output: bool = False, wait_post_processing: bool = False, raise_on_error: bool = True
    ) -> Json:
        """Wait until it has ended, and return ``get_details()``. ``show_output``: print to standard output what making
        its environment says, and then what it prints. An interrupt ends the waiting, not the run. Raises
        ``RunFailedError`` where it ends otherwise than well, unless ``raise_on_error`` is false.
        ``wait_post_processing`` has no effect: there is none."""
        RunOutput(self._workspace, self.id, sys.stdout if show_output else None).follow()
        details = self.get_details()
        if raise_on_error and self._record["state"] != "succeeded":
            raise self._failure()
        return details

    def _failure(self) -> RunFailedError:
        record = self._record
        said = record.get("error") or {}
        how = f"with exit status {record['exit_status']}" if record["exit_status"] is not None else record["state"]
        message = f"Run {self.id} ended {how}"
        fields = {"run": self.id, "status": STATUSES[record["state"]], "exit_status": record["exit_status"]}
        if said:
            message, fields = f"{message}: {said['message']}", {**fields, "error": said}
        hint = said.get("hint") or "Run.get_details_with_logs() has its output."
        return RunFailedError({"code": "run-failed", "message": message, "hint": hint, "fields": fields})

    def cancel(self) -> None:
        """Ask it to end; ``wait_for_completion`` waits for that. Raises ``RoostError`` where it is over."""
        self._workspace._request("DELETE", path_to("runs", self.id))

    def get_environment(self) -> Environment:
        """The environment that it recorded: that very version, and when submitted or built unchanged in that very
        generation, which is made again from its lock if it was collected; where that is of another platform than the
        target (a prefix on a Python of this machine, and an image), in the target's own. Raises ``NotFoundError`` where
        it recorded none."""
        record = self._fresh()
        name, version = record["environment"].get("name"), record["environment"].get("version")
        if name is None or version is None:
            raise NotFoundError(
                {
                    "code": "environment-unknown",
                    "message": f"Run {self.id} recorded no version of an environment",
                    "hint": "It is older than registered environments; Run.rerun() still runs it again.",
                    "exit_status": 7,
                }
            )
        view = self._workspace._request("GET", path_to("environments", name, version=version))
        return of_view(view, self.id)

    def rerun(self) -> Run:
        """Run the same again in exactly the same generation, and return at once: where its environment must be made
        again, the new run is ``Preparing`` meanwhile, and fails where that does. Raises ``NotFoundError`` where nothing
        was recorded that could be run again."""
        request = {"detach": True, "environ_of_client": own_variables()}
        answer = self._workspace._request("POST", path_to("runs", self.id, "rerun"), request)
        return Run._of_record(self._experiment, answer["run"])

    def __repr__(self) -> str:
        return f"Run(id={self.id!r}, status={STATUSES[self._record['state']]!r})"


def _placed(workspace: Workspace, record: Json) -> Run:
    return Run._of_record(Experiment(workspace, record.get("experiment") or NO_EXPERIMENT), record)
