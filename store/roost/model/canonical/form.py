"""The canonical form of a definition and its digest: the weak key, the same on every machine and for years.

Format 1 is JSON in UTF-8 with sorted keys and no white space (as ``msgspec.json.encode(order="sorted")`` writes it:
only ``"``, ``\\`` and control characters are escaped). Sections and keys that say nothing are left out, so a field that
is added later leaves the digests of definitions without it as they are. Configured defaults are spelled out, so that
machines with other defaults never share a digest by accident. What the sections hold is listed in ``_SECTIONS``;
``tests/golden`` fixes the digests. A change of what is written here needs a new format number, and reading the old.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from roost.model.definition import Base, DefaultOverrides, Defaults, Definition, PipItem, R, Settings
from roost.model.syntax.pip_lines import normalise_marker, split_extras
from roost.model.syntax.urls import strip_credentials

FORMAT = 1
_DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
Form = dict[str, Any]


def canonicalise_definition(definition: Definition, defaults: Defaults) -> bytes:
    """The canonical form: everything that can change a build, and nothing else."""
    form: Form = {"format": FORMAT}
    for name, section in _SECTIONS.items():
        if content := section(definition, defaults):
            form[name] = _without_secrets(content)
    return msgspec.json.encode(form, order="sorted")


def digest_definition(definition: Definition, defaults: Defaults) -> str:
    """``sha256:`` of the canonical form."""
    return digest_bytes(canonicalise_definition(definition, defaults))


def select_effective_defaults(definition: Definition, defaults: Defaults) -> DefaultOverrides:
    """Those of ``defaults`` that are in the canonical form, since ``definition`` says nothing in their place: with them
    it has the same digest on any machine. Without credentials."""
    index = defaults.index if _takes_index(definition) else None
    return DefaultOverrides(
        channels=tuple(strip_credentials(each)[0] for each in defaults.channels) if _takes_channels(definition) else (),
        base_image=None if _own_base(definition) else defaults.base_image,
        index=index and strip_credentials(index)[0],
    )


def canonicalise_settings(settings: Settings) -> bytes:
    """The canonical form of settings. Variables count by name and value; the container's arguments in order."""
    container = {"shm_size": settings.container.shm_size, "arguments": list(settings.container.arguments)}
    content = {
        "variables": settings.variables,
        "container": _said(container),
        "interpreter": settings.interpreter,
        "kept": _said({tool: _without_identity(kept) for tool, kept in settings.passthrough.items()}),
    }
    return msgspec.json.encode({"format": FORMAT, **_said(content)}, order="sorted")


def _without_identity(kept: Form) -> Form:
    """Which version of another workspace it was, and how its file was laid out, says nothing of what it is."""
    return {key: value for key, value in kept.items() if key not in ("version", "assetId", "layout")}


def digest_settings(settings: Settings) -> str:
    """``sha256:`` of the settings' canonical form."""
    return digest_bytes(canonicalise_settings(settings))


