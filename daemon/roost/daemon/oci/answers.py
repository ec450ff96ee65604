"""Answers of a registry: yes, no, or unknown. Pure.

Separate because decisions and plans use them and need no other part of the package.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from roost.wire.plans import Reason

Value = TypeVar("Value")


class Yes(msgspec.Struct, Generic[Value], frozen=True):
    """The registry has it."""

    value: Value


class No(msgspec.Struct, frozen=True):
    """The registry explicitly reported that it does not have it."""

    reason: Reason | None = None
    """Set if there is more to report, for example an image that exists for other platforms only."""


class Unknown(msgspec.Struct, frozen=True):
    """Neither: the registry refused, failed, timed out, or sent an implausible answer. Never treated as ``No``."""

    reason: Reason


Answer = Yes[Value] | No | Unknown
"""Result of asking a registry: ``Answer[int]`` and so on."""
