"""The version of roost and its order.

A module of its own, because ``pyproject.toml`` reads the version from here, and because neither the client nor
the start of the daemon can afford the 15 ms and 0.8 MB that a look-up in the installed metadata costs.
"""

from __future__ import annotations

VERSION = "0.1.0"


def is_older(version: object, than: str = VERSION) -> bool:
    """Return whether ``version`` is a release before ``than``. A version that can't be parsed is not older."""
    try:
        return _release_numbers(str(version)) < _release_numbers(than)
    except ValueError:
        return False


def _release_numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of ``version``.

    ``1.4.0rc1`` counts as ``1.4``: two clients of such versions would otherwise replace each other's daemon for ever.
    Raises: ValueError if there is no leading number.
    """
    numbers = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    if not numbers:
        raise ValueError(version)
    return tuple(numbers)
