"""Secrets in the tables of other tools' files, found by their keys (``password``, ``accessKey`` …).

Apart from ``azure``, because the reader of roost's own file uses it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

_SECRET_WORDS = frozenset(("password", "passwd", "pwd", "passphrase", "secret", "token", "credential"))
_SECRET_PAIRS = frozenset(
    ("accesskey", "accountkey", "sharedkey", "storagekey", "privatekey", "apikey", "connectionstring", "username")
)
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_VARIABLE_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


def is_secret_key(key: str) -> bool:
    """Whether the value of ``key`` must not be stored. Keys are compared word by word: ``tokenizer`` is no secret."""
    words = [word.lower() for word in _WORD.findall(key)]
    pairs = {(first + second).rstrip("s") for first, second in pairwise(["", *words])}
    return bool(_SECRET_WORDS & {word.rstrip("s") for word in words} or _SECRET_PAIRS & pairs)


def is_variable_reference(value: Any) -> bool:  # noqa: ANN401 - JSON values
    """Whether ``value`` only refers to a secret: ``${VARIABLE}`` alone."""
    return isinstance(value, str) and _VARIABLE_REFERENCE.fullmatch(value) is not None


def drop_nulls(value: Any) -> Any:  # noqa: ANN401 - JSON values
    """Return ``value`` without null members: TOML has no null, and Azure treats a null member as a missing one."""
    if isinstance(value, Mapping):
        return {key: drop_nulls(inner) for key, inner in value.items() if inner is not None}
    return [drop_nulls(inner) for inner in value if inner is not None] if isinstance(value, list) else value


def drop_secrets(value: Any, clean: Callable[[str], str], on_dropped: Callable[[str], None]) -> Any:  # noqa: ANN401
    """Return ``value`` without secrets: texts pass through ``clean``, and secret keys are dropped unless their value
    is a variable reference. ``on_dropped`` is called with each dropped key whose value was not empty."""
    if isinstance(value, Mapping):
        secret = {key for key, inner in value.items() if is_secret_key(key) and not is_variable_reference(inner)}
        for key in value:
            if key in secret and value[key]:
                on_dropped(key)
        return {key: drop_secrets(inner, clean, on_dropped) for key, inner in value.items() if key not in secret}
    if isinstance(value, list):
        return [drop_secrets(inner, clean, on_dropped) for inner in value]
    return clean(value) if isinstance(value, str) else value
