"""Conda match specs as text: lexical normalisation, and translation to rattler's syntax.

Two spellings share a normal form only if no solver can distinguish them: comments, white space around operators, the
case of the name. ``numpy 1.8`` and ``numpy==1.8`` stay different: whether they mean the same is for the solver, and the
lock digest is the same if the results are. Whether a spec is valid is for the conda engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from roost.model.errors import InvalidDefinitionError
from roost.model.syntax.urls import strip_credentials

PACKAGE_SUFFIXES = (".conda", ".tar.bz2")
_NAME = re.compile(r"[^\s=<>!~,|;()\[\]^$]*")
_VALID_NAME = re.compile(r"[a-z0-9_.][a-z0-9_.-]*")
_PAIR = re.compile(r"""(?<!\w)(\w+)\s*=\s*("[^"]*"|'[^']*'|[^\s,"']+)""")
_ANACONDA = "https://repo.anaconda.com/pkgs/"
_IGNORED_KEYS = ("name", "features", "optional", "target")  # conda's own; they have no meaning in a modern channel
_DIGEST_LENGTHS = {"md5": 32, "sha256": 64}
EXPECTED_SPEC = "a conda match spec such as 'numpy', 'numpy>=1.26,<2' or 'conda-forge::numpy=1.26=py311*'"


class MatchSpecError(InvalidDefinitionError):
    """A match spec does not name a single package, or no package can satisfy it."""

    code = "match-spec-invalid"


class MatchSpecParts(NamedTuple):
    """The parts of a match spec ``channel::name rest[bracket]``."""

    channel: str
    name: str
    rest: str
    bracket: str


@lru_cache(maxsize=4096)  # the same few specs come with every request
def normalise_match_spec(text: str) -> str:
    """Return the normal form of ``text``, without credentials.

    >>> normalise_match_spec(" NumPy >= 1.8 , < 2  # for now")
    'numpy>=1.8,<2'
    """
    spec = strip_credentials(_strip_comment(text))[0]
    if is_package_file(spec):
        return spec
    channel, name, rest, bracket = split_match_spec(spec)
    suffix = f"[{_normalise_bracket(bracket)}]" if bracket else ""
    return f"{channel + '::' if channel else ''}{name}{_separator(rest)}{rest}{suffix}"


def split_match_spec(spec: str) -> MatchSpecParts:
    """Split a spec that is not a package file; the name is in lower case, without white space around operators."""
    head, bracket = _split_bracket(" ".join(spec.split()))
    channel, _, body = head.rpartition("::")
    match = _NAME.match(body.strip())
    name = match.group() if match else ""
    rest = _strip_operator_spaces(body.strip()[len(name) :])
    return MatchSpecParts(channel.strip(), name.lower(), rest, bracket.strip())


def spec_name(spec: str) -> str:
    """Return the package name in a match spec or in the URL of a package file, in lower case."""
    if is_package_file(spec):
        return spec.partition("#")[0].rpartition("/")[2].rsplit("-", 2)[0].lower()
    return _strip_namespace(split_match_spec(_strip_comment(spec)).name)


def normalise_channels(names: Iterable[str]) -> tuple[str, ...]:
    """Return the channels in order, each once. ``nodefaults`` is dropped: roost has no hidden default channels."""
    channels = [name.strip() for name in names if name.strip() and name.strip() != "nodefaults"]
    return tuple(dict.fromkeys(name.rstrip("/") for name in channels))


def is_package_file(spec: str) -> bool:
    """Whether the spec is the URL or path of one package file."""
    return "[" not in spec and "::" not in spec and spec.partition("#")[0].strip().endswith(PACKAGE_SUFFIXES)


@lru_cache(maxsize=4096)
def to_rattler(spec: str) -> str:
    """Translate ``spec`` so that rattler's (non-strict) parser reads the same as conda.

    Raises: MatchSpecError if ``spec`` does not name a single package, although conda accepts it: globs, ``*``,
    features.
    """
    spec = _strip_comment(spec)
    if is_package_file(spec):
        return spec.partition("#")[0]
    _check_text(spec)
    channel, name, rest, bracket = split_match_spec(spec)
    if name.count(":") == 2:  # channel:namespace:name
        channel = name.partition(":")[0]
    name = _strip_namespace(name)
    _check_name(spec, name)
    rest = _translate_version(spec, re.sub(r"^if .*$", "", rest))
    return f"{_translate_channel(channel)}{name}{_separator(rest)}{rest}{_translate_bracket(spec, bracket)}"