def digest_bytes(form: bytes) -> str:
    """``sha256:`` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(form).hexdigest()


def parse_canonical(form: bytes) -> Form:
    """What a canonical form says. Raises ``ValueError`` for one of an unknown format number."""
    content: Form = msgspec.json.decode(form)
    if content.get("format") != FORMAT:
        raise ValueError(f"canonical form of format {content.get('format')!r}; this version reads {FORMAT}")
    return content


def expand_channels(channels: Iterable[str]) -> tuple[str, ...]:
    """Channels as a solver takes them, in order, each once: ``defaults`` is two URLs, ``pkgs/…`` lives beside them."""
    expanded: list[str] = []
    for channel in channels:
        if channel == "defaults":
            expanded.extend(_DEFAULTS)
        elif channel.startswith("pkgs/"):
            expanded.append("https://repo.anaconda.com/" + channel)
        else:
            expanded.append(channel.rstrip("/"))
    return tuple(dict.fromkeys(expanded))


def _base(definition: Definition, defaults: Defaults) -> Form:
    """``image`` | ``dockerfile`` | ``context``, ``steps``, ``platform``; the default image where none is named."""
    base = definition.base or Base()
    own = _own_base(definition) or {"image": defaults.base_image}
    return {**own, **_said({"steps": list(base.steps), "platform": base.platform})}


def _own_base(definition: Definition) -> Form:
    base = definition.base or Base()
    return _said({"image": base.image, "dockerfile": base.dockerfile, "context": base.context})


def _conda(definition: Definition, defaults: Defaults) -> Form:
    """``channels`` and ``dependencies`` in order; or ``explicit``, to which no channel adds anything."""
    conda = definition.conda
    if definition.python.user_managed:
        return {}
    explicit = {platform: [_explicit(url) for url in urls] for platform, urls in conda.explicit.items()}
    form = _said({"explicit": explicit, "dependencies": list(conda.dependencies)})
    if conda.dependencies or not explicit:
        form["channels"] = list(expand_channels(conda.channels or defaults.channels))
    return form


def _takes_channels(definition: Definition) -> bool:
    conda = definition.conda
    return not (definition.python.user_managed or conda.channels) and bool(conda.dependencies or not conda.explicit)


def _explicit(url: str) -> str:
    """A local file counts by name and content."""
    place, mark, digest = url.partition("#")
    return place.rpartition("/")[2] + mark + digest if place.startswith("file://") and digest else url


def _pip(definition: Definition, defaults: Defaults) -> Form:
    """``requirements`` in order, and the ``index`` where they name none."""
    items = definition.pip.requirements
    if not items or definition.python.user_managed:
        return {}
    form: Form = {"requirements": _items(items)}
    if _takes_index(definition):
        form["index"] = defaults.index
    return form


def _takes_index(definition: Definition) -> bool:
    items = definition.pip.requirements
    return bool(items) and not definition.python.user_managed and not _names_index(items)


def _names_index(items: Iterable[PipItem]) -> bool:
    return any(
        (item.kind == "option" and item.text.split(" ", 1)[0] in ("--index-url", "--no-index"))
        or _names_index(item.items)
        for item in items
    )


def _items(items: Iterable[PipItem]) -> list[Any]:
    """A text for what is named, a mapping for what is local; a nested file's lines stand where it is named."""
    form: list[Any] = []
    for item in items:
        if item.kind == "requirements" and item.path is not None:
            form.extend(_items(item.items))
        else:
            form.append(_item(item))
    return form


def _item(item: PipItem) -> str | Form:
    if item.kind == "requirements":
        return {"requirements": item.text}
    if item.kind == "constraints":
        return {"constraints": _items(item.items) if item.path is not None else item.text}
    if item.digest is None:
        return item.text
    return {item.kind: item.digest, **_local(item)}


def _local(item: PipItem) -> Form:
    """A wheel's file name is part of what it is; a folder's is not. An editable install is tied to its folder."""
    text, *options = re.split(r" (?=--)", item.text) if item.kind != "option" else [item.text]
    body, _, marker = text.partition(" ; ")
    place, extras = split_extras(body)
    named = {"option": item.text, "wheel": place}
    return _said(
        {
            "name": named.get(item.kind),
            "extras": extras[1:-1].split(",") if extras else [],
            "marker": normalise_marker(marker),
            "options": options,
            "path": item.path if item.kind == "editable" else None,
        }
    )


def _python(definition: Definition, defaults: Defaults) -> Form:
    """``user_managed``, or ``requires``."""
    python = definition.python
    return {"user_managed": True} if python.user_managed else _said({"requires": python.requires})


def _system(definition: Definition, defaults: Defaults) -> Form:
    """Virtual packages beyond the baseline."""
    return dict(definition.system)


def _spark(definition: Definition, defaults: Defaults) -> Form:
    """``repositories`` and ``packages``, in order."""
    spark = definition.spark
    return _said({"repositories": list(spark.repositories), "packages": list(spark.packages)})


def _r(definition: Definition, defaults: Defaults) -> Form:
    """``version``, ``cran``, ``bioconductor``, ``github``, ``urls``, ``snapshot``."""
    return _said(msgspec.to_builtins(definition.r or R()))


def _inference(definition: Definition, defaults: Defaults) -> Form:
    """``stack``."""
    return _said({"stack": definition.inference_stack})


def _without_secrets(value: Any) -> Any:  # noqa: ANN401 - JSON values
    """Readers take credentials out where they know them; here no text gets by, a Dockerfile's least of all."""
    if isinstance(value, dict):
        return {key: _without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    return strip_credentials(value)[0] if isinstance(value, str) else value


def _said(form: Form) -> Form:
    """Only what says something."""
    return {key: value for key, value in form.items() if value not in (None, "", [], (), {})}


_SECTIONS: dict[str, Callable[[Definition, Defaults], Form]] = {
    "base": _base,
    "conda": _conda,
    "pip": _pip,
    "python": _python,
    "system": _system,
    "spark": _spark,
    "r": _r,
    "inference": _inference,
}
