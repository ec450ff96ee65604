"""Which files a project is built from again when they change, and the digest of them. Pure.

They are ``BUILD_FILES``, ``MANIFEST.in``, ``hatch_build.py``, the module of a backend in the project itself
(``backend-path``), and what ``cache-keys`` in ``[tool.uv]`` names: files, and the commit. Source of the last: uv's
documentation of its cache, "dynamic metadata".
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator

from roost.model.canonical.form import digest_bytes
from roost.model.documents.toml_text import TomlText
from roost.model.readers.projects.commits import Read, find_commit
from roost.model.readers.source import BUILD_FILES

_MORE_FILES = ("MANIFEST.in", "hatch_build.py")
_MOST_PATHS = 8
"""Folders of ``backend-path`` that are searched."""
_KEYS = ("tool", "uv", "cache-keys")
_PATTERN = re.compile(r"[*?\[\]{}]")


def digest_build_files(read: Read, folder: str, toml: TomlText) -> str:
    """Return the digest of the build files of the project in ``folder``, whose ``pyproject.toml`` is ``toml``.

    Raises: InvalidDefinitionError if ``cache-keys`` is not a list of keys that uv has.
    """
    keys = list(_list_cache_keys(toml))
    named = [value for kind, value in keys if kind == "file"]
    content = hashlib.sha256(b"roost project 1\n")
    for name in dict.fromkeys([*BUILD_FILES, *_MORE_FILES, *_list_backend_modules(toml), *named]):
        data = read(name)
        if data is not None:
            content.update(f"{name!r} {digest_bytes(data)}\n".encode())
    if any(kind == "git" for kind, _ in keys):
        content.update(b"commit " + find_commit(read, folder) + b"\n")
    return "sha256:" + content.hexdigest()


def list_unwatched_keys(toml: TomlText) -> list[str]:
    """Return the cache keys whose changes are not noticed: patterns of files, folders, variables, and tags."""
    return [f"{kind} {value!r}".strip() for kind, value in _list_cache_keys(toml) if kind not in ("file", "git")]


def _list_backend_modules(toml: TomlText) -> Iterator[str]:
    """Yield the files that a backend in the project may be in, relative to its folder."""
    table = toml.table("build-system")
    backend, paths = table.get("build-backend"), table.get("backend-path")
    if not isinstance(backend, str) or not isinstance(paths, list):
        return
    module = backend.partition(":")[0].strip().replace(".", "/")
    if not module or module.startswith("/"):
        return
    for path in paths[:_MOST_PATHS]:
        if isinstance(path, str) and not posixpath.isabs(path):
            below = posixpath.normpath(posixpath.join(path, module))
            yield from (f"{below}.py", f"{below}/__init__.py")


def _list_cache_keys(toml: TomlText) -> Iterator[tuple[str, str]]:
    """Yield the kind and the value of each cache key: ``file``, ``git``, or one that is not followed."""
    table = toml.table(*_KEYS[:-1])
    keys = table.get(_KEYS[-1], [])
    if not isinstance(keys, list):
        raise toml.error("'cache-keys' is not a list", *_KEYS)
    for key in keys:
        if isinstance(key, str):
            key = {"file": key}
        match key:
            case {"file": str(name)} if len(key) == 1:
                yield ("pattern" if _PATTERN.search(name) else "file"), name
            case {"git": bool(wanted)} if len(key) == 1:
                yield from [("git", "")] if wanted else []
            case {"git": {**wanted}} if len(key) == 1 and set(wanted) <= {"commit", "tags"}:
                yield from [("git", "")] if wanted.get("commit") else []
                yield from [("git tags", "")] if wanted.get("tags") else []
            case {"dir": str(name)} if len(key) == 1:
                yield "dir", name
            case {"env": str(name)} if len(key) == 1:
                yield "env", name
            case _:
                raise toml.error(
                    f"{key!r} is no key that uv has",
                    *_KEYS,
                    hint='Write { file = "…" } or { git = true }, for example.',
                )
