"""The text of a ``roost.lock``: one package a line, sorted, so that one change is a change of few lines."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from roost.model.definition import NO_CHOICES
from roost.model.lock_files.lock_file import END, LOCK_FILE_FORMAT, LockFile, LockSummary, digest_lines
from roost.model.locks.lock import CondaPackage, Jar, Lock, RPackage, Wheel, digest_lock

_HEADER = """\
# roost.lock: the packages that roost chose for the environment file beside this one. Not edited by hand.
# Merge conflict: take either side of this whole file, then run `roost lock --write`.
"""


def write_lock_file(file: LockFile) -> str:
    """Return the text of ``file``. It does not depend on the order of packages and locks."""
    lines = [f"format {LOCK_FILE_FORMAT}", f"definition {file.definition_digest}"]
    lines += [format_line("choices", file.choices)] if file.choices != NO_CHOICES else []
    lines += list_asked_lines(file.canonical)
    for scope in sorted(file.locks):
        lock = file.locks[scope]
        body = list_lock_lines(lock)
        lines += ["", f"[{scope}]", f"lock {digest_lock(lock)}", f"content {digest_lines(body)}", *body]
    return _HEADER + "\n".join([*lines, "", END]) + "\n"


def list_asked_lines(canonical: bytes) -> list[str]:
    """Return the lines that have the definition, a section each."""
    sections = msgspec.json.decode(canonical, type=dict[str, object])
    return [f"asked {name} {_encode(sections[name])}" for name in sorted(sections)]


def list_lock_lines(lock: Lock) -> list[str]:
    """Return the lines of a section that ``content`` covers."""
    summary = LockSummary(
        platform=lock.platform,
        provider=lock.provider,
        system=lock.system,
        markers_known=lock.markers_known,
        unanswered=lock.unanswered,
        bundle=lock.bundle,
        format=lock.format,
    )
    return [
        format_line("about", summary),
        *(format_line("input", each) for each in lock.inputs),
        *(format_line("marker", each) for each in lock.markers),
        *_list_packages("conda", lock.conda),
        *_list_packages("wheel", lock.wheels),
        *_list_packages("jar", lock.jars),
        *_list_packages("r", lock.r),
    ]


def _list_packages(kind: str, packages: Sequence[CondaPackage | Wheel | Jar | RPackage]) -> list[str]:
    return [line for _, line in sorted((each.name, format_line(kind, each)) for each in packages)]


def format_line(kind: str, value: msgspec.Struct) -> str:
    """Return one line: ``kind``, and ``value`` as JSON, whose mappings are sorted.

    A struct's own fields keep their order, which begins with the name and the version.
    """
    written = msgspec.json.decode(msgspec.json.encode(value))
    parts = [f"{_encode(name)}:{_encode(part)}" for name, part in written.items()]
    return f"{kind} {{{','.join(parts)}}}"


def _encode(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
