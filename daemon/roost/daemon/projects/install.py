"""Install the project of a layer into its prefix, which has everything else. Its build backend runs."""

from __future__ import annotations

from collections.abc import Mapping

from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Progress
from roost.daemon.projects.errors import explain_project_failure
from roost.model.errors import CodedError
from roost.model.locks.lock import Wheel


async def install_project(
    engines: Engines, project: Wheel, prefix: str, python: str, progress: Progress, credentials: Mapping[str, str]
) -> None:
    """Install ``project`` as an editable installation for ``python``, which is the one of ``prefix``.

    Raises: ProjectBuildError if its backend fails or can't be had; CodeNotAllowedError in background work, if the
    project has not been built here as it is; StoreFullError.
    """
    progress.start("project")
    pip = await engines.pip()
    try:
        await pip.install_project(
            project, prefix=prefix, python_path=python, progress=progress, credentials=credentials
        )
    except CodedError as error:
        explained = explain_project_failure(error, project)
        if explained is error:
            raise
        raise explained from error
    progress.finish("project")
