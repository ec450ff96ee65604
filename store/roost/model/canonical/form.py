"""The canonical form of a definition and its digest: the weak key, the same on every machine and for years.

Format 1 is JSON in UTF-8 with sorted keys and no white space (as ``msgspec.json.encode(order="sorted")`` writes it:
only ``"``, ``\\`` and control characters are escaped). Empty sections and keys are left out, so that a field which is
added later does not change the digests of definitions without it. Configured defaults are spelled out, so that machines
with different defaults never share a digest by accident. ``_SECTIONS`` lists the content of the sections;
``tests/golden`` fixes the digests. A change of what is written here needs a new format number, and reading the old one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from roost.model.canonical.pip_items import canonicalise_pip_items, names_index
from roost.model.definition import Base, DefaultOverrides, Defaults, Definition, R, Settings
from roost.model.syntax.urls import strip_credentials

FORMAT = 1
_DEFAULT_CHANNELS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
_TRANSIENT_KEYS = ("version", "assetId", "layout")
"""Keys of ``Settings.passthrough`` that are not digested: the version in another workspace, and the file's layout."""
Form = dict[str, Any]


def canonicalise_definition(definition: Definition, defaults: Defaults) -> bytes:
    """Return the canonical form: everything that can change a build, and nothing else."""
    form: Form = {"format": FORMAT}
    for name, build_section in _SECTIONS.items():
        if content := build_section(definition, defaults):
            form[name] = _strip_all_credentials(content)
    return msgspec.json.encode(form, order="sorted")


def digest_definition(definition: Definition, defaults: Defaults) -> str:
    """Return ``sha256:`` of the canonical form."""
    return digest_bytes(canonicalise_definition(definition, defaults))


def select_effective_defaults(definition: Definition, defaults: Defaults) -> DefaultOverrides:
    """Return those of ``defaults`` that are in the canonical form, because ``definition`` does not override them.

    With these, the definition has the same digest on any machine. They have no credentials.
    """
    index = strip_credentials(defaults.index)[0] if _uses_default_index(definition) else None
    channels = defaults.channels if _uses_default_channels(definition) else ()
    return DefaultOverrides(
        channels=tuple(strip_credentials(channel)[0] for channel in channels),
        base_image=None if _find_own_base(definition) else defaults.base_image,
        index=index,
    )


def canonicalise_settings(settings: Settings) -> bytes:
    """Return the canonical form of settings: variables by name and value, the container's arguments in order."""
    passthrough = {
        tool: {key: value for key, value in values.items() if key not in _TRANSIENT_KEYS}
        for tool, values in settings.passthrough.items()
    }
    content = {
        "variables": settings.variables,
        "container": _drop_empty(
            {"shm_size": settings.container.shm_size, "arguments": list(settings.container.arguments)}
        ),
        "interpreter": settings.interpreter,
        "kept": _drop_empty(passthrough),
    }
    return msgspec.json.encode({"format": FORMAT, **_drop_empty(content)}, order="sorted")


def digest_settings(settings: Settings) -> str:
    """Return ``sha256:`` of the settings' canonical form."""
    return digest_bytes(canonicalise_settings(settings))


