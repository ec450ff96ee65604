"""Errors of installing a project."""

from __future__ import annotations

from roost.daemon.background.code import CodeNotAllowedError
from roost.model.definition import ProjectSource
from roost.model.errors import BuildCancelledError, BuildError, CodedError

_CONTINUE = "`--no-project` runs its dependencies without it."


class ProjectBuildError(BuildError):
    """The project itself can't be installed. Its dependencies are ready."""

    code = "project-build-failed"


def explain_project_failure(error: CodedError, project: ProjectSource) -> CodedError:
    """Return the error for ``error``, which installing ``project`` ended with. What is not about the project (a full
    disk, a cancellation, code that background work may not run) stays as it is."""
    if not isinstance(error, BuildError) or isinstance(error, (BuildCancelledError, CodeNotAllowedError)):
        return error
    return ProjectBuildError(
        f"The project {project.name} can't be installed: {error.message}",
        hint=f"{_CONTINUE} Fix what its build backend reports, or set `package = false` in [tool.uv]. {error.hint}",
        location=project.location,
        fields={**error.fields, "project": project.name, "cause": error.code},
    )
