"""What ``runs list`` is asked for, parsed."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from datetime import datetime
from typing import get_args

from roost.daemon.config.dates import parse_since
from roost.daemon.credentials.redaction import redact_forms
from roost.model.errors import InvalidRequestError
from roost.model.history import MAX_TAGS, RunFilter, find_tag_fault, is_text
from roost.model.names import NameInvalidError, check_name, parse_version
from roost.model.records import RunState
from roost.store.clock import rfc3339
from roost.wire.runs import RunsQuery

STATES: tuple[str, ...] = get_args(RunState)


def parse_filter(query: RunsQuery, now: datetime | None = None) -> RunFilter:
    """Return which runs ``query`` is for; ``now``: what ``since`` counts back from. Raises InvalidRequestError, which
    names the field that can't be parsed, and NameInvalidError."""
    for field in ("env", "experiment", "command", "target", "cwd", "tag"):
        if (text := getattr(query, field)) is not None and (not text or not is_text(text) or "\0" in text):
            raise InvalidRequestError(
                f"{text!r} can't be a value of --{field}: no run has it",
                hint=f"Leave --{field} out, or write what is looked for.",
                fields={"field": field},
            )
    if query.cwd is not None and not query.cwd.startswith("/"):
        raise InvalidRequestError(
            f"{query.cwd!r} is not an absolute path", hint="Send an absolute path.", fields={"field": "cwd"}
        )
    name, version = _parse_environment(query.env) if query.env is not None else (None, None)
    return RunFilter(
        environment=name,
        version=version,
        experiment=query.experiment,
        states=_parse_states(query.state),
        since=rfc3339(parse_since(query.since, now)) if query.since is not None else None,
        command=query.command,
        target=query.target,
        folder=posixpath.normpath(query.cwd) if query.cwd is not None else None,
        tags=tuple(map(check_tag, query.tag.split(","))) if query.tag is not None else (),
    )


def check_tags(tags: Sequence[str]) -> None:
    """Raise InvalidRequestError if one can't be a tag, or if they are too many for a run."""
    for tag in tags:
        check_tag(tag)
    if len(tags) > MAX_TAGS:
        raise InvalidRequestError(f"{len(tags)} tags are too many: a run can have {MAX_TAGS}", hint="Leave some out.")


def check_tag(tag: str) -> str:
    """Return ``tag`` if it can be one. Raises InvalidRequestError."""
    if fault := find_tag_fault(tag):
        raise InvalidRequestError(
            f"{tag!r} can't be a tag: {fault}",
            hint="Write letters, digits and signs without white space or commas, as in `best` or `lr=0.1`.",
            fields={"field": "tag"},
        )
    if redact_forms(tag) != tag:
        raise InvalidRequestError(
            f"{redact_forms(tag)!r} can't be a tag: it has what looks like a credential, which is never stored",
            hint="Leave the credential out.",
            fields={"field": "tag"},
        )
    return tag


def _parse_environment(text: str) -> tuple[str, int | None]:
    """Return the name and the version of ``NAME[:VERSION]``. A label is refused: it may have been moved since, so that
    no run has it."""
    if "@" in text:
        raise NameInvalidError(
            f"{text!r} has a label, which runs do not record",
            hint="Write NAME or NAME:VERSION; `roost env versions NAME` shows which version the label is on.",
        )
    name, separator, version = text.partition(":")
    return check_name(name), parse_version(version) if separator else None


def _parse_states(text: str | None) -> tuple[str, ...]:
    states = tuple(text.split(",")) if text is not None else ()
    for state in states:
        if state not in STATES:
            raise InvalidRequestError(
                f"{state!r} is not a state of a run",
                hint=f"Write one or several of {', '.join(STATES)}, with commas between them.",
                fields={"field": "state"},
            )
    return states
