"""Read an existing conda environment as a definition, from its ``conda-meta`` and ``dist-info`` folders.

conda writes a record for each package and a history of requested specs (conda's ``History`` in ``conda.history``); pip
writes metadata with the origin of a package (PEP 376, 610). Only those files are read: neither conda nor the Python of
the environment is started.
"""

from __future__ import annotations

import ast
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from roost.model.definition import Conda, Definition, Pip, ReadResult, Settings
from roost.model.errors import MALFORMED_JSON, InvalidDefinitionError, Location
from roost.model.readers.source import ReadContext
from roost.model.syntax.match_specs import MatchSpecError, normalise_channels, spec_name
from roost.model.syntax.urls import strip_credentials
from roost.store.sources.files import LocalFiles
from roost.store.sources.installed_pip import read_installed

FORMAT = "conda-prefix"
_CHANNEL_ALIAS = re.compile(r"https?://conda\.anaconda\.org/(?P<name>[^?#]+)")
_DEFAULT_CHANNELS = re.compile(r"https?://repo\.anaconda\.com/pkgs/(main|r|msys2)")
_HISTORY_LINE = re.compile(r"#\s*(?P<action>[a-z]+) specs:\s*(?P<specs>.*?)\s*$")


class PrefixRecordError(InvalidDefinitionError):
    """A record of a conda environment can't be read."""

    code = "prefix-record-invalid"


