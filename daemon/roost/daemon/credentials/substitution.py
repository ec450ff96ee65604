"""``${NAME}`` in channels and indexes: filled in for the engines, and put back before anything is kept. Pure.

The values come from the client with the request, are often tokens, and never enter a lock: a URL in it names the
variable, and whoever fetches from it later needs one of that name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from roost.model.definition import Definition
from roost.model.errors import InvalidDefinitionError
from roost.model.locks.lock import Lock

T = TypeVar("T")
_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_REGISTRY = "docker://"
"""In front of a registry's host, where credentials are told apart by the place that they are for."""
# A shorter value could stand in a URL by chance, and says nothing.
_TELLING = 4


class VariableMissingError(InvalidDefinitionError):
    """The definition or its lock names variables that are not given; ``fields["variables"]`` lists them."""

    code = "variable-missing"


def require_variables(definition: Definition, environ: Mapping[str, str]) -> None:
    """Raises VariableMissingError where a channel, an index or a requirement names a variable that is not there."""
    written = msgspec.json.encode([definition.conda, definition.pip]).decode()
    _require(set(_NAME.findall(written)), environ, "the definition")


def registry_credentials(
    credentials: Mapping[str, str], environ: Mapping[str, str], *, all_needed: bool
) -> dict[str, str]:
    """Host to ``user:password`` of the registries that the definition refers to. Those whose variables are not given
    are left out, or raise VariableMissingError where they are ``all_needed``."""
    hosts = {place.removeprefix(_REGISTRY): text for place, text in credentials.items() if place.startswith(_REGISTRY)}
    if all_needed:
        _require({n for value in hosts.values() for n in _NAME.findall(value)}, environ, "the definition")
    given = {host: text for host, text in hosts.items() if set(_NAME.findall(text)) <= set(environ)}
    return {host: _NAME.sub(lambda match: environ[match[1]], text) for host, text in given.items()}


def substitute_credentials(credentials: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """``user:${TOKEN}``, as it stood in a URL, with the token, but for registries. Raises VariableMissingError."""
    credentials = {place: value for place, value in credentials.items() if not place.startswith(_REGISTRY)}
    _require({n for value in credentials.values() for n in _NAME.findall(value)}, environ, "the definition")
    return {place: _NAME.sub(lambda match: environ[match[1]], value) for place, value in credentials.items()}


def mask_text(text: str, environ: Mapping[str, str]) -> str:
    """``text`` with ``${NAME}`` in the place of the values; the longest first, for one may be a part of another."""
    for name, value in sorted(environ.items(), key=lambda pair: -len(pair[1])):
        text = text.replace(value, f"${{{name}}}") if len(value) >= _TELLING else text
    return text


def mask(lock: Lock, environ: Mapping[str, str]) -> Lock:
    """``lock`` with ``${NAME}`` in its URLs in the place of the values."""
    return _with_urls(lock, {url: mask_text(url, environ) for url in _urls(lock)}) if environ else lock


def mask_struct(told: T, environ: Mapping[str, str]) -> T:
    """``told``, a struct of the wire, with ``${NAME}`` in its texts in the place of the values."""
    before = msgspec.json.encode(told).decode()
    text = mask_text(before, {name: msgspec.json.encode(value).decode()[1:-1] for name, value in environ.items()})
    return told if text == before else msgspec.json.decode(text, type=type(told))


def substitute(lock: Lock, environ: Mapping[str, str]) -> Lock:
    """The opposite of ``mask``, for the engines alone. Raises VariableMissingError."""
    urls = [url for url in _urls(lock) if "${" in url]
    if not urls:
        return lock
    _require({name for url in urls for name in _NAME.findall(url)}, environ, "the lock")
    return _with_urls(lock, {url: _NAME.sub(lambda match: environ[match[1]], url) for url in urls})


def map_masked_urls(kept: Lock, revealed: Lock) -> dict[str, str]:
    """The channels of ``kept`` that name variables in their paths, to those of ``revealed``, and the same of wheels:
    for the engines, which keep the latter from rattler and uv, for what these are given they write down."""
    found: dict[str, str] = {}
    for named, real in zip(kept.conda, revealed.conda, strict=True):
        if named.url != real.url and named.url.split("/")[2] == real.url.split("/")[2]:
            found[named.url.rsplit("/", 2)[0]] = real.url.rsplit("/", 2)[0]
    for wheel, other in zip(kept.wheels, revealed.wheels, strict=True):
        if wheel.url and other.url and wheel.url != other.url:
            found[wheel.url] = other.url
    return found


def _require(names: set[str], environ: Mapping[str, str], whose: str) -> None:
    missing = sorted(names - set(environ))
    if missing:
        raise VariableMissingError(
            f"{whose} uses {', '.join(missing)}, which no variable of the environment gives",
            hint="Set it where roost is called: " + " ".join(f"{name}=…" for name in missing) + " roost …",
            fields={"variables": sorted(names)},
        )


def _urls(lock: Lock) -> list[str]:
    return [p.url for p in lock.conda] + [w.url for w in lock.wheels if w.url is not None]


def _with_urls(lock: Lock, changed: Mapping[str, str]) -> Lock:
    conda = tuple(msgspec.structs.replace(p, url=changed.get(p.url, p.url)) for p in lock.conda)
    wheels = tuple(msgspec.structs.replace(w, url=changed.get(w.url or "", w.url)) for w in lock.wheels)
    return msgspec.structs.replace(lock, conda=conda, wheels=wheels)
