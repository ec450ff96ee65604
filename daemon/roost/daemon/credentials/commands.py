"""Commands and variables of runs as they are recorded: without credentials. Pure.

A run is recorded so that it can be run again, and credentials are never stored. A value that the caller has in a
variable is recorded as ``${NAME}``, and inserted again when the run is repeated by somebody who has it too. Any other
credential is recorded as ``***``, and such a run can't be repeated.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from roost.daemon.credentials.redaction import redact
from roost.daemon.credentials.values import MASKED_LENGTH

HIDDEN = "***"
_LAST_WORDS = frozenset(
    ("password", "passwd", "pwd", "passphrase", "secret", "token", "credential", "credentials", "pat")
)
_PAIRS = frozenset(
    (
        *("apikey", "accesskey", "secretkey", "privatekey", "accountkey", "sharedkey", "storagekey", "authkey"),
        *("sastoken", "connectionstring", "signingkey", "encryptionkey"),
    )
)
_TOKEN_KINDS = frozenset(
    (
        *("pad", "eos", "bos", "unk", "mask", "sep", "cls", "special", "stop", "start", "end", "begin", "separator"),
        *("image", "audio", "video", "prompt", "think", "thinking", "max", "min", "num", "n", "per", "by"),
        *("next", "new", "first", "last"),
    )
)
"""What makes a token one of a language model, as in ``--pad-token``."""
_NAME_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_OPTION = re.compile(r"(?P<head>[+~-]{0,3}(?P<name>[A-Za-z][\w.-]*)=)(?P<value>.+)", re.DOTALL)
_OPTION_IN_TEXT = re.compile(
    r"(?<!\S)(?P<head>--?(?P<name>[A-Za-z][\w.-]*)(?:=|\s+))(?P<value>[^\s\"'`;|&()<>-][^\s\"'`;|&()<>]*)"
)
_ASSIGNMENT_IN_TEXT = re.compile(r"(?<![^\s;&|(\"'])(?P<head>(?P<name>[A-Z][A-Z0-9_]*)=)(?P<value>[^\s\"'`;|&()<>]+)")
_LITERAL_IN_TEXT = re.compile(
    r"(?P<head>[\"']?(?P<name>[A-Za-z_][\w-]*)[\"']?\s*[:=]\s*[\"'])(?P<value>[^\"'\s]+)(?=[\"'])"
)
_BEFORE_VALUE = re.compile(r"(?i)(?:(?:proxy-)?authorization\s*[:=]\s*)?(?:(?:bearer|basic|digest|token)\s+)?$")
"""What is before a credential, and looks like one itself if nothing follows."""
_LOGIN = re.compile(r"://([^/\s\"'<>]+)@")
_HEADER = re.compile(r"(?P<head>(?P<name>[A-Za-z][\w-]*):\s*)(?P<value>\S+)")
_PROGRAM_OPTIONS = {"curl": ("-u", "--user", "-U", "--proxy-user"), "sshpass": ("-p",)}
"""Options of programs whose next word is or contains a password."""


class RecordedCommand(NamedTuple):
    """The words of a command as they are stored."""

    words: tuple[str, ...]
    variables: tuple[str, ...] = ()
    """Names of the variables whose values were in it."""
    masked: tuple[int, ...] = ()
    """Positions of words with ``${NAME}`` in place of a value."""
    hidden: tuple[int, ...] = ()
    """Positions of words with ``***``."""


def record_command(words: Sequence[str], values: Mapping[str, str]) -> RecordedCommand:
    """Return ``words`` without credentials. ``values``: variables that the caller has, of which some may be in it."""
    recorded, variables, masked, hidden = [], set[str](), [], []
    known = {name: value for name, value in values.items() if len(value) >= MASKED_LENGTH}
    for position, word in enumerate(words):
        pieces, names = _split_word(word, known)
        text = _join_pieces(pieces, names)
        bare = [*map(_without_prefix, pieces)] if names else pieces
        if [_hide_word(words, position, piece) for piece in bare] == bare and not _is_partly_named(text, names):
            recorded.append(text)
            masked += [position] * bool(names)
            variables |= set(names)
        else:
            recorded.append(_hide_word(words, position, text))
            hidden.append(position)
    return RecordedCommand(tuple(recorded), tuple(sorted(variables)), tuple(masked), tuple(hidden))


def restore_command(words: Sequence[str], masked: Sequence[int], values: Mapping[str, str]) -> list[str]:
    """Return the words that :func:`record_command` recorded, with ``values`` inserted again."""
    restored = list(words)
    for position in masked:
        restored[position] = re.sub(r"\$\{(\w+)\}", lambda match: values.get(match[1], match[0]), restored[position])
    return restored


def split_variables(variables: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the variables of a run that may be stored, and the names of those with a credential."""
    secret = {name for name, value in variables.items() if _is_secret(name, value) or redact(value) != value}
    return {name: value for name, value in variables.items() if name not in secret}, tuple(sorted(secret))


