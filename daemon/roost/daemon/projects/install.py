"""Install the project of a layer into its prefix, which has everything else. Its build backend runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.interpreters import probe_interpreter
from roost.daemon.engines.uv.request import PipLockRequest, PythonFacts
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.target_platforms import local_platform
from roost.daemon.projects.errors import ProjectChangedError, explain_project_failure
from roost.model.definition import BASELINE_GLIBC, PipItem
from roost.model.errors import CodedError
from roost.model.locks.lock import Wheel
from roost.model.readers.projects.find import compute_project_digest
from roost.store.sources.files import LocalFiles


class ProjectBuild(msgspec.Struct, frozen=True, kw_only=True):
    """Under which conditions a project gets what its build needs: those of its definition."""

    lines: Sequence[PipItem] = ()
    """The pip lines; of them the options count."""
    index: str | None = None
    """The default index that the definition was digested with."""
    variables: Mapping[str, str] = {}
    """Values for ``${NAME}`` in URLs."""


async def install_project(
    engines: Engines,
    project: Wheel,
    build: ProjectBuild,
    prefix: str,
    python: str,
    progress: Progress,
    credentials: Mapping[str, str],
) -> None:
    """Install ``project`` as an editable installation for ``python``, which is the one of ``prefix``.

    Raises: ProjectBuildError if its backend fails or can't be had; ProjectChangedError if its build files are not those
    of ``project`` before and after; CodeNotAllowedError in background work, if the project has not been built here as
    it is; StoreFullError.
    """
    progress.start("project")
    await asyncio.to_thread(_check_build_files, project)
    probed = await asyncio.to_thread(probe_interpreter, python)
    request = PipLockRequest(
        items=build.lines,
        python=PythonFacts(
            version=probed.version if probed else "3", executable=python, libc=probed.libc if probed else ""
        ),
        platform=local_platform({}),
        glibc=BASELINE_GLIBC,
        allow_builds=True,
        credentials=credentials,
        variables=build.variables,
        index=build.index,
    )
    pip = await engines.pip()
    try:
        await pip.install_project(project, request, prefix=prefix, progress=progress)
    except CodedError as error:
        explained = explain_project_failure(error, project)
        if explained is error:
            raise
        raise explained from error
    await asyncio.to_thread(_check_build_files, project)
    progress.finish("project")


def _check_build_files(project: Wheel) -> None:
    """Raise ProjectChangedError unless the build files in the folder are those that the layer is keyed by. Blocks."""
    folder = project.path or ""
    try:
        digest = compute_project_digest(LocalFiles(), folder)
    except (OSError, CodedError) as error:
        raise ProjectChangedError(
            f"The project {project.name} in {folder} can't be installed: "
            f"its build files can't be read any more ({error.strerror if isinstance(error, OSError) else error})",
            hint="Try again once its pyproject.toml can be read.",
        ) from error
    if digest != f"sha256:{project.sha256}":
        raise ProjectChangedError(
            f"The build files of the project {project.name} in {folder} changed while it was being installed",
            hint="Try again: it is installed as it is then.",
        )
