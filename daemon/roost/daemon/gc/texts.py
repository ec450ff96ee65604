"""Reasons of a collection as texts for people: pure."""

from __future__ import annotations

from roost.daemon.gc.ages import age_seconds
from roost.daemon.gc.values import Rule

_RULES: dict[Rule, str] = {
    "leftovers": "left over from work that ended",
    "bytecode": "byte-code that no prefix has; it is compiled again when it is needed",
    "packages": "no prefix has its files; it is fetched again when it is needed",
    "shared-layers": "a registry has this layer too",
    "layers": "it is written again when an image needs it",
    "built-wheels": "no prefix has its files; it is built again when it is needed",
    "abandoned-prefixes": "the files that it was made for no longer exist",
    "prefixes": "it is built again from its lock when it is needed",
    "snapshots": "no version refers to it",
    "outputs": "output of a run that ended",
    "images": "it is built or pulled again when it is needed",
}
_SETTINGS: dict[Rule, str] = {
    "packages": "package_days",
    "shared-layers": "package_days",
    "layers": "package_days",
    "built-wheels": "package_days",
    "outputs": "output_days",
}
_UNITS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"))
_WORDS = {
    "process": "used by process",
    "run": "used by run",
    "lease": "protected by lease",
    "build": "being built by",
    "container": "used by container",
    "version": "part of",
    "prefix": "its files are in prefix",
    "base": "part of base image",
    "locked": "locked by",
    "unmovable": "it can't be moved:",
}
"""For the first parts of protections."""
_ALONE = {
    "pin": "pinned",
    "used-since": "used since the collection began",
    "handed-out": "made ready a moment ago",
    "build": "needed by a build",
    "version": "part of a version of an environment",
    "lock": "a lock names it, and no index has it",
    "locked": "locked by a process",
    "recent": "stored a moment ago",
    "gone": "it no longer exists",
    "foreign": "roost did not make it, and it has no other name",
}
"""For protections without a subject."""


def describe_step(rule: Rule, kind: str, last_used: str, now: str) -> str:
    """Return why something goes."""
    if rule == "leftovers" and kind == "prefix":
        return "it was found altered, and nothing uses it any more"
    if rule == "leftovers":
        return _RULES[rule]
    return f"last used {format_age(age_seconds(last_used, now))}; {_RULES[rule]}"


def describe_protection(protections: tuple[str, ...]) -> str:
    """Return why something stays that something needs."""
    return ", ".join(_describe_one(each) for each in protections)


def _describe_one(protection: str) -> str:
    kind, _, subject = protection.partition(":")
    if kind == "unknown":
        return f"needed as far as can be told: {subject}"
    return f"{_WORDS[kind]} {subject}" if kind in _WORDS and subject else _ALONE.get(kind, protection)


def describe_late_use(rule: Rule) -> str:
    """Return why something stays that nothing needs."""
    return f"used more recently than `cache.{_SETTINGS.get(rule, 'prefix_days')}`"


def format_age(seconds: float) -> str:
    """Return how long ago something was, in the largest unit that fits."""
    for size, unit in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"
