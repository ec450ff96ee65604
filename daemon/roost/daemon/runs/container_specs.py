"""What is needed to start a command in an image, and the container that this becomes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from roost.daemon.engines.docker.labels import ROOT_LABEL, RUN_LABEL
from roost.daemon.oci.target_platforms import can_run
from roost.model.definition import ContainerSettings
from roost.wire.runs import RunRequest

if TYPE_CHECKING:  # the SDK is loaded when an engine is first used
    from roost.daemon.engines.docker.values import ContainerSpec, EngineFacts


class ContainerLaunch(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a command in an image that the engine has."""

    image: str
    """Id of the image."""
    interpreter: str | None = None
    """Path in the image of what ``python`` means in a command; ``None``: what the image's PATH says."""
    variables: dict[str, str] = {}
    """The settings' variables; the activation of roost's own images is in the image itself."""
    container: ContainerSettings = ContainerSettings()
    platform: str | None = None
    built_for: str | None = None
    """The image's platform, if it is known."""
    lock_digest: str | None = None
    generation: int | None = None
    artifact: str | None = None


def container_spec(
    run_id: str, launch: ContainerLaunch, request: RunRequest, engine: EngineFacts, root: str
) -> ContainerSpec:
    """Return the container of a run. ``root``: value of the root's label. Blocking.

    Raises ImagePlatformError if the engine's machine can't run the image.
    """
    from roost.daemon.engines.docker.values import ContainerSpec

    _check_platform(launch, engine.platform)
    terminal = {"TERM": request.terminal.kind} if request.terminal else {}
    return ContainerSpec(
        image=launch.image,
        command=container_command(request.command, launch.interpreter, request.what.cwd),
        cwd=request.what.cwd,
        user="0:0" if engine.rootless else f"{os.getuid()}:{os.getgid()}",  # rootless: its root is this user
        variables={**terminal, **launch.variables, **request.variables, **request.secrets},
        labels={ROOT_LABEL: root, RUN_LABEL: run_id},
        console=(request.terminal.rows, request.terminal.columns) if request.terminal else None,
        stdin=not request.detach,
        keep_output=request.detach,
        shm_size=launch.container.shm_size,
        arguments=launch.container.arguments,
        name=f"roost-{run_id}",
        platform=launch.platform,
    )


def _check_platform(launch: ContainerLaunch, engine: str) -> None:
    """Raise ImagePlatformError if the image is for another platform than ``engine``: the command would end with the
    kernel's "exec format error" alone. Blocking."""
    from roost.daemon.engines.docker.errors import ImagePlatformError

    if launch.built_for is None or can_run(launch.built_for, engine):
        return
    raise ImagePlatformError(
        f"The image is for {launch.built_for}, and the engine's machine runs {engine}",
        hint="Run it on a machine of that platform, or let this one emulate it (binfmt_misc and qemu-user-static). "
        "`roost image push` pushes it to a registry unchanged.",
    )


def container_command(command: list[str], interpreter: str | None, cwd: str) -> list[str]:
    """Return ``command`` for a container: ``python`` is the image's interpreter, and ``x.py`` a script for it; anything
    else stays. Blocking (one stat)."""
    python = interpreter or "python"
    if command[0] in ("python", "python3"):
        return [interpreter or command[0], *command[1:]]
    if command[0].endswith(".py") and os.path.isfile(os.path.join(cwd, command[0])):
        return [python, *command]
    return list(command)
