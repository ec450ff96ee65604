"""New environment files. A file that exists is never changed, and a new one is never there in part."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress

import msgspec

from roost.daemon.edits.replacement import FileNotWritableError, create_file, present_error, require_writable
from roost.daemon.engines.host_python.engine import find_interpreter
from roost.model.edits.beginnings import BeginningKind, begin_file, suggest_kind
from roost.model.edits.change import EditOrder, EditRefusedError
from roost.model.edits.edit import edit_source
from roost.model.errors import CodedError, InvalidDefinitionError, InvalidRequestError, LookupFailedError
from roost.model.readers.read import read_source
from roost.model.readers.source import DefinitionSource, require_utf8_path
from roost.store.cancellation import finish_thread_despite_cancel
from roost.store.sources.discover import SEARCHED_NAMES, discover, discover_in, find_rivals
from roost.store.sources.files import LocalFiles
from roost.wire.edits import BeginRequest, BeginResponse
from roost.wire.protocol import WarningView

_PYTHON = re.compile(r"[0-9]\.[0-9]{1,3}")
_KINDS: tuple[tuple[str, BeginningKind], ...] = (
    (".yml", "conda"),
    (".yaml", "conda"),
    (".txt", "pip"),
    (".in", "pip"),
    (".py", "script"),
    ("pyproject.toml", "pyproject"),
)
"""Ends of file names, and the kind of file that they mean."""
_OTHER_ENDS = (".toml", ".lock", ".json", ".cfg", ".ini", ".ipynb", "dockerfile")


class NewFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is to be begun."""

    path: str
    kind: BeginningKind
    text: str


async def begin_environment(request: BeginRequest) -> BeginResponse:
    """Create the environment file that ``request`` is about.

    Raises: InvalidRequestError; FilePresentError if the file exists, or if the folder has an environment file and no
    kind was named; FileNotWritableError.
    """
    if not os.path.isabs(request.cwd) or "\0" in request.cwd + (request.path or ""):
        raise InvalidRequestError(f"{request.cwd!r} is not an absolute path", hint="Send the client's own folder.")
    file = await asyncio.to_thread(_choose_file, request, await _choose_python(request))
    before = await asyncio.to_thread(_find_environment, os.path.dirname(file.path))
    await finish_thread_despite_cancel(_write, file, request.umask)
    after = await asyncio.to_thread(_find_environment, os.path.dirname(file.path))
    is_searched = os.path.basename(file.path) in SEARCHED_NAMES
    return BeginResponse(
        file=file.path,
        kind=file.kind,
        text=file.text,
        is_searched=is_searched,
        warnings=describe_order(file.path, before, after) if is_searched else [],
    )


async def _choose_python(request: BeginRequest) -> str | None:
    """Return the version of Python for a file that names one: the requested one, else the newest of this machine."""
    if request.python is not None:
        if not _PYTHON.fullmatch(request.python):
            raise InvalidRequestError(f"{request.python!r} is not a version of Python", hint="Write X.Y, such as 3.12.")
        return request.python
    with suppress(CodedError):
        return (await find_interpreter("")).minor
    return None


def _choose_file(request: BeginRequest, python: str | None) -> NewFile:
    """Return the file to begin. ``python``: what a file names that rests on a Python of this machine."""
    path = require_utf8_path(os.path.normpath(os.path.join(request.cwd, request.path or ".")))
    is_folder = os.path.isdir(path)
    named = None if is_folder else _kind_by_name(path)
    kind = request.kind or named
    if named is not None and kind != named:
        raise InvalidRequestError(
            f"{os.path.basename(path)} is the name of a file of another kind than --{kind}",
            hint=f"Leave out --{kind}, or name the file otherwise.",
        )
    if kind == "script" and is_folder:
        raise InvalidRequestError("A script needs a name", hint="Name it: `roost init --script train.py`.")
    names_file = named is not None or kind == "script"
    folder = os.path.dirname(path) if names_file else path
    if kind is None:
        if (found := _find_in_folder(folder)) is not None:
            raise present_error(found, _explain_present(found))
        kind = suggest_kind(frozenset(_list_names(folder)))
    # conda has Pythons of its own: one is named on request only.
    version = request.python if kind == "conda" else python
    usual_name, text = begin_file(kind, name=os.path.basename(folder), python=version)
    name = os.path.basename(path) if names_file else usual_name
    for other in (name, *find_rivals(name)):
        if os.path.lexists(os.path.join(folder, other)):
            raise present_error(os.path.join(folder, other), _explain_present(os.path.join(folder, other)))
    return NewFile(path=os.path.join(folder, name), kind=kind, text=text)


