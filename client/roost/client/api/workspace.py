"""``Workspace``, ``Experiment`` and ``Run``: what one root has recorded, and the way to start runs.

The three are one module because each has public properties of the others' types: ``Workspace.experiments``,
``Workspace.get_run``, ``Experiment.workspace``, ``Experiment.submit``, ``Run.experiment``.
"""

from __future__ import annotations

import builtins
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Literal

from roost.client import paths
from roost.client.api.configurations.script_run_config import ScriptRunConfig
from roost.client.api.configurations.submission import submission_request
from roost.client.api.connection import WorkspaceConnection, path_to, process_variables
from roost.client.api.environment import Environment, Environments, environment_from_view
from roost.client.api.errors import NotFoundError, translate_errors, usage_error
from roost.client.api.leases import SECONDS, HeldLease, lease_request
from roost.client.api.run_output import RunOutput
from roost.client.api.run_record import ENDED_STATES, RUN_STATUSES, run_details, run_failed_error

logger = logging.getLogger("roost")
Json = dict[str, Any]
NAME = "default"
NO_EXPERIMENT = "default"
"""The experiment of a run that was started without one."""


class Workspace(WorkspaceConnection):
    """The workspace of this machine and user: the one whose root is ``ROOST_HOME``, or the default root.

    The daemon is contacted when it is first needed, and started if it does not run, which raises
    ``DaemonUnreachableError`` if it fails.
    """

    def __init__(self) -> None:
        super().__init__()
        with translate_errors():
            self._root = paths.root()

    @staticmethod
    def from_config(path: str | os.PathLike[str] | None = None, auth: object = None) -> Workspace:
        """Return the workspace of this machine. ``path``: a JSON file, which may be one of Azure's; a ``root`` in it
        must be that of this workspace. ``auth`` has no effect: only its owner can reach the daemon. Raises
        ``UsageError``, ``OSError``."""
        workspace = Workspace()
        if path is not None:
            _check_config(os.fspath(path), workspace.root)
        return workspace

    @staticmethod
    def get(
        name: str = NAME,
        auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
    ) -> Workspace:
        """Return the workspace ``default``, the only one of this machine. The parameters that locate a workspace in
        Azure have no effect. Raises ``UsageError`` for another name."""
        if name != NAME:
            raise usage_error(
                f"This machine has no workspace {name!r}, but only {NAME!r}", "Use Workspace.from_config()."
            )
        return Workspace()

    @staticmethod
    def list(
        subscription_id: str | None = None, auth: object = None, resource_group: str | None = None
    ) -> dict[str, list[Workspace]]:
        """Return the workspaces of this machine by name: there is one."""
        return {NAME: [Workspace()]}

    @property
    def name(self) -> str:
        """``default``."""
        return NAME

    @property
    def root(self) -> str:
        """Absolute folder in which roost stores everything of this workspace."""
        return self._root

    @property
    def environments(self) -> Environments:
        """The registered environments by name, each in its latest version; fetched when they are looked up."""
        return Environments(self)

    @property
    def experiments(self) -> dict[str, Experiment]:
        """The experiments that have runs, by name."""
        return {experiment.name: experiment for experiment in Experiment.list(self)}

    def get_run(self, run_id: str) -> Run:
        """Return the run with this id, or whose id alone begins so; ``latest`` is the newest. Raises
        ``NotFoundError``, ``UsageError`` if several ids begin so."""
        return Run.get(self, run_id)

    def lease(
        self,
        subject: Environment | str,
        *,
        kind: Literal["environment", "generation", "prefix", "image"] = "environment",
        generation: int | None = None,
        holder: str | None = None,
        seconds: float = SECONDS,
    ) -> HeldLease:
        """Return a lease for ``with``: as long as the block runs, nothing of ``subject`` is deleted, and a build of it
        goes on without a client. ``subject``: a registered ``Environment``, or for each ``kind`` a text: ``NAME``,
        ``NAME:VERSION`` or ``NAME@LABEL`` (with ``generation`` for that kind), a lock digest or path of a prefix, a key
        or digest of an image. ``holder``: who needs it, for people. Entering the block raises ``NotFoundError``,
        ``UsageError``."""
        return HeldLease(self, lease_request(subject, kind, generation, holder), seconds)

    def get_details(self) -> Json:
        """Return ``name`` and ``root``, and the daemon's ``version``, ``protocol``, ``store_format``, …"""
        return {"name": self.name, **self._request("GET", "/v1/version"), "root": self.root}

    def __repr__(self) -> str:
        return f"Workspace(name={self.name!r}, root={self.root!r})"


