"""What ends the search for an environment file without one: files that can't be used, a repository, the home folder.

A file that says which packages are meant must not be passed over for one further up: neither one that is searched for
and can't be read, nor one of another tool. Apart from ``discover``, which has the order of the search.
"""

from __future__ import annotations

import os
import stat

from roost.model.definition import Notice
from roost.model.errors import InvalidDefinitionError, Location
from roost.store.disk.regular_files import read_regular
from roost.store.sources.files import describe_absence

OTHER_FILES = ("pixi.toml", "Pipfile", "poetry.lock", "pdm.lock", "Pipfile.lock")
"""Files of other tools that no reader reads: chosen in a folder without any other, so that the reader refuses them."""
READ_IF_NAMED = ("pylock.toml", "uv.lock", "pixi.lock", "conda-lock.yml", "azureml_environment.json")
"""Files that are read, and never chosen by themselves."""
REPOSITORY = ".git"
"""A folder, or the file of a worktree or submodule."""
_DOCKERFILES = ("Dockerfile", "Containerfile")
_SETUP_FILES = ("setup.py", "setup.cfg")


class DefinitionUnusableError(InvalidDefinitionError):
    """A file that would be chosen can't be read, or has to be named."""

    code = "definition-unusable"


def is_file(path: str) -> bool:
    """Return whether a file with one of the searched names is there.

    Raises: DefinitionUnusableError if something else is: a folder, a pipe, a link that leads nowhere.
    """
    if os.path.isfile(path):
        return True
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    raise DefinitionUnusableError(
        f"{path} {_describe(path, mode)}",
        hint="Rename or remove it, or name an environment file with -f.",
        location=Location(path=path),
    )


def _describe(path: str, mode: int) -> str:
    if stat.S_ISLNK(mode) and not os.path.exists(path):
        return describe_absence(path)
    return "is a folder; expected an environment file" if os.path.isdir(path) else "is not a regular file"


def unreadable_error(path: str, error: OSError) -> DefinitionUnusableError:
    """Return the error for a file that has to be read to know whether it is meant."""
    return DefinitionUnusableError(
        f"{path} can't be read: {error.strerror or error}",
        hint="Make it readable, or name an environment file with -f.",
        location=Location(path=path),
    )


def find_file_to_name(folder: str) -> DefinitionUnusableError | None:
    """Return the error for a file in ``folder`` that is used only if it is named; ``None`` if there is none."""
    for name in READ_IF_NAMED:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return DefinitionUnusableError(
                f"{path} is the only environment file in its folder, and it is used only if it is named",
                hint=f"Name it with -f {path}, or write an environment.yml, requirements.txt or pyproject.toml there.",
                location=Location(path=path),
            )
    return None


def note_passed_file(folder: str) -> Notice | None:
    """Return the notice about a file in ``folder`` that is passed by; ``None`` if there is none."""
    for name in _DOCKERFILES:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            message = f"{path} is passed by: a Dockerfile is used only if it or its folder is named (-f {path})"
            return Notice(code="dockerfile-passed", message=message, location=Location(path=path))
    for path in (os.path.join(folder, name) for name in _SETUP_FILES):
        if not os.path.isfile(path) or (path.endswith(".cfg") and not _lists_requirements(path)):
            continue
        message = f"{path} is passed by: reading runs no code (a requirements.txt with `-e .` installs such a project)"
        return Notice(code="setup-passed", message=message, location=Location(path=path))
    return None


def _lists_requirements(path: str) -> bool:
    """Return whether a ``setup.cfg`` has dependencies; most of them only have settings of other tools."""
    try:
        return b"install_requires" in read_regular(path)
    except OSError:
        return False


def is_end(folder: str) -> bool:
    """Return whether the search ends in ``folder``: it has a ``.git``, or is the home folder."""
    if os.path.lexists(os.path.join(folder, REPOSITORY)):
        return True
    try:
        return os.path.samefile(folder, os.path.expanduser("~"))
    except OSError:
        return False
