"""Errors of installing a project."""

from __future__ import annotations

import os
from typing import ClassVar

from roost.daemon.background.code import CodeNotAllowedError
from roost.model.errors import BuildCancelledError, BuildError, CodedError, StoreFullError
from roost.model.locks.lock import Wheel

_CONTINUE = "`--no-project` goes on with the dependencies alone."
_OF_A_WHEEL = "Building a wheel failed: "
_NOT_WRITABLE = ("Permission denied", "Read-only file system", "PermissionError", "Operation not permitted")


class ProjectBuildError(BuildError):
    """The project itself can't be installed. Its dependencies are ready."""

    code = "project-build-failed"
    is_logged: ClassVar[bool] = True


class ProjectChangedError(BuildError):
    """The build files of a project are others than those that its layer is for."""

    code = "project-changed"
    retryable: ClassVar[bool] = True


PROJECT_ERRORS = (ProjectBuildError, ProjectChangedError)


def explain_project_failure(error: CodedError, project: Wheel) -> CodedError:
    """Return the error for ``error``, which installing ``project`` ended with. What is not about the project (a full
    disk, a cancellation, code that background work may not run) stays as it is. Blocks for one access(2)."""
    if isinstance(error, (BuildCancelledError, CodeNotAllowedError, StoreFullError)):
        return error
    folder = project.path or ""
    hint = f"{_CONTINUE} To have it, fix what is reported above; `package = false` in [tool.uv] never installs it."
    if module := error.fields.get("module"):
        hint = (
            f"Its build lacks the module {module}: correct `build-backend`, or add what has the module to `requires`, "
            f"both under [build-system]. {_CONTINUE}"
        )
    if any(text in error.message for text in _NOT_WRITABLE) and not os.access(folder, os.W_OK):
        hint = f"Its build backend writes into {folder}, which can't be written. {_CONTINUE}"
    return ProjectBuildError(
        f"The project {project.name} in {folder} can't be installed: {error.message.removeprefix(_OF_A_WHEEL)}",
        hint=hint,
        fields={**error.fields, "project": project.name, "folder": folder, "cause": error.code},
    )