class Experiment:
    """The runs of one purpose. An experiment exists as soon as it has a run."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        if not isinstance(name, str) or not name.strip():
            raise usage_error(f"{name!r} is not a valid experiment name", "Give a string.")
        self._workspace = workspace
        self._name = name

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self._name

    @property
    def workspace(self) -> Workspace:
        """The workspace of the experiment."""
        return self._workspace

    workspace_object = workspace

    @staticmethod
    def list(workspace: Workspace, experiment_name: str | None = None) -> builtins.list[Experiment]:
        """Return the experiments that have runs, the latest first. ``experiment_name``: only that one."""
        rows = workspace._list_rows("/v1/runs", "runs", "before")
        names = dict.fromkeys(str(row["experiment"]) for row in rows if row.get("experiment"))
        return [Experiment(workspace, name) for name in names if experiment_name in (None, name)]

    def submit(self, config: ScriptRunConfig, tags: Mapping[str, str] | None = None) -> Run:
        """Start a run and return at once: its environment is built, it is started and recorded whether or not a client
        waits. An environment that is not registered is registered by this. The run gets this process's variables.
        ``tags``: as by ``Run.tag``. Raises ``UsageError``, ``DefinitionError``, ``EnvironmentNotFoundError``."""
        if not isinstance(config, ScriptRunConfig):
            raise usage_error(f"{config!r} can't be submitted", "Give a ScriptRunConfig, which may have a run_config.")
        request = submission_request(self._workspace, config, self._name)
        if tags:
            request["tags"] = [_write_tag(key, value) for key, value in tags.items()]
        answer = self._workspace._request("POST", "/v1/runs", request)
        for warning in answer.get("warnings", ()):
            logger.warning("%s", warning["message"])
        return Run._from_record(self, answer["run"])

    def get_runs(self, *, status: str | None = None) -> Iterator[Run]:
        """Yield the runs, the latest first. ``status``: only those with this status, such as ``Completed``."""
        return Run.list(self, status=status)

    def __repr__(self) -> str:
        return f"Experiment(name={self._name!r})"


class Run:
    """A run of an experiment, by its id. Raises ``NotFoundError`` if there is none with this id."""

    def __init__(self, experiment: Experiment, run_id: str) -> None:
        self._experiment = experiment
        self._record = experiment.workspace._request("GET", path_to("runs", run_id))

    @staticmethod
    def _from_record(experiment: Experiment, record: Json) -> Run:
        run = Run.__new__(Run)
        run._experiment, run._record = experiment, record
        return run

    @staticmethod
    def get(workspace: Workspace, run_id: str) -> Run:
        """Return the run with this id. Raises ``NotFoundError``."""
        record = workspace._request("GET", path_to("runs", run_id))
        return Run._from_record(Experiment(workspace, record.get("experiment") or NO_EXPERIMENT), record)

    @staticmethod
    def list(experiment: Experiment, *, status: str | None = None) -> Iterator[Run]:
        """Yield the runs of an experiment, the latest first. ``status``: only those with this status, such as
        ``Completed``."""
        for record in experiment.workspace._list_rows("/v1/runs", "runs", "before", experiment=experiment.name):
            if status in (None, RUN_STATUSES[record["state"]]):
                yield Run._from_record(experiment, record)

    @property
    def id(self) -> str:
        """The id of the run, such as ``r20261123-073107-837df4``."""
        return str(self._record["id"])

    @property
    def experiment(self) -> Experiment:
        """The experiment of the run."""
        return self._experiment

    @property
    def status(self) -> str:
        """The same as ``get_status()``."""
        return self.get_status()

    def get_status(self) -> str:
        """Return ``Preparing`` (its environment is being built), ``Queued``, ``Running``, ``Completed``, ``Failed``,
        ``Canceled``, or ``NotResponding``: the process no longer exists, and its exit status is unknown."""
        return RUN_STATUSES[self._current_record()["state"]]

    def _current_record(self) -> Json:
        """Return the record, fetched again unless the run has ended."""
        if self._record["state"] not in ENDED_STATES:
            self._record = self._workspace._request("GET", path_to("runs", self.id))
        return self._record

    @property
    def _workspace(self) -> Workspace:
        return self._experiment.workspace

    @property
    def exit_status(self) -> int | None:
        """The exit status of the command, once it has ended; 125 if roost could not start it."""
        status = self._current_record()["exit_status"]
        return None if status is None else int(status)

    def tag(self, key: str, value: str | None = None) -> None:
        """Tag the run with ``key``, or with ``key=value`` in place of what had that key. `roost runs list --tag` finds
        it. Raises ``UsageError`` if a tag can't be called so: it has no white space and no comma."""
        former = [] if value is None else [tag for tag in self._fetch_tags() if tag.partition("=")[0] == key]
        new = _write_tag(key, value)
        self._annotate(add_tags=[new], remove_tags=[tag for tag in former if tag != new])

    def get_tags(self) -> dict[str, str]:
        """Return the tags of the run: keys and values, which are empty for tags without ``=``."""
        return {key: value for key, _, value in (tag.partition("=") for tag in self._fetch_tags())}

    def set_note(self, text: str | None) -> None:
        """Write a note beside the run; ``None`` or an empty one removes it."""
        self._annotate(note=text or "")

    def _fetch_tags(self) -> builtins.list[str]:
        return list(self._workspace._request("GET", path_to("runs", self.id))["tags"])

    def _annotate(self, **changes: object) -> None:
        self._record = self._workspace._request("POST", path_to("runs", self.id, "annotations"), changes)

    def get_details(self) -> Json:
        """Return ``runId``, ``target``, ``status``, ``startTimeUtc``, ``endTimeUtc``, ``runDefinition``, ``logFiles``
        (name to path), with ``error`` if the run never started; and under ``roost`` the whole record, as
        ``roost runs show --json`` prints it."""
        return run_details(self._current_record(), self._workspace.root)

    def get_all_logs(self, destination: str | os.PathLike[str] | None = None) -> builtins.list[str]:
        """Write the output so far to ``<id>.txt`` in the folder ``destination`` (by default the working folder) and
        return the paths. Raises ``OSError``."""
        folder = os.fspath(destination or os.curdir)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"{self.id}.txt")
        with open(path, "wb") as file:
            file.write(self._fetch_output())
        return [path]

    def get_details_with_logs(self) -> Json:
        """Return ``get_details()`` with the output so far in the place of its path."""
        details = self.get_details()
        output = {name: self._fetch_output().decode(errors="replace") for name in details["logFiles"]}
        return {**details, "logFiles": output}

    def _fetch_output(self) -> bytes:
        with closing(self._workspace._stream_bytes(path_to("runs", self.id, "logs"))) as chunks:
            return b"".join(chunks)

    def wait_for_completion(
        self, show_output: bool = False, wait_post_processing: bool = False, raise_on_error: bool = True
    ) -> Json:
        """Wait until the run has ended, and return ``get_details()``. ``show_output``: print the log of the build of
        its environment to standard output, and then the run's output. An interrupt ends the waiting, not the run.
        Raises ``RunFailedError`` if the run does not succeed, unless ``raise_on_error`` is false.
        ``wait_post_processing`` has no effect: there is none."""
        RunOutput(self._workspace, self.id, sys.stdout if show_output else None).follow()
        details = self.get_details()
        if raise_on_error and self._record["state"] != "succeeded":
            raise run_failed_error(self._record)
        return details

    def cancel(self) -> None:
        """Request the end of the run; ``wait_for_completion`` waits for it. Raises ``RoostError`` if the run has
        ended."""
        self._workspace._request("DELETE", path_to("runs", self.id))

    def get_environment(self) -> Environment:
        """Return the environment that the run recorded: exactly that version, and when it is submitted or built
        unchanged exactly that generation, which is built again from its lock if it was collected. If that generation is
        of another platform than the target (a prefix on a Python of this machine, and an image), the target's own
        generation is used. Raises ``NotFoundError`` if the run recorded no environment."""
        record = self._current_record()
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
        return environment_from_view(view, self.id)

    def rerun(self) -> Run:
        """Run the same command again in exactly the same generation, and return at once: if the environment must be
        built again, the new run is ``Preparing`` meanwhile, and fails if that fails. Raises ``NotFoundError`` if the
        run recorded nothing that can be run again."""
        request = {"detach": True, "environ_of_client": process_variables()}
        answer = self._workspace._request("POST", path_to("runs", self.id, "rerun"), request)
        return Run._from_record(self._experiment, answer["run"])

    def __repr__(self) -> str:
        return f"Run(id={self.id!r}, status={RUN_STATUSES[self._record['state']]!r})"


def _write_tag(key: str, value: str | None) -> str:
    return f"{key}={value}" if value else key


def _check_config(path: str, root: str) -> None:
    """Raises: UsageError if the file is not JSON, or contains another root than ``root``."""
    with open(path, encoding="utf-8") as file:
        try:
            config = json.load(file)
        except ValueError as error:
            raise usage_error(
                f"{path} is not valid JSON: {error}", "Leave the path out: this machine has one workspace."
            ) from None
    configured = config.get("root") if isinstance(config, dict) else None
    if configured is not None and os.path.abspath(configured) != root:
        raise usage_error(
            f"{path} names the root {configured}, but this process uses {root}", f"Set ROOST_HOME to {configured}."
        )
