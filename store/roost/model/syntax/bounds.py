"""Bounds on what is read: each is far beyond any real file, and small enough that reading at a bound takes seconds.

``LocalFiles.read`` of the store bounds the bytes of one file.
"""

from __future__ import annotations

from roost.model.errors import InvalidDefinitionError, Location

MAX_TOTAL_BYTES = 64 << 20
"""Bytes of all files that a source includes."""
MAX_FILES = 1_000
"""Files that a source includes, each counted once."""
MAX_INCLUDE_DEPTH = 50
"""Levels of ``-r`` and ``-c``."""
MAX_REQUIREMENTS = 100_000
"""Lines of a requirements list with the files that it includes in place of each ``-r`` and ``-c``."""
MAX_LINE = 64 << 10
"""Characters of one requirement with its continuations, its hashes and its comment."""
MAX_TEXT = 8 << 10
"""Characters of one match spec, channel, URL, name or option, and of a requirement without its hashes."""
MAX_PROBLEMS = 100
"""Errors in one source, after which the rest is not read."""
MAX_WARNINGS = 1_000
"""Warnings about one source; the others are not listed."""
MAX_DEPTH = 50
"""Levels of lists and mappings, and parts of a dotted key."""
MAX_NUMBER = 1_000
"""Characters of a number or a date."""

NUL_FAULT = "A text here has a NUL character, which no path, variable or argument can have"
NUL_HINT = "Remove it."


class TooLargeError(InvalidDefinitionError):
    """A source exceeds one of the bounds; ``fields["bound"]`` is it."""

    code = "definition-too-large"


def too_large_error(what: str, bound: int, unit: str, location: Location | None) -> TooLargeError:
    """Return the error for ``what`` (the beginning of a sentence), which exceeds ``bound`` (in ``unit``)."""
    return TooLargeError(
        f"{what}; roost reads at most {bound:,} {unit}",
        hint="Check that this is the file that you meant, or split it.",
        location=location,
        fields={"bound": bound},
    )


def check_length(text: str, what: str, location: Location | None, bound: int = MAX_TEXT) -> str:
    """Return ``text`` if it is at most ``bound`` characters long. Raises: TooLargeError if it is longer."""
    if len(text) > bound:
        raise too_large_error(f"{what} has {len(text):,} characters", bound, "characters", location)
    return text