def _explain_present(path: str) -> str:
    """Return what to do about a file that exists, if `roost add` would not edit it; else nothing."""
    if not os.path.exists(path):
        return f"It is a symbolic link to {os.readlink(path)}, which does not exist: remove the link first."
    if os.path.isdir(path):
        return "It is a folder: name another file."
    try:
        edit_source(DefinitionSource(path=path), LocalFiles(), EditOrder(add=("PKG",)))
    except EditRefusedError as error:
        return f"{error.message}. {error.hint}"
    except CodedError as error:
        return f"It can't be read, so that nothing can be added to it: {error.message}."
    return ""


def _unusable_error(path: str, action: str, error: OSError) -> FileNotWritableError:
    reason = (error.strerror or str(error)).lower()
    return FileNotWritableError(f"{path} can't be {action}: {reason}", hint="Name another one.")


def _kind_by_name(path: str) -> BeginningKind | None:
    """Return the kind of a file by its name; ``None`` if it looks like the name of a folder. Raises:
    InvalidRequestError if it looks like that of a file of no kind."""
    name = os.path.basename(path).lower()
    kind = next((kind for end, kind in _KINDS if name.endswith(end)), None)
    if kind is None and name.endswith(_OTHER_ENDS):
        raise InvalidRequestError(
            f"{os.path.basename(path)} is no file that roost begins",
            hint="Name a folder, a *.yml, a *.txt, a *.py, or a pyproject.toml.",
        )
    return kind


def _list_names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unusable_error(folder, "read", error) from error


def _find_in_folder(folder: str) -> str | None:
    """Return the environment file of a folder; one that can't be read counts, too."""
    try:
        found = discover_in(folder)
    except InvalidDefinitionError as error:
        return error.location.path if error.location is not None else folder
    return found.path if found is not None else None


def _find_environment(folder: str) -> str | None:
    """Return the file that commands in ``folder`` use, if there is one and it can be read."""
    try:
        found = discover(folder, [])
        document = read_source(DefinitionSource(path=found.path, format=found.format), LocalFiles())
    except (LookupFailedError, InvalidDefinitionError):
        return None
    return None if document.errors else found.path


def describe_order(path: str, before: str | None, after: str | None) -> list[WarningView]:
    """Return what to say if a new file hides another, or is hidden. ``before`` and ``after`` are what commands in the
    folder used and use."""
    folder, name = os.path.split(path)
    if after is not None and after != path:
        message = f"commands in {folder} use {after}, which comes before {name} (-f names that one)"
        return [WarningView(code="file-hidden", message=message)]
    if before is not None:
        message = f"commands in {folder} used {before} until now, and use {name} from now on"
        return [WarningView(code="file-hides", message=message)]
    return []


def _write(file: NewFile, umask: int) -> None:
    folder = existing = os.path.dirname(file.path)
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if os.path.isdir(existing):  # else it is said what is there
        require_writable(existing, file.path)
    try:
        os.makedirs(folder, mode=0o777 & ~umask, exist_ok=True)
    except OSError as error:
        raise _unusable_error(folder, "created", error) from error
    create_file(file.path, file.text.encode(), 0o666 & ~umask)
