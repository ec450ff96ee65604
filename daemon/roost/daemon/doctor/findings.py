"""Results of checks. Pure.

Separate because verdicts, checks and routes use them and need nothing else.
"""

from __future__ import annotations

from typing import Literal

import msgspec

CheckState = Literal["ok", "warning", "error"]
STATES: tuple[CheckState, ...] = ("error", "warning", "ok")
"""Faults first."""


class Check(msgspec.Struct, kw_only=True):
    """Result of one check: what it is about (``name``, and ``subject`` if there are several of the name), what was
    found, and what to do unless ``state`` is ``ok``. A warning leaves everything possible that is in use here."""

    name: str
    state: CheckState
    message: str
    hint: str = ""
    subject: str = ""
    """Location of the registry, URL of the channel, host of the credentials, and so on."""


class SettingView(msgspec.Struct, kw_only=True):
    """A setting in effect. ``origin``: ``default``, ``FILE:LINE`` or ``environment NAME``."""

    name: str
    value: object
    origin: str


class DoctorResponse(msgspec.Struct, kw_only=True):
    """Results of all checks, faults first, and all settings in effect."""

    checks: list[Check]
    settings: list[SettingView]


def sort_checks(checks: list[Check]) -> list[Check]:
    """Return faults first, then warnings, each in the order of the checks."""
    return sorted(checks, key=lambda check: STATES.index(check.state))
