"""Errors of the Docker SDK, translated to roost's."""

from __future__ import annotations

import subprocess
import sys

import pytest
from docker import errors
from requests import Response, exceptions

from roost.daemon.engines.docker.errors import (
    CommandStartError,
    ContainerArgumentError,
    ContainerGoneError,
    EngineError,
    EngineFullError,
    EngineUnreachableError,
    GpusMissingError,
    ImageMissingError,
    ImagePlatformError,
    MountError,
)
from roost.daemon.engines.docker.translation import translate_create_error, translate_error, translate_start_error


def api_error(status: int, text: str) -> errors.APIError:
    response = Response()
    response.status_code = status
    kind = errors.NotFound if status == 404 else errors.APIError
    return kind("failed", response, text)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EngineFullError("full"), EngineFullError),
        (api_error(404, "nothing there"), ImageMissingError),
        (api_error(500, "write /x: no space left on device"), EngineFullError),
        (api_error(500, "anything"), EngineError),
        (exceptions.ConnectionError("refused"), EngineUnreachableError),
        (FileNotFoundError(2, "No such file"), EngineUnreachableError),
        (errors.DockerException("Error while fetching server API version: x"), EngineUnreachableError),
        (errors.DockerException("anything"), EngineError),
        (KeyError("Id"), EngineError),
    ],
)
def test_an_error_of_the_sdk_is_translated(error: Exception, kind: type[Exception]):
    assert type(translate_error(error, "unix:///s", "pulling x")) is kind


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, "No such image: x:latest", errors.NotFound),
        (400, "image with reference x was found but does not match the specified platform", ImagePlatformError),
        (400, "invalid mount config: bind source path does not exist: /a", MountError),
        (404, "network x not found", ContainerArgumentError),
        (400, "No such container: x", ContainerArgumentError),
        (500, "anything", EngineError),
    ],
)
def test_a_container_that_cannot_be_created_has_a_reason(status: int, text: str, kind: type[Exception]):
    assert type(translate_create_error(api_error(status, text), "/a")) is kind


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, "No such container: c1", ContainerGoneError),
        (404, "network x not found", ContainerArgumentError),
        (500, "error gathering device information while adding custom device", ContainerArgumentError),
        (500, 'could not select device driver "cdi" with capabilities: []', ContainerArgumentError),
        (500, 'could not select device driver "" with capabilities: [[gpu]]', GpusMissingError),
        (500, "anything", EngineError),
    ],
)
def test_a_container_that_cannot_be_started_has_a_reason(status: int, text: str, kind: type[Exception]):
    assert type(translate_start_error(api_error(status, text), "c1")) is kind


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('exec: "x": executable file not found in $PATH', 127),
        ("exec /x: no such file or directory", 127),
        ('exec: "/x": permission denied', 126),
    ],
)
def test_a_command_that_cannot_be_started_has_a_shells_status(text: str, status: int):
    error = translate_start_error(api_error(400, text), "c1")
    assert isinstance(error, CommandStartError)
    assert error.status == status


@pytest.mark.parametrize(
    ("modules", "library"),
    [
        ("engines.docker.errors engines.docker.values engines.docker.labels engines.docker.building.steps", "docker"),
        ("engines.registry.errors engines.registry.values", "aiohttp"),
    ],
)
def test_errors_and_values_do_not_load_the_library(modules: str, library: str):
    imports = "".join(f"import roost.daemon.{module}\n" for module in modules.split())
    script = f"import sys\n{imports}assert {library!r} not in sys.modules, sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
