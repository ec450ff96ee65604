"""Conversion of records and errors to their wire form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from roost.daemon.credentials.commands import record_command
from roost.daemon.credentials.redaction import redact, redact_value
from roost.model.definition import ProjectSource
from roost.model.errors import BuildError, CodedError
from roost.model.records import HOST_SCOPE, Artifact, Generation, RunRecord
from roost.wire.environments import GenerationView
from roost.wire.plans import ArtifactView
from roost.wire.protocol import ErrorBody, LocationView
from roost.wire.runs import CodeView, RunView


def error_body(error: CodedError) -> ErrorBody:
    """Return the wire form of ``error``, without credentials in its texts."""
    where = error.location
    return ErrorBody(
        code=error.code,
        message=redact(_encodable_text(error.message)),
        hint=redact(_encodable_text(error.hint)),
        retryable=error.retryable,
        fields=redact_value(cast("dict[str, object]", _encodable(error.fields))),
        location=LocationView(path=_encodable_text(where.path), line=where.line, column=where.column)
        if where
        else None,
        exit_status=error.exit_status,
    )


def _encodable_text(text: str) -> str:
    """Return ``text`` with an escape in place of each lone surrogate, which no UTF-8 has: Python reads a byte of a
    path or a header that is not UTF-8 as one (PEP 383)."""
    return text.encode("utf-8", "backslashreplace").decode()


def _encodable(value: object) -> object:
    """Return ``value`` as JSON can have it: what has no place there as a text. An error must not fail on its fields."""
    if isinstance(value, str):
        return _encodable_text(value)
    if isinstance(value, Mapping):
        return {_encodable_text(str(key)): _encodable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_encodable(each) for each in value]
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else hex(value)
    if value is None or isinstance(value, float):
        return value
    return _encodable(msgspec.to_builtins(value)) if isinstance(value, msgspec.Struct) else _encodable_text(str(value))


def as_coded_error(error: BaseException, activity: str = "build") -> CodedError:
    """Return ``error`` itself if it has a code, else an error that says that it stopped ``activity``."""
    if isinstance(error, CodedError):
        return error
    return BuildError(
        f"The {activity} stopped on {type(error).__name__}: {error}", hint="`roost daemon logs` shows the traceback."
    )


def build_failure_body(error: CodedError) -> ErrorBody:
    """Return the wire form of an error that ended a build. An error without an exit status of its own (a full disk)
    gets that of a failed build."""
    body = error_body(error)
    return msgspec.structs.replace(body, exit_status=BuildError.exit_status) if body.exit_status == 1 else body


def artifact_view(artifact: Artifact) -> ArtifactView:
    """Return the wire form of a prefix (by its path) or an image (by its reference)."""
    prefix = artifact.kind == "prefix"
    return ArtifactView(
        kind=artifact.kind,
        id=artifact.id,
        path=artifact.path if prefix else None,
        reference=None if prefix else artifact.path,
        digest=artifact.key,
        bytes=artifact.bytes,
    )


def generation_view(generation: Generation) -> GenerationView:
    """Return the wire form of a generation; ``host`` says apart from its platform that it stays on this machine."""
    return GenerationView(
        number=generation.number,
        lock_digest=generation.lock_digest,
        platform=generation.platform.removesuffix(HOST_SCOPE),
        created=generation.created,
        current=generation.current,
        as_of=generation.as_of,
        base_digest=generation.base_digest,
        host=generation.platform.endswith(HOST_SCOPE),
    )


def _recorded_words(run: RunRecord) -> tuple[str, ...]:
    """Return the command without credentials, which older versions recorded."""
    is_masked = bool(run.masked_words or run.hidden_words)
    return run.command if is_masked else record_command(run.command, {}).words


def _project_view(project: ProjectSource | None) -> dict[str, object] | None:
    if project is None:
        return None
    return {
        "name": project.name,
        "version": project.version,
        "folder": project.folder,
        "digest": project.digest,
    }


def run_view(run: RunRecord) -> RunView:
    """Return the wire form of a run."""
    return RunView(
        id=run.id,
        state=run.state,
        exit_status=run.exit_status,
        target=run.target,
        command=list(_recorded_words(run)),
        environment={"name": run.environment_name, "version": run.environment_version},
        definition_digest=run.definition_digest,
        lock_digest=run.lock_digest,
        generation=run.generation,
        artifact=run.artifact_id,
        snapshot_digest=None,
        started=run.started,
        ended=run.ended,
        cwd=run.cwd,
        variables=run.variables,
        secrets=list(run.secrets),
        word_variables=list(run.word_variables),
        python_path=run.python_path,
        experiment=run.experiment,
        rerun_of=run.rerun_of,
        options=run.options,
        project=_project_view(run.project),
        detached=run.detached,
        created=run.created,
        interpreter=run.interpreter,
        error=msgspec.convert(run.error, ErrorBody) if run.error else None,
        host=run.host,
        git=msgspec.convert(run.code, CodeView, from_attributes=True) if run.code else None,
        note=run.note,
        tags=list(run.tags),
        output_kept=run.output_kept or run.detached,
    )