def is_secret_name(name: str) -> bool:
    """Return whether an option or a variable of that name has a credential: ``--api-key``, ``HF_TOKEN``; but not
    ``--max-tokens``, ``--pad-token`` or ``--tokenizer``."""
    words = [word.lower() for word in _NAME_WORD.findall(name)]
    if not words:
        return False
    if words[-1] == "token" and len(words) > 1 and words[-2] in _TOKEN_KINDS:
        return False
    return words[-1] in _LAST_WORDS or words[-1] in _PAIRS or "".join(words[-2:]) in _PAIRS


def _is_secret(name: str, value: str) -> bool:
    is_word = bool(value) and value[0] not in "$<" and value.lower() not in ("true", "false", "none", "null", HIDDEN)
    return is_word and not value.startswith("${") and is_secret_name(name)


def _split_word(word: str, values: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the pieces of ``word`` around values, and the names of these; one piece if it has a reference already."""
    found = {value: name for name, value in sorted(values.items()) if "${" not in value}
    if not found or re.search(r"\$\{\w+\}", word):
        return [word], []
    pattern = "|".join(map(re.escape, sorted(found, key=lambda value: (-len(value), value))))
    pieces = re.split(f"({pattern})", word)
    return pieces[::2], [found[value] for value in pieces[1::2]]


def _join_pieces(pieces: Sequence[str], names: Sequence[str]) -> str:
    return pieces[0] + "".join(f"${{{name}}}{piece}" for name, piece in zip(names, pieces[1:], strict=True))


def _is_partly_named(text: str, names: Sequence[str]) -> bool:
    """Return whether the login of a URL has more than a user and ``${NAME}``."""
    login = _LOGIN.search(text) if names else None
    return login is not None and re.fullmatch(r"(?:[^:@]*:)?(?:\$\{\w+\})+", login[1]) is None


def _without_prefix(piece: str) -> str:
    return _BEFORE_VALUE.sub("", piece, count=1)


def _hide_word(words: Sequence[str], position: int, text: str) -> str:
    """Return ``text``, the word at ``position``, with ``***`` in place of credentials."""
    before = words[position - 1] if position else ""
    program = os.path.basename(words[0]) if words else ""
    if before.startswith("-") and "=" not in before and not text.startswith("-") and _is_secret(before, text):
        return HIDDEN
    if before in _PROGRAM_OPTIONS.get(program, ()) and not text.startswith("$"):
        user, colon, password = text.partition(":")
        if program == "sshpass":
            return HIDDEN if text else text
        return f"{user}:{HIDDEN}" if colon and password else text
    if program in ("mysql", "mysqldump", "mariadb") and re.fullmatch(r"-p[^-\s=].*", text):
        return f"-p{HIDDEN}"
    if re.search(r"[\s()]", text):
        for pattern in (_OPTION_IN_TEXT, _ASSIGNMENT_IN_TEXT, _LITERAL_IN_TEXT):
            text = pattern.sub(_hide_value, text)
    elif (match := _OPTION.fullmatch(text)) and _is_secret(match["name"], match["value"]):
        return f"{match['head']}{HIDDEN}"
    else:
        text = _LITERAL_IN_TEXT.sub(_hide_value, text)
    if before in ("-H", "--header") and (header := _HEADER.fullmatch(text)):
        text = _hide_value(header)
    return redact(text)


def _hide_value(match: re.Match[str]) -> str:
    return f"{match['head']}{HIDDEN}" if _is_secret(match["name"], match["value"]) else match.group()


def describe_hidden(words: Sequence[str], hidden: Sequence[int]) -> Iterator[str]:
    """Yield the words with credentials, each with the option before it."""
    for position in hidden:
        word = words[position]
        yield f"{words[position - 1]} {word}" if word == HIDDEN and position else word
