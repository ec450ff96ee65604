"""What a plan says of the choices that a request made among the things that its file offers. Pure.

Separate from ``decide``, because it describes the definition and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from roost.model.definition import Selection
from roost.wire.plans import Reason

CHOICES_CODE = "choices-read"
_MOST_NAMES = 10


def describe_selection(selection: Selection | None) -> Reason | None:
    """Return the reason that names the extras and groups that were read, and those that were left out; ``None`` if the
    file offers none."""
    if selection is None:
        return None
    read = _join(_format("group", selection.groups), _format("extra", selection.extras))
    groups, extras = _format("group", selection.other_groups), _format("extra", selection.other_extras)
    left = _join(groups and f"{groups} (--group)", extras and f"{extras} (--extra)")
    parts = [f"with {read}" if read else "", f"without {left}" if left else ""]
    text = "; ".join(part for part in parts if part)
    return Reason(code=CHOICES_CODE, message=text[:1].upper() + text[1:])


def _format(kind: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:_MOST_NAMES]) + (f" and {len(names) - _MOST_NAMES} more" if names[_MOST_NAMES:] else "")
    return f"{kind}{'s' if len(names) > 1 else ''} {shown}"


def _join(*parts: str) -> str:
    return " and ".join(part for part in parts if part)
