"""Where an environment is, and what a command in it starts."""

from __future__ import annotations

import msgspec

from roost.wire.plans import EnvironmentSelector, SourceView
from roost.wire.protocol import WarningView
from roost.wire.runs import Launch


class WhichRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Where ``what`` is on a target. Nothing is built for it."""

    what: EnvironmentSelector
    target: str = "auto"


class WhichView(msgspec.Struct, kw_only=True):
    """Where an environment is: ``launch`` for a prefix or an interpreter, else the image."""

    target: str
    launch: Launch | None
    image: str | None
    """The image that the engine has, by reference or id."""
    interpreter: str | None
    """Path of the Python in the image, if known."""
    environment: str | None
    """Path of the environment in the image, if roost put one there."""
    source: SourceView
    warnings: list[WarningView] = []
