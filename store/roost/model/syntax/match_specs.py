"""Conda match specs as text: lexical normalisation, and translation to what rattler reads.

Two spellings get one normal form only where no solver can tell them apart: comments, white space around operators,
the case of the name. ``numpy 1.8`` and ``numpy==1.8`` stay apart: whether they mean the same is the solver's matter,
and the lock digest merges what comes out equal. Whether a spec is valid is the engine's to judge.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from roost.model.errors import InvalidDefinitionError
from roost.model.syntax.urls import strip_credentials

PACKAGE_SUFFIXES = (".conda", ".tar.bz2")
_NAME = re.compile(r"[^\s=<>!~,|;()\[\]^$]*")
_VALID_NAME = re.compile(r"[a-z0-9_.][a-z0-9_.-]*")
_PAIR = re.compile(r"""(\w+)\s*=\s*("[^"]*"|'[^']*'|[^\s,"']+)""")
_ANACONDA = "https://repo.anaconda.com/pkgs/"
_UNKNOWN_KEYS = ("name", "features", "optional", "target")  # of conda; without meaning in a modern channel
_DIGEST_LENGTHS = {"md5": 32, "sha256": 64}
EXPECTED_SPEC = "a conda match spec such as 'numpy', 'numpy>=1.26,<2' or 'conda-forge::numpy=1.26=py311*'"


class MatchSpecError(InvalidDefinitionError):
    """A match spec names no single package, or says what no package can satisfy."""

    code = "match-spec-invalid"


class MatchSpecParts(NamedTuple):
    """A match spec taken apart: ``channel::name rest[bracket]``."""

    channel: str
    name: str
    rest: str
    bracket: str


@lru_cache(maxsize=4096)  # the same few specs come with every request
def normalise_match_spec(text: str) -> str:
    """The one spelling of ``text``, without credentials.

    >>> normalise_match_spec(" NumPy >= 1.8 , < 2  # for now")
    'numpy>=1.8,<2'
    """
    spec = strip_credentials(_without_comment(text))[0]
    if is_package_file(spec):
        return spec
    channel, name, rest, bracket = split_match_spec(spec)
    joint = _joint(rest)
    return f"{channel + '::' if channel else ''}{name}{joint}{rest}{f'[{_even(bracket)}]' if bracket else ''}"


def split_match_spec(spec: str) -> MatchSpecParts:
    """The parts of a spec that is no package file; the name in lower case, white space round operators gone."""
    head, bracket = _split_bracket(" ".join(spec.split()))
    channel, _, body = head.rpartition("::")
    match = _NAME.match(body.strip())
    name = match.group() if match else ""
    return MatchSpecParts(channel.strip(), name.lower(), _tight(body.strip()[len(name) :]), bracket.strip())


def spec_name(spec: str) -> str:
    """The package that a match spec (or the URL of a package file) is about, in lower case."""
    if is_package_file(spec):
        return _file_name(spec).rsplit("-", 2)[0].lower()
    return _without_namespace(split_match_spec(_without_comment(spec)).name)


def is_package_file(spec: str) -> bool:
    """Whether the spec is the URL or path of one package file."""
    return "[" not in spec and "::" not in spec and spec.partition("#")[0].strip().endswith(PACKAGE_SUFFIXES)


@lru_cache(maxsize=4096)
def to_rattler(spec: str) -> str:
    """``spec`` as rattler's (non-strict) parser reads what conda reads in it.

    Raises :class:`MatchSpecError` for what conda accepts and yet names no single package: globs, ``*``, features.
    """
    spec = _without_comment(spec)
    if is_package_file(spec):
        return spec.partition("#")[0]
    _check_text(spec)
    channel, name, rest, bracket = split_match_spec(spec)
    if name.count(":") == 2:  # channel:namespace:name
        channel = name.partition(":")[0]
    name = _without_namespace(name)
    _check_name(spec, name)
    rest = _version(spec, re.sub(r"^if .*$", "", rest))
    joint = _joint(rest)
    return f"{_channel(channel)}{name}{joint}{rest}{_bracket(spec, bracket)}"


def _without_comment(text: str) -> str:
    text = text.strip()
    return text if is_package_file(text) else text.partition("#")[0].strip()


def _split_bracket(spec: str) -> tuple[str, str]:
    start = spec.find("[")
    if start < 0 or not spec.endswith("]"):
        return spec, ""
    return spec[:start].rstrip(), spec[start + 1 : -1]


