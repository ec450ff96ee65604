"""Going on after an error, so that a document has all problems of its file."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from roost.model.documents.document import Problem, create_problem
from roost.model.errors import InvalidDefinitionError
from roost.model.syntax.bounds import MAX_PROBLEMS


class Recovery:
    """Context manager that reports the error of its block as a problem; with too many, it ends the reading."""

    def __init__(self, problems: list[Problem], *, is_outermost: bool) -> None:
        self._problems = problems
        self._is_outermost = is_outermost

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> bool:  # noqa: ANN401
        if not isinstance(error, InvalidDefinitionError):
            return False
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(create_problem(error))
        return self._is_outermost or len(self._problems) < MAX_PROBLEMS
