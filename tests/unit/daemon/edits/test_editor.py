"""Which requests name a file that can be edited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from roost.daemon.edits.editor import check_request, refuse_files
from roost.model.errors import InvalidRequestError
from roost.wire.edits import EditRequest
from roost.wire.plans import EnvironmentSelector


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"environment": "train"}, "roost env edit train"),
        ({"image": "debian:12"}, "Name it with -f"),
        ({"text": "six\n"}, "Name it with -f"),
        ({"document": {}}, "Name it with -f"),
        ({"run": "r1"}, "Name it with -f"),
        ({"lock": "sha256:" + "0" * 64}, "Name no generation"),
        ({"lock": "sha256:0"}, "Write all of it"),
        ({"file": "a", "environment": "b"}, "at most one"),
    ],
)
def test_what_is_no_file_is_refused(fields: dict[str, Any], hint: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        check_request(EditRequest(what=EnvironmentSelector(cwd="/p", **fields), add=["six"]))
    assert hint in error.value.hint


def test_a_request_without_packages_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        check_request(EditRequest(what=EnvironmentSelector(cwd="/p")))


def test_a_package_that_is_a_file_is_refused_with_the_way_to_edit_it(tmp_path: Path) -> None:
    for name in ("train.py", "requirements.txt", "discord.py"):
        (tmp_path / name).write_text("")
    for added, hint in (
        (["train.py", "six"], "`roost add --script train.py six`"),
        (["requirements.txt"], "`roost add -f requirements.txt PKG`"),
    ):
        with pytest.raises(InvalidRequestError, match="is a file") as error:
            refuse_files(EditRequest(what=EnvironmentSelector(cwd=str(tmp_path)), add=added))
        assert error.value.hint.startswith(hint)
    for added in (["web.py"], ["pip:discord.py"], ["six @ ./six.txt"]):
        refuse_files(EditRequest(what=EnvironmentSelector(cwd=str(tmp_path)), add=added))
