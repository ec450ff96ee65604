"""The config of an image that is made of a base and the layers of a lock. Pure.

Source: OCI image specification 1.1 (config.md). The same base, layers and labels give the same bytes on every machine:
a config refers to layers by the digests of their content, and does not contain the present time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import msgspec

from roost.daemon.layers.grouping import PREFIX_IN_IMAGE, Layer, LayerContent
from roost.daemon.oci.platforms import parse_platform
from roost.model.locks.lock import Lock
from roost.model.records import VariableChange

CREATED = "1980-01-01T00:00:00Z"
OWN_LABELS = "org.roost."
"""Prefix of the labels of images that roost made."""
LABEL_DEFINITION = "org.roost.definition"
LABEL_LOCK = "org.roost.lock"
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Fields that older engines add to OCI's, about the container that they committed the image from.
_ENGINE_FIELDS = ("container", "container_config", "docker_version", "id", "parent", "Size", "throwaway")
_HISTORY_START, _HISTORY_END, _NO_PACKAGE = "roost: ", f" in {PREFIX_IN_IMAGE}", "what belongs to no package"
_CLEARED = "nothing of what the base has"
_MAX_MILLISECONDS = 253_402_300_799_000
_MILLISECONDS_FROM = 100_000_000_000


def empty_base(platform: str) -> bytes:
    """Return the config of an image without layers for ``os/architecture[/variant]``."""
    parsed = parse_platform(platform)
    config: dict[str, Any] = {"os": parsed.os, "architecture": parsed.architecture}
    if parsed.variant:
        config["variant"] = parsed.variant
    return _encode({**config, "rootfs": {"type": "layers", "diff_ids": []}})


def image_config(
    base: bytes,
    content: LayerContent,
    *,
    labels: Mapping[str, str] | None = None,
    created: str = CREATED,
    changes: Sequence[VariableChange] = (),
) -> bytes:
    """Return the config ``base`` with the layers of ``content`` on top, their activation in its variables, and
    ``labels``. ``changes`` to the base's variables are made before the activation, if there is one.

    Everything else (user, command, working folder …) stays as the base has it, except labels that roost gave the base.
    ``created`` is RFC 3339; see ``find_created_date``.
    """
    config: dict[str, Any] = msgspec.json.decode(base)
    below: list[str] = (config.get("rootfs") or {}).get("diff_ids") or []
    run: dict[str, Any] = dict(config.get("config") or {})
    if content.activation:
        run["Env"] = apply_changes(run.get("Env") or [], (*changes, *content.activation))
    base_labels: dict[str, str] = run.get("Labels") or {}
    others = {name: value for name, value in base_labels.items() if not name.startswith(OWN_LABELS)}
    if labels or others != base_labels:  # labels of roost on the base are not true of this image
        run["Labels"] = {**others, **(labels or {})}
    document = {name: value for name, value in config.items() if name not in _ENGINE_FIELDS}
    document |= {
        "created": created,
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [*below, *(layer.diff_id for layer in content.layers)]},
        "history": [
            *_complete_history(config, len(below)),
            *(_layer_history(layer, created) for layer in content.layers),
        ],
    }
    return _encode(document)


def apply_changes(variables: Sequence[str], changes: Iterable[VariableChange]) -> list[str]:
    """Return ``NAME=value`` lines with ``changes`` applied, in the same order, new names last."""
    values = dict(line.partition("=")[::2] for line in variables)
    for change in changes:
        values = {**values, change.name: _changed_value(change, values)}
        if change.action == "unset":
            del values[change.name]
    return [f"{name}={value}" for name, value in values.items()]


def _changed_value(change: VariableChange, values: Mapping[str, str]) -> str:
    before = values.get(change.name, _DEFAULT_PATH if change.name == "PATH" else "")
    if change.action == "prepend":
        return change.separator.join([change.value, before] if before else [change.value])
    if change.action == "append":
        return change.separator.join([before, change.value] if before else [change.value])
    return change.value


def _complete_history(config: Mapping[str, Any], layers: int) -> list[dict[str, Any]]:
    """Return the base's own history with an entry for each layer: readers expect one for each layer or none at all."""
    history: list[dict[str, Any]] = list(config.get("history") or [])
    described = sum(not entry.get("empty_layer") for entry in history)
    return history + [{"created": CREATED, "created_by": "unknown"}] * (layers - described)


def _layer_history(layer: Layer, created: str) -> dict[str, Any]:
    what = _CLEARED if layer.clears else ", ".join(layer.packages) or _NO_PACKAGE
    return {"created": created, "created_by": f"{_HISTORY_START}{what}{_HISTORY_END}"}


def has_environment(config: bytes) -> bool:
    """Whether an image has something at the path of environments, as far as its config shows: by a label of roost, or
    because a variable or a step names the path. A Dockerfile may copy an environment from another image."""
    document: dict[str, Any] = msgspec.json.decode(config)
    run: dict[str, Any] = document.get("config") or {}
    texts = [*(run.get("Env") or []), *(entry.get("created_by") or "" for entry in document.get("history") or [])]
    return LABEL_LOCK in (run.get("Labels") or {}) or any(PREFIX_IN_IMAGE in str(text) for text in texts)


def packages_of_layers(config: bytes) -> list[tuple[str, ...]]:
    """Return the packages in each layer, lowest first, from the history that ``image_config`` wrote."""
    document: dict[str, Any] = msgspec.json.decode(config)
    entries = [entry for entry in document.get("history") or [] if not entry.get("empty_layer")]
    found: list[tuple[str, ...]] = [() for _ in (document.get("rootfs") or {}).get("diff_ids") or []]
    for number, (_, entry) in enumerate(zip(found, entries, strict=False)):
        text = str(entry.get("created_by", ""))
        what = (
            text[len(_HISTORY_START) : -len(_HISTORY_END)]
            if text.startswith(_HISTORY_START) and text.endswith(_HISTORY_END)
            else _NO_PACKAGE
        )
        if what == _CLEARED:  # layers below belong to another environment, and are hidden
            found[:number] = [()] * number
        elif what != _NO_PACKAGE:
            found[number] = tuple(what.split(", "))
    return found


def image_key(lock_digest: str | None, base_digest: str | None, steps_digest: str | None) -> str:
    """Return ``sha256:`` over what an image is made of: one key for each content. ``lock_digest`` is ``None`` if roost
    adds no packages."""
    parts = {"format": 1, "lock": lock_digest, "base": base_digest, "steps": steps_digest}
    return "sha256:" + hashlib.sha256(_encode(parts)).hexdigest()


def find_created_date(lock: Lock) -> str:
    """Return when the newest conda package of ``lock`` was built, which is the same for everybody with the lock; else a
    fixed time."""
    stamps = [value for package in lock.conda if isinstance(value := package.record.get("timestamp"), int)]
    # conda-build wrote seconds before it wrote milliseconds
    newest = max((value if value > _MILLISECONDS_FROM else value * 1000 for value in stamps), default=0)
    if not 0 < newest <= _MAX_MILLISECONDS:
        return CREATED
    return datetime.fromtimestamp(newest // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")
