"""``${NAME}`` in channels and indexes: substituted for the engines, and masked again before anything is stored. Pure.

The values come from the client with the request and are often tokens. They never enter a lock: a URL in a lock has the
variable's name, and fetching from it later needs a variable of that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar
from urllib.parse import quote

import msgspec

from roost.daemon.credentials.values import MASKED_LENGTH, SecretValues
from roost.model.definition import Definition, PipItem
from roost.model.errors import InvalidDefinitionError
from roost.model.locks.lock import Lock, Wheel
from roost.model.syntax.urls import INDEX_VARIABLES

T = TypeVar("T")
_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NOT_USERINFO = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=:%-]|%(?![0-9A-Fa-f]{2})")
_REGISTRY = "docker://"
"""Prefix of a registry's host among the keys of credentials."""


class VariableMissingError(InvalidDefinitionError):
    """The definition or its lock uses variables that the request does not set; ``fields["variables"]`` lists them."""

    code = "variable-missing"


def require_variables(definition: Definition, environ: Mapping[str, str]) -> None:
    """Raise VariableMissingError if a channel, an index or a requirement uses a variable that is not in ``environ``."""
    conda = msgspec.json.encode(definition.conda).decode()
    _require_names([conda, *_list_texts(definition.pip.requirements)], environ, "the definition")


def _list_texts(items: Iterable[PipItem]) -> Iterator[str]:
    """Yield the texts of lines in which a variable is one: the name of a local file or folder is literal."""
    for item in items:
        if item.path is None:
            yield item.text
        yield from _list_texts(item.items)


def registry_credentials(
    credentials: Mapping[str, str], environ: Mapping[str, str], *, all_needed: bool
) -> dict[str, str]:
    """Return host to ``user:password`` of the registries in the definition's ``credentials``.

    Registries whose variables are missing are left out, unless ``all_needed``.

    Raises: VariableMissingError if a variable is missing and ``all_needed``.
    """
    hosts = {key.removeprefix(_REGISTRY): text for key, text in credentials.items() if key.startswith(_REGISTRY)}
    if all_needed:
        _require_names(hosts.values(), environ, "the definition")
    complete = {host: text for host, text in hosts.items() if set(_NAME.findall(text)) <= set(environ)}
    return {host: _substitute_text(text, environ) for host, text in complete.items()}


