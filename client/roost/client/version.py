"""The version of roost: here once, for the package (``pyproject.toml`` reads it) and for the client, which must not
spend 15 ms on looking it up."""

from __future__ import annotations

VERSION = "0.1.0"


def is_older(version: object, than: str = VERSION) -> bool:
    """Whether ``version`` is a release before ``than``; what can't be read as one is not."""
    try:
        return _release(str(version)) < _release(than)
    except ValueError:
        return False


def _release(version: str) -> tuple[int, ...]:
    """The numbers before anything else: ``1.4.0rc1`` counts as ``1.4``, so that nobody restarts in a circle."""
    numbers = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    if not numbers:
        raise ValueError(version)
    return tuple(numbers)
