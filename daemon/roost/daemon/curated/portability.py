"""What in a definition has a meaning on one machine only, so that the definition can't be published. Pure.

Catalogues come from other machines: whatever is refused when a definition is published is refused again when it is
fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from roost.model.definition import Conda, Definition, Pip, PipItem, Settings
from roost.model.syntax.urls import strip_credentials

_LOCAL = re.compile(r"(?:file:|[./~\\]|[A-Za-z]:[\\/])", re.IGNORECASE)
_CHANNEL = re.compile(r"\bchannel\s*=\s*[\"']?([^\"',\]]+)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_REMOTE = re.compile(r"https?://", re.IGNORECASE)


def make_portable(definition: Definition) -> Definition:
    """Return ``definition`` without the paths of this machine and with the same digest: the content of nested files is
    part of it, their location is not."""
    items = tuple(bare for item in definition.pip.requirements for bare in _strip_paths(item))
    return msgspec.structs.replace(definition, pip=Pip(requirements=items))


def _strip_paths(item: PipItem) -> Iterator[PipItem]:
    """Yield ``item`` without its paths. The lines of a nested requirements file take its place, as in the digest."""
    inner = tuple(bare for each in item.items for bare in _strip_paths(each))
    if item.kind == "requirements" and item.path is not None:
        yield from inner
    elif item.kind == "constraints" and item.path is not None:
        yield msgspec.structs.replace(item, items=inner, path=item.text, location=None)
    else:
        yield msgspec.structs.replace(item, location=None)


def find_portability_fault(definition: Definition, settings: Settings) -> str | None:
    """Return why ``definition`` would be useless or dangerous on another machine; ``None`` if it is portable."""
    return next(_portability_faults(definition, settings), None)


def _portability_faults(definition: Definition, settings: Settings) -> Iterator[str]:
    base, python = definition.base, definition.python
    if base is not None and (base.context or base.context_path):
        yield "its build context is a folder of one machine"
    if python.user_managed and not (base and (base.image or base.dockerfile)) and "/" in python.interpreter:
        yield f"its interpreter {python.interpreter} exists only on one machine"
    yield from _conda_faults(definition.conda)
    yield from _pip_faults(definition.pip.requirements)
    for url in definition.spark.repositories:
        if _LOCAL.match(url):
            yield f"the repository {url} is a folder of one machine"
    if settings.container.arguments:
        yield "it sets how containers are started on a machine (container.arguments)"
    for text in _texts_in(msgspec.to_builtins((definition, settings))):
        if strip_credentials(text)[0] != text:
            yield f"it contains credentials, in {strip_credentials(text)[0]!r}"


def _conda_faults(conda: Conda) -> Iterator[str]:
    for channel in (*conda.channels, *(_channel_of_spec(spec) for spec in conda.dependencies)):
        if _LOCAL.match(channel):
            yield f"the channel {channel} is a folder of one machine"
    for spec in conda.dependencies:
        if "file:" in spec.lower() or _CONTROL.search(spec):
            yield f"{spec!r} names a file of one machine"
    for url in (url for urls in conda.explicit.values() for url in urls):
        if not _REMOTE.match(url):
            yield f"the package {url} is a file of one machine"


def _channel_of_spec(spec: str) -> str:
    head, separator, _ = spec.partition("::")
    brackets = _CHANNEL.findall(spec, spec.find("[") + 1) if "[" in spec else []
    return brackets[-1].strip() if brackets else head if separator else ""


def _pip_faults(items: Iterable[PipItem]) -> Iterator[str]:
    for item in items:
        nested = item.kind == "constraints" and item.path is not None and item.path == item.text
        if item.kind in ("wheel", "source", "editable"):
            yield f"{item.text} is a file or folder of one machine, and its content would not be included"
        elif item.digest is not None or (item.path is not None and (not nested or "/" in item.path)):
            yield f"{item.text} names {item.path or 'a file'}, which is a path of one machine"
        elif item.items and not nested:
            yield f"{item.text} contains lines of a file that it does not name"
        elif item.kind in ("requirements", "constraints") and not (nested or _REMOTE.match(item.text)):
            yield f"{item.text} is a file of one machine"
        elif "file:" in item.text.lower() or _CONTROL.search(item.text) or _is_local_option(item):
            yield f"{item.text!r} names a file of one machine"
        yield from _pip_faults(item.items)


def _is_local_option(item: PipItem) -> bool:
    return item.kind == "option" and any(_LOCAL.match(word) for word in item.text.split()[1:])


def _texts_in(value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON values
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (key, *_texts_in(inner))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts_in(inner)
