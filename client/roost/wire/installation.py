"""This installation of roost: its version, and how its Python processes start, isolated.

    python -I -X utf8 …/installation.py MODULE [ARGUMENT…]     what ``isolated_command`` returns

``-I`` makes the interpreter ignore ``PYTHON*``, its working folder and the user site; ``-X utf8`` makes text UTF-8
whatever the locale is. The variables themselves are unchanged, for the processes that these processes start.

``-I`` also hides roost if it was installed into the user site, or into a folder that is on the path only because of
``PYTHONPATH``: then the folder that this file lies in is added. ``client/bin/roost-client`` does the same.

``pyproject.toml`` reads the version from here: neither the client nor the start of the daemon can afford the 15 ms and
0.8 MB that a look-up in the installed metadata costs.
"""

from __future__ import annotations

import os
import sys

VERSION = "0.1.0"
OPTIONS = ("-I", "-X", "utf8")
"""Options of every interpreter that runs roost. The launcher (``client/bin/roost``) has the same; a test compares."""


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


def isolated_command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs ``module`` of roost as ``__main__`` with the interpreter of this process."""
    return [sys.executable, *OPTIONS, os.path.abspath(__file__), module, *arguments]


def _find_roost() -> None:
    """Put the folder that roost was imported from on the path, after all others, if isolation hides it."""
    from importlib.util import find_spec

    try:
        found = find_spec("roost.wire")
    except ModuleNotFoundError:
        found = None
    if found is None:
        from site import addsitedir, getusersitepackages

        addsitedir(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
        addsitedir(getusersitepackages())  # an editable installation of the user: its folder lies elsewhere


def _run() -> None:
    from runpy import run_module

    module = sys.argv[1]
    del sys.argv[1]
    _find_roost()
    run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _run()