def _strip_comment(text: str) -> str:
    text = text.strip()
    return text if is_package_file(text) else text.partition("#")[0].strip()


def _split_bracket(spec: str) -> tuple[str, str]:
    start = spec.find("[")
    if start < 0 or not spec.endswith("]"):
        return spec, ""
    return spec[:start].rstrip(), spec[start + 1 : -1]


def _strip_operator_spaces(rest: str) -> str:
    rest = re.sub(r"\s*([,|])\s*", r"\1", rest.strip())
    return re.sub(r"([=<>!~])\s+", r"\1", rest)


def _separator(rest: str) -> str:
    return " " if rest and rest[0] not in "=<>!~" else ""


def _normalise_bracket(bracket: str) -> str:
    """Return the bracket with double quotes, and without white space around commas and equals signs."""
    pieces = re.findall(r"\"[^\"]*\"|'[^'\"]*'|[^\"']+|.", bracket)
    return "".join(
        f'"{piece[1:-1]}"' if piece[0] in "'\"" and len(piece) > 1 else re.sub(r"\s*([,=])\s*", r"\1", piece)
        for piece in pieces
    )


def _strip_namespace(name: str) -> str:
    """Return the name in ``ns:name``: conda ignores the namespace."""
    return name.rpartition(":")[2]


def _check_text(spec: str) -> None:
    """Reject texts without a meaning to conda, which rattler would read as a version or a build."""
    for pattern, what in (
        (r"[^\x20-\x7e\t]", "the character"),
        (r"\{\{", "a template"),
        (r"(?<=\s)--\w+", "the option"),
    ):
        if found := re.search(pattern, spec):
            raise MatchSpecError(f"Match spec {spec!r} contains {what} {found.group()!r}; expected {EXPECTED_SPEC}")


def _check_name(spec: str, name: str) -> None:
    if _VALID_NAME.fullmatch(name):
        return
    if not name or "*" in name or name.endswith("@"):
        raise MatchSpecError(
            f"Match spec {spec!r} names no single package; expected {EXPECTED_SPEC}",
            hint="Name the package that you need.",
        )
    raise MatchSpecError(f"Match spec {spec!r} has no valid package name ({name!r}); expected {EXPECTED_SPEC}")


def _translate_channel(channel: str) -> str:
    """Expand ``defaults`` and ``pkgs/main``, whose host rattler does not know."""
    if not channel:
        return ""
    if channel == "defaults" or channel.startswith("defaults/"):
        channel = _ANACONDA + "main" + channel.removeprefix("defaults")
    elif channel.startswith("pkgs/"):
        channel = _ANACONDA + channel.removeprefix("pkgs/")
    return channel + "::"


def _translate_version(spec: str, rest: str) -> str:
    if rest in ("=", "!"):  # conda ignores a lone operator
        return ""
    if rest.startswith("^"):
        return _translate_regex(spec, rest)
    # `>=1.0.1*.vc11`: in conda's order `*` comes before every letter, and so does `dev` in rattler's
    return re.sub(r"([<>]=?[\w.!+]*\w)\*[\w.]+", r"\1dev", rest)


def _translate_regex(spec: str, rest: str) -> str:
    literal = re.fullmatch(r"\^([\w.\\]+)\$", rest)
    if literal is None:
        raise MatchSpecError(
            f"Match spec {spec!r} contains a regular expression; expected {EXPECTED_SPEC}",
            hint="Write the versions with operators: 'numpy>=1.8,<2'.",
        )
    return "==" + literal.group(1).replace("\\", "")


def _translate_bracket(spec: str, bracket: str) -> str:
    if not bracket or "[" in bracket:
        return f"[{bracket}]" if bracket else ""
    pairs = [(key, value.strip("\"'").strip()) for key, value in _PAIR.findall(bracket)]
    translated = []
    for key, value in pairs:
        if not value or key in _IGNORED_KEYS:
            continue
        length = _DIGEST_LENGTHS.get(key)
        if length and not re.fullmatch(rf"[0-9A-Fa-f]{{{length}}}", value):
            raise MatchSpecError(f"Match spec {spec!r}: {key} is {value!r}; expected {length} hex digits")
        translated.append(f"{key}=[{value}]" if key in ("extras", "flags") else f'{key}="{value}"')
    return "[" + ", ".join(translated) + "]" if translated else ""
