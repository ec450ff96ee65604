"""The config and the manifest of an image that is made of a base and the layers of a lock. Pure.

Sources: OCI image specification 1.1 (config.md, manifest.md). The same base, layers and labels give the same bytes on
every machine: a config refers to layers by the digests of what they hold, and no time of now is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import msgspec

from roost.daemon.layers.grouping import PREFIX_IN_IMAGE, Layer, LayerContent
from roost.daemon.oci.manifests import Descriptor
from roost.daemon.oci.platforms import parse_platform
from roost.model.locks.lock import Lock
from roost.model.records import VariableChange

CREATED = "1980-01-01T00:00:00Z"
OWN_LABELS = "org.roost."
"""What all labels begin with that tell of an image made by roost."""
LABEL_DEFINITION = "org.roost.definition"
LABEL_LOCK = "org.roost.lock"
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What older engines write beside OCI's fields: of the container in which they committed the image.
_OF_THE_ENGINE = ("container", "container_config", "docker_version", "id", "parent", "Size", "throwaway")
_TOLD, _WHERE, _NO_PACKAGE = "roost: ", f" in {PREFIX_IN_IMAGE}", "what belongs to no package"
_CLEARED = "nothing of what the base has"
_MAX_MILLISECONDS = 253_402_300_799_000
_MILLISECONDS_FROM = 100_000_000_000


class BaseImage(msgspec.Struct, frozen=True, kw_only=True):
    """What layers are put on."""

    config: bytes
    """The config document as it is kept in the registry or engine."""
    layers: tuple[Descriptor, ...] = ()
    """Its blobs, where they are known: a manifest needs them."""


def no_base(platform: str) -> BaseImage:
    """An image of nothing for ``os/architecture[/variant]``."""
    wanted = parse_platform(platform)
    config: dict[str, Any] = {"os": wanted.os, "architecture": wanted.architecture}
    if wanted.variant:
        config["variant"] = wanted.variant
    return BaseImage(config=_encode({**config, "rootfs": {"type": "layers", "diff_ids": []}}))


def image_config(
    base: BaseImage, content: LayerContent, *, labels: Mapping[str, str] | None = None, created: str = CREATED
) -> bytes:
    """The config of ``base`` with the layers of ``content`` on top, their activation in its variables, and ``labels``.

    Everything else (user, command, working folder …) stays as the base has it, but for what roost said of the base.
    ``created`` is RFC 3339; see :func:`created_of`.
    """
    config: dict[str, Any] = msgspec.json.decode(base.config)
    below: list[str] = (config.get("rootfs") or {}).get("diff_ids") or []
    run: dict[str, Any] = dict(config.get("config") or {})
    if content.activation:
        run["Env"] = activated(run.get("Env") or [], content.activation)
    below_it: dict[str, str] = run.get("Labels") or {}
    others = {name: value for name, value in below_it.items() if not name.startswith(OWN_LABELS)}
    if labels or others != below_it:  # what the base says of itself is not true of this image
        run["Labels"] = {**others, **(labels or {})}
    whole = {name: value for name, value in config.items() if name not in _OF_THE_ENGINE}
    whole |= {
        "created": created,
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [*below, *(layer.diff_id for layer in content.layers)]},
        "history": [*_history_below(config, len(below)), *(_history(layer, created) for layer in content.layers)],
    }
    return _encode(whole)


def activated(variables: Sequence[str], changes: Iterable[VariableChange]) -> list[str]:
    """``NAME=value`` lines after ``changes``, in their order, new names last."""
    found = dict(line.partition("=")[::2] for line in variables)
    for change in changes:
        found = {**found, change.name: _value(change, found)}
        if change.action == "unset":
            del found[change.name]
    return [f"{name}={value}" for name, value in found.items()]


def _value(change: VariableChange, found: Mapping[str, str]) -> str:
    before = found.get(change.name, _DEFAULT_PATH if change.name == "PATH" else "")
    if change.action == "prepend":
        return change.separator.join([change.value, before] if before else [change.value])
    if change.action == "append":
        return change.separator.join([before, change.value] if before else [change.value])
    return change.value


def _history_below(config: Mapping[str, Any], layers: int) -> list[dict[str, Any]]:
    """The base's own history, completed: readers want one entry for each layer or none at all."""
    history: list[dict[str, Any]] = list(config.get("history") or [])
    told = sum(not entry.get("empty_layer") for entry in history)
    return history + [{"created": CREATED, "created_by": "unknown"}] * (layers - told)


def _history(layer: Layer, created: str) -> dict[str, Any]:
    what = _CLEARED if layer.clears else ", ".join(layer.packages) or _NO_PACKAGE
    return {"created": created, "created_by": f"{_TOLD}{what}{_WHERE}"}


def has_environment(config: bytes) -> bool:
    """Whether an image has something where environments are put, as far as its config tells: what roost says of its
    own, and what variables and steps name, for a Dockerfile may take an environment out of another image."""
    whole: dict[str, Any] = msgspec.json.decode(config)
    run: dict[str, Any] = whole.get("config") or {}
    told = [*(run.get("Env") or []), *(entry.get("created_by") or "" for entry in whole.get("history") or [])]
    return LABEL_LOCK in (run.get("Labels") or {}) or any(PREFIX_IN_IMAGE in str(text) for text in told)


def packages_told(config: bytes) -> list[tuple[str, ...]]:
    """The packages in each layer, from the bottom, of a config that ``image_config`` wrote, wherever it comes from."""
    whole: dict[str, Any] = msgspec.json.decode(config)
    told = [entry for entry in whole.get("history") or [] if not entry.get("empty_layer")]
    found: list[tuple[str, ...]] = [() for _ in (whole.get("rootfs") or {}).get("diff_ids") or []]
    for number, (_, entry) in enumerate(zip(found, told, strict=False)):
        text = str(entry.get("created_by", ""))
        what = text[len(_TOLD) : -len(_WHERE)] if text.startswith(_TOLD) and text.endswith(_WHERE) else _NO_PACKAGE
        if what == _CLEARED:  # those below are of another environment, and hidden
            found[:number] = [()] * number
        elif what != _NO_PACKAGE:
            found[number] = tuple(what.split(", "))
    return found


def image_key(lock_digest: str | None, base_digest: str | None, steps_digest: str | None) -> str:
    """``sha256:`` over what an image is made of: one key for each content. No lock where Python is the user's."""
    parts = {"format": 1, "lock": lock_digest, "base": base_digest, "steps": steps_digest}
    return "sha256:" + hashlib.sha256(_encode(parts)).hexdigest()


def created_of(lock: Lock) -> str:
    """When the newest conda package of ``lock`` was built, which everybody with the lock knows; else a fixed time."""
    stamps = [value for package in lock.conda if isinstance(value := package.record.get("timestamp"), int)]
    # conda-build wrote seconds before it wrote milliseconds
    newest = max((value if value > _MILLISECONDS_FROM else value * 1000 for value in stamps), default=0)
    if not 0 < newest <= _MAX_MILLISECONDS:
        return CREATED
    return datetime.fromtimestamp(newest // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")