def substitute_credentials(credentials: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the definition's ``credentials``, except those for registries, with the values of variables in them.

    ``credentials``: origin to the userinfo in its URL, for example ``user:${TOKEN}``.

    Raises: VariableMissingError if a variable is missing.
    """
    others = {key: text for key, text in credentials.items() if not key.startswith((_REGISTRY, INDEX_VARIABLES))}
    _require_names(others.values(), environ, "the definition")
    return {
        **_find_index_credentials(credentials, environ),
        **{key: insert_into_secret(text, environ) for key, text in others.items()},
    }


def find_unset_index_variables(credentials: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that may have credentials for the definition's indexes and are not in ``environ``."""
    texts = [text for key, text in credentials.items() if key.startswith(INDEX_VARIABLES)]
    return tuple(sorted({name for text in texts for name in _NAME.findall(text)} - set(environ)))


def without_index_variables(
    definition: Definition, credentials: Mapping[str, str], environ: Mapping[str, str]
) -> dict[str, str]:
    """Return ``environ`` without the variables of indexes, unless the definition itself names them.

    Their values are in the credentials. In URLs they would be masked, and a user may be called like part of a path.
    """
    own = set(_NAME.findall(" ".join(text for key, text in credentials.items() if key.startswith(INDEX_VARIABLES))))
    own -= set(_NAME.findall(msgspec.json.encode([definition.conda, definition.pip]).decode()))
    return {name: value for name, value in environ.items() if name not in own}


def _find_index_credentials(credentials: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return origin to ``user:password`` of indexes whose variables are set: both, or one of them."""
    found = {}
    for key, text in credentials.items():
        values = [quote(environ.get(name, ""), safe="") for name in _NAME.findall(text)]
        if key.startswith(INDEX_VARIABLES) and any(values):
            found[key.removeprefix(INDEX_VARIABLES)] = ":".join(values)
    return found


def mask_text(text: str, environ: Mapping[str, str]) -> str:
    """Return a URL with ``${NAME}`` in place of values, longest first, since one may be a part of another."""
    forms = [
        (form, name)
        for name, value in environ.items()
        if len(value) >= MASKED_LENGTH
        for form in {value, encode_userinfo_value(value), quote(value, safe="")}
    ]
    for form, name in sorted(forms, key=lambda pair: -len(pair[0])):
        text = text.replace(form, f"${{{name}}}")
    return text


def mask(lock: Lock, environ: Mapping[str, str]) -> Lock:
    """Return ``lock`` with ``${NAME}`` in place of values in its URLs."""
    if not environ:
        return lock
    masked = _replace_urls(lock, {url: mask_text(url, environ) for url in _lock_urls(lock)})
    wheels = tuple(_mask_source(wheel, environ) for wheel in masked.wheels)
    return msgspec.structs.replace(masked, wheels=wheels)


def _mask_source(wheel: Wheel, environ: Mapping[str, str]) -> Wheel:
    source = wheel.source
    if source is None or source.url is None:
        return wheel
    masked = msgspec.structs.replace(source, url=mask_text(source.url, environ))
    return msgspec.structs.replace(wheel, source=masked)


def mask_struct(struct: T, environ: Mapping[str, str]) -> T:
    """Return ``struct``, of the wire types, with ``${NAME}`` in place of values in its texts, in any encoding."""
    values = SecretValues(environ)
    if not values.environ:
        return struct
    before = msgspec.json.encode(struct).decode()
    text = values.mask(before)
    return struct if text == before else msgspec.json.decode(text, type=type(struct))


def substitute(lock: Lock, environ: Mapping[str, str]) -> Lock:
    """Return ``lock`` with values in place of ``${NAME}``, for the engines only; the opposite of ``mask``. Sources of
    wheels that were built stay as they are: nothing is fetched from them.

    Raises: VariableMissingError if a variable is missing.
    """
    urls = [url for url in _lock_urls(lock) if "${" in url]
    if not urls:
        return lock
    _require_names(urls, environ, "the lock")
    return _replace_urls(lock, {url: insert_values(url, environ) for url in urls})


def map_masked_urls(masked: Lock, substituted: Lock) -> dict[str, str]:
    """Return the masked to the substituted URLs of channels and wheels whose paths differ in the two locks.

    Engines that write down what they are given (rattler, uv) get masked URLs, and fetch from the substituted ones.
    """
    urls: dict[str, str] = {}
    for package, other in zip(masked.conda, substituted.conda, strict=True):
        if package.url != other.url and package.url.split("/")[2] == other.url.split("/")[2]:
            urls[package.url.rsplit("/", 2)[0]] = other.url.rsplit("/", 2)[0]
    for wheel, other_wheel in zip(masked.wheels, substituted.wheels, strict=True):
        if wheel.url and other_wheel.url and wheel.url != other_wheel.url:
            urls[wheel.url] = other_wheel.url
    return urls


def _substitute_text(text: str, environ: Mapping[str, str]) -> str:
    return _NAME.sub(lambda match: environ[match[1]], text)


def insert_values(text: str, environ: Mapping[str, str], pattern: re.Pattern[str] = _NAME) -> str:
    """Return ``text`` with values in place of the references to variables that ``environ`` has.

    In the user, password or token of a URL, a value is percent-encoded as far as it must be
    (``encode_userinfo_value``); in the host and elsewhere it is inserted as it is. ``pattern``: a
    reference, whose groups are the name.
    """
    pieces, end = [], 0
    for match in pattern.finditer(text):
        name = next(group for group in match.groups() if group)
        if name not in environ:
            continue
        pieces += [text[end : match.start()], _encode_for_place(environ[name], text, match)]
        end = match.end()
    return "".join([*pieces, text[end:]])


def _encode_for_place(value: str, text: str, match: re.Match[str]) -> str:
    before, after = text[: match.start()], text[match.end() :]
    authority = before.rpartition("://")[2] if "://" in before else None
    if authority is None or re.search(r"[\s\"'<>]", authority):
        return value
    rest = re.split(r"[/?#\s\"'<>]", after, maxsplit=1)[0]
    if not re.search(r"[/?#]", authority):
        if "@" not in rest:
            return value  # the host
        encoded = encode_userinfo_value(value)
        return encoded.replace(":", "%3A") if rest.startswith(":") else encoded
    is_token = before.endswith("/t/") and after.startswith("/")
    return encode_userinfo_value(value) if is_token else value


def insert_into_secret(secret: str, environ: Mapping[str, str], pattern: re.Pattern[str] = _NAME) -> str:
    """Return a secret as ``strip_credentials`` returns it (``user:password``, ``/t/TOKEN``, ``?query``) with values in
    place of references, encoded as by ``insert_values``."""
    if secret.startswith("?"):
        return insert_values(secret, environ, pattern)
    if secret.startswith("/t/"):
        return insert_values(f"x://h{secret}/", environ, pattern).removeprefix("x://h").removesuffix("/")
    return insert_values(f"x://{secret}@h", environ, pattern).removeprefix("x://").removesuffix("@h")


def encode_userinfo_value(value: str) -> str:
    """Return ``value`` with what can't be in the userinfo of a URL percent-encoded (RFC 3986, 3.2.1).

    pip and uv insert a value as it is: one that is percent-encoded already means what it says, and stays.
    """
    return _NOT_USERINFO.sub(lambda match: quote(match.group(), safe=""), value)


def _require_names(texts: Iterable[str], environ: Mapping[str, str], owner: str) -> None:
    """Raise VariableMissingError if a text uses a variable that is not in ``environ``. ``owner`` is for the message."""
    names = {name for text in texts for name in _NAME.findall(text)}
    missing = sorted(names - set(environ))
    if missing:
        raise VariableMissingError(
            f"{owner} uses {', '.join(missing)}, which the environment does not set",
            hint="Set it where roost is called: " + " ".join(f"{name}=…" for name in missing) + " roost …",
            fields={"variables": sorted(names)},
        )


def _lock_urls(lock: Lock) -> list[str]:
    others = [each.url for packages in (lock.wheels, lock.jars, lock.r) for each in packages if each.url is not None]
    return [p.url for p in lock.conda] + others


def _replace_urls(lock: Lock, changed: Mapping[str, str]) -> Lock:
    conda = tuple(msgspec.structs.replace(p, url=changed.get(p.url, p.url)) for p in lock.conda)
    wheels = tuple(msgspec.structs.replace(w, url=changed.get(w.url or "", w.url)) for w in lock.wheels)
    jars = tuple(msgspec.structs.replace(j, url=changed.get(j.url or "", j.url)) for j in lock.jars)
    r = tuple(msgspec.structs.replace(p, url=changed.get(p.url or "", p.url)) for p in lock.r)
    return msgspec.structs.replace(lock, conda=conda, wheels=wheels, jars=jars, r=r)
