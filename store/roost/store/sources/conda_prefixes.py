"""An existing conda environment as a definition: what its ``conda-meta`` and its ``dist-info`` folders record.

conda writes a record for each package and a history of what was asked for (conda's ``History`` in
``conda.history``); pip writes metadata with the place that a package came from (PEP 376, 610). Only those files are
read: neither conda nor a Python of the environment is started.
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
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.conda import normalise_channels, read_spec
from roost.model.readers.source import ReadContext
from roost.model.syntax.match_specs import MatchSpecError, spec_name
from roost.model.syntax.urls import strip_credentials
from roost.store.sources.files import LocalFiles
from roost.store.sources.installed_pip import read_installed

FORMAT = "conda-prefix"
_ALIAS = re.compile(r"https?://conda\.anaconda\.org/(?P<name>[^?#]+)")
_DEFAULTS = re.compile(r"https?://repo\.anaconda\.com/pkgs/(main|r|msys2)")
_HISTORY = re.compile(r"#\s*(?P<action>[a-z]+) specs:\s*(?P<specs>.*?)\s*$")


class PrefixRecordError(InvalidDefinitionError):
    """A record of a conda environment can't be read."""

    code = "prefix-record-invalid"


class _Record(msgspec.Struct, kw_only=True):
    """What is needed of a file in ``conda-meta``."""

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
    def exact(self) -> str:
        return f"{self.name}={self.version}={self.build}" if self.build else self.pin


def read_prefix(prefix: str, *, exact: bool = False) -> ReadResult:
    """The environment at ``prefix`` as a definition: what was asked for where that is recorded, else every package by
    version. ``exact``: every package by version and build. Blocking.

    Raises PrefixRecordError. What can't be had elsewhere is a warning.
    """
    reading = ReadContext(LocalFiles(), posixpath.join(prefix, "conda-meta"))
    records = {record.name: record for record in _records(reading, prefix) if not _is_pips(record)}
    conda = Conda(channels=_channels(reading, records.values()), dependencies=_specs(reading, prefix, records, exact))
    owned = frozenset(name for record in records.values() for name in record.files)
    items = read_installed(reading, prefix, owned)
    variables = _variables(reading, prefix)
    definition = Definition(conda=conda, pip=Pip(requirements=items))
    return reading.parsed(definition, FORMAT, settings=Settings(variables=variables), name=_name(prefix))


def _name(prefix: str) -> str:
    return "base" if os.path.isdir(os.path.join(prefix, "condabin")) else os.path.basename(prefix)


def _records(reading: ReadContext, prefix: str) -> Iterator[_Record]:
    folder = os.path.join(prefix, "conda-meta")
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
    except OSError as error:
        raise _broken(folder, error.strerror or str(error)) from None
    for name in names:
        path = os.path.join(folder, name)
        try:
            yield msgspec.json.decode(reading.load(path, None), type=_Record)
        except msgspec.MsgspecError as error:
            raise _broken(path, str(error)) from None


def _broken(path: str, reason: str) -> PrefixRecordError:
    return PrefixRecordError(
        f"{path} can't be read: {reason}",
        hint="Mend the environment, or write its packages with `conda env export` and import the file.",
        location=Location(path=path),
    )


def _is_pips(record: _Record) -> bool:
    """Some tools write records of what pip installed."""
    return record.channel in ("pypi", "<develop>") or record.build == "pypi_0"


def _specs(reading: ReadContext, prefix: str, records: dict[str, _Record], exact: bool) -> tuple[str, ...]:
    if exact:
        return tuple(_spec(reading, record.exact, record) for record in records.values())
    requested = {name: spec for name, spec in _requested(reading, prefix, records).items() if name in records}
    if not requested:
        if records:
            message = "what was asked for is not recorded there: every package is pinned to its version"
            reading.warn("history-missing", message, Location(path=posixpath.join(prefix, "conda-meta/history")))
        return tuple(_spec(reading, record.pin, record) for record in records.values())
    return tuple(_spec(reading, spec, records[name]) for name, spec in requested.items())


def _spec(reading: ReadContext, spec: str, record: _Record) -> str:
    """A spec that can't be taken is the package's version instead: a file that was named by its URL, mostly."""
    place = Location(path=reading.path)
    try:
        if "://" not in spec and "/" not in spec.partition("::")[0]:
            return read_spec(reading, spec, place)
    except MatchSpecError:
        pass
    shown = strip_credentials(spec)[0]
    reading.warn("spec-unread", f"{shown!r} can't be asked for again: it is {record.pin}", place)
    return read_spec(reading, record.pin, place)


def _requested(reading: ReadContext, prefix: str, records: dict[str, _Record]) -> dict[str, str]:
    """Name to spec, as the last transaction left them: from the history, else from what the records say."""
    path = os.path.join(prefix, "conda-meta", "history")
    asked: dict[str, str] = {}
    if os.path.exists(path):
        for line in reading.load(path, None).decode("utf-8", "replace").splitlines():
            if match := _HISTORY.match(line):
                _replay(asked, match["action"], _listed(match["specs"]))
    if asked:
        return asked
    for record in records.values():
        told = record.requested_specs or ([record.requested_spec] if record.requested_spec else [])
        if told and told[0] != "None":
            asked[record.name] = told[0]
    return asked


def _replay(asked: dict[str, str], action: str, specs: list[str]) -> None:
    for spec in specs:
        try:
            name = _name_of(spec)
        except MatchSpecError:
            continue  # what was never a package's name is none that is there
        if action in ("install", "create", "update", "neutered"):
            asked.pop(name, None)
            asked[name] = spec
        elif action in ("remove", "uninstall"):
            asked.pop(name, None)


def _listed(text: str) -> list[str]:
    """A Python list in newer versions, texts with commas in old ones."""
    try:
        value: Any = ast.literal_eval(text)
        return [str(spec) for spec in value] if isinstance(value, (list, tuple)) else [str(value)]
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return [part.strip() for part in text.split(",") if part.strip()]


def _name_of(spec: str) -> str:
    """Raises MatchSpecError."""
    if "://" in spec:  # name-version-build.conda
        return spec.partition("#")[0].rpartition("/")[2].rsplit("-", 2)[0].lower()
    return spec_name(spec)


def _channels(reading: ReadContext, records: Iterable[_Record]) -> tuple[str, ...]:
    """Where the packages came from, the place of most of them first."""
    counted = Counter(channel for record in records if (channel := _channel(record)) is not None)
    return normalise_channels([reading.clean(channel) for channel, _ in counted.most_common()])


def _channel(record: _Record) -> str | None:
    place = (record.url or "").partition("#")[0]
    base = place.rsplit("/", 2)[0] if place.count("/") > 2 else record.channel or ""
    if record.subdir and base.endswith(f"/{record.subdir}"):
        base = base.removesuffix(f"/{record.subdir}")
    if _DEFAULTS.match(base):
        return "defaults"
    alias = _ALIAS.fullmatch(base)
    return alias["name"] if alias and not alias["name"].startswith("t/") else base.rstrip("/") or None


def _variables(reading: ReadContext, prefix: str) -> dict[str, str]:
    """What ``conda env config vars set`` keeps in ``conda-meta/state``."""
    path = os.path.join(prefix, "conda-meta", "state")
    if not os.path.exists(path):
        return {}
    try:
        state = msgspec.json.decode(reading.load(path, None))
        told = state.get("env_vars", {}) if isinstance(state, dict) else {}
        return {key: value for key, value in told.items() if isinstance(value, str) and value != "***unset***"}
    except msgspec.MsgspecError as error:
        raise _broken(path, str(error)) from None
