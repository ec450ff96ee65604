"""The result of reading one source: its items and problems with their places, and the definition if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from roost.model.definition import ReadResult
from roost.model.errors import InvalidDefinitionError, Location

ItemKind = Literal["key", "channel", "spec", "package", "pip", "variable", "image", "step", "setting", "value"]
Severity = Literal["error", "warning"]
_LONGEST_MESSAGE = 400
_SHOWN_AT_BEGIN, _SHOWN_AT_END = 180, 200
PROBLEMS = "problems"
"""Key of ``CodedError.fields`` with all problems of the document that the error is from."""


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something written in a file, and where."""

    kind: ItemKind
    """``key``: of a mapping or table; ``channel``, ``spec``: conda's; ``package``: the URL of one package; ``pip``: a
    line of a requirements list; ``variable``: the value of one; ``image``: a reference; ``step``: a Dockerfile
    instruction; ``setting``: a text that shapes a run and not a build; ``value``: any other text that is part of the
    definition."""
    text: str
    """The text as its syntax reads it: without quotes, escapes and continuations."""
    location: Location
    """Where it begins, at its opening quote if it has one; without a line if the text is from no file."""
    end: Location | None = None
    """Where it ends (exclusive); ``None`` if that is not known."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something in a file that is refused (``error``) or has no effect (``warning``)."""

    code: str
    message: str
    hint: str = ""
    severity: Severity = "error"
    location: Location | None = None
    fields: dict[str, Any] = {}


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One source as it was read. It can be sent between processes: every part is a plain value."""

    items: tuple[Item, ...] = ()
    """In the order in which they were read; nested files (``-r``) once each, after the line that includes them."""
    problems: tuple[Problem, ...] = ()
    """By file, in the order in which the files were read, and place."""
    result: ReadResult | None = None
    """What could be read, incomplete if there are errors; ``None`` if nothing could."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")


def create_problem(error: InvalidDefinitionError) -> Problem:
    """Return ``error`` as a problem."""
    return Problem(
        code=error.code,
        message=shorten_message(error.message),
        hint=shorten_message(error.hint),
        location=error.location,
        fields=dict(error.fields),
    )


def shorten_message(message: str) -> str:
    """Return ``message`` without its middle if it is long: then it repeats what is written in the file, which may be
    all of it in one line. What is wrong with it stands at the end."""
    if len(message) <= _LONGEST_MESSAGE:
        return message
    return f"{message[:_SHOWN_AT_BEGIN]} … {message[-_SHOWN_AT_END:]}"


def convert_document(document: Document) -> ReadResult:
    """Return the definition in ``document``.

    Raises: InvalidDefinitionError, of the class that the first error was reported with, if the document has errors;
    ``fields["problems"]`` lists all of its problems.
    """
    if errors := document.errors:
        raise _create_error(errors[0], document.problems)
    assert document.result is not None, "a document without a result has an error"
    return document.result


def _create_error(first: Problem, problems: tuple[Problem, ...]) -> InvalidDefinitionError:
    kinds = {kind.code: kind for kind in _iterate_kinds(InvalidDefinitionError)}
    kind = kinds.get(first.code, InvalidDefinitionError)
    error = kind.__new__(kind)  # some have a constructor of their own
    listed = [{key: value for key, value in _to_wire(problem).items() if key != "fields"} for problem in problems]
    InvalidDefinitionError.__init__(
        error,
        first.message,
        hint=first.hint,
        location=first.location,
        fields={**first.fields, PROBLEMS: listed},
    )
    if kind.code != first.code:  # the module that defines it is not loaded in this process
        error.code = first.code  # type: ignore[misc]
    return error


def _to_wire(problem: Problem) -> dict[str, Any]:
    where = problem.location
    return {
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "severity": problem.severity,
        "location": {"path": where.path, "line": where.line, "column": where.column} if where else None,
    }


def _iterate_kinds(kind: type[InvalidDefinitionError]) -> Iterator[type[InvalidDefinitionError]]:
    """Yield ``kind`` and its subclasses; of two with one code the outer one is last, so that it wins."""
    for inner in kind.__subclasses__():
        yield from _iterate_kinds(inner)
    yield kind
