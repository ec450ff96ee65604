"""The rows, events and folders of runs, from the first moment to the end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

import msgspec

from roost.daemon.config.ids import new_id
from roost.daemon.credentials.commands import record_command, split_variables
from roost.daemon.credentials.redaction import redact_forms
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import BackgroundTasks
from roost.daemon.jobs.views import error_body
from roost.daemon.runs.states import ENDED, final_exit, observe
from roost.model.errors import CodedError, InvalidRequestError, LookupFailedError, StoreError
from roost.model.history import CodeState, find_name_fault
from roost.model.records import KnownDefinition, RunRecord
from roost.store.clock import utc_now
from roost.store.disk.run_folders import BegunRun, RunExit, create_folder
from roost.store.index.tables.records import RecordUnknownError
from roost.store.store import Store
from roost.wire.runs import RunRequest

log = logging.getLogger(__name__)


class RunOverError(InvalidRequestError):
    """The run has ended; nothing about it changes any more."""

    code = "run-over"
    http_status = 409


def run_over_error(run: RunRecord) -> RunOverError:
    """Return the error for a request that needs an open run."""
    hint = f"There is nothing to end; `roost runs show {run.id}` shows its result."
    return RunOverError(f"Run {run.id} has ended ({run.state})", hint=hint)


def _unknown_run_error(run_id: str) -> LookupFailedError:
    return LookupFailedError(f"No run has the id {run_id!r}", hint="`roost runs list` shows the latest ones.")


def check_experiment(name: str | None) -> None:
    """Raise InvalidRequestError if an experiment can't have this name: it would not be the same on a terminal, or has a
    credential."""
    if name is not None and (fault := find_name_fault(name)):
        raise InvalidRequestError(
            f"{name!r} can't be the name of an experiment: {fault}", hint="Use letters, digits and signs."
        )
    if name is not None and redact_forms(name) != name:
        raise InvalidRequestError(
            f"{redact_forms(name)!r} can't be the name of an experiment: it has what looks like a credential, which is "
            "never stored",
            hint="Leave the credential out.",
        )


class RunPlacement(Protocol):
    """What a run is given to run in: a ``Launch``, or a container's."""

    @property
    def lock_digest(self) -> str | None: ...
    @property
    def generation(self) -> int | None: ...
    @property
    def artifact(self) -> str | None: ...


