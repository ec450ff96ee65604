"""Options in requirements files: which there are, and what a line of them says.

The names and the grammar are those of pip's ``req_file`` module: the words of a line are those of a shell, a value
stands behind ``=`` or is the next word, and a line may have several options. pip also accepts unambiguous beginnings of
names, whose meaning changes with its versions; here they are errors that name the whole option.
"""

from __future__ import annotations

import difflib
import re
import shlex
from typing import NamedTuple

from roost.model.errors import InvalidDefinitionError

EXPECTED_REQUIREMENT = (
    "a requirement such as 'six==1.16.0', a path, a URL or an option of pip's requirements file format"
)
SHORT_OPTIONS = {
    "-r": "--requirement",
    "-c": "--constraint",
    "-e": "--editable",
    "-i": "--index-url",
    "-f": "--find-links",
}
_ALIASES = {"--pypi-url": "--index-url"}
_WITH_VALUE = frozenset(
    (
        *("--requirement", "--constraint", "--editable", "--index-url", "--extra-index-url", "--find-links"),
        *("--no-binary", "--only-binary", "--all-releases", "--only-final", "--trusted-host", "--use-feature"),
    )
)
_FLAGS = frozenset(("--no-index", "--pre", "--prefer-binary", "--require-hashes", "--no-require-hashes"))
_OF_REQUIREMENTS = frozenset(("--hash", "--config-settings", "--config-setting"))
"""Options that pip knows behind a requirement only."""
_KNOWN = sorted((*_WITH_VALUE, *_FLAGS, *_OF_REQUIREMENTS, *_ALIASES))
_COMMAND_LINE = """
    --abi --break-system-packages --build-constraint --build-isolation --cache-dir --cert --check-build-dependencies
    --client-cert --compile --debug --disable-pip-version-check --dry-run --exists-action --extra --force-reinstall
    --global-option --group --help --ignore-installed --ignore-requires-python --implementation --install-option
    --isolated --keyring-provider --log --log-file --local-log --no-build-isolation --no-cache-dir --no-clean
    --no-color --no-compile --no-dependencies --no-deps --no-input --no-use-pep517 --no-user
    --no-warn-conflicts --no-warn-script-location --only-deps --only-dependencies --platform --prefix
    --process-dependency-links --progress-bar --proxy --python --python-version --quiet --report
    --require-virtualenv --requirements-from-script --resume-retries --retries --root --root-user-action --src
    --target --timeout --upgrade --upgrade-strategy --uploaded-prior-to --use-deprecated --use-pep517 --user
    --verbose --version -C -I -U -b -d -h -q -t -v
""".split()  # noqa: SIM905 - as a list it has a page
"""Options of ``pip install`` that no file may have, those of older versions among them."""
_WORD = re.compile(r"(?:[^\s'\"\\]|\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\")+", re.DOTALL)
_SHOWN = 40
"""Characters of an option in a message."""


class RequirementError(InvalidDefinitionError):
    """A line of a requirements list is not valid; ``column`` counts from 0 within the line."""

    code = "requirement-invalid"

    def __init__(self, message: str, column: int = 0, *, hint: str = "") -> None:
        super().__init__(message, hint=hint or f"Expected {EXPECTED_REQUIREMENT}.")
        self.column = column


class Word(NamedTuple):
    """A word of a line without its quotes, and its offset."""

    text: str
    offset: int


class WrittenOption(NamedTuple):
    """An option with its long name and its value, and the offset of its first word."""

    name: str
    value: str
    offset: int


class OptionLine(NamedTuple):
    """The options of a line, and the words that no option takes: pip passes over these."""

    options: tuple[WrittenOption, ...]
    leftover: tuple[Word, ...]


def split_words(text: str, offset: int = 0) -> list[Word]:
    """Return the words of ``text`` as a shell splits them. ``offset`` is added to theirs.

    Raises: RequirementError if a quotation has no end.
    """
    words, end = [], 0
    for match in _WORD.finditer(text):
        if text[end : match.start()].strip():
            break
        words.append(Word("".join(shlex.split(match.group())), match.start() + offset))
        end = match.end()
    if rest := text[end:].strip():
        column = end + text[end:].index(rest)
        raise RequirementError(f"The quotation {_show(rest)} has no end", column + offset, hint="Close the quotation.")
    return words


def parse_options(text: str) -> OptionLine:
    """Parse a line that begins with an option.

    Raises: RequirementError if pip would refuse the line, or if an option is not written out in full.
    """
    words, options, leftover = iter(split_words(text)), list[WrittenOption](), list[Word]()
    for word in words:
        if not word.text.startswith("-") and options:
            leftover.append(word)
            continue
        head, equals, value = _split_value(word)
        name = SHORT_OPTIONS.get(head, _ALIASES.get(head, head))
        if name in _OF_REQUIREMENTS:
            raise _no_requirement_error(name, word)
        if name in _FLAGS:
            if equals:
                raise RequirementError(f"{name} has no value", word.offset, hint=f"Write {name} alone.")
        elif name in _WITH_VALUE:
            value = value if equals else next(words, Word("", 0)).text
            if not value:
                raise RequirementError(f"{name} needs a value", word.offset, hint=f"Write it as {name} VALUE.")
        else:
            raise unknown_option(head, word.offset)
        options.append(WrittenOption(name, value, word.offset))
    return OptionLine(tuple(options), tuple(leftover))


def is_option(name: str) -> bool:
    """Whether ``name`` is an option of a line of its own, written out in full or as one letter."""
    return name in SHORT_OPTIONS or name in _ALIASES or name in _WITH_VALUE or name in _FLAGS


def unknown_option(name: str, offset: int) -> RequirementError:
    """Return the error for an option that requirements files do not have."""
    shown = _show(name)
    if name.strip("-") == "":
        hint = "Remove the dashes, or write an option of pip's requirements file format."
        return RequirementError(f"{shown} is neither a requirement nor an option", offset, hint=hint)
    if name in _COMMAND_LINE:
        hint = "Remove it from the file: it does not say which packages are needed, or applies to one command only."
        return RequirementError(f"{shown} is an option of pip's command line, not of files", offset, hint=hint)
    near = [known for known in _KNOWN if len(name) > 3 and known.startswith(name)]
    near = near or difflib.get_close_matches(name[:_SHOWN], _KNOWN, n=1)
    hint = (
        f"Did you mean {' or '.join(near[:3])}?" if near else f"Options are {', '.join(sorted(_WITH_VALUE | _FLAGS))}."
    )
    return RequirementError(f"{shown} is not an option of requirements files", offset, hint=hint)


def _split_value(word: Word) -> tuple[str, bool, str]:
    """Return the name in a word, whether a value is attached, and the value."""
    head, equals, value = word.text.partition("=")
    if head.startswith("--") or head[:2] not in SHORT_OPTIONS or f"-{head}" in _KNOWN:  # -index-url lacks a dash
        return head, bool(equals), value
    rest = word.text[2:]
    return word.text[:2], bool(rest), rest.removeprefix("=")


def _no_requirement_error(name: str, word: Word) -> RequirementError:
    return RequirementError(
        f"{name} belongs behind a requirement, and this line has none",
        word.offset,
        hint="Write it in the line of its requirement, or end the line before this one with a backslash.",
    )


def _show(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