def _tight(rest: str) -> str:
    rest = re.sub(r"\s*([,|])\s*", r"\1", rest.strip())
    return re.sub(r"([=<>!~])\s+", r"\1", rest)


def _joint(rest: str) -> str:
    return " " if rest and rest[0] not in "=<>!~" else ""


def _even(bracket: str) -> str:
    """Double quotes, and no white space around commas and equals signs."""
    pieces = re.findall(r"\"[^\"]*\"|'[^'\"]*'|[^\"']+|.", bracket)
    return "".join(
        f'"{piece[1:-1]}"' if piece[0] in "'\"" and len(piece) > 1 else re.sub(r"\s*([,=])\s*", r"\1", piece)
        for piece in pieces
    )


def _file_name(spec: str) -> str:
    return spec.partition("#")[0].rpartition("/")[2]


def _without_namespace(name: str) -> str:
    """``ns:name``: conda reads the name and takes no notice of the rest."""
    return name.rpartition(":")[2]


def _check_text(spec: str) -> None:
    """What neither conda nor rattler can mean, though rattler would take it for a version or a build."""
    for pattern, what in (
        (r"[^\x20-\x7e\t]", "the character"),
        (r"\{\{", "a template"),
        (r"(?<=\s)--\w+", "the option"),
    ):
        if found := re.search(pattern, spec):
            raise MatchSpecError(f"Match spec {spec!r} holds {what} {found.group()!r}; expected {EXPECTED_SPEC}")


def _check_name(spec: str, name: str) -> None:
    if _VALID_NAME.fullmatch(name):
        return
    if not name or "*" in name or name.endswith("@"):
        raise MatchSpecError(
            f"Match spec {spec!r} names no single package; expected {EXPECTED_SPEC}",
            hint="Name the package that you need.",
        )
    raise MatchSpecError(f"Match spec {spec!r} has no valid package name ({name!r}); expected {EXPECTED_SPEC}")


def _channel(channel: str) -> str:
    """conda's ``defaults`` and ``pkgs/main`` live on a host of their own, which rattler does not know."""
    if not channel:
        return ""
    if channel == "defaults" or channel.startswith("defaults/"):
        channel = _ANACONDA + "main" + channel.removeprefix("defaults")
    elif channel.startswith("pkgs/"):
        channel = _ANACONDA + channel.removeprefix("pkgs/")
    return channel + "::"


def _version(spec: str, rest: str) -> str:
    if rest in ("=", "!"):  # conda takes a lone operator for nothing
        return ""
    if rest.startswith("^"):
        return _exact_of_regex(spec, rest)
    # `>=1.0.1*.vc11`: in conda's order `*` comes before every letter, and so does `dev` in rattler's
    return re.sub(r"([<>]=?[\w.!+]*\w)\*[\w.]+", r"\1dev", rest)


def _exact_of_regex(spec: str, rest: str) -> str:
    literal = re.fullmatch(r"\^([\w.\\]+)\$", rest)
    if literal is None:
        raise MatchSpecError(
            f"Match spec {spec!r} holds a regular expression; expected {EXPECTED_SPEC}",
            hint="Say the versions with operators: 'numpy>=1.8,<2'.",
        )
    return "==" + literal.group(1).replace("\\", "")


def _bracket(spec: str, bracket: str) -> str:
    if not bracket or "[" in bracket:
        return f"[{bracket}]" if bracket else ""
    pairs = [(key, value.strip("\"'").strip()) for key, value in _PAIR.findall(bracket)]
    kept = [(key, value) for key, value in pairs if value and key not in _UNKNOWN_KEYS]
    for key, value in kept:
        _check_digest(spec, key, value)
    return "[" + ", ".join(_pair(key, value) for key, value in kept) + "]" if kept else ""


def _pair(key: str, value: str) -> str:
    return f"{key}=[{value}]" if key in ("extras", "flags") else f'{key}="{value}"'


def _check_digest(spec: str, key: str, value: str) -> None:
    length = _DIGEST_LENGTHS.get(key)
    if length and not re.fullmatch(rf"[0-9A-Fa-f]{{{length}}}", value):
        raise MatchSpecError(f"Match spec {spec!r}: {key} is {value!r}; expected {length} hex digits")
