"""In what two runs differ, apart from their environments. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from roost.daemon.jobs.views import run_view
from roost.model.records import RunRecord
from roost.wire.plans import Difference

_FIELDS = ("command", "target", "cwd", "host", "python_path")
_MAPPINGS = ("options", "project")
_CODE = ("root", "commit", "branch", "dirty")


def find_run_differences(before: RunRecord, after: RunRecord) -> list[Difference]:
    """Return the fields in which two runs differ: what was run, where, with which choices, and on which commit.

    Variables are part of the settings, which are compared apart. Times and results are not compared: those of two runs
    always differ.
    """
    old, new = run_view(before), run_view(after)
    pairs: list[tuple[str, object, object]] = [(name, getattr(old, name), getattr(new, name)) for name in _FIELDS]
    for name in _MAPPINGS:
        pairs += _pair_items(name, getattr(old, name) or {}, getattr(new, name) or {})
    pairs += [(f"git.{name}", getattr(old.git, name, None), getattr(new.git, name, None)) for name in _CODE]
    pairs.append(("secrets", old.secrets or None, new.secrets or None))
    return [Difference(field=name, before=first, after=second) for name, first, second in pairs if first != second]


def _pair_items(
    name: str, before: Mapping[str, object], after: Mapping[str, object]
) -> Iterator[tuple[str, object, object]]:
    for key in sorted({*before, *after}):
        yield f"{name}.{key}", before.get(key), after.get(key)