class RunRecords:
    """Records runs. Which process or container a run is belongs to ``processes`` and ``containers``."""

    def __init__(self, store: Store, events: Events) -> None:
        self._store = store
        self._events = events
        self._background = BackgroundTasks()
        self._cancel_requested: set[str] = set()
        self.starting: set[str] = set()
        """Detached runs whose environment is being made ready: no supervisor and no engine has them yet."""
        self._next_end = asyncio.Event()

    def folder(self, run_id: str) -> str:
        """Return ``<root>/runs/<id>``."""
        return self._store.layout.run_folder(run_id)

    async def create(
        self,
        request: RunRequest,
        resolved: TargetedDefinition,
        placement: RunPlacement | None,
        interpreter: Mapping[str, object] | None,
        *,
        run_id: str | None = None,
        target: str = "local",
        rerun_of: str | None = None,
        engine: Mapping[str, str] | None = None,
    ) -> RunRecord:
        """Record a run that is about to start, without credentials in its command and variables.

        ``engine``: the caller's variables that name the Docker engine.
        """
        name, version = resolved.environment or (resolved.source.name, None)
        variables, secret_names = split_variables(request.variables)
        own = {key: value for key, value in resolved.settings.variables.items() if key not in secret_names}
        values = {**request.word_values, **request.secrets, **{key: request.variables[key] for key in secret_names}}
        command = record_command(request.command, values)
        run = RunRecord(
            id=run_id or new_id("r"),
            state="preparing",
            target=target,
            command=command.words,
            cwd=request.what.cwd,
            definition_digest=resolved.digest,
            settings_digest=resolved.settings_digest,
            created=utc_now(),
            platform=resolved.generation_scope,
            environment_name=name,
            environment_version=version,
            lock_digest=placement.lock_digest if placement else None,
            generation=placement.generation if placement else None,
            artifact_id=placement.artifact if placement else None,
            interpreter=dict(interpreter) if interpreter else None,
            project=resolved.project,
            experiment=request.experiment,
            rerun_of=rerun_of,
            options={**resolved.chosen, **({"no_project": True} if request.what.no_project else {})},
            variables={**own, **variables},
            secrets=tuple(sorted({*request.secrets, *secret_names})),
            word_variables=command.variables,
            masked_words=command.masked,
            hidden_words=command.hidden,
            python_path=_python_path(request) if target == "local" else None,
            detached=request.detach,
            host=socket.gethostname(),
            tags=tuple(sorted(set(request.tags))),
            output_kept=request.keep_output,
            engine=dict(engine or {}),
        )
        source = resolved.source
        begun = BegunRun(
            run=run,
            definition=resolved.canonical.decode(),
            settings=resolved.settings_canonical.decode(),
            name=source.name,
            source=resolved.sighted_path,
        )
        seen = KnownDefinition(
            digest=resolved.digest, canonical=resolved.canonical, name=source.name, source=resolved.sighted_path
        )
        create = partial(create_folder, self.folder(run.id), begun)
        begin = partial(self._store.index.begin_run, run, seen, resolved.settings_canonical, create_folder=create)
        return await self._events.record_with(begin, "run-created", run=run.id, command=list(run.command))

    @property
    def next_end(self) -> asyncio.Event:
        """Set when the end of any run is recorded; each is another event."""
        return self._next_end

    def _announce_end(self) -> None:
        self._next_end.set()
        self._next_end = asyncio.Event()

    async def find_id(self, text: str) -> str:
        """Return the id that ``text`` means: ``latest``, an id, or the beginning of one only.

        Raises RecordUnknownError, IdAmbiguousError.
        """
        return await self._store.index.runs.find_id(text)

    async def annotate(
        self, run_id: str, note: str | None, add_tags: Sequence[str], remove_tags: Sequence[str]
    ) -> RunRecord:
        """Change note and tags of the run; see ``annotate_run``. Raises RecordUnknownError, InvalidRequestError."""
        return await self._store.index.runs.annotate(
            run_id, note=note, add_tags=tuple(add_tags), remove_tags=tuple(remove_tags)
        )

    async def record_code(self, run_id: str, code: CodeState) -> None:
        """Record the git repository that the run was started in."""
        await self._store.index.runs.update(run_id, code=code)

    async def find(self, run_id: str) -> RunRecord | None:
        return await self._store.index.runs.find(run_id)

    async def get(self, run_id: str) -> RunRecord:
        """Return the run. Raises LookupFailedError."""
        run = await self.find(run_id)
        if run is None:
            raise _unknown_run_error(run_id)
        return run

    async def list_open(self) -> list[RunRecord]:
        """Return the runs that have not ended, as far as they are recorded."""
        return await self._store.index.runs.list_open()

    async def record_placement(self, run_id: str, placement: RunPlacement) -> None:
        """Record what a detached run runs in, which was not known when it was created."""
        await self._store.index.runs.update(
            run_id, lock_digest=placement.lock_digest, generation=placement.generation, artifact_id=placement.artifact
        )

    async def mark_running(self, run_id: str, started: str | None = None) -> RunRecord:
        """Record that the command runs, since now unless ``started`` is known. Raises RunOverError, LookupFailedError,
        StoreError."""
        try:
            run = await self._store.index.mark_running(run_id, started or utc_now())
        except RecordUnknownError as error:
            raise _unknown_run_error(run_id) from error
        if run.state in ENDED:
            raise run_over_error(run)
        return run

    def request_cancel(self, run_id: str) -> None:
        """Note that the run was asked to end: a failure from now on is recorded as ``cancelled``."""
        self._cancel_requested.add(run_id)

    def observe(self, run: RunRecord, observation: RunExit) -> RunExit | None:
        """Return what ``observation`` means for ``run``; ``None`` if it has ended already. See ``states.observe``."""
        return observe(run.state, observation, cancel_requested=run.id in self._cancel_requested)

    async def end(self, run_id: str, observation: RunExit) -> RunRecord:
        """Record how a run ended, or that its end is unknown; a run that has ended already is not changed.

        Prefixes that only waited for its end are deleted in the background. Raises StoreError.
        """
        found = final_exit(observation, cancel_requested=run_id in self._cancel_requested)
        end = {"state": found.state, "exit_status": found.exit_status, "ended": found.ended or utc_now()}
        end |= {"started": found.started} if found.started else {}
        write = partial(self._store.index.end_run, run_id, end)
        fields = {"run": run_id, "state": found.state, "exit_status": found.exit_status}
        run = await self._events.record_with(write, "run-ended", **fields)
        self._cancel_requested.discard(run_id)
        self._announce_end()
        self._background.spawn(self._sweep_prefixes())
        return run

    async def fail(self, run_id: str, error: CodedError, *, exit_status: int = 125) -> None:
        """Record that a run never started, because of ``error``. Raises StoreError."""
        body = msgspec.to_builtins(error_body(error))
        end = {"state": "failed", "ended": utc_now(), "exit_status": exit_status, "error": body}
        write = partial(self._store.index.end_run, run_id, end)
        await self._events.record_with(write, "run-ended", run=run_id, state="failed", code=error.code)
        self._announce_end()

    async def _sweep_prefixes(self) -> None:
        """Delete retired prefixes that the run was the last to use; the next end or start tries again."""
        try:
            await self._store.artifacts.sweep_retired()
        except StoreError as error:
            log.warning("A retired prefix could not be removed: %s", error.message)

    async def stop(self) -> None:
        await self._background.wait()


def _python_path(request: RunRequest) -> str | None:
    return request.python_path or request.environ_of_client.get("PYTHONPATH") or None
