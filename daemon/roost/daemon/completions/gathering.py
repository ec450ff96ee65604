"""What the files of values contain, from the index."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from roost.daemon.completions.texts import Value, format_values, shorten
from roost.daemon.decision.facts import IMAGE_TARGETS, PREFIX_TARGETS
from roost.model.names import LATEST
from roost.model.records import BuildRecord, RunRecord
from roost.store.index.index import Index

MAX_ENVIRONMENTS = 500
"""The newest environments that are offered: the slowest shell reads them in a few milliseconds."""
RECENT = 200
"""The latest runs and builds that are offered."""
VERSIONS = 10
"""The last versions of each environment that are offered, beside those with a label."""


async def gather_texts(index: Index) -> dict[str, str]:
    """Return the text of every file by its name."""
    environments = await index.environments.list_references(MAX_ENVIRONMENTS, VERSIONS)
    runs = await index.runs.list_page(RECENT)
    builds = await index.builds.list_page(RECENT)
    labels = {mark[1:] for marks in environments.values() for mark in marks if mark[0] == "@"} - {LATEST}
    values: dict[str, Iterable[Value]] = {
        "environments": (Value(name, " ".join(marks)) for name, marks in environments.items()),
        "labels": map(Value, sorted(labels)),
        "runs": map(_describe_run, runs),
        "builds": map(_describe_build, builds),
        "experiments": (Value(run.experiment) for run in runs if run.experiment),
        "tags": (Value(tag) for run in runs for tag in run.tags),
        "targets": map(Value, ("auto", *sorted(PREFIX_TARGETS | IMAGE_TARGETS))),
    }
    return {name: format_values(found) for name, found in values.items()}


def _describe_run(run: RunRecord) -> Value:
    return Value(run.id, shorten(f"{run.state} {shlex.join(run.command)}"))


def _describe_build(build: BuildRecord) -> Value:
    return Value(build.id, shorten(f"{build.state} {build.name or build.source or ''}"))
