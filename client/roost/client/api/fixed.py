"""Attributes that Azure's objects have and that can only be what they are here."""

from __future__ import annotations

from typing import Generic, TypeVar

from roost.client.api.errors import unsupported

T = TypeVar("T")


class Fixed(Generic[T]):
    """It reads as ``value``. Setting it to that, or to another of ``same``, does nothing; to anything else raises
    ``UnsupportedError`` with ``hint``."""

    def __init__(self, value: T, *same: object, hint: str) -> None:
        self._value = value
        self._same = (value, *same)
        self._hint = hint
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"{owner.__name__}.{name}"

    def __get__(self, owner: object, kind: type | None = None) -> T:
        return self._value

    def __set__(self, owner: object, value: object) -> None:
        if value not in self._same:
            raise unsupported(f"{self._name} = {value!r}", self._hint)
