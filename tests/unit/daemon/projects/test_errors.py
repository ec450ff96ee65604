"""What becomes of the errors that installing a project ends with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roost.daemon.background.code import CodeNotAllowedError
from roost.daemon.engines.uv.errors import IndexUnreachableError, WheelBuildError
from roost.daemon.projects.errors import ProjectBuildError, explain_project_failure
from roost.model.errors import BuildCancelledError, CodedError, StoreFullError
from roost.model.locks.lock import Wheel

PROJECT = Wheel(name="demo", version="1", kind="editable", path="/work/demo", sha256="0" * 64)


@pytest.mark.parametrize("kind", [BuildCancelledError, CodeNotAllowedError, StoreFullError])
def test_what_is_not_about_the_project_stays(kind: type[CodedError]) -> None:
    error = kind("it ended")
    assert explain_project_failure(error, PROJECT) is error


@pytest.mark.parametrize("kind", [WheelBuildError, IndexUnreachableError])
def test_everything_else_is_the_projects_and_names_the_way_on(kind: type[CodedError]) -> None:
    explained = explain_project_failure(kind("Building a wheel failed: no compiler", fields={"a": 1}), PROJECT)
    assert isinstance(explained, ProjectBuildError)
    assert explained.message == "The project demo in /work/demo can't be installed: no compiler"
    assert "--no-project" in explained.hint
    assert explained.fields == {"a": 1, "project": "demo", "folder": "/work/demo", "cause": kind.code}


@pytest.mark.unprivileged
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    project = Wheel(name="demo", version="1", kind="editable", path=str(tmp_path))
    error = WheelBuildError("error: could not create 'demo.egg-info': Permission denied")
    assert "can't be written" not in explain_project_failure(error, project).hint
    os.chmod(tmp_path, 0o555)
    hint = explain_project_failure(error, project).hint
    os.chmod(tmp_path, 0o755)
    assert f"writes into {tmp_path}, which can't be written" in hint
    assert "--no-project" in hint
