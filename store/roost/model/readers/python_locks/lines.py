"""Lines for pip from the entries of a lock file, and the lines that say where its packages come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from roost.model.documents.toml_text import TomlText
from roost.model.errors import Location
from roost.model.syntax.pip_lines import LogicalLine

_DEFAULT_INDEX = re.compile(r"https://pypi\.\w+/simple/?")
"""The index that every tool uses without being told; a mirror of it may be configured."""
_DEFAULT_FILES = re.compile(r"https://files\.python\w+\.\w+/")
REGENERATE = "Create the lock file again with a current version of its tool, or name the file that it came from."


def mark(text: str, *markers: str) -> str:
    """Return a line that applies where all of ``markers`` do."""
    parts = [marker for marker in markers if marker]
    limit = parts[0] if len(parts) == 1 else " and ".join(f"({part})" for part in parts)
    return f"{text} ; {limit}" if limit else text


def format_digests(files: Iterable[object]) -> str:
    """Return the ``--hash`` options for files of a lock, whose digests are ``hash = "sha256:…"`` or in ``hashes``."""
    digests = {digest for file in files if isinstance(file, Mapping) and (digest := _find_digest(file))}
    return "".join(f" --hash=sha256:{digest}" for digest in sorted(digests))


def _find_digest(file: Mapping[str, Any]) -> str | None:
    hashes = file.get("hashes")
    value = hashes.get("sha256") if isinstance(hashes, Mapping) else str(file.get("hash", "")).removeprefix("sha256:")
    return value.lower() if isinstance(value, str) and re.fullmatch(r"[0-9a-fA-F]{64}", value) else None


def is_default_file(url: str) -> bool:
    """Return whether a file comes from the index that needs no naming."""
    return _DEFAULT_FILES.match(url) is not None


def list_index_lines(registries: Iterable[str], location: Location) -> list[LogicalLine]:
    """Return the options for the places that a lock's packages come from: URLs of indexes, and folders of links.

    All indexes are equal: versions and digests say which file is meant. The default index is only asked if the lock
    names it.
    """
    listed = list(dict.fromkeys(registries))
    folders = [place for place in listed if "://" not in place]
    indexes = [place for place in listed if "://" in place]
    others = [place for place in indexes if not _DEFAULT_INDEX.fullmatch(place)]
    texts = [f"--find-links {place}" for place in folders]
    if len(others) == len(indexes):
        texts += [f"--index-url {place}" for place in others[:1]]
        others = others[1:]
    texts += [f"--extra-index-url {place}" for place in others]
    return [LogicalLine(text, location) for text in texts]


def require_text(toml: TomlText, table: Mapping[str, Any], key: str, *path: str | int) -> str:
    """Return the text at ``key`` of the table at ``path``. Raises: TomlError if there is none."""
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise toml.error(f"An entry of this lock file has no {key!r}", *path, hint=REGENERATE)
    return value


def list_tables(toml: TomlText, value: object, *path: str | int) -> list[dict[str, Any]]:
    """Return an array of tables at ``path``; empty if there is none. Raises: TomlError if it is something else."""
    members = [] if value is None else value
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise toml.error(f"{path[-1]!r} is not a list of tables", *path, hint=REGENERATE)
    return members
