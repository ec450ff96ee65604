"""The values that a request brings for ``${NAME}``, and their masks: in every usual encoding, before a text is parsed.

A password with ``@``, ``/``, ``%``, ``:`` or ``#`` in it breaks the grammar of the URL around it, so that no rule about
URLs finds its end. Its value is known, though, as long as the request lasts.
"""

from __future__ import annotations

import base64
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from functools import cached_property, lru_cache
from urllib.parse import unquote

import msgspec

MASKED_LENGTH = 4
"""Characters that a value must have to be masked anywhere: a shorter one could be in a text by chance. It is masked as
the user or password of a URL."""
_BASE64_LENGTH = 6
"""Characters that a value must have to be looked for within base64."""
_PLACES = frozenset(
    ("PATH", "HOME", "XDG_CONFIG_HOME", "CONDARC", "CONDA_ENVS_PATH", "CONDA_ENVS_DIRS", "CONDA_ROOT", "CONDA_EXE")
) | {"CONDA_PREFIX", "MAMBA_ROOT_PREFIX", "USER", "LOGNAME"}
"""Variables that requests bring to find programs and environments; their values are not for ``${NAME}``."""
_REMEMBERED = 64
"""Requests whose values the log still masks: worker processes and threads log for requests that have ended."""


@lru_cache(maxsize=256)
def value_pattern(value: str) -> re.Pattern[str]:
    """Return a pattern for ``value`` in every encoding in which tools print what they were given.

    Libraries differ in which characters they percent-encode or escape, so each character may be either. Each character
    of a text is looked at a bounded number of times, since no encoding of a character begins like another's.
    """
    spellings = sorted({value, unquote(value)} - {""}, key=lambda text: (-len(text), text))
    forms = ["".join(map(_character_pattern, text)) for text in spellings]
    forms += [
        re.escape(form)
        for text in spellings
        if len(text) >= _BASE64_LENGTH
        for form in sorted(set(_base64_forms(text.encode(errors="surrogatepass"))))
    ]
    return re.compile("|".join(forms))


@lru_cache(maxsize=512)
def _character_pattern(character: str) -> str:
    """Return a pattern for one character: itself, percent-encoded (RFC 3986; also twice), or escaped as in
    JSON, Python, Rust, sh and HTML."""
    if character.isascii() and character.isalnum():
        return character
    octets = "".join(f"%(?:25)*(?i:{octet:02x})" for octet in character.encode(errors="surrogatepass"))
    units = character.encode("utf-16-be", errors="surrogatepass")
    code_units = "".join(
        f"(?i:{units[n : n + 2].hex()})" if n == 0 else rf"\\+u(?i:{units[n : n + 2].hex()})"
        for n in range(0, len(units), 2)
    )
    forms = [*_NAMED.get(character, ()), re.escape(character), octets]
    forms += [rf"\\+u{code_units}", rf"\\+(?:x|U0*)(?i:{ord(character):02x})"]
    forms += [rf"&\#x?0*(?:(?i:{ord(character):x})|{ord(character)});"]
    return f"(?:{'|'.join(forms)})"


_NAMED = {
    " ": (r"\+",),
    "&": ("&amp;",),
    "<": ("&lt;",),
    ">": ("&gt;",),
    '"': ("&quot;", r"\\+\""),
    "'": ("&apos;", r"\\+'", "'\"'\"'"),
    "/": (r"\\+/",),
    "\\": (r"\\+",),
    "\n": (r"\\+n",),
    "\t": (r"\\+t",),
    "\r": (r"\\+r",),
}
"""Further forms of characters: of forms, HTML, JSON and sh."""


def _base64_forms(data: bytes) -> Iterator[str]:
    """Yield what base64 of any text with ``data`` in it contains, whatever is before and after."""
    for offset in range(3):
        padded = b"\0" * offset + data
        first, last = -(-offset * 8 // 6), len(padded) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(padded + b"\0" * 2).decode()[first:last]


class SecretValues:
    """The values of one request by the names of their variables."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = {name: value for name, value in environ.items() if value and name not in _PLACES}

    @cached_property
    def _patterns(self) -> tuple[tuple[re.Pattern[str], str], ...]:
        """Patterns and ``${NAME}``, those of longer values first: one may be a part of another."""
        ordered = sorted(self.environ.items(), key=lambda item: (-len(item[1]), item[0]))
        return tuple((_bounded_pattern(value), f"${{{name}}}") for name, value in ordered)

    def mask(self, text: str) -> str:
        """Return ``text`` with ``${NAME}`` in place of values."""
        for pattern, name in self._patterns:
            text = pattern.sub(name.replace("\\", r"\\"), text)
        return text


def _bounded_pattern(value: str) -> re.Pattern[str]:
    pattern = value_pattern(value)
    return pattern if len(value) >= MASKED_LENGTH else re.compile(rf"(?<=[:/])(?:{pattern.pattern})(?=[:@])")


class _Holder:
    """The values of the request that is being answered, once its body is read."""

    def __init__(self) -> None:
        self.values: SecretValues | None = None


_current: ContextVar[_Holder | None] = ContextVar("_current", default=None)
_remembered: OrderedDict[tuple[tuple[str, str], ...], SecretValues] = OrderedDict()


def begin_request() -> None:
    """Begin a request, whose code and tasks share what :func:`note_values` notes."""
    _current.set(_Holder())


def note_values(environ: Mapping[str, str]) -> None:
    """Mask the values of ``environ`` in the texts of this request, of the tasks that it starts, and of the log."""
    values = SecretValues(environ)
    if not values.environ:
        return
    holder = _current.get()
    if holder is None:
        _current.set(holder := _Holder())
    holder.values = values
    key = tuple(sorted(values.environ.items()))
    _remembered[key] = values
    _remembered.move_to_end(key)
    while len(_remembered) > _REMEMBERED:
        _remembered.popitem(last=False)


def mask_values(text: str) -> str:
    """Return ``text`` with ``${NAME}`` in place of the values that the current request has brought."""
    holder = _current.get()
    return holder.values.mask(text) if holder is not None and holder.values is not None else text


def mask_remembered(text: str) -> str:
    """Return ``text`` with ``${NAME}`` in place of the values of the latest requests; for the log."""
    for values in list(_remembered.values()):
        text = values.mask(text)
    return text


def find_values(body: object) -> dict[str, str]:
    """Return the values in a request's body: those for ``${NAME}``, and those of secrets."""
    if not isinstance(body, msgspec.Struct):
        return {}
    selector = getattr(body, "what", None)
    found: dict[str, str] = {}
    for owner, field in ((selector, "environ"), (body, "environ"), (body, "secrets"), (body, "word_values")):
        values = getattr(owner, field, None)
        if isinstance(values, dict):
            found |= values
    return found
