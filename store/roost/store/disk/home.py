"""The home folder of this user. A uid without an entry in passwd(5) may have none: in a container, or from cron."""

from __future__ import annotations

import os
from collections.abc import Mapping

from roost.model.errors import StoreRefusedError

_HINT = "Set ROOST_HOME to a folder of your own, which roost creates, and try again."


class HomeUnknownError(StoreRefusedError):
    """Without ``ROOST_HOME``, the root is below the home folder, and that is not known or does not exist."""

    code = "home-unknown"


def find_home(environ: Mapping[str, str]) -> str:
    """Return the user's home folder: ``HOME``, or the one of passwd(5) if that is unset or empty.

    Raises: HomeUnknownError if neither is an absolute path. Python's ``expanduser`` would return ``~`` then, which is a
    folder of that name.
    """
    home = environ.get("HOME", "")
    if os.path.isabs(home):
        return home
    if home:
        raise HomeUnknownError(
            f"HOME is {home!r}, which is not an absolute path, so that the folder for roost's data is unknown",
            hint=_HINT,
            fields={"home": home},
        )
    found = _find_account_home()
    if found is None:
        raise HomeUnknownError(
            f"HOME is not set, and uid {os.getuid()} has no home folder in /etc/passwd, so that the folder for roost's "
            "data is unknown",
            hint=_HINT,
        )
    return found


def require_home(environ: Mapping[str, str]) -> str:
    """Return the user's home folder, which must exist: roost creates folders in it, and never the home itself.

    Raises: HomeUnknownError.
    """
    home = find_home(environ)
    if not os.path.isdir(home):
        raise HomeUnknownError(
            f"The home folder {home} does not exist, so that there is no place for roost's data",
            hint=_HINT,
            fields={"home": home},
        )
    return home


def _find_account_home() -> str | None:
    import pwd  # for the rare process without HOME

    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except (KeyError, OverflowError):
        return None
    return home if os.path.isabs(home) else None