class _Record(msgspec.Struct, kw_only=True):
    """The fields used of a record in ``conda-meta``."""

    name: str
    version: str
    build: str = ""
    url: str | None = None
    channel: str | None = None
    subdir: str | None = None
    files: list[str] = []
    requested_spec: str | None = None
    requested_specs: list[str] | None = None

    @property
    def pin(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def pin_with_build(self) -> str:
        return f"{self.name}={self.version}={self.build}" if self.build else self.pin


def read_prefix(prefix: str, *, pinned: bool = False) -> ReadResult:
    """Return the environment at ``prefix`` as a definition. Blocking.

    Its dependencies are the requested specs if they are recorded, else every package by version; with ``pinned``, every
    package by version and build. A package that can't be installed elsewhere is a warning.

    Raises:
        PrefixRecordError: a record can't be read.
    """
    reading = ReadContext(LocalFiles(), posixpath.join(prefix, "conda-meta"))
    records = {record.name: record for record in _read_records(reading, prefix) if not _is_pip_record(record)}
    dependencies = _dependencies(reading, prefix, records, pinned)
    conda = Conda(channels=_list_channels(reading, records.values()), dependencies=dependencies)
    owned = frozenset(name for record in records.values() for name in record.files)
    items = read_installed(reading, prefix, owned)
    variables = _read_variables(reading, prefix)
    definition = Definition(conda=conda, pip=Pip(requirements=items))
    return reading.build_result(
        definition, FORMAT, settings=Settings(variables=variables), name=_environment_name(prefix)
    )


def _environment_name(prefix: str) -> str:
    return "base" if os.path.isdir(os.path.join(prefix, "condabin")) else os.path.basename(prefix)


def _read_records(reading: ReadContext, prefix: str) -> Iterator[_Record]:
    folder = os.path.join(prefix, "conda-meta")
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
    except OSError as error:
        raise _record_error(folder, error.strerror or str(error)) from None
    for name in names:
        path = os.path.join(folder, name)
        try:
            yield msgspec.json.decode(reading.load_file(path, None), type=_Record)
        except MALFORMED_JSON as error:
            raise _record_error(path, str(error)) from None


def _record_error(path: str, reason: str) -> PrefixRecordError:
    return PrefixRecordError(
        f"{path} can't be read: {reason}",
        hint="Repair the environment, or write its packages with `conda env export` and import the file.",
        location=Location(path=path),
    )


def _is_pip_record(record: _Record) -> bool:
    """Return whether a record is of a package that pip installed: some tools write such records."""
    return record.channel in ("pypi", "<develop>") or record.build == "pypi_0"


def _dependencies(reading: ReadContext, prefix: str, records: dict[str, _Record], pinned: bool) -> tuple[str, ...]:
    if pinned:
        return tuple(_readable_spec(reading, record.pin_with_build, record) for record in records.values())
    requested = {name: spec for name, spec in _requested_specs(reading, prefix, records).items() if name in records}
    if not requested:
        if records:
            message = "the requested packages are not recorded there: every package is pinned to its version"
            reading.warn("history-missing", message, Location(path=posixpath.join(prefix, "conda-meta/history")))
        return tuple(_readable_spec(reading, record.pin, record) for record in records.values())
    return tuple(_readable_spec(reading, spec, records[name]) for name, spec in requested.items())


def _readable_spec(reading: ReadContext, spec: str, record: _Record) -> str:
    """Return a spec in roost's form; one that can't be used again (mostly a file by its URL) becomes the package's
    version, with a warning."""
    location = Location(path=reading.path)
    try:
        if "://" not in spec and "/" not in spec.partition("::")[0]:
            return reading.read_match_spec(spec, location)
    except MatchSpecError:
        pass
    shown = strip_credentials(spec)[0]
    reading.warn("spec-unread", f"{shown!r} can't be requested again: it is {record.pin}", location)
    return reading.read_match_spec(record.pin, location)


def _requested_specs(reading: ReadContext, prefix: str, records: dict[str, _Record]) -> dict[str, str]:
    """Return package name to requested spec after the last transaction: from the history, else from the records."""
    path = os.path.join(prefix, "conda-meta", "history")
    requested: dict[str, str] = {}
    if os.path.exists(path):
        for line in reading.load_file(path, None).decode("utf-8", "replace").splitlines():
            if match := _HISTORY_LINE.match(line):
                _apply_transaction(requested, match["action"], _parse_spec_list(match["specs"]))
    if requested:
        return requested
    for record in records.values():
        specs = record.requested_specs or ([record.requested_spec] if record.requested_spec else [])
        if specs and specs[0] != "None":
            requested[record.name] = specs[0]
    return requested


def _apply_transaction(requested: dict[str, str], action: str, specs: list[str]) -> None:
    """Apply one line of the history to ``requested``."""
    for spec in specs:
        try:
            name = _spec_package_name(spec)
        except MatchSpecError:
            continue  # not the name of a package, so of none that is installed
        if action in ("install", "create", "update", "neutered"):
            requested.pop(name, None)
            requested[name] = spec
        elif action in ("remove", "uninstall"):
            requested.pop(name, None)


def _parse_spec_list(text: str) -> list[str]:
    """Parse the specs of a history line: a Python list in newer versions of conda, separated by commas in old ones."""
    try:
        value: Any = ast.literal_eval(text)
        return [str(spec) for spec in value] if isinstance(value, (list, tuple)) else [str(value)]
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return [part.strip() for part in text.split(",") if part.strip()]


def _spec_package_name(spec: str) -> str:
    """Return the package name of a spec.

    Raises:
        MatchSpecError: the spec is not valid.
    """
    if "://" in spec:  # name-version-build.conda
        return spec.partition("#")[0].rpartition("/")[2].rsplit("-", 2)[0].lower()
    return spec_name(spec)


def _list_channels(reading: ReadContext, records: Iterable[_Record]) -> tuple[str, ...]:
    """Return the channels of the packages, the one of most packages first."""
    counts = Counter(channel for record in records if (channel := _channel_of_record(record)) is not None)
    return normalise_channels([reading.strip_credentials(channel) for channel, _ in counts.most_common()])


def _channel_of_record(record: _Record) -> str | None:
    url = (record.url or "").partition("#")[0]
    base = url.rsplit("/", 2)[0] if url.count("/") > 2 else record.channel or ""
    if record.subdir and base.endswith(f"/{record.subdir}"):
        base = base.removesuffix(f"/{record.subdir}")
    if _DEFAULT_CHANNELS.match(base):
        return "defaults"
    alias = _CHANNEL_ALIAS.fullmatch(base)
    return alias["name"] if alias and not alias["name"].startswith("t/") else base.rstrip("/") or None


def _read_variables(reading: ReadContext, prefix: str) -> dict[str, str]:
    """Return the variables that ``conda env config vars set`` stored in ``conda-meta/state``."""
    path = os.path.join(prefix, "conda-meta", "state")
    if not os.path.exists(path):
        return {}
    try:
        state = msgspec.json.decode(reading.load_file(path, None))
        variables = state.get("env_vars", {}) if isinstance(state, dict) else {}
        return {key: value for key, value in variables.items() if isinstance(value, str) and value != "***unset***"}
    except MALFORMED_JSON as error:
        raise _record_error(path, str(error)) from None
