"""Puts an export on disk: all of it or nothing, and over nothing that is there unless that is asked for."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from roost.client.cli.context import wrong_usage
from roost.client.errors import client_error

Json = dict[str, Any]
_CHUNK = 1 << 20
_STAGE = ".roost-export-"


def write_export(export: Json, output: str, *, force: bool) -> list[str]:
    """Write the files of ``export`` to ``output``, a file where it is one file and a folder else; the paths written.

    Everything is staged beside its place and then renamed: an interrupted export leaves what was there. Raises
    ``ClientError`` where something is there and ``force`` is not given.
    """
    alone = len(export["files"]) == 1 and not export["copies"] and not export["folder"]
    if alone and not os.path.isdir(output) and not output.endswith("/"):
        folder, named = os.path.split(output)
        return _put({named: next(iter(export["files"].values()))}, {}, folder or ".", [], force=force)
    if not alone and os.path.exists(output) and not os.path.isdir(output):
        raise wrong_usage(f"{output} is a file, and the export has several.", "Name a folder with -o.")
    return _put(export["files"], export["copies"], output, export.get("absent", []), force=force)


def _put(files: dict[str, str], copies: Json, folder: str, absent: list[str], *, force: bool) -> list[str]:
    """``absent``: what must not lie there, since it would be read as a part of the export."""
    names = [*files, *copies]
    _check_names([*names, *absent])
    paths = [os.path.join(folder, name) for name in (*names, *absent)]
    there = [path for path in paths if os.path.lexists(path)]
    if there and not force:
        raise wrong_usage(f"{there[0]} exists already.", "Overwrite it with --force, or name another place with -o.")
    try:
        above = folder if os.path.isdir(folder) else os.path.dirname(os.path.abspath(folder))
        stage = tempfile.mkdtemp(prefix=_STAGE, dir=above)
        try:
            os.chmod(stage, 0o777 & ~_umask())
            for name, text in files.items():
                _write(os.path.join(stage, name), text)
            for name, copy in copies.items():
                _copy(copy, os.path.join(stage, name), _own(copy["path"], folder, files, copies))
            _place(stage, folder, names, absent)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        place = folder if os.path.basename(str(error.filename)).startswith(_STAGE) else error.filename or folder
        message = f"{place}: {error.strerror or error}."
        raise client_error("export-failed", message, "Nothing was exported: name a place with -o.", 1) from error
    return [os.path.normpath(os.path.join(folder, name)) for name in names]


def _check_names(names: list[str]) -> None:
    """What is exported may have been written by somebody else: nothing of it goes elsewhere than was asked for."""
    astray = next((name for name in names if name.startswith("/") or ".." in name.split("/")), None)
    if astray is not None:
        message = f"The export has a file {astray!r}, whose name leads out of its folder."
        raise client_error("export-refused", message, "Nothing was exported: look at the definition's pip section.", 1)


def _place(stage: str, folder: str, names: list[str], absent: list[str]) -> None:
    """A new folder by one rename; into one that is there, each file by one, after what no longer belongs there."""
    if not os.path.isdir(folder):
        os.rename(stage, folder)
        return
    for name in absent:
        if os.path.lexists(os.path.join(folder, name)):
            os.rename(os.path.join(folder, name), os.path.join(stage, f"{name.replace('/', '-')}.before"))
    for name in names:
        target = os.path.join(folder, name)
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        if os.path.isdir(target) and not os.path.islink(target):
            os.rename(target, os.path.join(stage, f"{name.replace('/', '-')}.before"))
        os.replace(os.path.join(stage, name), target)


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _own(source: str, folder: str, files: dict[str, str], copies: Json) -> tuple[str, ...]:
    """What of the folder ``source`` is the export itself, as an earlier one left it: no export holds another."""
    source, output = os.path.realpath(source), os.path.realpath(folder)
    names = copies if output == source else (*files, *copies)
    return tuple(os.path.relpath(os.path.join(output, name), source) for name in names)


def _copy(copy: Json, target: str, own: tuple[str, ...]) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if copy["folder"]:
        os.mkdir(target)
        for name in copy["names"]:
            if not any(_is_within(name, each) or _is_within(each, name) for each in own):
                _copy_member(os.path.join(copy["path"], name), os.path.join(target, name))
        return
    shutil.copyfile(copy["path"], target)
    content = hashlib.sha256()
    for chunk in _chunks(target):
        content.update(chunk)
    if f"sha256:{content.hexdigest()}" != copy["digest"]:
        message = f"{copy['path']} is not what it was when the environment was registered."
        raise client_error("export-changed-file", message, "Put the file back, or register the environment anew.", 1)


def _is_within(name: str, folder: str) -> bool:
    return f"{name}/".startswith(f"{folder}/")


def _copy_member(source: str, target: str) -> None:
    """A file with its mode and times, a link as it is, a folder that may be empty."""
    if os.path.isdir(source) and not os.path.islink(source):
        os.makedirs(target, exist_ok=True)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def _chunks(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
