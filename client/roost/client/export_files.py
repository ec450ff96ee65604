"""Writes an export to disk: all of its files or none, and over existing files only on request.

Separate, below the command line and the Python API, which both export.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from roost.client.errors import client_error, usage_error

Json = dict[str, Any]
_CHUNK = 1 << 20
_STAGE_PREFIX = ".roost-export-"


def write_export(export: Json, output: str, *, force: bool) -> list[str]:
    """Write the files of ``export`` (``wire.ExportResponse``) and return their paths.

    ``output`` is a file if the export is one file, else a folder. Everything is staged beside its place and then
    renamed: an interrupted export leaves what was there.
    Raises: ClientError if something is there and ``force`` is not given, or if a write fails.
    """
    is_single = len(export["files"]) == 1 and not export["copies"] and not export["folder"]
    if is_single and not os.path.isdir(output) and not output.endswith("/"):
        folder, name = os.path.split(output)
        return _write_files({name: next(iter(export["files"].values()))}, {}, folder or ".", [], force=force)
    if not is_single and os.path.exists(output) and not os.path.isdir(output):
        raise usage_error(f"{output} is a file, and the export has several files.", "Name a folder with -o.")
    return _write_files(export["files"], export["copies"], output, export.get("absent", []), force=force)


def _write_files(files: dict[str, str], copies: Json, folder: str, absent: list[str], *, force: bool) -> list[str]:
    """``absent``: names that must not exist in ``folder``, since they would be read as a part of the export."""
    names = [*files, *copies]
    _check_names([*names, *absent])
    paths = [os.path.join(folder, name) for name in (*names, *absent)]
    existing = [path for path in paths if os.path.lexists(path)]
    if existing and not force:
        raise usage_error(f"{existing[0]} exists already.", "Overwrite it with --force, or name another place with -o.")
    try:
        parent = folder if os.path.isdir(folder) else os.path.dirname(os.path.abspath(folder))
        stage = tempfile.mkdtemp(prefix=_STAGE_PREFIX, dir=parent)
        try:
            os.chmod(stage, 0o777 & ~_current_umask())
            for name, text in files.items():
                _write_text(os.path.join(stage, name), text)
            for name, copy in copies.items():
                _copy_source(copy, os.path.join(stage, name), _export_names_in(copy["path"], folder, files, copies))
            _move_into_place(stage, folder, names, absent)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        is_stage = os.path.basename(str(error.filename)).startswith(_STAGE_PREFIX)
        message = f"{folder if is_stage else error.filename or folder}: {error.strerror or error}."
        raise client_error(
            "export-failed", message, "Nothing was exported: choose another location with -o.", 1
        ) from error
    return [os.path.normpath(os.path.join(folder, name)) for name in names]


def _check_names(names: list[str]) -> None:
    """Raise if a name leads out of the folder: the definition may have been written by somebody else."""
    outside = next((name for name in names if name.startswith("/") or ".." in name.split("/")), None)
    if outside is not None:
        message = f"The export has a file {outside!r}, whose name points outside its folder."
        raise client_error("export-refused", message, "Nothing was exported: check the definition's pip section.", 1)


def _move_into_place(stage: str, folder: str, names: list[str], absent: list[str]) -> None:
    """Rename the whole stage to a new folder, or each file into an existing one.

    In an existing folder the names of ``absent`` are moved away first: read beside the new files they would be wrong.
    """
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


def _write_text(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _export_names_in(source: str, folder: str, files: dict[str, str], copies: Json) -> tuple[str, ...]:
    """Return the names in the folder ``source`` that an earlier export wrote: no export contains another."""
    source, output = os.path.realpath(source), os.path.realpath(folder)
    names = copies if output == source else (*files, *copies)
    return tuple(os.path.relpath(os.path.join(output, name), source) for name in names)


def _copy_source(copy: Json, target: str, excluded: tuple[str, ...]) -> None:
    """Copy a file, whose digest is verified, or a folder without its ``excluded`` names."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if copy["folder"]:
        os.mkdir(target)
        for name in copy["names"]:
            if not any(_is_within(name, each) or _is_within(each, name) for each in excluded):
                _copy_member(os.path.join(copy["path"], name), os.path.join(target, name))
        return
    shutil.copyfile(copy["path"], target)
    content = hashlib.sha256()
    for chunk in _chunks(target):
        content.update(chunk)
    if f"sha256:{content.hexdigest()}" != copy["digest"]:
        message = f"{copy['path']} has changed since the environment was registered."
        raise client_error("export-changed-file", message, "Restore the file, or register the environment again.", 1)


def _is_within(name: str, folder: str) -> bool:
    return f"{name}/".startswith(f"{folder}/")


def _copy_member(source: str, target: str) -> None:
    """Copy a file with its mode and times, a link as a link, or an empty folder."""
    if os.path.isdir(source) and not os.path.islink(source):
        os.makedirs(target, exist_ok=True)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def _chunks(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
