"""What can become of a key in another tool's table."""

from __future__ import annotations

from typing import Literal, NamedTuple

Verdict = Literal["followed", "refused", "reported", "irrelevant"]
"""``followed``: it acts as it does in its tool. ``refused``: an error, since leaving it out would give other packages.
``reported``: a warning; it adds packages or conveniences that its tool has beside the project's own requirements.
``irrelevant``: it changes neither which packages are chosen nor where they come from."""


class KeyRule(NamedTuple):
    """What becomes of a key, and why."""

    verdict: Verdict
    reason: str
    """A sentence without its end."""
    hint: str = ""
    """What to do instead, for ``refused`` and ``reported``."""


KeyRules = dict[str, KeyRule]


def followed(reason: str) -> KeyRule:
    return KeyRule("followed", reason)


def refused(reason: str, hint: str) -> KeyRule:
    return KeyRule("refused", reason, hint)


def reported(reason: str, hint: str) -> KeyRule:
    return KeyRule("reported", reason, hint)


def irrelevant(reason: str) -> KeyRule:
    return KeyRule("irrelevant", reason)