def digest_bytes(data: bytes) -> str:
    """Return ``sha256:`` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def parse_canonical(form: bytes) -> Form:
    """Return the content of a canonical form. Raises: ValueError if its format number is unknown."""
    content: Form = msgspec.json.decode(form)
    if content.get("format") != FORMAT:
        raise ValueError(f"canonical form of format {content.get('format')!r}; this version reads {FORMAT}")
    return content


_CHOICE_RULES = (
    *("--resolution", "--index-strategy", "--pre", "--prerelease", "--prerelease-package"),
    *("--exclude-newer", "--exclude-newer-package"),
)
"""Options that say which of several versions that fit is chosen."""


def list_choice_rules(form: bytes) -> list[str]:
    """Return those lines of a canonical form that say which version is chosen of several that fit. Raises: ValueError
    if its format number is unknown."""
    requirements = parse_canonical(form).get("pip", {}).get("requirements", [])
    lines = [line for line in requirements if isinstance(line, str)]
    return [line for line in lines if line.split(" ", 1)[0] in _CHOICE_RULES]


def expand_channels(channels: Iterable[str]) -> tuple[str, ...]:
    """Return channels as a solver accepts them, in order, each once: ``defaults`` and ``pkgs/…`` become URLs."""
    expanded: list[str] = []
    for channel in channels:
        if channel == "defaults":
            expanded.extend(_DEFAULT_CHANNELS)
        elif channel.startswith("pkgs/"):
            expanded.append("https://repo.anaconda.com/" + channel)
        else:
            expanded.append(channel.rstrip("/"))
    return tuple(dict.fromkeys(expanded))


def _build_base(definition: Definition, defaults: Defaults) -> Form:
    """``image`` | ``dockerfile`` | ``context`` with ``dockerfile_path`` unless that is ``Dockerfile``, ``steps``,
    ``platform``; the default image if none is named."""
    base = definition.base or Base()
    own = _find_own_base(definition) or {"image": defaults.base_image}
    return {**own, **_drop_empty({"steps": list(base.steps), "platform": base.platform})}


def _find_own_base(definition: Definition) -> Form:
    base = definition.base or Base()
    own = {"image": base.image, "dockerfile": base.dockerfile, "context": base.context}
    return _drop_empty({**own, "dockerfile_path": base.dockerfile_path if base.context else None})


def _build_conda(definition: Definition, defaults: Defaults) -> Form:
    """``channels`` and ``dependencies`` in order; or ``explicit``, which needs no channels."""
    conda = definition.conda
    if definition.python.user_managed:
        return {}
    explicit = {subdir: [_canonicalise_package_url(url) for url in urls] for subdir, urls in conda.explicit.items()}
    form = _drop_empty({"explicit": explicit, "dependencies": list(conda.dependencies)})
    if conda.dependencies or not explicit:
        form["channels"] = list(expand_channels(conda.channels or defaults.channels))
    return form


def _uses_default_channels(definition: Definition) -> bool:
    conda = definition.conda
    return not (definition.python.user_managed or conda.channels) and bool(conda.dependencies or not conda.explicit)


def _canonicalise_package_url(url: str) -> str:
    """Reduce a local file with a digest to its name and digest."""
    place, mark, digest = url.partition("#")
    return place.rpartition("/")[2] + mark + digest if place.startswith("file://") and digest else url


def _build_pip(definition: Definition, defaults: Defaults) -> Form:
    """``requirements`` in order, and the default ``index`` unless they name one."""
    items = definition.pip.requirements
    if not items or definition.python.user_managed:
        return {}
    form: Form = {"requirements": canonicalise_pip_items(items)}
    if _uses_default_index(definition):
        form["index"] = defaults.index
    return form


def _uses_default_index(definition: Definition) -> bool:
    items = definition.pip.requirements
    return bool(items) and not definition.python.user_managed and not names_index(items)


def _build_python(definition: Definition, defaults: Defaults) -> Form:
    """``user_managed``, or ``requires``."""
    python = definition.python
    return {"user_managed": True} if python.user_managed else _drop_empty({"requires": python.requires})


def _build_system(definition: Definition, defaults: Defaults) -> Form:
    """Virtual packages beyond the baseline."""
    return dict(definition.system)


def _build_spark(definition: Definition, defaults: Defaults) -> Form:
    """``repositories`` and ``packages``, in order."""
    spark = definition.spark
    return _drop_empty({"repositories": list(spark.repositories), "packages": list(spark.packages)})


def _build_r(definition: Definition, defaults: Defaults) -> Form:
    """``version``, ``cran``, ``bioconductor``, ``github``, ``urls``, ``snapshot``."""
    return _drop_empty(msgspec.to_builtins(definition.r or R()))


def _build_inference(definition: Definition, defaults: Defaults) -> Form:
    """``stack``."""
    return _drop_empty({"stack": definition.inference_stack})


def _strip_all_credentials(value: Any) -> Any:  # noqa: ANN401 - JSON values
    """Readers strip the credentials that they recognise; this covers every text, a Dockerfile's above all."""
    if isinstance(value, dict):
        return {key: _strip_all_credentials(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_strip_all_credentials(inner) for inner in value]
    return strip_credentials(value)[0] if isinstance(value, str) else value


def _drop_empty(form: Form) -> Form:
    return {key: value for key, value in form.items() if value not in (None, "", [], (), {})}


_SECTIONS: dict[str, Callable[[Definition, Defaults], Form]] = {
    "base": _build_base,
    "conda": _build_conda,
    "pip": _build_pip,
    "python": _build_python,
    "system": _build_system,
    "spark": _build_spark,
    "r": _build_r,
    "inference": _build_inference,
}
